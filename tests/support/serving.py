"""The package's own HTTP server on this machine, in a thread, by a real uvicorn."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import httpx


class Serving:
    """An application that is being served. Attributes: `url`, and `port`."""

    def __init__(self, app, **options):
        import uvicorn

        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(512)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none", **options)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            assert self._thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self):
        self._server.should_exit = True
        self._thread.join(60)
        self._listener.close()
        assert not self._thread.is_alive()

    def client(self, **options):
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def post(self, path, body, **options):
        with self.client() as client:
            return client.post(path, json=body, **options)

    def chat(self, message="Hi", **body):
        """Send a message, or the `messages` in `body`, and return the response."""
        return self.post("/v1/chat/completions", {"messages": [{"role": "user", "content": message}], **body})

    def chunks(self, message="Hi", **body):
        """Return the events of a stream: their data as JSON, and the name of each that has one."""
        response = self.chat(message, stream=True, **body)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        return read_events(response.text)


def read_events(text):
    """Return the events of a body: `(name, data)`, where "[DONE]" stays a text."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            name = next((line[7:] for line in lines if line.startswith("event: ")), "")
            data = next(line[6:] for line in lines if line.startswith("data: "))
            found.append((name, data if data == "[DONE]" else json.loads(data)))
    return found


@contextlib.contextmanager
def serving(app, **options):
    server = Serving(app, **options)
    try:
        yield server
    finally:
        server.stop()


def start_command(*arguments, cwd, **environment):
    """Start `luup-agent serve`; return the process and the address, once it serves."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "luup_agent", "serve", *arguments, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=str(cwd),
        env={**os.environ, "XDG_DATA_HOME": str(cwd), **environment},  # where it keeps the page's conversations
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        match = re.search(r"http://\S+/", line)
        if match:
            return process, match.group()
    process.wait(30)
    process.stderr.close()
    return process, "".join(lines)
