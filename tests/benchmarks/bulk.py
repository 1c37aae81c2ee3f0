"""Many items: texts that are classified, and records that are extracted from texts.

    python tests/benchmarks/bulk.py [--model FILE] [--threads N] [--texts N] [--records N]

CPU seconds of this process, in which all of it computes; the first way of each kind is the reference.
"""

import argparse
import time
from typing import Literal

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


def measure(title, ways):
    reference = None
    print(title)
    for name, way in ways:
        began, cpu = time.perf_counter(), time.process_time()
        way()
        spent = time.process_time() - cpu
        reference = reference or spent
        wall = time.perf_counter() - began
        print(f"  {name:45} {spent:8.2f} CPU s {wall:8.2f} s {spent / reference:6.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--records", type=int, default=200)
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
        measure(f"{len(some)} texts, {len(LABELS)} labels", labels)
        measure(f"{len(others)} records", typed)


if __name__ == "__main__":
    main()
