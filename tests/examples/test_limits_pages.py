"""docs/LIMITS.md and docs/TEAMS.md: their Python blocks run, and print what their comments say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "LIMITS.md").read_text(encoding="utf-8")
TEAMS = (ROOT / "docs" / "TEAMS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE + TEAMS, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(number, tmp_path):
    command = [sys.executable, "-W", "error", "-c", BLOCKS[number]]
    result = subprocess.run(command, capture_output=True, text=True, cwd=str(tmp_path), timeout=120)
    assert result.returncode == 0, result.stderr
    expected = re.findall(r"print\(.*\)  # (.+)$", BLOCKS[number], flags=re.MULTILINE)
    assert result.stdout.splitlines() == expected
    assert expected


def test_all_blocks_are_found():
    assert len(BLOCKS) == 4


def test_the_sentence_for_the_model_is_the_one_of_the_page():
    from luup_agent._run.loop_guard import RepeatCounter
    from luup_agent.limits import LoopGuard

    assert RepeatCounter(LoopGuard()).hint(3).strip() in " ".join(PAGE.replace("\n> ", " ").split())
