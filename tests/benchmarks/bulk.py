"""Many items: texts that are classified, and records that are extracted from texts.

    python tests/benchmarks/bulk.py [--model FILE] [--threads N] [--texts N] [--records N] [--peers NAME …]
                                    [--plots FOLDER]

CPU seconds of the process that computes; the first way of each kind is the reference. Peers answer the same prompts in
JSON of the same schema, in a process of their own: xllamacpp with 8 slots, llama-cpp-python one by one (it is compiled,
which takes ten minutes). An answer that is neither a label nor a record counts as wrong.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Literal

import compare
import plots
from peer_environment import LLAMA_CPP_PYTHON, XLLAMACPP, environment, programs
from pydantic import BaseModel, Field

from luup_agent import Agent, Model, catalog

LABELS = ["sports", "politics", "food", "weather", "music", "science"]
QUESTION = "Which topic does the text have?"
PROMPT = f"{QUESTION} Answer with one of the labels only.\n\nLabels: {', '.join(LABELS)}\n\nText: " + "{item}"
RECORD = "{item}\nWhat are the name, the city and the job?"
_SUBJECTS = ["The team", "The minister", "Our cook", "A storm", "The singer", "A physicist"]
_VERBS = ["surprised", "met", "disappointed", "thanked", "visited", "described", "ignored"]
_OBJECTS = ["thousands of people", "an old friend", "the whole town", "a group of children", "the press"]
_TIMES = ["yesterday", "in the early morning", "after a long week", "for the third time this year"]
_NAMES = ["Anna", "Ben", "Cleo", "David", "Ella", "Finn", "Greta", "Hugo"]
_CITIES = ["Oslo", "Berlin", "Rome", "Lyon", "Porto"]
_JOBS = ["teacher", "baker", "nurse", "pilot", "painter"]


class Record(BaseModel):
    name: str = Field(max_length=12)
    city: str = Field(max_length=12)
    job: Literal["teacher", "baker", "nurse", "pilot", "painter"]


def texts(n):
    parts = [_SUBJECTS, _VERBS, _OBJECTS, _TIMES]
    return [" ".join(part[(i // step) % len(part)] for part, step in zip(parts, (1, 6, 42, 210))) for i in range(n)]


def records(n):
    return [
        f"{_NAMES[i % 8]} is a {_JOBS[i // 8 % 5]} and has lived in {_CITIES[i // 40 % 5]} for {i + 2} years."
        for i in range(n)
    ]


def measure(title, ways, peer_rows):
    """Print the CPU seconds of each way, and return them by name."""
    print(title)
    rows = []
    for name, way in ways:
        began, cpu = time.perf_counter(), time.process_time()
        way()
        rows.append((name, time.process_time() - cpu, time.perf_counter() - began))
    rows += peer_rows
    for name, spent, wall in rows:
        print(f"  {name:45} {spent:8.2f} CPU s {wall:8.2f} s {spent / rows[0][1]:6.2f}", flush=True)
    return {name: spent for name, spent, _ in rows}


def peer(name, path, threads, jobs):
    """Return the rows of a peer for each job of messages and a schema."""
    requirement, at_once = {"xllamacpp": (XLLAMACPP, 8), "llama-cpp-python": (LLAMA_CPP_PYTHON, 1)}[name]
    python = programs(environment(requirement)) / "python"
    side = compare.Side(name, python, path, threads, context=1024 * at_once, slots=at_once)
    try:
        rows = []
        for messages, schema, is_right in jobs:
            done = side.do("bulk", messages=messages, schema=schema, max_tokens=64, at_once=at_once)
            wrong = sum(not is_right(answer) for answer in done["answers"])
            title = f"{name}, {at_once} at once" + (f", {wrong} wrong" if wrong else "")
            rows.append([(title, done["cpu"], done["seconds"])])
        return rows
    finally:
        side.close()


def is_label(answer):
    return json.loads(answer) in LABELS


def is_record(answer):
    try:
        Record.model_validate_json(answer)
    except ValueError:
        return False
    return True


def draw(tables, path):
    """Draw the CPU seconds of each way as bars."""
    figure, axes = plots.new_figure(len(tables), 10.5, 2.6)
    for axis, (title, table) in zip(axes, tables.items()):
        bars = axis.barh(range(len(table)), table.values(), height=0.62, color=[plots.ACCENT] + ["#cfcac2"] * 9)
        axis.bar_label(bars, [plots.shown(value) for value in table.values()], padding=4, fontsize=9)
        axis.set_yticks(range(len(table)), table, fontsize=8, color=plots.INK)
        axis.set(xlim=(0, 1.25 * max(table.values())))
        axis.invert_yaxis()
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)
        axis.tick_params(left=False)
        axis.set_title(f"{title}, CPU s", fontsize=9, loc="left")
    plots.save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--peers", nargs="*", default=[], choices=["xllamacpp", "llama-cpp-python"])
    parser.add_argument("--plots", type=Path)
    options = parser.parse_args()
    some, others = texts(options.texts), records(options.records)
    path = catalog.resolve(options.model)
    kind = Literal["sports", "politics", "food", "weather", "music", "science"]

    with Model.from_local(path, threads=options.threads) as model:
        agent = Agent(model, temperature=0, max_tokens=64)
        fresh = Agent(model, temperature=0, max_tokens=64, enable_history=False)
        model.warmup()

        def many():
            list(agent.classify_many(some, LABELS, instructions=QUESTION))

        def one_label_at_a_time():
            for text in some:
                agent.classify(text, LABELS, instructions=QUESTION)

        def literals():
            list(agent.map(some, PROMPT, output_type=kind))

        def one_literal_at_a_time():
            for text in some:
                fresh.generate(PROMPT.format(item=text), output_type=kind)

        def map_records():
            list(agent.map(others, RECORD, output_type=Record))

        def one_record_at_a_time():
            for text in others:
                fresh.generate(RECORD.format(item=text), output_type=Record)

        labels = [
            ("classify_many", many),
            ("classify, one by one", one_label_at_a_time),
            ("map(output_type=Literal)", literals),
            ("generate(output_type=Literal), one by one", one_literal_at_a_time),
        ]
        typed = [
            ("map(output_type=Record)", map_records),
            ("generate(output_type=Record), one by one", one_record_at_a_time),
        ]
        jobs = [
            ([PROMPT.format(item=text) for text in some], {"enum": LABELS}, is_label),
            ([RECORD.format(item=text) for text in others], Record.model_json_schema(), is_record),
        ]
        found = [peer(name, str(path), options.threads, jobs) for name in options.peers]
        tables = {}
        for number, (title, ways) in enumerate(
            ((f"{len(some)} texts, {len(LABELS)} labels", labels), (f"{len(others)} records", typed))
        ):
            tables[title] = measure(title, ways, [row for rows in found for row in rows[number]])
        if options.plots:
            draw(tables, options.plots / "bulk.svg")


if __name__ == "__main__":
    main()
