"""How speed changes with the number of agents, the length of the prompt and the size of the vocabulary.

    python tests/benchmarks/growth.py [--model FILE] [--threads N] [--rounds N] [--json FILE] [--plots FOLDER]

Prints a table for each in Markdown. --plots draws them (needs matplotlib).
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import STORY, long_message
from plots import draw_growth
from pydantic import BaseModel, Field

from luup_agent import Agent, Model, catalog

COUNTS = (1, 2, 4, 8, 16, 32, 64)
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8000)
VOCABULARIES = (49_152, 151_936, 262_144)


class Story(BaseModel):
    """Something long, so that the grammar is asked often."""

    text: str = Field(min_length=500, max_length=600)


class Lines(BaseModel):
    """Some lines: a small model has little to say to a long prompt."""

    text: str = Field(min_length=100, max_length=150)


def by_agents(options):
    """Tokens a second of so many agents together, with one system prompt and questions of their own."""

    def seconds(model, count):
        agents = [Agent(model, "You tell stories.", temperature=0.8, seed=n, max_tokens=32) for n in range(count)]
        begin = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            answers = list(pool.map(lambda n: agents[n].run(f"Tell a story of {n} foxes."), range(count)))
        return sum(answer.usage.completion_tokens for answer in answers) / (time.perf_counter() - begin)

    with Model.from_local(options.path, threads=options.threads, context_size=16384, max_sequences=64) as model:
        model.warmup()
        return {count: middle(options, lambda count=count: seconds(model, count)) for count in COUNTS}


def by_prompt(options):
    """(Seconds to the first token, tokens a second after it) for a prompt of so many tokens, never seen before."""

    def answer(model, length):
        answer.number += 1
        agent = Agent(model, temperature=0, max_tokens=180)
        message = long_message(model, agent, length - 12, f"{answer.number} times:")
        timings = agent.run(f"{message} {STORY}", output_type=Lines).timings
        return timings.time_to_first_token, timings.decode_tokens_per_second

    answer.number = 0
    results = {}
    with Model.from_local(options.path, threads=options.threads, context_size=8192) as model:
        model.warmup()
        for length in LENGTHS:
            runs = [answer(model, length) for _ in range(options.rounds)]
            results[length] = [statistics.median(values) for values in zip(*runs)]
    return results


def by_vocabulary(options):
    """Milliseconds of processor time a token: (free text, bound to a schema), by a model of one layer."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import gguf
    import numpy
    from support import random_model

    def milliseconds(model, output_type):
        agent = Agent(model, temperature=0.8, seed=1, max_tokens=400, enable_history=False)
        begin = time.process_time()
        response = agent.run("Tell me a story.", output_type=output_type)
        return (time.process_time() - begin) / response.usage.completion_tokens * 1000

    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in VOCABULARIES:
            path = Path(folder, "model.gguf")
            names = [f"<|more_{number}|>" for number in range(size - VOCABULARIES[0])]
            random_model.write(gguf, numpy, options.path, path, names)
            with Model.from_local(path, threads=1) as model:
                milliseconds(model, Story)  # what is made once
                results[size] = [
                    middle(options, lambda model=model, wanted=wanted: milliseconds(model, wanted))
                    for wanted in (str, Story)
                ]
    return results


def middle(options, measure):
    """The median of --rounds measurements."""
    return statistics.median(measure() for _ in range(options.rounds))


def show(title, heads, rows):
    """A table in Markdown."""
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for key, values in rows.items():
        cells = values if isinstance(values, list) else [values]
        print(f"| {key:,} | {' | '.join(f'{cell:.3g}' for cell in cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=0, help="0: what the library chooses")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--plots", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    options.path = catalog.resolve(options.model)
    results = {"agents": by_agents(options)}
    show("Agents", ("agents", "tokens/s"), results["agents"])
    results["prompt"] = by_prompt(options)
    show("Prompts", ("tokens", "first token, s", "then, tokens/s"), results["prompt"])
    results["vocabulary"] = by_vocabulary(options)
    show("Vocabularies", ("tokens", "free, ms a token", "typed, ms a token"), results["vocabulary"])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if options.plots:
        draw_growth(results, options.plots / "growth.svg")


if __name__ == "__main__":
    main()
