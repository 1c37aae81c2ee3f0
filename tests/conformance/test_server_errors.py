"""Servers as they are: their errors have a type, a status and a pause, wherever they are written."""

import json
import time

import pytest
from support.http_server import delta, events, head, hello, sending, status
from support.overflows import OTHERS, OVERFLOWS
from support.quirks import now, stream

from luup_agent import ContextFullError, HTTPError, LuupError


def written(place, message):
    """Return an answer with an error, as a server writes it."""
    error = {"error": {"message": message, "type": "invalid_request_error"}}
    if place == "body":
        return status("400 Bad", json.dumps(error).encode())
    if place == "list":
        return status("400 Bad", json.dumps([error]).encode())
    if place == "text":
        return status("400 Bad", message.encode())
    if place == "detail":
        return status("400 Bad", json.dumps({"detail": message}).encode())
    if place == "flat":
        return status("400 Bad", json.dumps({"object": "error", "message": message, "code": 400}).encode())
    if place == "stream":
        return events(error)
    if place == "event":
        return sending(head() + b"event: error\ndata: " + json.dumps(error["error"]).encode() + b"\n\n")
    if place == "late":
        return events(delta(role="assistant", content=""), error)
    return events({"choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": error["error"]}]})


PLACES = ["body", "list", "text", "detail", "flat", "stream", "event", "late", "choice"]


@pytest.mark.parametrize("server", OVERFLOWS)
def test_a_full_context_is_one_in_every_servers_words(both, ask, server):
    for place in ("body", "stream"):
        agent, _ = ask(written(place, OVERFLOWS[server]))
        with pytest.raises(ContextFullError, match="the server reports: "):
            both.text(agent, "Hi")
        assert agent.messages == []


@pytest.mark.parametrize("server", OTHERS)
def test_other_errors_are_none(both, ask, server):
    agent, _ = ask(written("body", OTHERS[server]))
    with pytest.raises(HTTPError) as caught:
        both.text(agent, "Hi")
    assert caught.value.status == 400


@pytest.mark.parametrize("place", PLACES)
def test_an_error_is_read_wherever_it_is(both, ask, place):
    agent, server = ask(written(place, "temperature must be at most 2"))
    with pytest.raises(HTTPError, match="temperature must be at most 2") as caught:
        both.text(agent, "Hi")
    assert caught.value.status == 400
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": 429, "message": "slow down"}, 429),
        ({"code": "429", "message": "slow down"}, 429),
        ({"type": "overloaded_error", "message": "Overloaded"}, 529),
        ({"type": "rate_limit_error", "message": "slow down"}, 429),
        ({"code": "rate_limit_exceeded", "message": "slow down"}, 429),
        ({"code": "server_error", "message": "oops"}, 500),
        ({"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}, 503),
        ({"code": 502, "message": "Provider returned error", "metadata": {"raw": "upstream"}}, 502),
        ({"code": 429, "message": "quota", "details": [{"@type": "RetryInfo", "retryDelay": "0s"}]}, 429),
    ],
)
@pytest.mark.parametrize("first", [[], [delta(role="assistant", content="")], [{}, {"choices": []}]])
def test_an_error_inside_a_stream_is_retried_like_its_status(both, ask, error, code, first):
    agent, server = ask(events(*first, {"error": {**error, "retry_after": 0}}), hello(), max_retries=1)
    assert both.text(agent, "Hi") == "Hello!"
    assert len(server.requests) == 2
    agent, server = ask(events(*first, {"error": {**error, "retry_after": 0}}), max_retries=1)
    with pytest.raises(HTTPError) as caught:
        both.text(agent, "Hi")
    assert caught.value.status == code
    assert len(server.requests) == 2


def test_an_error_after_text_is_final_and_has_its_status(both, ask):
    agent, server = ask(
        events(delta(content="Hel"), {"error": {"code": 503, "message": "lost"}}), hello(), max_retries=2
    )
    with pytest.raises(HTTPError, match="lost") as caught:
        both.text(agent, "Hi")
    assert (caught.value.status, caught.value.partial_text, len(server.requests)) == (503, "Hel", 1)


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_an_error_inside_a_stream_that_stays_is_final(both, ask, code):
    agent, server = ask(events({"error": {"code": code, "message": "no"}}), max_retries=2)
    with pytest.raises(HTTPError) as caught:
        both.text(agent, "Hi")
    assert (caught.value.status, len(server.requests)) == (code, 1)


def test_a_spent_quota_is_final(both, ask):
    body = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
    agent, server = ask(status("429 Too Many", body), max_retries=2)
    with pytest.raises(HTTPError):
        both.text(agent, "Hi")
    assert len(server.requests) == 1


def test_the_pause_may_be_in_milliseconds(both, ask):
    agent, server = ask(status("429 Too Many", retry_after_ms="30", retry_after="7"), hello(), max_retries=1)
    begin = time.monotonic()
    assert both.text(agent, "Hi") == "Hello!"
    assert 0.03 <= time.monotonic() - begin < 3
    assert len(server.requests) == 2


def test_the_pause_may_be_in_the_error(both, ask):
    error = {"code": 429, "message": "quota", "details": [{"retryDelay": "3600s"}]}
    agent, server = ask(status("429 Too Many", json.dumps([{"error": error}]).encode()), max_retries=1)
    with pytest.raises(HTTPError) as caught:
        both.text(agent, "Hi")
    assert (caught.value.retry_after, len(server.requests)) == (3600, 1)


@pytest.mark.parametrize("code", ["tool_use_failed", "json_validate_failed"])
@pytest.mark.parametrize("place", ["body", "stream"])
def test_a_call_that_groq_can_not_read_is_asked_for_again(both, ask, code, place):
    error = {"error": {"message": "Failed to call a function.", "code": code, "failed_generation": "<function"}}
    failure = status("400 Bad", json.dumps(error).encode()) if place == "body" else events(error)
    agent, server = ask(failure, hello(), tools=[now], max_retries=1)
    assert both.text(agent, "Hi") == "Hello!"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "reason", ["error", "abort", "network_error", "insufficient_system_resource", "SAFETY", "sensitive"]
)
def test_an_answer_that_failed_is_no_success(both, ask, reason):
    agent, _ = ask(stream(delta(content="Hi"), delta(reason)))
    with pytest.raises(LuupError) as caught:
        both.text(agent, "Hi")
    assert caught.value.partial_text == "Hi"


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "response",
    [
        stream(f'{{"x": {DEEP}}}'),
        stream(f'{{"error": {DEEP}}}'),
        stream(f'{{"choices": [{{"delta": {{"content": {DEEP}}}}}]}}', delta("stop")),
        stream(
            f'{{"choices": [{{"delta": {{"tool_calls": [{{"function": {{"arguments": {DEEP}}}}}]}}}}]}}', delta("stop")
        ),
        head(content_type="application/json") + DEEP.encode(),
        head(content_type="application/json") + b'{"choices": ' + DEEP.encode() + b"}",
        head("400 Bad", "application/json") + b'{"error": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        head(content_type="application/x-ndjson") + f'{{"x": {DEEP}}}\n'.encode(),
        stream(
            delta(tool_calls=[{"id": "a", "function": {"name": "now", "arguments": f'{{"x": {DEEP}}}'}}]), delta("stop")
        ),
    ],
)
def test_deeply_nested_json_is_an_error(both, ask, response):
    agent, _ = ask(response, hello(), tools=[now])
    with pytest.raises(LuupError):
        both.text(agent, "Hi", retries=0)
    assert both.text(agent, "Hi") == "Hello!"


def test_deeply_nested_values_of_a_typed_result_are_an_error(both, ask):
    agent, _ = ask(stream(delta(content=DEEP), delta("stop")), hello())
    with pytest.raises(LuupError):
        both.text(agent, "Hi", output_type=list, retries=0)
    assert both.text(agent, "Hi") == "Hello!"
