"""Many items: texts that are classified, and records that are extracted from texts; also by peers on the same file.

    python tests/benchmarks/bulk.py [--model FILE] [--threads N] [--texts N] [--records N] [--plots FOLDER]
                                    [--peers [NAME …]] [--peer-texts N] [--peer-records N]

CPU milliseconds an item of the process in which a way computes; the first way of each kind is the reference. Peers are
llama-cpp-python and xllamacpp, in environments of their own that are made once. They get the same prompts, and may be
given fewer items (the first ones): an item costs them the same however many there are.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Literal

import peer_environment
import plots
from pydantic import BaseModel, Field

from luup_agent import Agent, Model, catalog

HERE = Path(__file__).resolve().parent
PEERS = {
    "llama-cpp-python": (peer_environment.LLAMA_CPP_PYTHON,),
    "xllamacpp": (peer_environment.XLLAMACPP,),
}

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


def right_labels(some, answers):
    """Return how many answers are labels, and how many are the topic that the text was made with."""
    wanted = [LABELS[[text.startswith(subject) for subject in _SUBJECTS].index(True)] for text in some]
    return sum(answer in LABELS for answer in answers), sum(map(str.__eq__, wanted, answers))


def right_records(some, answers):
    """Return how many answers are records, and how many have the name, city and job of the text."""
    valid = []
    for answer in answers:
        try:
            valid.append(Record.model_validate_json(answer))
        except ValueError:
            valid.append(None)
    true = [
        one is not None and all(part in text for part in (one.name, one.city, one.job)) and one.name in _NAMES
        for text, one in zip(some, valid)
    ]
    return sum(one is not None for one in valid), sum(true)


class Rows:
    """The measurements of one kind of work, printed as they come: `check` counts valid and right answers."""

    def __init__(self, title, check):
        self.title = title
        self._check = check
        self.found = {}

    def add(self, name, items, cpu, seconds, answers):
        valid, right = self._check(items, answers)
        count = len(items)
        self.found[name] = 1e3 * cpu / count
        times = self.found[name] / next(iter(self.found.values()))
        print(
            f"{self.title:8} {name:42} {self.found[name]:8.2f} ms of CPU ({times:.1f}), "
            f"{1e3 * seconds / count:.1f} ms; of {count} {valid} valid, {right} right",
            flush=True,
        )

    def measure(self, name, items, way):
        began, cpu = time.perf_counter(), time.process_time()
        answers = way()
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
        self.add(name, items, cpu, seconds, answers)


def ours(path, options, labels, typed):
    """Measure the ways of this library."""
    some, others = texts(options.texts), records(options.records)
    kind = Literal["sports", "politics", "food", "weather", "music", "science"]
    with Model.from_local(path, threads=options.threads) as model:
        agent = Agent(model, temperature=0, max_tokens=64)
        fresh = Agent(model, temperature=0, max_tokens=64, enable_history=False)
        model.warmup()

        def many():
            return [each.value.label for each in agent.classify_many(some, LABELS, instructions=QUESTION)]

        def one_label_at_a_time():
            return [agent.classify(text, LABELS, instructions=QUESTION).label for text in some]

        def literals():
            return [each.value for each in agent.map(some, PROMPT, output_type=kind)]

        def one_literal_at_a_time():
            return [fresh.generate(PROMPT.format(item=text), output_type=kind) for text in some]

        def map_records():
            return [each.value.model_dump_json() for each in agent.map(others, RECORD, output_type=Record)]

        def one_record_at_a_time():
            made = (fresh.generate(RECORD.format(item=text), output_type=Record) for text in others)
            return [each.model_dump_json() for each in made]

        labels.measure("classify_many", some, many)
        labels.measure("classify, one by one", some, one_label_at_a_time)
        labels.measure("map(output_type=Literal)", some, literals)
        labels.measure("generate(output_type=Literal), one by one", some, one_literal_at_a_time)
        typed.measure("map(output_type=Record)", others, map_records)
        typed.measure("generate(output_type=Record), one by one", others, one_record_at_a_time)


def peer(name, path, options, labels, typed):
    """Measure a peer in an interpreter of its own."""
    folder = peer_environment.environment(*PEERS[name])
    command = [peer_environment.programs(folder) / "python", HERE / "bulk_peers.py", name, path, options.threads]
    some, others = texts(options.peer_texts or options.texts), records(options.peer_records or options.records)
    tasks = [
        {"prompts": [PROMPT.format(item=text) for text in some], "labels": LABELS},
        {"prompts": [RECORD.format(item=text) for text in others], "schema": Record.model_json_schema()},
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # those of numpy
    with subprocess.Popen(
        list(map(str, command)), stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        for rows, items, task in zip((labels, typed), (some, others), tasks):
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            rows.add(name, items, **json.loads(process.stdout.readline()))
        process.stdin.close()


def draw(labels, typed, path):
    """Draw the CPU time of the best way of this library and of the peers."""
    first = {"this library": None, "this library,\none by one": "one by one"}
    names = [*first, *(name for name in PEERS if name in labels.found)]

    def of(rows, name):
        if name not in first:
            return rows.found[name]
        if first[name] is None:
            return next(iter(rows.found.values()))
        return next(value for key, value in rows.found.items() if first[name] in key)

    titles = {
        "a text classified (one of six labels),\nms of CPU": labels,
        "a record of three fields,\nms of CPU": typed,
    }
    plots.draw_peers(names, [(title, [of(rows, name) for name in names]) for title, rows in titles.items()], path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), help="without names: all")
    parser.add_argument("--peer-texts", type=int)
    parser.add_argument("--peer-records", type=int)
    parser.add_argument("--plots", type=Path)
    options = parser.parse_args()
    path = catalog.resolve(options.model)
    labels = Rows("a text", right_labels)
    typed = Rows("a record", right_records)
    ours(path, options, labels, typed)
    for name in [] if options.peers is None else options.peers or PEERS:
        peer(name, path, options, labels, typed)
    if options.plots:
        draw(labels, typed, options.plots / "bulk.svg")


if __name__ == "__main__":
    main()
