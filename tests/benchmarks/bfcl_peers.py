"""The peers that the tool-calling benchmark asks: llama-cpp-python, and llama.cpp's server over HTTP."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from peer_environment import LLAMA_CPP_PYTHON, LLAMA_SERVER, environment, programs

MAX_TOKENS = 1024
START_SECONDS = 300
ANSWER_SECONDS = 600

# Runs in the peer's own interpreter: one request as a line of JSON in, one answer as a line of JSON out.
ASK_LLAMA_CPP_PYTHON = """
import json, os, sys
from llama_cpp import Llama

model, threads, context = sys.argv[1], int(sys.argv[2]) or None, int(sys.argv[3])
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
llama = Llama(model_path=model, n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False)
for line in sys.stdin:
    try:
        answer = llama.create_chat_completion(**json.loads(line))
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=out, flush=True)
"""


class PeerError(Exception):
    """The peer failed at a question."""


def _request(question):
    return {
        "messages": question.messages,
        "tools": question.tools,
        "tool_choice": "auto",
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    }


def _calls(answer):
    """The calls in an OpenAI chat completion."""
    if "error" in answer:
        raise PeerError(str(answer["error"]))
    calls = answer["choices"][0]["message"].get("tool_calls") or []
    try:
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]
    except ValueError as error:
        raise PeerError(f"arguments that are not JSON: {error}") from error


class LlamaCppPython:
    """llama-cpp-python with the chat template of the file."""

    name = "llama-cpp-python"

    def __init__(self, model, threads, context, python=None):
        python = python or programs(environment(LLAMA_CPP_PYTHON)) / "python"
        self._process = subprocess.Popen(
            [str(python), "-c", ASK_LLAMA_CPP_PYTHON, str(model), str(threads), str(context)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def calls(self, question):
        """The calls that the model makes, as pairs of name and arguments."""
        self._process.stdin.write(json.dumps(_request(question)).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"llama-cpp-python ended with {self._process.wait()}")
        return _calls(json.loads(line))

    def close(self):
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class LlamaServer:
    """llama.cpp's server with the chat template of the file."""

    name = "llama-server"

    def __init__(self, model, threads, context, program=None):
        program = program or _find_server(environment(LLAMA_SERVER))
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        command = [program, "-m", model, "-c", context, "-np", 1, "--jinja", "--port", port, "--host", "127.0.0.1"]
        command += ["-t", threads] if threads else []
        self._process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait()

    def _wait(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self._url}/health", timeout=5):
                return
            time.sleep(0.2)
        self.close()
        raise SystemExit("llama-server does not start")

    def calls(self, question):
        """The calls that the model makes, as pairs of name and arguments."""
        data = json.dumps(_request(question)).encode()
        request = urllib.request.Request(f"{self._url}/v1/chat/completions", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                return _calls(json.load(response))
        except urllib.error.HTTPError as error:
            raise PeerError(f"{error.code}: {error.read()[:500].decode(errors='replace')}") from error

    def close(self):
        """Ends the process."""
        self._process.terminate()
        self._process.wait()


def _find_server(folder):
    name = "llama-server.exe" if sys.platform == "win32" else "llama-server"
    found = [path for path in Path(folder).rglob(name) if os.access(str(path), os.X_OK)]
    if not found:
        raise SystemExit(f"{LLAMA_SERVER} has no {name}")
    return found[0]
