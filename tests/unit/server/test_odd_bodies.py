"""Requests with any JSON value in any place, and headers of any form: an answer, or an error of the client."""

import asyncio
import json
import logging
import re
import threading

import httpx
import pytest

pytest.importorskip("starlette")

from support.damage import dumped, other_values

from luup_agent import Agent, SQLiteSessions
from luup_agent._server import body as reading
from luup_agent.server import create_app
from luup_agent.testing import FunctionModel

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
CONVERSATION = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "r"},
    {"role": "user", "content": "Go on"},
]
CHAT = {
    "model": "m",
    "messages": CONVERSATION,
    "temperature": 0.5, "top_p": 1, "n": 1, "stop": ["x"], "max_tokens": 5, "seed": 3, "logit_bias": {"5": 1},
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
    "tool_choice": "auto", "parallel_tool_calls": True, "reasoning_effort": "low", "chat_template_kwargs": {"a": 1},
    "metadata": {}, "modalities": ["text"],
}  # fmt: skip
STREAM = {
    "messages": [{"role": "user", "content": "Hi"}],
    "stream": True, "stream_options": {"include_usage": True}, "n": 2, "logprobs": True, "top_logprobs": 2,
    "approvals": {},
}  # fmt: skip
RESPONSES = {
    "model": "m",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "y"},
    ],
    "instructions": "i", "max_output_tokens": 9, "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
    "text": {"format": {"type": "text"}}, "reasoning": {"effort": "low"}, "store": False, "tool_choice": "auto",
}  # fmt: skip
TEXTS = {"prompt": ["a", "b"], "max_tokens": 3, "n": 2, "echo": True, "stop": "x", "seed": 1}
ENTRY = {
    "entry": {"id": "e1", "parent": None, "role": "user", "text": "x", "more": {"a": [1]}},
    "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "tool_calls": [CALL]}],
    "title": "t", "new": True,
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
}  # fmt: skip
BODIES = {
    "/v1/chat/completions": [CHAT, {**CHAT, "model": "a", "tools": []}, STREAM],
    "/v1/responses": [RESPONSES],
    "/v1/completions": [TEXTS],
    "/v1/embeddings": [{"input": ["a"], "model": "m", "encoding_format": "float", "dimensions": 3}],
    "/v1/sessions/s/entries": [ENTRY],
}
JSON = {"content-type": "application/json"}


@pytest.fixture
def app(tmp_path):
    agent = Agent(FunctionModel(lambda request: "fine"))
    models = {"m": FunctionModel(lambda request: "ok"), "a": agent}
    return create_app(models, sessions=SQLiteSessions(tmp_path / "chats.db"))


def ask_all(app, requests):
    """Return the status and the text of the response to each of `requests`: method, path, content, headers."""

    async def ask():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for method, path, content, headers in requests:
                response = await asyncio.wait_for(client.request(method, path, content=content, headers=headers), 60)
                yield response.status_code, response.text

    async def collect():
        return [each async for each in ask()]

    return asyncio.run(collect())


def check(app, requests):
    for request, (status, text) in zip(requests, ask_all(app, requests)):
        assert status < 500, (request[1], request[2] and request[2][:1000], text)
        assert "internal_error" not in text, (request[1], request[2] and request[2][:1000], text)


@pytest.mark.parametrize("count", [40, pytest.param(None, marks=pytest.mark.gate)])
@pytest.mark.parametrize("path", BODIES)
def test_any_value_in_any_place(app, path, count):
    requests = []
    for number, body in enumerate(BODIES[path]):
        requests.append(("POST", path, json.dumps(body), JSON))
        for index, other in enumerate(other_values(body, count, seed=number)):
            try:
                text = dumped(other)
            except ValueError:  # an integer with too many digits for Python's own writer
                continue
            requests.append(("POST", path.replace("/s/", f"/s{index}/"), text, JSON))
    requests.append(("GET", "/v1/sessions?limit=1000", None, JSON))
    check(app, requests)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://["}, {"origin": "null"}, {"origin": ""}, {"origin": "http://a:b"}, {"host": ""},
        {"host": "["}, {"host": "[::1"}, {"host": "a:b:c"}, {"host": "\xff"}, {"authorization": "x"},
        {"content-type": ""}, {"content-type": "x" * 9000}, {"content-length": "\xb2"},
        {"content-length": "9" * 5000},
        {"content-length": "-1"}, {"origin": "http://localhost:99999999"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_any_header(app, headers, method):
    encoded = {name: value.encode("latin-1") for name, value in {**JSON, **headers}.items()}
    check(app, [(method, "/v1/chat/completions", b"{}", encoded)])


@pytest.mark.parametrize(
    "name", ["a%00b", "%ff", "../x", "a/b/c", "x" * 201, "%F0%9F%98%80", "entries", "z/entries", " "]
)
def test_any_name_of_a_conversation(app, name):
    entry = json.dumps({"entry": {"id": "q", "parent": None, "role": "user"}, "new": True})
    place = f"/v1/sessions/{name}"
    requests = [("GET", place, None, JSON), ("PATCH", place, '{"title": "x"}', JSON), ("DELETE", place, None, JSON)]
    requests += [("POST", f"{place}/entries", entry, JSON), ("POST", f"{place}/branch", "{}", JSON)]
    check(app, requests)


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1", "limit=1e3", "limit=99999999999", "offset=2147483647", "offset=2147483648", "search=%00",
        "search=%22", "search=%27%29%28*", "search=AND", "search=NEAR(a+b)", "search=%ff%fe", "limit=%C2%B2",
        "offset=%D9%A3",
        "search=x&offset=2147483647&limit=1000", "search=_+-", "search=" + "a+" * 3000, "search=" + "a" * 30000,
    ],
)  # fmt: skip
def test_any_query(app, query):
    check(
        app, [("POST", "/v1/sessions/s/entries", json.dumps(ENTRY), JSON), ("GET", f"/v1/sessions?{query}", None, JSON)]
    )


@pytest.mark.parametrize(
    "body",
    [
        {"chat_template_kwargs": {str(i): 1 for i in range(20000)}},
        {"tools": [{"type": "function", "function": {"name": f"f{i}"}} for i in range(3000)]},
        {"logit_bias": {str(i): 1 for i in range(20000)}},
        {"stop": [f"x{i}" for i in range(20000)]},
    ],
    ids=["template options", "tools", "biases", "stops"],
)  # fmt: skip
def test_too_many_of_a_kind_are_refused(app, body):
    content = json.dumps({"messages": STREAM["messages"], **body})
    ((status, text),) = ask_all(app, [("POST", "/v1/chat/completions", content, JSON)])
    assert status == 400, text
    assert re.search("at most|more than", text), text


def test_a_long_body_is_read_in_a_thread(app, monkeypatch):
    """Other requests go on meanwhile."""
    threads = []

    def noting(text):
        threads.append(threading.current_thread() is threading.main_thread())
        return found(text)

    found = reading.read_body
    monkeypatch.setattr(reading, "read_body", noting)
    long = {"messages": [{"role": "user", "content": "x" * (300 << 10)}]}
    check(app, [("POST", "/v1/chat/completions", json.dumps(each), JSON) for each in (STREAM, long)])
    assert threads == [True, False]


@pytest.fixture(autouse=True)
def no_log(caplog):
    """Fail on an error of the server that only its log has."""
    yield
    assert not [
        record for record in caplog.records if record.name == "luup_agent.server" and record.levelno >= logging.ERROR
    ]
