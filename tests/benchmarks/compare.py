"""Many agents, later turns and typed objects against llama-cpp-python and xllamacpp, in turn on the same machine.

    python tests/benchmarks/compare.py [--model FILE] [--threads N] [--rounds N] [--json FILE]
                                       [--peer-python INTERPRETER] [--only LIBRARY …]

Each library answers in a process of its own, started again for every round, with the same prompts, greedily. The peers
are installed by pip into environments of their own unless --peer-python has them (llama-cpp-python is compiled, which
takes ten minutes). Prints a table in Markdown, and with --json writes every single measurement.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import workloads
from peer_environment import LLAMA_CPP_PYTHON, XLLAMACPP, environment, programs

import luup_agent
from luup_agent import Model, catalog

OURS, LLAMA, SERVER = "luup-agent", "llama-cpp-python", "xllamacpp"
CACHED = f"{OURS}, prefix on disk"
SLOTS = 16
CONTEXT = 24576  # tokens; the server gives each slot a part of its own, which the shared prompt has to fit into


class Side:
    """One library at work in a process of its own."""

    def __init__(self, name, python, model, threads, *more):
        work = Path(__file__).with_name("side_work.py")
        command = [python, work, name, model, threads, CONTEXT, SLOTS, *more]
        self._process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.pid = self._process.pid
        self._read()

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args[2]} ended with {self._process.wait()}")
        return json.loads(line)

    def do(self, task, **parameters):
        """The result of a task of `side_work`."""
        self._process.stdin.write(json.dumps({"task": task, **parameters}).encode() + b"\n")
        self._process.stdin.flush()
        return self._read()

    def close(self):
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def measure(side):
    """One round of one library."""
    crowd = side.do("crowd", system=workloads.SYSTEM, messages=workloads.QUESTIONS[:SLOTS], max_tokens=32)
    first, *later = side.do("turns", system="You are helpful.", messages=workloads.TURNS, max_tokens=32)
    side.do("typed", message=workloads.ASK_BOOK, schema=workloads.BOOK, max_tokens=200)  # the schema is compiled
    typed = side.do("typed", message=workloads.ASK_BOOK, schema=workloads.BOOK, max_tokens=200)
    assert set(json.loads(typed["text"])) == set(workloads.BOOK["properties"]), typed
    return {
        "crowd": crowd,
        "first_turn": first,
        "later_turns": statistics.mean(later),
        "typed_seconds": typed["seconds"],
        "typed_tokens_per_second": typed["tokens"] / typed["seconds"],
        "decode": side.do("decode", message=workloads.COUNT, max_tokens=128),
    }


ROWS = {  # what: (measurement, whether more is better)
    f"{SLOTS} agents, cold, s": ("crowd", False),
    "first token, turns 2 to 6, s": ("later_turns", False),
    "six-field object, tokens/s": ("typed_tokens_per_second", True),
    "six-field object, s": ("typed_seconds", False),
    "decode, streaming in Python, tokens/s": ("decode", True),
}


def table(rounds):
    """The medians, and how many times better ours is: the median of the rounds' ratios."""
    names = list(rounds[0])
    peers = [name for name in names if name in (LLAMA, SERVER)]
    heads = ["", *names, *(f"better than {name}" for name in peers)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for what, (key, more) in ROWS.items():
        cells = [what]
        for name in names:
            values = [one[name][key] for one in rounds if key in one[name]]
            cells.append(f"{statistics.median(values):.3g}" if values else "")
        for name in peers:
            ratios = [one[OURS][key] / one[name][key] for one in rounds]
            cells.append(f"{statistics.median(r if more else 1 / r for r in ratios):.2f} times")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def find_peers(names, peer_python=None):
    """The interpreter of each of the peers."""
    requirements = {LLAMA: LLAMA_CPP_PYTHON, SERVER: XLLAMACPP}
    return {
        name: peer_python or programs(environment(requirement)) / "python"
        for name, requirement in requirements.items()
        if name in names
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=0, help="0: what the library chooses")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--peer-python", type=Path, help="an interpreter that has both peers")
    parser.add_argument("--only", nargs="+", choices=[OURS, LLAMA, SERVER], default=[OURS, LLAMA, SERVER])
    arguments = parser.parse_args()

    path = catalog.resolve(arguments.model)
    with Model.from_local(path, threads=arguments.threads) as model:
        info = model.get_info()
    pythons = {OURS: sys.executable, **find_peers(arguments.only, arguments.peer_python)}
    rounds = []
    for number in range(arguments.rounds):
        results = {}
        for name in arguments.only:
            side = Side(name, pythons[name], path, info.threads)
            results[name] = measure(side)
            side.close()
            print(f"round {number + 1}: {name}: {results[name]}", flush=True)
        if OURS in arguments.only:
            with tempfile.TemporaryDirectory() as folder:
                for kept in (False, True):
                    side = Side(OURS, pythons[OURS], path, info.threads, folder)
                    seconds = side.do(
                        "crowd", system=workloads.SYSTEM, messages=workloads.QUESTIONS[:SLOTS], max_tokens=32
                    )
                    side.close()
                    if kept:
                        results[CACHED] = {"crowd": seconds}
        rounds.append(results)
    print(f"\n{info.device} ({info.cpu_variant}), {info.threads} threads, {info.description}, {len(rounds)} rounds\n")
    print(table(rounds))
    if arguments.json:
        result = {
            "cpu": info.device,
            "cpu_variant": info.cpu_variant,
            "threads": info.threads,
            "model": info.description,
            "version": luup_agent.__version__,
            "llama.cpp": luup_agent.llama_version(),
            "rounds": rounds,
        }
        arguments.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
