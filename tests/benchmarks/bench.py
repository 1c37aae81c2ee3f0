"""Speed against llama-bench of the same build, as ratios of runs taken in turn.

    python tests/benchmarks/bench.py [--model FILE] [--threads N] [--rounds N] [--json FILE]

Needs an installation with `-C cmake.define.LUUP_BUILD_TOOLS=ON` (llama-bench is in the build folder then). Prints a
table in Markdown and, with --json, writes every single measurement. Machines are noisy: quote the ratios, not the
figures.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import luup_agent
from luup_agent import Agent, Model, catalog

PREFILL = 512
DECODE = 128
STORY = "Tell me a very long story about a fox."


def find_program(name):
    """The newest of that name that a build with LUUP_BUILD_TOOLS=ON has made."""
    build = Path(__file__).parents[2] / "build"
    found = sorted(build.glob(f"*/luup_agent/{name}"), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit(f"{name} is not built: install with -C cmake.define.LUUP_BUILD_TOOLS=ON")
    return found[-1]


def llama_bench(program, model, threads, *what):
    """Tokens/s of llama-bench, one repetition after its own warm-up."""
    command = [program, "-m", model, "-t", threads, "-r", 1, "-o", "json", *what]
    output = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    ).stdout
    (test,) = json.loads(output)
    return test["avg_ts"]


def long_message(model, agent, length, first_word):
    """A message that makes the agent's prompt `length` tokens long; those of two first words share no long prefix."""
    message = first_word
    while len(agent._prompt_tokens(message)) < length:
        message += " word"
    return message


def measure_prefill(model, number):
    """Tokens/s from the message to the first token."""
    agent = Agent(model, temperature=0, max_tokens=1)
    message = long_message(model, agent, PREFILL, f"{number} times:")
    timings = agent.run(message).timings
    return timings.prefill_tokens / timings.prefill_seconds


def measure_decode(path, threads):
    """(Tokens/s of an agent alone, as a loop over its stream sees them after the first piece; tokens of its prompt)."""
    with Model.from_local(path, threads=threads) as model:
        model.warmup()
        agent = Agent(model, temperature=0, max_tokens=DECODE + 1)
        prompt = len(agent._prompt_tokens(STORY))
        begin, last = None, None
        for _ in agent.generate_stream(STORY):
            last = time.perf_counter()
            begin = begin or last
        tokens = len(model.tokenize(agent.messages[-1].content))
    assert tokens > DECODE / 2, "the answer is too short to be timed"
    return (tokens - 1) / (last - begin), prompt


def measure_agents(model, count, tokens=64):
    """Tokens/s of `count` agents that answer at the same time."""
    agents = [
        Agent(model, "You tell stories.", temperature=0.8, seed=number, max_tokens=tokens) for number in range(count)
    ]
    begin = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda agent: agent.run("Tell a long story about a fox."), agents))
    return sum(answer.usage.completion_tokens for answer in answers) / (time.perf_counter() - begin)


def measure_import():
    """Milliseconds that `import luup_agent` takes more than `import pydantic`, best of seven."""

    def best(module):
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(7))

    return (best("luup_agent") - best("pydantic")) * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=0, help="0: what the library chooses")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()

    program = find_program("llama-bench")
    path = catalog.resolve(arguments.model)
    begin = time.perf_counter()
    model = Model.from_local(path, threads=arguments.threads)
    load = time.perf_counter() - begin
    info = model.get_info()
    model.warmup()
    rounds = []
    for number in range(arguments.rounds):
        ours = {"prefill": measure_prefill(model, number)}
        prefill = llama_bench(program, path, info.threads, "-p", PREFILL, "-n", 0)
        ours["decode"], depth = measure_decode(path, arguments.threads)
        decode = llama_bench(program, path, info.threads, "-p", 0, "-n", DECODE, "-d", depth)
        one, sixteen = measure_agents(model, 1), measure_agents(model, 16)
        rounds.append(
            {
                "llama-bench": {"prefill": prefill, "decode": decode},
                "luup-agent": ours,
                "agents": {"1": one, "16": sixteen},
            }
        )
    model.close()

    def middle(pick):
        return statistics.median(pick(one) for one in rounds)

    result = {
        "cpu": info.device,
        "cpu_variant": info.cpu_variant,
        "threads": info.threads,
        "python": platform.python_version(),
        "model": info.description,
        "version": luup_agent.__version__,
        "llama.cpp": luup_agent.llama_version(),
        "load_seconds": load,
        "import_milliseconds_more_than_pydantic": measure_import(),
        "rounds": rounds,
    }
    machine = f"{info.device} ({info.cpu_variant}), {info.threads} threads"
    print(f"{machine}, {info.description}, median of {arguments.rounds} rounds\n")
    print("| what | llama-bench, tokens/s | luup-agent, tokens/s | ratio |\n|---|---|---|---|")
    for what in ("prefill", "decode"):
        theirs = middle(lambda one, what=what: one["llama-bench"][what])
        ours = middle(lambda one, what=what: one["luup-agent"][what])
        ratio = middle(lambda one, what=what: one["luup-agent"][what] / one["llama-bench"][what])
        result[f"{what}_ratio"] = ratio
        print(f"| {what} | {theirs:.1f} | {ours:.1f} | {ratio:.3f} |")
    ratio = middle(lambda one: one["agents"]["16"] / one["agents"]["1"])
    result["agents_ratio"] = ratio
    print("\n| what | 1 agent, tokens/s | 16 agents, tokens/s | ratio |\n|---|---|---|---|")
    one, sixteen = middle(lambda one: one["agents"]["1"]), middle(lambda one: one["agents"]["16"])
    print(f"| all agents together | {one:.1f} | {sixteen:.1f} | {ratio:.2f} |")
    print(f"\nload {load:.2f} s; import {result['import_milliseconds_more_than_pydantic']:.0f} ms more than pydantic's")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
