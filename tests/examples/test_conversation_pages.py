"""The pages on sessions, hooks and durable runs: their Python blocks run, and print what their comments say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
MODEL = 'model = Model.from_local(catalog.resolve("smollm2"))\nagent = Agent(model, temperature=0, max_tokens=16)\n'


@pytest.mark.parametrize(
    ("page", "count", "between", "end"),
    [("SESSIONS.md", 3, MODEL, "model.close()\n"), ("HOOKS.md", 4, "", ""), ("DURABLE.md", 3, "", "")],
)
def test_the_blocks_run(page, count, between, end, model_path, tmp_path):
    text = (DOCS / page).read_text(encoding="utf-8")
    first, *others = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(others) == count - 1
    source = "\n".join([first, between, *others, end]).replace('"smollm2"', repr(str(model_path)))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, cwd=str(tmp_path), timeout=120
    )
    assert (result.returncode, result.stderr) == (0, "")
    expected = re.findall(r"print\(.*\)  # (.+)$", source, flags=re.MULTILINE)
    assert len(expected) >= count
    for line in expected:
        assert line in result.stdout
