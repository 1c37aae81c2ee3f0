"""The Python blocks of the documentation: each page's in one process, in the order of the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple, Optional

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```(?:\n+```text title=\"Output\"\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
_PRINTED = re.compile(r"print\(.*\)  # (.+)$", re.MULTILINE)

# Each block is a file of its own for tracebacks. The outputs are written to a file, because the blocks own stdout.
_RUNNER = """
import contextlib, io, json, linecache, sys
outputs = []
try:
    for name, source in json.load(sys.stdin):
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(source, name, "exec"), globals())
        outputs.append(output.getvalue())
finally:
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(outputs, file)
"""


class Block(NamedTuple):
    """A Python block of a page.

    Attributes:
        source: Its lines.
        output: All that it prints, where a block titled "Output" follows; else None.
    """

    source: str
    output: Optional[str]


def pages() -> List[Path]:
    """Return the pages of docs/ that have Python blocks."""
    return [page for page in sorted(DOCS.rglob("*.md")) if blocks_of(page)]


def blocks_of(page: Path) -> List[Block]:
    """Return the Python blocks of a page."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def run(page: Path, folder: Path, **replaced: object) -> None:
    """Run the blocks of a page in `folder`, and compare what they print with what the page says.

    A comment behind `print(…)` is a line that the block prints, in the order of the comments. A block titled "Output"
    is all that the block before it prints.

    Args:
        page: The page.
        folder: The folder to run in.
        replaced: Other values for texts in quotes, such as ``smollm2="/path/of/the/model.gguf"``.
    """
    blocks = blocks_of(page)
    sources = []
    for number, block in enumerate(blocks, 1):
        source = block.source
        for text, value in replaced.items():
            source = source.replace(f'"{text}"', repr(str(value)))
        sources.append((f"{page.name}, block {number}", source))
    result = folder / "outputs.json"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUNNER, str(result)],
        input=json.dumps(sources), capture_output=True, encoding="utf-8", cwd=str(folder), timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    outputs = json.loads(result.read_text(encoding="utf-8"))
    for number, (block, output) in enumerate(zip(blocks, outputs), 1):
        if block.output:
            assert output == block.output, f"{page.name}, block {number}"
        left = output.splitlines()
        for promised in _PRINTED.findall(block.source):
            assert promised in left, f"{page.name}, block {number}: {promised!r} is not in {output!r}"
            left = left[left.index(promised) + 1 :]
