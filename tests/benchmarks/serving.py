"""Streaming clients of the server, against the same work in process, llama-server and xllamacpp's server.

    python tests/benchmarks/serving.py [--clients N …] [--tokens N] [--rounds N] [--model FILE] [--json FILE]
                                       [--plots FOLDER] [--without-peer]

Each candidate runs in a process of its own and answers the same questions behind one shared system prompt, which it has
read once before. It answers them twice: at first, and again, when llama-server has the system prompt in each of its
slots, one for each client. The candidates take turns. The load comes from one process with plain sockets, whose CPU
time is given too, because it shares the machine. llama-server comes from a build with LUUP_BUILD_TOOLS=ON, and
xllamacpp, which has llama.cpp's server in it, from an environment that is made once.
"""

import argparse
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import peer_environment
import plots
import workloads
from bench import find_program

from luup_agent import catalog

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

IN_PROCESS = """
import asyncio, json, sys, time
sys.path.insert(0, {here!r})
import workloads
from luup_agent import Agent, Model

async def main(model):
    options = dict(temperature=0, max_tokens={tokens}, enable_history=False, enable_builtin_tools=False)
    agent = Agent(model, workloads.SYSTEM, **options)
    await agent.run_async("Hi")
    print("ready", flush=True)
    for line in sys.stdin:
        agents = [Agent(model, workloads.SYSTEM, **options) for _ in range(int(line))]
        begin = time.perf_counter()
        streams = [agent.generate_async(workloads.QUESTIONS[number % 64]) for number, agent in enumerate(agents)]
        async def read(stream):
            async for piece in stream:
                pass
            return stream.response.usage.completion_tokens
        counts = await asyncio.gather(*map(read, streams))
        print(json.dumps([time.perf_counter() - begin, sum(counts)]), flush=True)

with Model.from_local({model!r}, context_size={context}, max_sequences={sequences}) as model:
    asyncio.run(main(model))
"""
SERVER = """
from luup_agent import Model
from luup_agent.server import serve
with Model.from_local({model!r}, context_size={context}, max_sequences={sequences}) as model:
    serve({{"m": model}}, port={port})
"""


XLLAMACPP = """
import time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = {model!r}
params.hostnames, params.port = ["127.0.0.1"], {port}
params.n_parallel, params.n_ctx = {sequences}, {room}
params.use_jinja = True
params.verbosity = -1
server = xllamacpp.Server(params)
time.sleep(100_000)
"""


class Result(NamedTuple):
    """One measurement.

    Attributes:
        seconds: From the first request to the end of the last answer.
        tokens: Those of all answers.
        cpu: Seconds of CPU time of the candidate.
        client_cpu: The same of the clients.
    """

    seconds: float
    tokens: int
    cpu: float
    client_cpu: float


class InProcess:
    """Agents whose streams a program reads, without HTTP."""

    name = "in process"

    def __init__(self, options):
        text = IN_PROCESS.format(here=str(HERE), **settings_of(options))
        self._process = subprocess.Popen([sys.executable, "-c", text], stdin=-1, stdout=-1, text=True)
        assert self._process.stdout.readline() == "ready\n"

    def run(self, clients):
        used = cpu_of(self._process.pid)
        self._process.stdin.write(f"{clients}\n")
        self._process.stdin.flush()
        seconds, tokens = json.loads(self._process.stdout.readline())
        return Result(seconds, tokens, cpu_of(self._process.pid) - used, 0.0)

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


class OverHTTP:
    """Clients of a server in another process."""

    def __init__(self, name, command, options):
        self.name = name
        self._options = options
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(options.port, self._process)
        self._answer(1, 1)

    def run(self, clients):
        return self._answer(clients, self._options.tokens)

    def _answer(self, clients, tokens):
        requests = [request(workloads.QUESTIONS[number % 64], tokens) for number in range(clients)]
        mine, used = cpu_of(os.getpid()), cpu_of(self._process.pid)
        begin = time.perf_counter()
        replies = exchange(self._options.port, requests)
        seconds = time.perf_counter() - begin
        mine, used = cpu_of(os.getpid()) - mine, cpu_of(self._process.pid) - used
        return Result(seconds, sum(map(tokens_of, replies)), used, mine)

    def close(self):
        self._process.terminate()
        self._process.wait(60)


def settings_of(options):
    sequences = max(options.clients)
    room = 1400 + sequences * (options.tokens + 160)
    return {
        "model": str(options.model),
        "tokens": options.tokens,
        "port": options.port,
        "context": room,
        "sequences": sequences,
    }


def ours(options):
    return OverHTTP("our server", [sys.executable, "-c", SERVER.format(**settings_of(options))], options)


def llama_server(options):
    """llama-server with a slot for each client; its KV cache is one, so that its slots can share the prompt."""
    clients = max(options.clients)
    room = clients * (1400 + options.tokens)
    command = [
        str(find_program("llama-server")),
        "-m",
        str(options.model),
        "--port",
        str(options.port),
        "-np",
        str(clients),
    ]
    return OverHTTP("llama-server", [*command, "-c", str(room), "--no-webui", "--jinja"], options)


def xllamacpp(options):
    """xllamacpp's server, with as many slots and as much room."""
    python = peer_environment.programs(peer_environment.environment(peer_environment.XLLAMACPP)) / "python"
    room = max(options.clients) * (1400 + options.tokens)
    text = XLLAMACPP.format(room=room, **settings_of(options))
    return OverHTTP("xllamacpp", [str(python), "-c", text], options)


def wait_for(port, process):
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not start"
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if connection.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.1)


def request(question, tokens):
    messages = [{"role": "system", "content": workloads.SYSTEM}, {"role": "user", "content": question}]
    body = {"messages": messages, "temperature": 0, "max_tokens": tokens, "stream": True}
    content = json.dumps({**body, "stream_options": {"include_usage": True}}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def exchange(port, requests):
    """Send all requests at once, and return the bytes of the responses."""
    selector = selectors.DefaultSelector()
    replies = []
    for index, content in enumerate(requests):
        connection = socket.create_connection(("127.0.0.1", port), 30)
        connection.sendall(content)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, index)
        replies.append(bytearray())
    left = len(requests)
    while left:
        for key, _ in selector.select(120):
            data = key.fileobj.recv(65536)
            replies[key.data] += data
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                left -= 1
    return replies


def tokens_of(reply):
    assert reply.startswith(b"HTTP/1.1 200"), reply[:500]
    assert b"[DONE]" in reply[-200:], reply[-500:]
    found = reply.rfind(b'"completion_tokens":')
    return int(reply[found + 20 :].split(b",")[0].split(b"}")[0])


def cpu_of(process):
    """Return the seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(options):
    """Return tokens per second by candidate and number of clients: those at first and those again of each round."""
    kinds = [InProcess, ours] + ([] if options.without_peer else [llama_server, xllamacpp])
    found = {}
    for _ in range(options.rounds):
        for kind in kinds:
            candidate = kind(options)
            try:
                for clients in options.clients:
                    for time_of in ("first", "again"):
                        one = candidate.run(clients)
                        speeds = found.setdefault(candidate.name, {}).setdefault(f"{clients}, {time_of}", [])
                        speeds.append(one.tokens / one.seconds)
                        print(
                            f"{candidate.name:>12}, {clients:3} clients, {time_of}: {one.tokens:6} tokens, "
                            f"{one.tokens / one.seconds:7.1f} tokens/s, {1e6 * one.cpu / one.tokens:6.0f} us of CPU, "
                            f"{1e6 * one.client_cpu / one.tokens:4.0f} us the clients'",
                            flush=True,
                        )
            finally:
                candidate.close()
    return found


def report(found):
    names = list(found)
    print(
        "\n| clients | "
        + " | ".join(names)
        + " | HTTP / in process"
        + "".join(f" | / {name}" for name in names[2:])
        + " |"
    )
    print("|---" * (2 * len(names)) + "|")
    for clients in found[names[0]]:
        speeds = [statistics.median(found[name][clients]) for name in names]
        cells = [f"{speed:,.0f}" for speed in speeds] + [f"{speeds[1] / speeds[0]:.2f}"]
        cells += [f"{speeds[1] / speed:.1f}" for speed in speeds[2:]]
        print(f"| {clients} | " + " | ".join(cells) + " |")


def draw(found, folder):
    """Draw a plot in the style of the documentation's, ours first."""
    names = [name for name in ("our server", "in process", "llama-server", "xllamacpp") if name in found]
    rows = [
        (plots.title_of(clients), [statistics.median(found[name][clients]) for name in names])
        for clients in found[names[0]]
    ]
    plots.draw_peers(names, rows, folder / "serving.svg")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plots", type=Path)
    options = parser.parse_args()
    options.model = options.model or Path(os.environ.get("LUUP_TEST_MODEL") or catalog.resolve("smollm2"))
    options.port = free_port()
    found = measure(options)
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found))
    if options.plots:
        draw(found, options.plots)


if __name__ == "__main__":
    main()
