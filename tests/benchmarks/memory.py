"""Memory and the time to the first token, against llama-cpp-python and xllamacpp, in turn on the same machine. Linux.

    python tests/benchmarks/memory.py [--model FILE] [--rounds N] [--context TOKENS] [--processes N] [--cold]
                                      [--peers NAME …] [--peer-python NAME=INTERPRETER …] [--json FILE]

Each library works in a process of its own, with as many slots as it needs: one for a chat and a prompt of 3,000 tokens,
sixteen for as many agents. "made" is this library's first load, which makes the file of weights, "found" the next ones.
With --cold the files leave the kernel's cache before each load. Memory is that of /proc/PID/smaps_rollup:

    resident   all pages of the process, also those of mapped files, which all processes share
    unique     those that no other process has
    private    those that were written: what another process of the same model costs

The peers are installed by pip as for `compare.py`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import LLAMA, OURS, SERVER, find_peers

from luup_agent import catalog

KINDS = ("resident", "unique", "private")
SINGLE, CROWD = ("chat", "prompt"), ("agents",)


class Work:
    """A library at work; `seconds` and `memory` say how its load went."""

    def __init__(self, name, python, options, slots, states, weights):
        command = [python, Path(__file__).with_name("memory_work.py"), name, options.path, options.threads]
        command += [options.context * (2 if slots > 1 else 1), slots, *states]
        environment = {**os.environ, "LUUP_WEIGHTS_CACHE": str(weights)}
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        first = self.read()
        self.seconds, self.load_seconds, self.cpu = first["seconds"], first["load_seconds"], first["cpu"]
        self.memory = {"loaded": first["loaded"], "first": first["first"]}
        for _state in states:
            self.memory.update(self.read())

    def read(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args[2]} ended with {self._process.wait()}")
        return json.loads(line)

    def now(self):
        """Its memory at this moment, by kind, in megabytes."""
        text = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text(encoding="ascii")
        kinds = {name: int(kb) / 1024 for name, kb in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
        return {
            "resident": kinds["Rss"],
            "unique": kinds["Private_Clean"] + kinds["Private_Dirty"],
            "private": kinds["Private_Dirty"],
            "proportional": kinds["Pss"],
        }

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def forget(paths):
    """Takes files out of the kernel's cache."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(name, python, options, weights):
    """One round of one library: seconds, and memory by state."""
    if options.cold:
        forget([options.path, *weights.glob("*.weights")])
    single = Work(name, python, options, 1, SINGLE, weights)
    single.close()
    crowd = Work(name, python, options, 16, CROWD, weights)
    crowd.close()
    several = [Work(name, python, options, 1, (), weights) for _ in range(options.processes)]
    shares = [work.now() for work in several]
    for work in several:
        work.close()
    return {
        "seconds": single.seconds,
        "load_seconds": single.load_seconds,
        "cpu": single.cpu,
        "memory": {
            **single.memory,
            "agents": crowd.memory["agents"],
            # The sum of the proportional parts is what all of them take together.
            "processes": {
                **{kind: statistics.mean(share[kind] for share in shares) for kind in KINDS},
                "together": sum(share["proportional"] for share in shares),
            },
        },
    }


def median(values):
    """The median of numbers, or of dictionaries of numbers by key."""
    if isinstance(values[0], dict):
        return {key: median([value[key] for value in values]) for key in values[0]}
    return statistics.median(values)


def table(results, processes):
    """The measurements in Markdown."""
    names = list(results)
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]

    def add(title, values, form):
        lines.append(f"| {title} | {' | '.join(format(value, form) for value in values)} |")

    add("to the first token, s", [row["seconds"] for row in results.values()], ".2f")
    add("of which the load, s", [row["load_seconds"] for row in results.values()], ".2f")
    add("processor time of that, s", [row["cpu"] for row in results.values()], ".2f")
    add("most while loading, MB", [row["memory"]["loaded"]["peak"] for row in results.values()], ".0f")
    titles = {
        "loaded": "after the load",
        "chat": "after a chat",
        "prompt": "after a prompt of 3,000 tokens",
        "agents": "after 16 agents",
        "processes": f"each of {processes} processes",
    }
    for state, title in titles.items():
        for kind in KINDS:
            add(f"{kind} {title}, MB", [row["memory"][state][kind] for row in results.values()], ".0f")
    together = [row["memory"]["processes"]["together"] for row in results.values()]
    add(f"{processes} processes together, MB", together, ".0f")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--context", type=int, default=4096, help="tokens; twice as many for the agents")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--peers", nargs="*", choices=[LLAMA, SERVER], default=[LLAMA, SERVER])
    parser.add_argument("--peer-python", nargs="*", default=[], metavar="NAME=INTERPRETER")
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args()
    options.path = catalog.resolve(options.model)
    given = dict(word.split("=", 1) for word in options.peer_python)
    peers = {name: given.get(name) or find_peers([name])[name] for name in options.peers}
    rounds = {}
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights"
            for name, python in {f"{OURS}, made": sys.executable, OURS: sys.executable, **peers}.items():
                row = measure(name.split(",")[0], python, options, weights)
                rounds.setdefault(name, []).append(row)
                print(f"round {number + 1}: {name}: {row['seconds']:.2f} s to the first token", flush=True)
    results = {name: median(rows) for name, rows in rounds.items()}
    print(table(results, options.processes))
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=1))


if __name__ == "__main__":
    main()
