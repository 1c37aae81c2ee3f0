"""docs/BULK.md: every Python block runs and prints what its comments say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "BULK.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_there_are_blocks():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(number, model_path, tmp_path):
    script = BLOCKS[number].replace('catalog.resolve("smollm2")', repr(str(model_path)))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, cwd=str(tmp_path), timeout=120
    )
    assert result.returncode == 0, result.stderr
    promised = re.findall(r"print\(.*\)  # (.+)$", BLOCKS[number], flags=re.MULTILINE)
    assert promised
    for text in promised:
        assert text in result.stdout
