"""Servers that misbehave: a run soon fails with a typed error that has the text so far; the history is kept."""

import gzip
import json
import logging
import pickle
import socket
import ssl
import subprocess
import time
import traceback

import pytest
from support.http_server import data, delta, dropping, events, head, hello, sending, status

from luup_agent import (
    Agent,
    ClosedError,
    ContextFullError,
    HTTPError,
    InferenceError,
    InvalidParamError,
    JSONParseError,
    LuupError,
    Model,
    RunTimeoutError,
)

KEY = "sk-secret-0123456789abcdef"


def fails(api, agent, kind, match, partial="", **options):
    with pytest.raises(kind, match=match) as caught:
        api.text(agent, "Hi", **options)
    assert caught.value.partial_text == partial
    assert agent.get_history() == []
    return caught.value


# ---------------------------------------------------------------------------------------------------------------------
# Broken streams
# ---------------------------------------------------------------------------------------------------------------------


def test_a_stream_cut_off_in_the_middle_is_no_success(api, remote):
    agent, server = remote(events(delta(content="Hel"), delta(content="lo")), hello())
    fails(api, agent, HTTPError, "before it was complete", "Hello")
    assert len(server.requests) == 1  # never again after output
    assert api.text(agent, "Hi") == "Hello!"


def test_a_chunk_cut_off_in_the_middle_is_no_success(api, remote):
    agent, _ = remote(sending(head(), data(delta(content="Hel")), b'data: {"choices": [{"delta": {"cont'))
    fails(api, agent, HTTPError, "before it was complete", "Hel")


def test_a_broken_chunked_body_is_no_success(api, remote):
    body = data(delta(content="Hel"))
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    agent, server = remote(sending(head(Transfer_Encoding="chunked"), chunk + b"ff\r\ndata: "))
    fails(api, agent, HTTPError, "broke off the connection", "Hel")
    assert len(server.requests) == 1


def test_arguments_cut_off_in_the_middle_call_nothing(api, remote):
    called = []
    call = {"index": 0, "id": "call_1", "function": {"name": "add", "arguments": '{"a": 1, '}}
    agent, _ = remote(events(delta(tool_calls=[call])))

    @agent.tool
    def add(a: int, b: int) -> int:
        called.append((a, b))
        return a + b

    fails(api, agent, HTTPError, "before it was complete")
    assert called == []


def test_what_comes_after_the_end_marker_is_of_no_interest(api, remote):
    agent, _ = remote(events(delta(content="Hello!"), delta("stop")))  # the connection ends without [DONE]
    assert api.text(agent, "Hi") == "Hello!"


@pytest.mark.parametrize(
    ("answer", "kind", "match", "partial"),
    [
        (events("nonsense"), JSONParseError, "is not JSON: nonsense", ""),
        (events(delta(content="a"), '{"choices": ['), JSONParseError, "is not JSON", "a"),
        (events([1, 2]), HTTPError, "is not a JSON object", ""),
        (events({"id": "x"}), HTTPError, 'no "choices"', ""),
        (events({"choices": [{}]}), HTTPError, "before it was complete", ""),
        (events({"choices": [{"delta": {"content": 5}}]}, "[DONE]"), HTTPError, "no text", ""),
        (events("[DONE]"), HTTPError, "empty", ""),
        (events(delta(content="a"), {"error": {"message": "out of memory"}}), HTTPError, "out of memory", "a"),
        (events({"error": "overloaded"}), HTTPError, "reports: overloaded", ""),
        (events({"object": "error", "message": "bad", "code": 400}), HTTPError, "reports: bad", ""),
        (events(delta(content="a"), delta("content_filter")), InferenceError, "content filter", "a"),
        (events(delta(tool_calls=["x"])), HTTPError, "not an object", ""),
        (events(delta(tool_calls=[{"index": -1}])), HTTPError, "negative", ""),
        (events(delta(tool_calls=[{"index": n} for n in range(300)])), HTTPError, "more than 256", ""),
        (sending(head(), b"data: \xff\xfe\n\n"), HTTPError, "not UTF-8", ""),
        (sending(head(content_type="text/html"), b"<html>Sign in</html>"), HTTPError, "text/html.*Sign in", ""),
        (sending(head(content_type="application/json"), b"{"), JSONParseError, "is not JSON", ""),
        (sending(head(), b"[" * 100_000), HTTPError, ".", ""),
        (events("[" * 100_000), JSONParseError, "nested too deeply", ""),
        (sending(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000), HTTPError, ".", ""),
        (sending(b"\x00\x01\x02 nonsense\r\n\r\n"), HTTPError, ".", ""),
        (sending(head(Content_Encoding="br"), b"x"), HTTPError, "Content-Encoding 'br'", ""),
        (sending(head(Content_Encoding="gzip"), b"not gzip"), HTTPError, "can't be decompressed", ""),
    ],
)
def test_an_answer_that_is_none(api, remote, answer, kind, match, partial):
    agent, _ = remote(answer, hello(), max_retries=0)
    fails(api, agent, kind, match, partial)
    assert api.text(agent, "Hi") == "Hello!"


def test_a_deep_chunk_is_refused(api, remote):
    deep = '{"choices": [], "usage": ' + "[" * 50_000 + "]" * 50_000 + "}"
    agent, _ = remote(events(delta(content="Hel"), deep, delta("stop"), "[DONE]"), hello())
    fails(api, agent, JSONParseError, "nested too deeply", "Hel")
    assert api.text(agent, "Hi") == "Hello!"


# ---------------------------------------------------------------------------------------------------------------------
# Bounds
# ---------------------------------------------------------------------------------------------------------------------


def test_a_long_line_is_given_up_early(api, remote):
    sent = []

    def endless(connection, _request):
        connection.sendall(head() + b"data: ")
        for _ in range(1000):  # a gigabyte
            connection.sendall(b"x" * (1 << 20))
            sent.append(1)

    agent, _ = remote(endless)
    fails(api, agent, HTTPError, "a line of more than 8388608 bytes")
    time.sleep(0.1)
    assert len(sent) < 64


def test_a_gzip_bomb_is_given_up_early(api, remote):
    bomb = gzip.compress(b"data: " + bytes(200 << 20))
    assert len(bomb) < 300_000
    agent, _ = remote(sending(head(Content_Encoding="gzip"), bomb))
    begin = time.monotonic()
    fails(api, agent, HTTPError, "a line of more than 8388608 bytes")
    assert time.monotonic() - begin < 5


def test_a_compressed_answer_is_read(api, remote):
    stream = b"".join(map(data, (delta(content="Grüße"), delta("stop"), "[DONE]")))
    agent, _ = remote(sending(head(Content_Encoding="gzip"), gzip.compress(stream)))
    assert api.text(agent, "Hi") == "Grüße"


def test_a_stream_of_single_bytes_with_crlf_is_read(api, remote):
    stream = b": hello\n\n" + b"".join(
        map(data, (delta(content="Grüße "), delta(content="🦊"), delta("stop"), "[DONE]"))
    )
    bites = [bytes([byte]) for byte in stream.replace(b"\n", b"\r\n")]
    agent, _ = remote(sending(head(), *bites, pause=0.0002))
    assert api.text(agent, "Hi") == "Grüße 🦊"


def test_a_slow_loris_is_late(api, remote):
    slow = sending(head(), *[b"d"] * 400, pause=0.05)
    agent, _ = remote(slow, timeout=0.6, max_retries=0)
    begin = time.monotonic()
    fails(api, agent, RunTimeoutError, "within 0.6 s")
    assert time.monotonic() - begin < 3


def test_a_slow_loris_in_the_head_is_late(api, remote):
    slow = sending(b"HTTP/1.1 200 OK\r\nX-Slow: ", *[b"d"] * 60, pause=0.1)
    agent, server = remote(slow, timeout=1.5, idle_timeout=5)
    begin = time.monotonic()
    fails(api, agent, RunTimeoutError, "within 1.5 s")
    assert time.monotonic() - begin < 5
    assert len(server.requests) <= 1


def test_keep_alives_are_no_data(api, remote):
    agent, _ = remote(sending(head(), *[b": ping\n\n"] * 400, pause=0.05), idle_timeout=0.4, max_retries=0)
    begin = time.monotonic()
    fails(api, agent, RunTimeoutError, "only keep-alive comments for 0.4 s")
    assert time.monotonic() - begin < 3


def test_silence_is_late(api, remote):
    agent, _ = remote(sending(head() + data(delta(content="a")), pause=3), idle_timeout=0.4)
    fails(api, agent, RunTimeoutError, "sent nothing for 0.4 s", "a")


def test_the_timeout_of_the_run_counts(api, remote):
    agent, server = remote(sending(head() + data(delta(content="a")), pause=3))
    begin = time.monotonic()
    fails(api, agent, RunTimeoutError, "the run's timeout|did not answer", "a", timeout=0.5)
    assert time.monotonic() - begin < 2
    assert len(server.requests) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Attempts
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["429 Too Many", "500 Oops", "502 Bad", "503 Busy", "504 Late"])
def test_a_busy_server_is_asked_again(api, remote, line):
    agent, server = remote(status(line, Retry_After="0"), hello())
    assert api.text(agent, "Hi") == "Hello!"
    assert len(server.requests) == 2
    assert server.requests[0].body == server.requests[1].body


def test_a_connection_lost_before_the_answer_is_made_again(api, remote):
    agent, server = remote(dropping, sending(head()), hello())
    assert api.text(agent, "Hi") == "Hello!"
    assert len(server.requests) == 3


@pytest.mark.parametrize("line", ["400 Bad", "401 Who", "403 No", "404 Where", "422 What", "501 Never"])
def test_a_refusal_is_final(api, remote, line):
    agent, server = remote(status(line, Retry_After="0"))
    error = fails(api, agent, HTTPError, f"status {line[:3]}: no")
    assert error.status == int(line[:3])
    assert len(server.requests) == 1


def test_retries_are_bounded(api, remote):
    agent, server = remote(status("503 Busy", Retry_After="0"), max_retries=3)
    fails(api, agent, HTTPError, "status 503")
    assert len(server.requests) == 4


def test_a_server_that_wants_to_be_left_alone_for_long_is(api, remote):
    agent, server = remote(status("429 Too Many", Retry_After="3600"))
    error = fails(api, agent, HTTPError, "status 429")
    assert (error.status, error.retry_after) == (429, 3600)
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["-5", "soon", "nan", "", "1e400x", "Thu, 99 Foo"])
def test_a_retry_after_that_says_nothing_is_our_own_pause(value, remote):
    agent, server = remote(status("429 Too Many", Retry_After=value), hello())
    assert agent.generate("Hi") == "Hello!"
    assert len(server.requests) == 2


def test_a_turn_after_a_tool_is_asked_for_again_without_calling_it_twice(api, remote):
    called = []
    call = {"index": 0, "id": "c", "function": {"name": "ring", "arguments": "{}"}}
    agent, server = remote(
        events(delta(tool_calls=[call]), delta("tool_calls"), "[DONE]"), status("503 Busy", Retry_After="0"), hello()
    )

    @agent.tool
    def ring() -> str:
        called.append(1)
        return "done"

    assert api.text(agent, "Hi") == "Hello!"
    assert (called, len(server.requests)) == ([1], 3)


def test_a_context_that_is_full_says_so(api, remote):
    body = b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'
    agent, _ = remote(status("400 Bad", body))
    fails(api, agent, ContextFullError, "too long")
    agent, _ = remote(events({"error": {"message": "too long", "type": "exceed_context_size_error"}}))
    fails(api, agent, ContextFullError, "too long")


def test_nobody_there(api):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    agent = Agent(Model.from_remote(f"http://127.0.0.1:{port}", "qwen3", max_retries=1))
    fails(api, agent, HTTPError, f"127.0.0.1:{port} can't be reached")


# ---------------------------------------------------------------------------------------------------------------------
# Other servers
# ---------------------------------------------------------------------------------------------------------------------


def test_a_redirect_to_another_server_is_not_followed(api, remote, serve):
    other = serve(hello())
    agent, _ = remote(status("307 Moved", b"", Location=f"{other.url}/chat/completions"), api_key=KEY)
    fails(api, agent, HTTPError, "redirects to another server")
    for location in (
        f"//127.0.0.1:{other.port}/v1",
        "http://[::bad",
        "javascript:x",
        f"http://u@127.0.0.1:{other.port}/",
    ):
        agent, _ = remote(status("308 Moved", b"", Location=location), api_key=KEY)
        fails(api, agent, HTTPError, "redirects to another server|redirects to an invalid address|location header")
    assert other.requests == []


def test_a_redirect_within_the_server_is_followed(api, remote):
    agent, server = remote(status("307 Moved", b"", Location="/v2/chat"), hello(), api_key=KEY)
    assert api.text(agent, "Hi") == "Hello!"
    assert [request.path for request in server.requests] == ["/v1/chat/completions", "/v2/chat"]
    agent, server = remote(status("307 Moved", b"", Location="/v2/chat"))
    fails(api, agent, HTTPError, "more than 3 times")


def test_a_certificate_that_nobody_vouches_for_is_refused(api, serve, tmp_path):
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    try:
        subprocess.run(
            [*command, "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("needs the program openssl to make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    server = serve(hello(), context=context)
    fails(api, Agent(Model.from_remote(server.url, "qwen3")), HTTPError, "certificate")
    assert server.requests == []


# ---------------------------------------------------------------------------------------------------------------------
# Keys
# ---------------------------------------------------------------------------------------------------------------------


def test_a_key_is_sent_and_never_shown(api, remote, caplog):
    echo = f'{{"error": {{"message": "the key {KEY} is wrong, and so is tok-99887766"}}}}'
    caplog.set_level(logging.DEBUG, "luup_agent")
    caplog.set_level(logging.INFO, "httpx")
    agent, server = remote(
        status("401 Who", echo.encode()),
        events({"error": {"message": f"{KEY} expired"}}),
        status("307 Moved", b"", Location=f"http://example.com/?key={KEY}"),
        hello(),
        api_key=KEY,
        headers={"X-Token": "tok-99887766"},
    )
    errors = [fails(api, agent, HTTPError, r"\*\*\*") for _ in range(3)]
    assert api.text(agent, "Hi") == "Hello!"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].headers["x-token"] == "tok-99887766"
    shown = [caplog.text, repr(agent), repr(agent.model), str(agent.model.get_info()), repr(vars(agent.model))]
    for error in errors:
        shown += [repr(error), *traceback.format_exception(type(error), error, error.__traceback__)]
        assert error.__cause__ is None
        assert error.__context__ is None
        shown += [repr(vars(error)), pickle.dumps(error).decode("latin-1")]
    for text in shown:
        assert KEY not in text
        assert "tok-99887766" not in text
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(agent.model)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(agent.model._remote)


def test_the_environments_key_is_for_openai_only(remote, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    agent, server = remote(hello())
    assert agent.generate("Hi") == "Hello!"
    assert "authorization" not in server.requests[0].headers
    for url, sent in (("https://api.openai.com/v1", True), ("https://api.openai.com.evil.example/v1", False)):
        headers = Model.from_remote(url, "gpt")._remote.request_headers()
        assert ("Authorization" in headers) is sent


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "localhost:8000"},
        {"base_url": "ftp://localhost"},
        {"base_url": f"http://user:{KEY}@localhost"},
        {"base_url": "http://localhost/v1?x=1"},
        {"base_url": "http://localhost:99999"},
        {"base_url": "http://local host"},
        {"base_url": "http://[::1"},
        {"base_url": f"http://user:{KEY}@[::1"},
        {"base_url": ""},
        {"base_url": 5},
        {"model": ""},
        {"model": 5},
        {"api_key": KEY + "\n"},
        {"api_key": ""},
        {"api_key": 5},
        {"headers": {"A b": "c"}},
        {"headers": {"A": f"{KEY}\r\nB: c"}},
        {"headers": {"Content-Length": "5"}},
        {"headers": [1]},
        {"timeout": 0},
        {"connect_timeout": -1},
        {"idle_timeout": float("nan")},
        {"max_retries": -1},
        {"extra_body": {"a": {1}}},
        {"extra_body": [1]},
        {"extra_body": {"messages": []}},
        {"response_format": "xml"},
    ],
)
def test_a_wrong_argument_is_named_and_no_key_shown(options):
    with pytest.raises(InvalidParamError) as caught:
        Model.from_remote(**{"base_url": "http://localhost/v1", "model": "qwen3", **options})
    name = next(iter(options))
    assert name in str(caught.value)
    assert KEY not in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# Ends
# ---------------------------------------------------------------------------------------------------------------------


def test_a_stream_left_half_way_hangs_up(api, remote):
    hung_up = []

    def endless(connection, _request):
        connection.sendall(head())
        try:
            for _ in range(2000):
                connection.sendall(data(delta(content="a ")))
                time.sleep(0.005)
        except OSError:
            hung_up.append(1)

    agent, _ = remote(endless, hello())
    assert api.first_piece(agent, "Hi").startswith("a ")
    deadline = time.monotonic() + 5
    while not hung_up and time.monotonic() < deadline:
        time.sleep(0.01)
    assert hung_up
    assert agent.get_history() == []
    assert api.text(agent, "Hi") == "Hello!"


def test_closing_the_model_ends_its_runs(remote):
    agent, _ = remote(sending(head() + data(delta(content="a")), pause=3))
    stream = agent.generate_stream("Hi")
    assert next(stream) == "a"
    agent.model.close()
    with pytest.raises(ClosedError):
        next(stream)
    with pytest.raises(ClosedError):
        agent.generate("Hi")


def test_a_run_that_nobody_reads_any_more_ends(remote):
    agent, _ = remote(sending(head() + data(delta(content="a")), pause=2), hello())
    stream = agent.generate_stream("Hi")
    next(stream)
    del stream
    assert agent.generate("Hi") == "Hello!"


def test_an_error_is_a_luup_error(remote):
    agent, _ = remote(status("418 Teapot", b"\xff\xfe{"))
    with pytest.raises(LuupError, match="418"):
        agent.generate("Hi")


def test_the_list_of_models(remote):
    body = json.dumps({"data": [{"id": "a"}, {"id": "b"}, {}]}).encode()
    agent, server = remote(
        sending(head(content_type="application/json"), body), status("401 Who"), status("200 OK"), api_key=KEY
    )
    assert agent.model.list_models() == ["a", "b"]
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    with pytest.raises(HTTPError, match="status 401"):
        agent.model.list_models()
    with pytest.raises(HTTPError, match="not a list of models"):
        agent.model.list_models()
