"""A server under requests that come at random moments, at rates below and above what it can do.

    python tests/benchmarks/poisson.py [--rates PART …] [--seconds N] [--slots N] [--model FILE] [--json FILE]
                                       [--plots FOLDER] [--without-peer]

First, `--slots` clients that ask again at once find how many requests a second our server answers: the rate 1. Then
requests come by a Poisson process at parts of that rate, to our server and to llama-server of the same llama.cpp, each
with the same moments and questions. Nine of ten requests are a question behind one shared system prompt; the tenth
brings a text of its own of about 900 tokens. Both have answered such requests before. A request that has its first
token within `--first` seconds and then a token every `--gap` seconds on average is good; goodput are the tokens of good
requests, per second of the load. Seconds are those of the machine as it is: compare candidates of one run.
"""

import argparse
import json
import os
import random
import re
import selectors
import socket
import time
from pathlib import Path

import plots
import serving
import workloads

from luup_agent import catalog

CONTENT = re.compile(rb'"content":"(?!")')
NAMES = ("our server", "llama-server")


def make_requests(seed, count):
    """Return the bytes of requests, of which a tenth are long."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        question = chance.choice(workloads.QUESTIONS)
        if chance.random() < 0.1:
            words = [chance.choice(workloads.SYSTEM.split()[:80]) for _ in range(700)]
            question = " ".join(words) + "\n" + question
        found.append(serving.request(question, chance.choice((16, 32, 48, 64))))
    return found


class Request:
    """One request: when it was to be sent, and when its pieces came."""

    def __init__(self, due, content):
        self.due = due
        self.content = content
        self.tail = b""
        self.first = self.last = None
        self.arrivals = []
        self.tokens = 0
        self.ok = False

    def take(self, data, now):
        if CONTENT.search(self.tail[-16:] + data):
            self.first = self.first or now
            self.last = now
            self.arrivals.append(now)
        self.tail = (self.tail + data)[-2000:]

    def end(self):
        self.ok = b"[DONE]" in self.tail and self.first is not None
        if self.ok:
            self.tokens = serving_tokens(self.tail)

    def is_good(self, options):
        if not self.ok:
            return False
        pace = (self.last - self.first) / max(1, self.tokens - 1)
        return self.first - self.due <= options.first and pace <= options.gap


def serving_tokens(tail):
    found = tail.rfind(b'"completion_tokens":')
    return int(tail[found + 20 :].split(b",")[0].split(b"}")[0])


def run(port, requests, patience, closed=0, seconds=0.0):
    """Send requests when they are due; with `closed`, so many at a time, one after the other, for some seconds."""
    selector = selectors.DefaultSelector()
    begin = time.perf_counter()
    waiting, sent, open_ = list(reversed(requests)), [], 0
    while True:
        now = time.perf_counter() - begin
        while waiting and (open_ < closed and now < seconds if closed else waiting[-1].due <= now):
            request = waiting.pop()
            request.due = now if closed else request.due
            connection = socket.create_connection(("127.0.0.1", port), 30)
            connection.sendall(request.content)
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ, request)
            sent.append(request)
            open_ += 1
        if not open_ and (not waiting or (closed and now >= seconds)):
            break
        if now > patience:
            break
        pause = 1.0 if closed or not waiting else max(0.0, min(1.0, waiting[-1].due - now))
        for key, _ in selector.select(pause):
            try:
                data = key.fileobj.recv(65536)
            except ConnectionError:
                data = b""
            if data:
                key.data.take(data, time.perf_counter() - begin)
            else:
                key.data.end()
                selector.unregister(key.fileobj)
                key.fileobj.close()
                open_ -= 1
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    selector.close()
    return sent, time.perf_counter() - begin


def percentiles(values):
    values = sorted(values)
    return [
        values[min(len(values) - 1, int(len(values) * part))] if values else float("nan") for part in (0.5, 0.95, 0.99)
    ]


def start(kind, options):
    """Start a server that has answered such requests before. Return it and its port."""
    options.port = serving.free_port()
    candidate = kind(options)
    warm = [Request(0.0, content) for content in make_requests(1, 2 * options.slots)]
    run(options.port, warm, 600)
    return candidate, options.port


def measure(options):
    kinds = {"our server": serving.ours, "llama-server": serving.llama_server}
    if options.without_peer:
        del kinds["llama-server"]
    found, servers = {}, {}
    try:
        for name, kind in kinds.items():
            servers[name] = start(kind, options)
        many = [Request(0.0, content) for content in make_requests(2, 4000)]
        sent, took = run(servers["our server"][1], many, 300, closed=options.slots, seconds=options.seconds)
        saturation = sum(request.ok for request in sent) / took
        print(f"saturation: {saturation:.2f} requests a second, {len(sent)} in {took:.1f} s", flush=True)
        for part in options.rates:
            moments = moments_of(part * saturation, options.seconds)
            contents = make_requests(3, len(moments))
            for name, (candidate, port) in servers.items():
                used = serving.cpu_of(candidate._process.pid)
                requests = [Request(due, content) for due, content in zip(moments, contents)]
                sent, took = run(port, requests, options.seconds * 3 + 30)
                used = serving.cpu_of(candidate._process.pid) - used
                row = summary(sent, options, len(moments), took, used)
                found.setdefault(name, {})[f"{part:g}"] = row
                print(f"{part:4.0%} of it, {part * saturation:5.2f}/s, {name:>12}: " + shown(row), flush=True)
    finally:
        for candidate, _ in servers.values():
            candidate.close()
    return {"saturation": saturation, "found": found}


def moments_of(rate, seconds):
    """Return the moments of a Poisson process."""
    chance = random.Random(7)
    moments = [chance.expovariate(rate)]
    while moments[-1] <= seconds:
        moments.append(moments[-1] + chance.expovariate(rate))
    return moments[:-1]


def summary(sent, options, wanted, took, used):
    good = [request for request in sent if request.is_good(options)]
    firsts = [request.first - request.due for request in sent if request.first is not None]
    gaps = [b - a for request in sent for a, b in zip(request.arrivals, request.arrivals[1:])]
    tokens = sum(request.tokens for request in sent)
    return {
        "requests": wanted,
        "done": sum(request.ok for request in sent),
        "good": len(good),
        "goodput": sum(request.tokens for request in good) / options.seconds,
        "first": percentiles(firsts),
        "gaps": percentiles(gaps),
        "seconds": took,
        "cpu_us": 1e6 * used / max(1, tokens),
    }


def shown(row):
    first = " / ".join(f"{value:.2f}" for value in row["first"])
    gaps = " / ".join(f"{1e3 * value:.0f}" for value in row["gaps"])
    return (
        f"{row['done']} of {row['requests']} done, {row['good']} good, goodput {row['goodput']:.0f} tokens/s, "
        f"first token {first} s, gaps {gaps} ms, {row['cpu_us']:.0f} us of CPU a token, {row['seconds']:.0f} s"
    )


def report(results):
    found = results["found"]
    names = list(found)
    print("\n| load | " + " | ".join(f"{name}: goodput | first token, s | gaps, ms" for name in names) + " |")
    print("|---" * (1 + 3 * len(names)) + "|")
    for part in found[names[0]]:
        cells = [f"{float(part):.0%}"]
        for name in names:
            row = found[name][part]
            cells.append(f"{row['goodput']:.0f}")
            cells.append(" / ".join(f"{value:.2f}" for value in row["first"]))
            cells.append(" / ".join(f"{1e3 * value:.0f}" for value in row["gaps"]))
        print("| " + " | ".join(cells) + " |")


def draw(results, path):
    """Draw goodput and the 95th percentile of the time to the first token by load."""
    found = results["found"]
    figure, axes = plots.new_figure(3, 10.5, 3.4)
    colors = dict(zip(NAMES, (plots.ACCENT, plots.SECOND)))
    for name, rows in found.items():
        loads = [100 * float(part) for part in rows]
        for axis, values in zip(
            axes,
            (
                [row["goodput"] for row in rows.values()],
                [row["first"][1] for row in rows.values()],
                [1e3 * row["gaps"][1] for row in rows.values()],
            ),
        ):
            axis.plot(loads, values, marker="o", color=colors[name], label=name)
    titles = (
        "goodput, tokens/s (more is better)",
        "first token, s, 95th percentile",
        "gap of pieces, ms, 95th percentile",
    )
    for axis, title in zip(axes, titles):
        axis.set(xlabel="load, % of saturation")
        axis.set_title(title, fontsize=10, loc="left")
    for axis in axes:
        axis.set_ylim(bottom=0)
    axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    plots.save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.2])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--first", type=float, default=2.0)
    parser.add_argument("--gap", type=float, default=0.2)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plots", type=Path)
    options = parser.parse_args()
    options.model = options.model or Path(os.environ.get("LUUP_TEST_MODEL") or catalog.resolve("smollm2"))
    options.clients, options.tokens, options.port = [options.slots], 1100, serving.free_port()
    results = measure(options)
    report(results)
    if options.json:
        options.json.write_text(json.dumps(results))
    if options.plots:
        draw(results, options.plots / "poisson.svg")


if __name__ == "__main__":
    main()
