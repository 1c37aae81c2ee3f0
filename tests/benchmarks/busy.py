"""Decoding beside busy processes and under a quota of processor time, against fixed numbers of threads and the peers.

    python tests/benchmarks/busy.py [--model FILE] [--busy N …] [--quota CPUS …] [--rounds N] [--tokens N]
                                    [--peers NAME …] [--peer-python INTERPRETER] [--json FILE] [--plots FOLDER]

Each contestant decodes in a process of its own while N processes of the same priority compute; all take turns, several
rounds. With --quota they run in a control group (Linux, as root) and nothing is busy beside them. The peers are
installed by pip as for `compare.py`. --plots needs matplotlib.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from compare import LLAMA, OURS, SERVER, Side, find_peers

from luup_agent import catalog

MESSAGE = "Write a long story about a lighthouse keeper and a storm."
AUTO = "luup-agent"
GROUP = "luup-busy"
GROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))  # version 1, version 2


@contextlib.contextmanager
def busy_processes(count):
    """Processes that compute and never wait."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def quota(cpus):
    """A function that puts a process into a group which gets that many processors' time."""
    root = next(root for root in GROUPS if (root / "cgroup.procs").exists())
    folder = root / GROUP
    folder.mkdir(exist_ok=True)
    microseconds = int(100_000 * cpus)
    if (folder / "cpu.max").exists():
        (folder / "cpu.max").write_text(f"{microseconds} 100000")
    else:
        (folder / "cpu.cfs_quota_us").write_text(str(microseconds))
    try:
        yield lambda pid: (folder / "cgroup.procs").write_text(str(pid))
    finally:
        for pid in (folder / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(pid)
        folder.rmdir()


def contestants(options):
    """(name, library, interpreter, threads) of each."""
    cores = len(os.sched_getaffinity(0))
    yield AUTO, OURS, sys.executable, 0
    for threads in range(1, cores + 1):
        yield f"{threads} thread{'s' * (threads > 1)}", OURS, sys.executable, threads
    for name, python in find_peers(options.peers, options.peer_python).items():
        yield name, name, python, cores


def measure(options, condition):
    """Tokens a second by contestant; `condition` is ("busy", processes) or ("quota", processors)."""
    kind, amount = condition
    sides = {
        name: Side(library, python, options.path, threads) for name, library, python, threads in contestants(options)
    }
    rates = {name: [] for name in sides}
    try:
        with contextlib.ExitStack() as stack:
            if kind == "quota":
                enter = stack.enter_context(quota(amount))
                for side in sides.values():
                    enter(side.pid)
            else:
                stack.enter_context(busy_processes(amount))
            for side in sides.values():  # the first answer shows how busy the machine is
                side.do("decode", message=MESSAGE, max_tokens=options.tokens)
            for _ in range(options.rounds):
                for name, side in sides.items():
                    rates[name].append(side.do("decode", message=MESSAGE, max_tokens=options.tokens))
    finally:
        for side in sides.values():
            side.close()
    return {name: statistics.median(values) for name, values in rates.items()}


def plot(results, folder):
    """Draws tokens a second by the number of busy processes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    rows = {amount: row for (kind, amount), row in results.items() if kind == "busy"}
    for name in next(iter(rows.values())):
        width = 2.5 if name == AUTO else 1.2
        axes.plot(list(rows), [row[name] for row in rows.values()], marker="o", linewidth=width, label=name)
    axes.set(xlabel="busy processes beside it", ylabel="tokens/s", ylim=0)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "busy.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--busy", type=int, nargs="*", default=[0, 1, 2, 4, 8], metavar="N")
    parser.add_argument("--quota", type=float, nargs="*", default=[], metavar="CPUS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--peers", nargs="*", choices=[LLAMA, SERVER], default=[])
    parser.add_argument("--peer-python", metavar="INTERPRETER", type=Path)
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--plots", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    options.path = catalog.resolve(options.model)
    results = {}
    conditions = [("busy", count) for count in options.busy] + [("quota", cpus) for cpus in options.quota]
    for condition in conditions:
        row = results[condition] = measure(options, condition)
        if len(results) == 1:
            print(f"| tokens/s | {' | '.join(row)} | of the best fixed number |\n{'|---' * (len(row) + 2)}|")
        best = max(rate for name, rate in row.items() if name != AUTO and name.endswith(("thread", "threads")))
        rates = [f"{rate:.1f}" for rate in row.values()]
        cells = [f"{condition[0]} {condition[1]:g}", *rates, f"{row[AUTO] / best:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps([[*condition, row] for condition, row in results.items()], indent=1))
    if options.plots:
        plot(results, options.plots)


if __name__ == "__main__":
    main()
