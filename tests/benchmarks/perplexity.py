"""The perplexity of a model in each format, with our kernels and with ggml's: lower is better.

    python tests/benchmarks/perplexity.py [--model FILE] [--formats NAME …] [--bytes N] [--json FILE]

Runs luup-perplexity of a build with LUUP_BUILD_TOOLS=ON, which writes the model in that format first. The text is the
beginning of this documentation. Matrices whose rows don't consist of blocks of 256 get another format from llama.cpp
where a format needs these: SmolLM2-135M has such rows in a quarter of its layers' weights alone.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from bench import find_program

from luup_agent import catalog

DOCS = Path(__file__).resolve().parents[2] / "docs"
FORMATS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS"]


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--formats", nargs="+", default=FORMATS, metavar="NAME", help="as llama-quantize names them")
    parser.add_argument("--bytes", type=int, default=16_000, help="of the text")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        pages = "".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))
        text.write_bytes(pages.encode()[: options.bytes])
        command = [find_program("luup-perplexity"), catalog.resolve(options.model), text, folder, *options.formats]
        print("| format | our kernels | ggml's | ratio |\n|---|---|---|---|")
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, encoding="utf-8") as process:
            for line in process.stdout:
                name, tokens, ours, theirs, _difference = line.split()
                rows.append([name, int(tokens), float(ours), float(theirs)])
                ratio = float(ours) / float(theirs)
                print(f"| {name} | {float(ours):.3f} | {float(theirs):.3f} | {ratio:.4f} |", flush=True)
    if process.returncode != 0:
        raise SystemExit(f"luup-perplexity ended with {process.returncode}")
    print(f"\n{rows[0][1]} tokens" if rows else "no format could be written")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
