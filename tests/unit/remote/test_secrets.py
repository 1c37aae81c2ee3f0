"""Keys show nowhere: not in errors, reprs or the local variables of tracebacks, and not at addresses of others."""

import json
import logging
import traceback

import pytest
from support.http_server import data, delta, events, head, hello, sending, status

from luup_agent import Agent, InvalidParamError, LuupError, Model
from luup_agent._completions.secrets import Redactor, Secret

KEY = "sk-secret-0123456789abcdef"
TOKEN = "tok-99887766\\54"


def shown(error):
    """Return all that a reporter of errors could show of `error`."""
    texts = [repr(error), str(error), repr(vars(error))]
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        texts += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        error = error.__cause__ or error.__context__
    return "".join(texts)


ECHOES = {
    "status": status("401 Who", f'{{"error": {{"message": "the key {KEY} is wrong"}}}}'.encode()),
    "status-text": status("403 No", f"no {KEY}".encode()),
    "stream": events({"error": {"message": f"{KEY} expired"}}),
    "after-text": events(delta(content="Hi"), {"error": {"message": f"{KEY} expired"}}),
    "no-choices": events({"message_of_mine": f"you sent {KEY}"}),
    "not-json": events(f"you sent {KEY}"),
    "half-json": events(f'{{"choices": [{{"note": "{KEY}"'),
    "list": events([KEY]),
    "json-body": sending(head(content_type="application/json"), json.dumps({"detail": KEY}).encode()),
    "html": sending(head(content_type="text/html"), f"<html>{KEY}</html>".encode()),
    "not-events": sending(head(), f"you sent Bearer {KEY}\n".encode()),
    "finish": events({"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": KEY}}]}),
    "odd-content": events({"choices": [{"delta": {"content": [{"x": KEY}]}, "finish_reason": "stop"}]}),
    "nothing": sending(b"HTTP/1.1 200 OK\r\nX: " + KEY.encode() + b"\r\n\x00: y\r\n\r\n"),
    "redirect": status("307 Moved", b"", Location=f"http://example.com/?key={KEY}"),
    "escaped": events({"error": {"message": TOKEN}}),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_what_a_server_echoes_is_redacted(api, remote, caplog, echo):
    caplog.set_level(logging.DEBUG)
    agent, server = remote(ECHOES[echo], api_key=KEY, headers={"X-Token": TOKEN}, max_retries=0)
    with pytest.raises(LuupError) as caught:
        api.text(agent, "Hi")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    text = shown(caught.value) + "".join(record.getMessage() for record in caplog.records if "luup" in record.name)
    assert KEY not in text
    assert TOKEN not in text
    assert json.dumps(TOKEN)[1:-1] not in text


def test_the_text_of_an_answer_is_not_changed(api, remote):
    agent, _ = remote(hello(f"Your key is {KEY}."), api_key=KEY)
    assert api.text(agent, "Hi") == f"Your key is {KEY}."


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": KEY + "\n"},
        {"api_key": KEY + "é"},
        {"api_key": KEY + "\x7f"},
        {"headers": {"X-Key": KEY + "\r\nB: c"}},
        {"headers": {"X-Key": KEY + "\x7f"}},
        {"headers": {"X-Key": " " + KEY}},
        {"headers": {"X-Key": KEY + "\x01"}},
        {"headers": {"A b": KEY}},
        {"base_url": "ftp://x", "api_key": KEY},
        {"timeout": -1, "api_key": KEY, "headers": {"X-Key": KEY}},
        {"extra_body": {"a": object()}, "api_key": KEY, "headers": {"X-Key": KEY}},
        {"http_client": object(), "api_key": KEY},
    ],
)
def test_a_wrong_argument_shows_no_key(options):
    with pytest.raises(InvalidParamError) as caught:
        Model.from_remote(**{"base_url": "http://localhost/v1", "model": "m", **options})
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]  # the first one is this test's
    for frame in frames:
        assert KEY not in repr(frame.f_locals)
    assert KEY not in str(caught.value)


def test_a_key_of_the_environment_is_sent_encrypted_only(monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for url, sent in (
        ("https://api.openai.com/v1", True),
        ("http://api.openai.com/v1", False),
        ("http://api.openai.com:443/v1", False),
        ("https://api.openai.com.evil.example/v1", False),
        ("http://localhost:8000/v1", False),
    ):
        headers = Model.from_remote(url, "gpt")._remote.request_headers()
        assert ("Authorization" in headers) is sent
    assert "OPENAI_API_KEY is not sent" in caplog.text
    assert KEY not in caplog.text


def test_a_key_that_is_given_goes_where_it_is_told_with_a_warning(caplog):
    told = Model.from_remote("http://10.0.0.5:8000/v1", "m", api_key=KEY)
    assert told._remote.request_headers()["Authorization"] == f"Bearer {KEY}"
    assert "unencrypted" in caplog.text
    caplog.clear()
    Model.from_remote("http://127.0.0.1:8000/v1", "m", api_key=KEY)
    assert caplog.text == ""


def test_a_key_of_the_environment_that_is_no_header_is_named_only(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    with pytest.raises(InvalidParamError, match="api_key must be printable ASCII") as caught:
        Model.from_remote("https://api.openai.com/v1", "gpt")
    assert KEY not in shown(caught.value)


def test_a_redactor_knows_other_forms():
    redact = Redactor([Secret('abc"def/ghi jkl-mno+pq'), Secret("short")])
    for text in ('abc"def/ghi jkl-mno+pq', 'abc\\"def/ghi jkl-mno+pq', "abc%22def%2Fghi%20jkl-mno%2Bpq", "jkl-mno+pq"):
        assert redact(f"<{text}>") == "<***>"
    assert redact("short") == "short"
    assert repr(redact.__dict__) == "{'_forms': [***, ***, ***, ***, ***]}"


def test_a_stream_that_fails_hides_its_key(remote):
    broken = sending(head(), data(delta(content="Hel")), b"data: {")
    agent, _ = remote(broken, api_key=KEY)
    with pytest.raises(LuupError) as caught:
        list(agent.generate_stream("Hi"))
    assert KEY not in shown(caught.value)


def test_a_client_that_fails_hides_its_key():
    class Broken:
        closed = False

        def stream(self, *_args, **_options):
            raise RuntimeError(f"this client is closed; it was for {KEY}")

        def close(self):
            self.closed = True

    agent = Agent(Model.from_remote("http://localhost/v1", "m", api_key=KEY, http_client=Broken()))
    with pytest.raises(LuupError, match=r"closed; it was for \*\*\*") as caught:
        agent.generate("Hi")
    assert f"'{KEY}'" not in "".join(traceback.format_exception(LuupError, caught.value, caught.value.__traceback__))
