"""What choosing tokens costs with large vocabularies, beside the arithmetic of the model: typed results and free text.

    python tests/benchmarks/typed_vocabulary.py [--model FILE] [--sizes N …] [--agents N] [--steps N] [--rounds N]
                                                [--program FILE …] [--json FILE]

Runs luup-typed-bench of a build with LUUP_BUILD_TOOLS=ON: sixteen answers at once in one thread, whose processor time
counts, so other processes disturb little. "Choosing" is sampling and the grammar. A vocabulary that is larger than the
model's is one of a copy of the model with tokens added; its texts are real ones. Give it a model of the size that you
want to know about: the share of the time depends on how long the arithmetic takes.

Several programs, of builds to compare, take turns; the last column says whether they chose the same tokens.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List, Literal, Union

from bench import find_program
from pydantic import BaseModel, Field

from luup_agent import catalog

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support import wide_vocabulary


class Flat(BaseModel):
    """A book."""

    title: str = Field(max_length=60)
    author: str = Field(max_length=40)
    year: int = Field(ge=1450, le=2026)
    pages: int
    rating: float
    in_print: bool


class Ingredient(BaseModel):
    """A part of a dish."""

    name: str
    grams: float = Field(ge=0, le=5000)


class Nested(BaseModel):
    """A recipe."""

    title: str
    ingredients: List[Ingredient] = Field(min_length=3, max_length=5)
    tags: List[Literal["vegan", "quick", "sweet", "hot", "cheap"]] = Field(max_length=3)


class Numbers(BaseModel):
    """Figures of a week."""

    degrees: List[float] = Field(min_length=7, max_length=7)
    visitors: List[int] = Field(min_length=7, max_length=7)


class Text(BaseModel):
    """A story."""

    text: str = Field(min_length=200, max_length=300)


class Circle(BaseModel):
    """A circle."""

    kind: Literal["circle"]
    radius: float


class Box(BaseModel):
    """A box."""

    kind: Literal["box"]
    width: float
    height: float
    color: Literal["red", "green", "blue", "white", "black"]


class Shapes(BaseModel):
    """A drawing."""

    shapes: List[Union[Circle, Box]] = Field(min_length=3, max_length=6)


WORK = {
    "free text": (None, "Tell a long story."),
    "flat object": (Flat, "Tell me of a book."),
    "nested lists": (Nested, "Make up a recipe."),
    "numbers": (Numbers, "Make up figures for a week."),
    "strings": (Text, "Tell a story."),
    "unions": (Shapes, "Make up a drawing."),
}
SAMPLING = {"greedy": (0.0, 0), "top_k=40": (0.7, 40), "top_k=0": (0.7, 0)}


def measure(program, path, options):
    """Return (sampling, work) -> (ms of arithmetic, ms of choosing a token, its share, hash of the tokens)."""
    keys, lines = [], []
    for sampling, (temperature, top_k) in SAMPLING.items():
        for name, (kind, prompt) in WORK.items():
            schema = kind.model_json_schema() if kind else None
            if kind:
                prompt += f" Answer with JSON of this schema: {json.dumps(schema)}"
            text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
            keys.append((sampling, name))
            lines.append(json.dumps({"prompt": text, "schema": schema, "temperature": temperature, "top_k": top_k}))
    command = [str(program), str(path), str(options.agents), str(options.steps)]
    answer = subprocess.run(
        command, input="\n".join(lines) + "\n", stdout=subprocess.PIPE, check=True, encoding="utf-8"
    ).stdout
    rows = {}
    for key, line in zip(keys, answer.splitlines()):
        computing, choosing, tokens, _steps, chosen = line.split()
        seconds, more, count = float(computing), float(choosing), int(tokens)
        rows[key] = (seconds / count * 1e3, more / count * 1e3, more / seconds, chosen)
    return rows


def show(size, programs, rounds):
    """Print a table in Markdown; several programs are columns of it."""
    print(f"\n{size:,} tokens\n\n| sampling | work |" + " arithmetic, ms a token | choosing | share |" * len(programs))
    print("|---" * (2 + 3 * len(programs)) + "|")
    for sampling, name in rounds[programs[0]][0]:
        cells, chosen = [], set()
        for program in programs:
            values = [row[sampling, name] for row in rounds[program]]
            computing, choosing, share = (statistics.median(value[k] for value in values) for k in range(3))
            cells += [f"{computing:.2f}", f"{choosing:.3f}", f"{share:.1%}"]
            chosen |= {value[3] for value in values}
        same = "" if len(chosen) == 1 else " other tokens |"
        print(f"| {sampling} | {name} | {' | '.join(cells)} |{same}", flush=True)


def widened(path, target, size):
    """Return a model with so many tokens: the file itself, or a copy with more."""
    import gguf
    import numpy

    if len(gguf.GGUFReader(str(path)).fields["tokenizer.ggml.tokens"].data) >= size:
        return path
    wide_vocabulary.write(gguf, numpy, path, target, size)
    return target


def main():
    """Print a table for each vocabulary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--sizes", type=int, nargs="*", default=[151_936, 262_144], help="of vocabularies")
    parser.add_argument("--agents", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60, help="tokens of each agent")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", type=Path, nargs="*", metavar="FILE")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    programs = options.program or [find_program("luup-typed-bench")]
    path = catalog.resolve(options.model)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            target = widened(path, Path(folder) / f"{size}.gguf", size)
            rounds = {program: [] for program in programs}
            for _ in range(options.rounds):
                for program in programs:
                    rounds[program].append(measure(program, target, options))
            show(size, programs, rounds)
            results[size] = {
                str(program): [{" ".join(key): row for key, row in each.items()} for each in values]
                for program, values in rounds.items()
            }
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
