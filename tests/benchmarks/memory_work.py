"""The work that `memory.py` gives to each library, in an interpreter of its own.

    python memory_work.py LIBRARY MODEL THREADS CONTEXT SLOTS STATE …

Loads the model, does what the states say, and writes its memory after each as a line of JSON; then it waits for the end
of its input. The first line has the seconds from the load to the first token, without the imports.
"""

import importlib
import json
import os
import re
import sys
import time

import workloads
from side_work import SIDES, crowd, prefill

MODULES = {"luup-agent": "luup_agent", "llama-cpp-python": "llama_cpp", "xllamacpp": "xllamacpp"}
LONG = "The keeper of the lighthouse wrote down what he saw: ships, birds, weather and the light of the sea. "


def memory():
    """Megabytes by kind: all that is resident; what no other process has; what is not a file's."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        kinds = {name: int(kb) / 1024 for name, kb in re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.MULTILINE)}
    with open("/proc/self/status", encoding="ascii") as file:
        peak = int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024
    return {
        "resident": kinds["Rss"],
        "unique": kinds["Private_Clean"] + kinds["Private_Dirty"],
        "private": kinds["Private_Dirty"],
        "proportional": kinds["Pss"],
        "peak": peak,
    }


def processor():
    """Seconds of processor time of this process and its children."""
    return sum(os.times()[:4])


def chat(side):
    side.answer([{"role": "user", "content": "Tell me about the sea."}], max_tokens=64)


def prompt(side):
    """About 3,000 tokens."""
    prefill(side, LONG * 140)


def agents(side):
    crowd(side, "You are helpful.", workloads.QUESTIONS[:16], 32)


STATES = {task.__name__: task for task in (chat, prompt, agents)}


def main():
    library, model, threads, context, slots, *states = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer
    importlib.import_module(MODULES[library])
    begin, cpu = time.perf_counter(), processor()
    side = SIDES[library](model, int(threads), int(context), int(slots))
    loaded = time.perf_counter() - begin
    used = memory()
    side.answer([{"role": "user", "content": "Hi"}], max_tokens=1)
    first, cpu = time.perf_counter() - begin, processor() - cpu
    result = {"seconds": first, "load_seconds": loaded, "cpu": cpu, "loaded": used, "first": memory()}
    print(json.dumps(result), file=out, flush=True)
    for state in states:
        STATES[state](side)
        print(json.dumps({state: memory()}), file=out, flush=True)
    sys.stdin.read()
    out.close()
    os._exit(0)  # the exit of a peer is not part of the comparison


if __name__ == "__main__":
    main()
