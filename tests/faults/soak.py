"""Mixed agents at random, for as long as you like: memory, descriptors and threads must stay flat, and nothing may mix.

python tests/faults/soak.py [--seconds 3600] [--threads 6] [--seed 1] [--model FILE] [--mmproj FILE]

It prints a line a minute and exits with 0 if all stayed flat. Errors that a deed may end with are counted; any other
exception ends the soak.
"""

import argparse
import asyncio
import collections
import gc
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from pydantic import BaseModel, Field

from luup_agent import (
    Agent,
    Image,
    InvalidOutputError,
    MaxTurnsError,
    Model,
    RunCancelledError,
    RunTimeoutError,
    SQLiteSessions,
    catalog,
)
from luup_agent.testing import FunctionModel, Reply, tool_call

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import pictures

ALLOWED = (InvalidOutputError, MaxTurnsError, RunCancelledError, RunTimeoutError)  # ends that a deed may have
WARM = 0.4  # of the time, after which nothing may grow
ROOM = 32 << 20  # bytes by which the memory may differ


class City(BaseModel):
    """A typed answer."""

    name: str = Field(max_length=12)
    size: int = Field(ge=0, le=99)


class Soak:
    """The deeds of all threads on one local model, and one in Python that repeats what it is asked."""

    def __init__(self, model, sees, folder):
        self.model, self.sees, self.folder = model, sees, folder
        self.echo = FunctionModel(self.repeat)
        self.sessions = SQLiteSessions(folder / "chats.db")
        self.counts = collections.Counter()
        self.failures = []
        self.deeds = {name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_")}
        if not sees:
            del self.deeds["picture"]

    @staticmethod
    def repeat(request):
        if request.messages[-1].role == "tool":
            return request.messages[-1].content
        if request.tools and "add " in request.prompt:
            first, second = request.prompt.split()[1:3]
            return tool_call("add", a=int(first), b=int(second))
        return Reply(request.prompt)

    def agent(self, **options):
        return Agent(self.model, "You are a helpful assistant.", **{"max_tokens": 12, "temperature": 0, **options})

    def do_plain(self, rng):
        assert isinstance(self.agent().generate(f"Say {rng.random()}."), str)

    def do_typed(self, rng):
        city = self.agent(max_tokens=48).generate(f"A city with {rng.randrange(99)} streets.", output_type=City)
        assert 0 <= city.size <= 99

    def do_cancel(self, rng):
        stream = self.agent(max_tokens=200).generate_stream("Tell me a long story.")
        for _, _ in zip(stream, range(rng.randrange(6))):
            pass
        stream.close()

    def do_timeout(self, rng):
        self.agent(max_tokens=400).generate("Tell me a long story.", timeout=rng.uniform(0, 0.2))

    def do_fork(self, rng):
        agent = self.agent()
        agent.generate("My name is Ann.")
        copies = [agent.fork() for _ in range(3)]
        for copy in copies:
            copy.generate(f"What is my name? {rng.random()}")
        assert len(agent.messages) == 3
        assert {len(copy.messages) for copy in copies} == {5}

    def do_save(self, rng):
        agent, path = self.agent(), self.folder / f"{threading.get_ident()}.agent"
        agent.generate(f"Remember {rng.random()}.")
        agent.save(path)
        loaded = Agent.load(path, self.model)
        assert loaded.messages == agent.messages
        loaded.generate("Go on.")

    def do_tools(self, rng):
        a, b, seen = rng.randrange(1000), rng.randrange(1000), []
        agent = Agent(self.echo)

        @agent.tool
        def add(a: int, b: int) -> int:
            """Add two numbers."""
            seen.append((a, b))
            return a + b

        assert agent.generate(f"add {a} {b}") == str(a + b)
        assert seen == [(a, b)]

    def do_local_tools(self, rng):
        agent = self.agent(max_turns=2, max_tokens=40)

        @agent.tool
        def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        agent.generate(f"What is {rng.randrange(9)} + 3?", tool_choice="add")

    def do_async(self, rng):
        texts = [f"{rng.random()}" for _ in range(8)]

        async def ask(text):
            return await Agent(self.echo).generate_async(text)

        async def together():
            return await asyncio.gather(*map(ask, texts))

        assert asyncio.run(together()) == texts

    def do_async_cancelled(self, rng):
        async def begin():
            task = asyncio.ensure_future(self.agent(max_tokens=200).run_async("Tell me a long story."))
            await asyncio.sleep(rng.uniform(0, 0.1))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(begin())

    def do_session(self, rng):
        name, text = f"{threading.get_ident()}-{rng.randrange(5)}", f"{rng.random()}"
        session = self.sessions.open(name, Agent(self.echo))
        assert session.generate(text) == text
        if len(self.sessions.messages(name)) > 20:
            self.sessions.delete(name)

    def do_summary(self, rng):
        agent = self.agent(max_tokens=4)
        agent.enable_builtin_summarization(0.1, 0.02, summarize=lambda messages: f"{len(messages)} messages")
        agent.set_history([
            {"role": role, "content": f"{role} {index} {rng.random()} " * 8}
            for index in range(20)
            for role in ("user", "assistant")
        ])  # fmt: skip
        agent.generate("Go on.")
        assert any("messages" in message.content for message in agent.messages)

    def do_picture(self, rng):
        picture = Image(pictures.png(8 * rng.randrange(1, 5), 16, seed=rng.randrange(4)))
        self.agent(max_tokens=4).generate([picture, "What is it?"])

    def work(self, seed, end):
        rng = random.Random(seed)
        while time.monotonic() < end and not self.failures:
            name = rng.choice(list(self.deeds))
            try:
                self.deeds[name](rng)
                self.counts[name] += 1
            except ALLOWED as error:
                self.counts[f"{name}: {type(error).__name__}"] += 1
            except BaseException as error:
                self.failures.append((name, error))
                raise


def memory():
    """Return the bytes of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def tasks():
    return len(os.listdir("/proc/self/task"))


def soak(model, seconds, threads=4, seed=1, sees=False, report=print):
    """Run all deeds for some seconds, and return what grew: a list of texts, empty if all stayed flat."""
    begin = time.monotonic()
    sizes, quiet = [], {}
    with tempfile.TemporaryDirectory() as folder:
        made = Soak(model, sees, Path(folder))
        for phase, share in (("warm", WARM), ("flat", 1.0)):
            end = begin + seconds * share
            workers = [threading.Thread(target=made.work, args=(f"{seed}-{phase}-{n}", end)) for n in range(threads)]
            for worker in workers:
                worker.start()
            while any(worker.is_alive() for worker in workers):
                time.sleep(min(1, seconds / 50))
                sizes.append((phase, memory()))
                if len(sizes) % 60 == 0:
                    seconds_now, deeds = time.monotonic() - begin, sum(made.counts.values())
                    report(f"{seconds_now:.0f} s, {sizes[-1][1] >> 20} MB, {deeds} deeds")
            for worker in workers:
                worker.join()
            gc.collect()
            time.sleep(0.5)  # the engine releases what was closed between two decodes
            quiet[phase] = (descriptors(), tasks(), memory())
        made.sessions.close()
    report(json.dumps(dict(sorted(made.counts.items()))))
    report(f"descriptors, threads, bytes: {quiet}")
    if made.failures:
        raise made.failures[0][1]
    grown = [
        f"{what}: {quiet['warm'][index]} and {quiet['flat'][index]}"
        for index, what in enumerate(("descriptors", "threads"))
        if quiet["flat"][index] > quiet["warm"][index]
    ]
    if quiet["flat"][2] > quiet["warm"][2] * 1.1 + ROOM:
        grown.append(f"memory: {quiet['warm'][2] >> 20} MB and {quiet['flat'][2] >> 20} MB")
    return grown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--mmproj", type=Path)
    given = parser.parse_args()
    options = {"mmproj": given.mmproj} if given.mmproj else {}
    with Model.from_local(given.model or catalog.resolve("smollm2"), threads=1, **options) as model:
        grown = soak(model, given.seconds, given.threads, given.seed, sees=given.mmproj is not None)
    for each in grown:
        print("grew:", each)
    sys.exit(bool(grown))


if __name__ == "__main__":
    main()
