"""Products with weights of each format: our kernels against ggml's, in each CPU variant that this machine runs.

    python tests/benchmarks/kernels.py [--variants NAME …] [--types NAME …] [--tokens N …] [--rounds N] [--experts N]
                                       [--json FILE]

Runs luup-kernel-bench of a build with LUUP_BUILD_TOOLS=ON and LUUP_CPU_VARIANTS=all. It has both kinds of kernels take
turns in one thread and counts that thread's CPU time. Prints a table for each variant: the ratio of the speeds (median
of the rounds), and ours in thousand millions of multiplications a second.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench import find_program

VARIANTS = ["haswell", "alderlake", "skylakex", "zen4"]


def measure(program, variant, options):
    """Yield (format, tokens, whether it has kernels of ours, speed of ggml's, of ours, ratio)."""
    module = next(iter(program.parent.glob(f"*ggml-cpu-{variant}.*")), None)
    if module is None:
        sys.exit(f"there is no CPU variant {variant} in the build: set LUUP_CPU_VARIANTS=all")
    command = [str(program), "--module", str(module), "--rounds", str(options.rounds)]
    command += ["--experts", str(options.experts)]
    for name in options.types:
        command += ["--type", name]
    for tokens in options.tokens:
        command += ["--tokens", str(tokens)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8") as process:
        for line in process.stdout:
            if line.strip() == "unsupported":
                print(f"this CPU can't run {variant}")
                return
            name, tokens, ours, theirs_rate, our_rate, ratio = line.split("\t")
            yield name, int(tokens), ours == "1", float(theirs_rate), float(our_rate), float(ratio)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=VARIANTS, metavar="NAME")
    parser.add_argument("--types", nargs="+", default=[], metavar="NAME", help="such as q4_K; all by default")
    parser.add_argument("--tokens", type=int, nargs="+", default=[1, 4, 16, 512], metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--experts", type=int, default=0, help="products of a mixture of that many experts")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    program = find_program("luup-kernel-bench")
    rows = []
    for variant in options.variants:
        print(f"\n| {variant} | {' | '.join(f'{n} tokens' for n in options.tokens)} |")
        print("|---" * (len(options.tokens) + 1) + "|")
        cells = []
        for row in measure(program, variant, options):
            rows.append([variant, *row])
            name, _, ours, _, our_rate, ratio = row
            cells.append(f"{ratio:.2f} ({our_rate:.0f})" if ours else "ggml's")
            if len(cells) == len(options.tokens):
                print(f"| {name} | {' | '.join(cells)} |", flush=True)
                cells = []
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
