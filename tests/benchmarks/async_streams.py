"""The processor time of reading answers: streams of asyncio, streams of threads, and whole answers.

    python tests/benchmarks/async_streams.py [--streams N …] [--tokens N] [--rounds N] [--model FILE] [--json FILE]

The ways take turns in one process and answer the same questions. Processor time is that of the whole process, which
decodes too; its part in the event loop's own thread is given beside it. The gaps are those between the pieces of one
stream that is read alone.
"""

import argparse
import asyncio
import json
import os
import statistics
import threading
import time
from pathlib import Path

import workloads

from luup_agent import Agent, Model, catalog


def in_threads(agents, read):
    counts = [0] * len(agents)

    def work(number):
        counts[number] = read(agents[number], workloads.QUESTIONS[number % 64])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(agents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), 0.0


def whole(agent, question):
    return agent.run(question).usage.completion_tokens


def stream(agent, question):
    pieces = agent.generate_stream(question)
    for _ in pieces:
        pass
    return pieces.response.usage.completion_tokens


async def whole_async(agent, question):
    return (await agent.run_async(question)).usage.completion_tokens


async def stream_async(agent, question):
    pieces = agent.generate_async(question)
    async for _ in pieces:
        pass
    return pieces.response.usage.completion_tokens


async def events_async(agent, question):
    events = agent.stream_events_async(question)
    async for _ in events:
        pass
    return events.response.usage.completion_tokens


def in_loop(agents, read):
    async def main():
        used = time.thread_time()
        counts = await asyncio.gather(
            *(read(agent, workloads.QUESTIONS[number % 64]) for number, agent in enumerate(agents))
        )
        return sum(counts), time.thread_time() - used

    return asyncio.run(main())


WAYS = {
    "generate in threads": (in_threads, whole),
    "streams in threads": (in_threads, stream),
    "generate_async": (in_loop, whole_async),
    "streams of asyncio": (in_loop, stream_async),
    "events of asyncio": (in_loop, events_async),
}


def gaps_of(make):
    """Return the milliseconds between the pieces of one answer, in a thread and in an event loop."""
    times = []
    for _ in make().generate_stream(workloads.COUNT):
        times.append(time.perf_counter())

    async def read():
        found = []
        async for _ in make().generate_async(workloads.COUNT):
            found.append(time.perf_counter())
        return found

    return [[1e3 * (b - a) for a, b in zip(each, each[1:])] for each in (times, asyncio.run(read()))]


def measure(options):
    found = {}
    sequences = max(options.streams)
    with Model.from_local(
        options.model, context_size=1400 + sequences * (options.tokens + 160), max_sequences=sequences
    ) as model:

        def make():
            return Agent(
                model,
                workloads.SYSTEM,
                temperature=0,
                max_tokens=options.tokens,
                enable_history=False,
                enable_builtin_tools=False,
            )

        make().run("Hi")
        for _ in range(options.rounds):
            for streams in options.streams:
                for name, (drive, read) in WAYS.items():
                    agents = [make() for _ in range(streams)]
                    used, began = time.process_time(), time.perf_counter()
                    tokens, loop = drive(agents, read)
                    used, wall = time.process_time() - used, time.perf_counter() - began
                    row = found.setdefault(f"{streams}", {}).setdefault(name, [])
                    row.append([1e6 * used / tokens, 1e6 * loop / tokens, 1e6 * wall / tokens])
        threads, loop = (sorted(each) for each in gaps_of(make))
    for streams, ways in found.items():
        reference = statistics.median(row[0] for row in ways["generate in threads"])
        print(f"{streams} at once, microseconds a token: processors, of the loop's thread, wall")
        for name, rows in ways.items():
            used, mine, wall = (statistics.median(column) for column in zip(*rows))
            print(f"  {name:22} {used:8.0f} {used / reference:6.2f} {mine:8.1f} {wall:8.0f}", flush=True)
    for name, gaps in (("thread", threads), ("loop", loop)):
        p50, p95 = gaps[len(gaps) // 2], gaps[int(len(gaps) * 0.95)]
        print(f"gaps of one stream in a {name}: {p50:.1f} ms, p95 {p95:.1f}, most {gaps[-1]:.1f}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.model = options.model or Path(os.environ.get("LUUP_TEST_MODEL") or catalog.resolve("smollm2"))
    found = measure(options)
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
