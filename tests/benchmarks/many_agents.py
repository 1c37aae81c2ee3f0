"""The cost of many agents on one model: waiting tools, pressure on the context, memory, idling, and cancelled runs.

    python tests/benchmarks/many_agents.py [--model FILE] [--threads N] [--only NAME …] [--json FILE]

Each line says what was seen and what was hoped for. "pressure" needs luup-reference (a build with LUUP_BUILD_TOOLS=ON).
"""

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import workloads
from bench import find_program
from pydantic import Field
from typing_extensions import Annotated

from luup_agent import Agent, LuupError, Model, catalog

AGENTS = 64  # with a tool
TURNS = ("What about order {}?", "And what was it again that I asked about?", "Thank you. Say goodbye to me.")
AGAIN = "Are you sure? Answer yes or no."
MAX_TOKENS = 16
SYSTEM = "You are a helpful assistant in a shop for garden tools. You answer in one short sentence."


def load(options, **settings):
    """The model, with what the measurement needs."""
    return Model.from_local(options.path, threads=options.threads, **settings)


def tool_time(options):
    """Many agents, three turns each, with a tool that sleeps 50 ms or not at all."""

    def agents_with(model, pause):
        async def find_order(number: Annotated[int, Field(ge=0, le=999)]) -> str:
            """Finds an order by its number."""
            await asyncio.sleep(pause)
            return f"Order {number} was sent on Monday."

        return [Agent(model, SYSTEM, tools=[find_order], temperature=0, max_tokens=96) for _ in range(AGENTS)]

    async def talk(agent, number):
        for text in TURNS:
            await agent.run_async(text.format(number), tool_choice="find_order")

    async def all_talk(agents):
        await asyncio.gather(*(talk(agent, number) for number, agent in enumerate(agents)))

    seconds = {0.0: [], 0.05: []}
    for _ in range(options.rounds):
        for pause, times in seconds.items():
            with load(options, context_size=32768, max_sequences=64) as model:
                agents = agents_with(model, pause)
                begin = time.perf_counter()
                asyncio.run(all_talk(agents))
                times.append(time.perf_counter() - begin)
    ratio = min(seconds[0.05]) / min(seconds[0.0])
    result = {"without": seconds[0.0], "with": seconds[0.05], "ratio": ratio}
    return result, f"{ratio:.2f} times as long (1.1 hoped for)"


def tie(reference, options, model, question, alone, crowded):
    """The two best logits where two answers part, as llama.h alone computes them."""
    agent = Agent(model, SYSTEM)
    turn = 0 if alone[0] != crowded[0] else 1
    if turn == 1:
        agent.add_message("user", question)
        agent.add_message("assistant", alone[0])
    prompt = agent._prompt_tokens((question, AGAIN)[turn])
    out = subprocess.run(
        [str(reference), str(options.path), str(MAX_TOKENS), "1"],
        input=" ".join(map(str, prompt)) + "\n", stdout=subprocess.PIPE, encoding="utf-8", check=True,
    )  # fmt: skip
    words = out.stdout.split()
    tokens = [int(word) for word in words[::4]]
    texts = [model.detokenize(tokens[:n]) for n in range(len(tokens))]
    step = max(n for n, text in enumerate(texts) if alone[turn].startswith(text) and crowded[turn].startswith(text))
    return [float(words[4 * step + 1]), float(words[4 * step + 3])]


def pressure(options):
    """300 agents, two turns each, on a context for ten, against the same one after the other."""
    reference = find_program("luup-reference")
    questions = [f"Name one thing that is {number} years old." for number in range(300)]

    async def talk(agent, question):
        return [(await agent.run_async(text, max_tokens=MAX_TOKENS)).text for text in (question, AGAIN)]

    def answers(model, together):
        agents = [Agent(model, SYSTEM, temperature=0) for _ in questions]
        if together:

            async def gather():
                return await asyncio.gather(*map(talk, agents, questions))

            return asyncio.run(gather())
        return [asyncio.run(talk(agent, question)) for agent, question in zip(agents, questions)]

    with load(options, context_size=1024, max_sequences=32) as model:
        begin = time.perf_counter()
        crowded = answers(model, together=True)
        seconds = time.perf_counter() - begin
        stats = model.stats()
    with load(options, context_size=4096) as model:
        alone = answers(model, together=False)
        different = [
            {"question": question, "alone": a, "crowded": b, "logits": tie(reference, options, model, question, a, b)}
            for question, a, b in zip(questions, alone, crowded)
            if a != b
        ]
    same = len(questions) - len(different)
    result = {
        "seconds": seconds,
        "same": same,
        "all": len(questions),
        "evictions": stats.evictions,
        "restored": stats.restored,
        "different": different,
    }
    ties = ", ".join("{:.4f} and {:.4f}".format(*one["logits"]) for one in different)
    told = f"; where others part, the two best logits are {ties}" if ties else ""
    return result, f"all ended; {same} of {len(questions)} as alone{told}"


def resident():
    """Bytes of this process in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def parked_memory(options):
    """Bytes of an agent with a short conversation, its part of the context left out."""
    with load(options, context_size=32768, cache_ram=0, max_sequences=64) as model:

        def park(count):
            agents = [Agent(model, SYSTEM, temperature=0, max_tokens=8) for _ in range(count)]
            for number, agent in enumerate(agents):
                agent.generate(f"What is {number}?")
            return agents

        kept = park(64)  # the context's own pages are in memory then
        before = resident()
        kept += park(256)
        each = (resident() - before) / 256
    return {"bytes": each}, f"{each / 1024:.1f} KB an agent (256 hoped for)"


def idle(options):
    """Processor time while agents are parked and a run waits for its tool."""
    with load(options) as model:
        agent = Agent(model, SYSTEM, temperature=0, max_tokens=8)
        agent.generate("Hello")
        time.sleep(0.5)
        begin, used = time.perf_counter(), time.process_time()
        time.sleep(3)
        share = (time.process_time() - used) / (time.perf_counter() - begin)
    return {"share": share}, f"{share:.2%} of a processor (0 hoped for)"


def cancel_storm(options):
    """Runs of 12 threads, all cancelled at random, for as long as --seconds says."""
    with load(options, context_size=4096, max_sequences=16) as model:
        over = time.monotonic() + options.seconds
        ended = []

        def disturb(seed):
            choice = random.Random(seed)
            while time.monotonic() < over:
                agent = Agent(model, SYSTEM if choice.random() < 0.5 else None, seed=seed, max_tokens=200)
                message = choice.choice(workloads.QUESTIONS) * choice.choice((1, 1, 20))
                stream = agent.generate_stream(message, timeout=choice.choice((None, 0.05, 0.5)))
                try:
                    for _ in range(choice.randrange(6)):
                        next(stream, None)
                    ended.append("closed")
                except LuupError as error:
                    ended.append(type(error).__name__)
                stream.close()

        threads = [threading.Thread(target=disturb, args=(seed,)) for seed in range(12)]
        before = threading.active_count()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(1)
        gc.collect()
        stats = model.stats()
        answer = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=8).generate(
            "What is the capital of France?"
        )
    left = stats.runs_active + stats.runs_waiting + stats.sequences_active + threading.active_count() - before
    result = {"runs": len(ended), "left": left, "answer_afterwards": answer}
    return result, f"{len(ended)} runs in {options.seconds} s, {left} of them left (0 hoped for); then: {answer}"


MEASUREMENTS = {each.__name__: each for each in (tool_time, pressure, parked_memory, idle, cancel_storm)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=0, help="0: what the library chooses")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120, help="how long runs are cancelled")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args()
    options.path = catalog.resolve(options.model)
    results = {}
    for name in options.only:
        results[name], text = MEASUREMENTS[name](options)
        print(f"{name}: {text}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
