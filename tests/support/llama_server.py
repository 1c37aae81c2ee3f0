"""Programs of llama.cpp that serve on a free port of loopback, until they are stopped."""

import socket
import subprocess
import time
import urllib.error
import urllib.request


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Program:
    """A server process; `log` is the file with its output."""

    def __init__(self, command, port, log, ready):
        self.port = port
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 120
        while not ready(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)

    @property
    def running(self):
        return self._process.poll() is None

    def send(self, signal):
        self._process.send_signal(signal)

    def kill(self):
        """Kill the process at once."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _is_healthy(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_server(program, model, log, *options):
    """Start llama-server with a model; `url` is its base URL."""
    port = free_port()
    command = [program, "--model", model, "--host", "127.0.0.1", "--port", port, "--jinja", "--offline", *options]
    started = Program(command, port, log, _is_healthy)
    started.url = f"http://127.0.0.1:{port}/v1"
    return started


def start_rpc(program, log):
    """Start ggml-rpc-server; `address` is its host and port."""
    port = free_port()
    command = [program, "--host", "127.0.0.1", "--port", port, "--threads", 1, "--device", "CPU"]
    started = Program(command, port, log, listens)
    started.address = f"127.0.0.1:{port}"
    return started
