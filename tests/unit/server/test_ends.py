"""Answers that do not end well: clients that go away, models that fail, a server that is full or stops."""

import asyncio
import json
import logging
import socket
import threading
import time

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from support.serving import read_events, serving

from luup_agent import Agent, BusyError, ClosedError, ContextFullError, HTTPError, OutOfMemoryError, RunTimeoutError
from luup_agent.server import create_app
from luup_agent.testing import FunctionModel, ScriptedModel


class Slow:
    """A model that waits until `release` is set, and counts what happens to its requests."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)
        self.release = threading.Event()
        self.model = FunctionModel(self._answer)

    async def _answer(self, request):
        self.begun.release()
        try:
            while not self.release.is_set():  # noqa: ASYNC110  # the test sets it in another thread
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled.release()
            raise
        return "late"


@pytest.fixture
def slow():
    waiting = Slow()
    yield waiting
    waiting.release.set()


def send_request(server, body, connection):
    content = json.dumps({"messages": [{"role": "user", "content": "Hi"}], **body}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)


@pytest.mark.parametrize("body", [{}, {"stream": True}, {"n": 3}, {"n": 3, "stream": True}])
def test_a_client_that_goes_away_ends_its_runs(served, slow, body):
    server = served({"slow": slow.model})
    connection = socket.create_connection(("127.0.0.1", server.port), 30)
    send_request(server, body, connection)
    for _ in range(body.get("n", 1)):
        assert slow.begun.acquire(timeout=30)
    connection.close()
    for _ in range(body.get("n", 1)):
        assert slow.cancelled.acquire(timeout=30)
    with server.client() as client:
        deadline = time.monotonic() + 30
        while "luup_requests_active 0\n" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_client_that_goes_away_in_the_middle_of_a_stream(served):
    ended = threading.Event()

    async def endless(request):
        try:
            while True:
                yield "word "
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    server = served({"endless": FunctionModel(endless)})
    with server.client() as client:
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.iter_lines()
            while "word" not in next(lines):
                pass
    assert ended.wait(30)


def test_a_client_that_does_not_read_loses_its_answer(served, monkeypatch, caplog):
    from luup_agent._server import streaming

    monkeypatch.setattr(streaming, "_PING_SECONDS", 0.1)
    monkeypatch.setattr(streaming, "_STALL_SECONDS", 0.5)
    ended = threading.Event()

    async def flood(request):
        if request.prompt == "quick":
            yield "ok"
            return
        try:
            while True:
                yield "x" * 100_000
                await asyncio.sleep(0.005)
        finally:
            ended.set()

    server = served({"flood": FunctionModel(flood)})
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection, caplog.at_level(logging.CRITICAL):
        send_request(server, {"stream": True}, connection)
        assert server.chat("quick").json()["choices"][0]["message"]["content"] == "ok"
        assert ended.wait(60)
        assert server.chat("quick").status_code == 200


def test_a_client_that_stops_reading_while_the_model_waits(served, monkeypatch):
    from luup_agent._server import streaming

    monkeypatch.setattr(streaming, "_PING_SECONDS", 0.1)
    monkeypatch.setattr(streaming, "_STALL_SECONDS", 0.5)
    ended = threading.Event()

    async def stuck(request):
        try:
            yield "x" * 20_000_000  # more than the buffers on the way to the client
            await asyncio.sleep(600)
        finally:
            ended.set()

    server = served({"stuck": FunctionModel(stuck)})
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        send_request(server, {"stream": True}, connection)
        assert ended.wait(60)
    with server.client() as client:
        deadline = time.monotonic() + 30
        while "luup_requests_active 0\n" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_timeout_in_mid_stream_is_reported(served):
    async def slow(request):
        yield "The beginning "
        await asyncio.sleep(60)

    server = served({"late": Agent(FunctionModel(slow), timeout=0.3)})
    name, data = server.chunks()[-1]
    assert name == "error"
    assert data["error"]["code"] == "timeout"


def failing(error):
    def answer(request):
        yield "The beginning "
        yield "of it"
        raise error

    return FunctionModel(answer)


@pytest.mark.parametrize(
    ("error", "code"),
    [(HTTPError("the backend is gone"), "upstream_error"), (ZeroDivisionError("secret detail"), "internal_error")],
)
def test_a_model_that_fails_in_mid_stream(served, error, code, caplog):
    server = served({"failing": failing(error)})
    with caplog.at_level(logging.CRITICAL, "luup_agent"):
        events = server.chunks()
    name, data = events[-1]
    assert name == "error"
    assert data["error"]["code"] == code
    assert "secret" not in json.dumps(data)
    text = "".join(data["choices"][0]["delta"].get("content", "") for name, data in events if not name)
    assert text.startswith("The beginning")
    assert events[-1] != ("", "[DONE]")
    assert server.chat().status_code >= 500  # it lives


def test_a_failing_answer_of_several_ends_the_others(served, slow):
    async def answer(request):
        if request.body["seed"] == 1:
            await asyncio.sleep(0.05)
            raise HTTPError("the backend is gone")
        return await slow._answer(request)

    server = served({"failing": FunctionModel(answer)})
    assert server.chat(n=3, seed=0).status_code == 502
    for _ in range(2):
        assert slow.cancelled.acquire(timeout=30)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BusyError("too many runs wait"), 429, "busy"),
        (ContextFullError("9 tokens do not fit"), 400, "context_length_exceeded"),
        (ClosedError("the model is closed"), 503, "model_closed"),
        (OutOfMemoryError("no memory"), 503, "out_of_memory"),
        (RunTimeoutError("too late"), 504, "timeout"),
        (HTTPError("gone"), 502, "upstream_error"),
        (ValueError("secret detail"), 500, "internal_error"),
    ],
)
def test_errors_have_a_status(script, stream, error, status, code, caplog):
    server, _ = script(error)
    with caplog.at_level(logging.CRITICAL, "luup_agent"):
        response = server.chat(stream=stream)
    assert response.status_code == status
    found = response.json()["error"]
    assert found["code"] == code
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (status in (429, 503))


def test_the_log_has_no_content(script, caplog):
    server, _ = script(ValueError("a bug"), "fine")
    with caplog.at_level(logging.DEBUG):
        server.chat("my secret question")
        server.chat("my secret question")
    logged = [
        record.getMessage() for record in caplog.records if record.name.startswith(("luup_agent.server", "uvicorn"))
    ]
    assert any("ValueError" in text for text in logged)
    assert "secret question" not in "\n".join(logged)


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_server(served, slow, stream):
    server = served({"slow": slow.model}, max_runs=2)
    threads = [threading.Thread(target=server.chat) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert slow.begun.acquire(timeout=30)
    response = server.chat(stream=stream)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["code"] == "busy"
    slow.release.set()
    for thread in threads:
        thread.join(30)
    assert server.chat(stream=stream).status_code == 200
    assert server.chat(n=3).status_code == 429


def test_a_refused_request_leaves_no_place_taken(served):
    server = served({"echo": FunctionModel(lambda request: "ok")}, max_runs=1)
    for _ in range(3):
        assert server.chat(temperature=-1).status_code == 400
        assert server.chat(temperature=-1, stream=True).status_code == 400
    assert server.chat().status_code == 200


def test_a_body_that_does_not_arrive(served):
    server = served({"echo": FunctionModel(lambda request: "ok")}, body_timeout=0.2)
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f'{head}Content-Length: 100\r\n\r\n{{"messages"'.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
    assert server.chat().status_code == 200


def test_many_connections_that_send_nothing(echo):
    idle = [socket.create_connection(("127.0.0.1", echo.port), 30) for _ in range(200)]
    try:
        assert echo.chat().status_code == 200
    finally:
        for connection in idle:
            connection.close()


def test_a_thousand_connections(echo):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip(f"needs 4096 open files, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    connections = []
    try:
        for number in range(1000):
            connections.append(socket.create_connection(("127.0.0.1", echo.port), 30))
            if number % 2:  # a request that never ends
                connections[-1].sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        for connection in connections[::50]:
            connection.close()
        assert echo.chat("still there").json()["choices"][0]["message"]["content"] == "still there"
        send_request(echo, {"stream": True}, connections[998])
        answer = b""
        while b"[DONE]" not in answer:
            answer += connections[998].recv(65536)
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert echo.chat().status_code == 200


def test_comments_show_that_a_waiting_stream_lives(served, slow, monkeypatch):
    from luup_agent._server import streaming

    monkeypatch.setattr(streaming, "_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(streaming, "_PING_SECONDS", 0.05)
    server = served({"slow": slow.model})
    with server.client() as client:
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert response.status_code == 200
            text = ""
            for piece in response.iter_text():
                text += piece
                if text.count("\n: ") + text.startswith(": ") >= 2:
                    slow.release.set()
    events = read_events(text)
    assert events[-1] == ("", "[DONE]")
    assert any(data != "[DONE]" and data["choices"][0]["delta"].get("content") == "late" for _, data in events)


def test_a_server_that_stops_lets_an_answer_end(slow):
    found = []
    with serving(create_app({"slow": slow.model}), timeout_graceful_shutdown=60) as server:
        thread = threading.Thread(target=lambda: found.append(server.chat(stream=True)))
        thread.start()
        assert slow.begun.acquire(timeout=30)
        server._server.should_exit = True
        threading.Timer(0.3, slow.release.set).start()
    thread.join(30)
    assert read_events(found[0].text)[-1] == ("", "[DONE]")
    assert "late" in found[0].text


def test_a_closed_model_is_not_healthy(served):
    model = ScriptedModel([])
    server = served({"one": model, "two": Agent(FunctionModel(lambda request: "ok"))})
    with server.client() as client:
        assert client.get("/health").json() == {"status": "ok"}
        model.close()
        response = client.get("/health")
        assert response.status_code == 503
        assert "one" in response.json()["error"]["message"]
    assert server.chat(model="one").status_code == 503
    assert server.chat(model="two").status_code == 200
