"""A real HTTP server on loopback that sends the bytes that a test gives it, right or wrong."""

import contextlib
import json
import re
import select
import socket
import threading
import time

from luup_agent._completions.scripted import chunks_of, reply_of
from luup_agent.testing import Reply, Request


class Asked:
    """A request that the server received."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """Answers the n-th request with the n-th of `answers`, functions of (connection, request); the last one stays."""

    def __init__(self, *answers, context=None):
        self.answers = list(answers)
        self.requests = []
        self.failures = []
        self._context = context
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._connections = []
        self._closed = False
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}/v1"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                self._connections.append(connection)
                connection.settimeout(20)
                request = read_request(connection)
                if request is None:
                    return
                with self._lock:
                    number = len(self.requests)
                    self.requests.append(request)
                self.answers[min(number, len(self.answers) - 1)](connection, request)

    def close(self):
        self._closed = True
        self._listener.close()
        with contextlib.suppress(OSError):  # wakes accept()
            socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
        for connection in self._connections:  # an answer that takes its time ends
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Asked(method, path, headers, body)


def head(status="200 OK", content_type="text/event-stream", **headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def sending(*parts, pause=0.0):
    """Return an answer that sends the parts, with a pause after each, and closes the connection.

    A pause ends when the client closes the connection, or the server stops.
    """

    def answer(connection, _request):
        for part in parts:
            connection.sendall(part)
            if pause and select.select([connection], [], [], pause)[0]:
                return

    return answer


def data(value):
    """Return the bytes of one event."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def delta(finish_reason=None, **fields):
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


def events(*values, **headers):
    """Return an answer that is a stream of these values, without an end marker."""
    return sending(head(**headers), *(data(value) for value in values))


def replying(*replies):
    """Return an answer for each reply of a script, as a correct server streams it."""

    def answer_with(reply):
        def answer(connection, request):
            stream = chunks_of(reply_of(reply), Request(request.body.decode()))
            time.sleep(reply_of(reply).delay)
            connection.sendall(head() + b"".join(data(chunk) for chunk in stream))

        return answer

    return [answer_with(reply) for reply in replies]


def hello(text="Hello!"):
    """Return a complete answer."""
    return replying(Reply(text))[0]


def status(line, body=b'{"error": {"message": "no"}}', **headers):
    """Return an answer with a status and a body."""
    return sending(head(line, "application/json", **headers), body)


def dropping(connection, _request):
    """Close the connection without an answer."""


def words(text):
    return re.findall(r"\S+\s*", text)
