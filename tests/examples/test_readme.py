"""README.md: every Python block runs, in order, and prints what its comments say; the commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


PYTHON = blocks("python")


def expected_output(block):
    """Return the output that the block's comments promise: `print(…)  # text` or `# → text`."""
    return re.findall(r"print\(.*\)  # (.+)$", block, flags=re.MULTILINE)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_a_python_block_runs(number, model_path, tmp_path):
    assert '"smollm2"' in PYTHON[number] or "ScriptedModel" in PYTHON[number], "a block names its model"
    script = PYTHON[number].replace('"smollm2"', repr(str(model_path)))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, cwd=str(tmp_path), timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for text in expected_output(PYTHON[number]):
        assert text in result.stdout


def test_there_are_blocks_to_run():
    assert len(PYTHON) >= 2
    assert any(expected_output(block) for block in PYTHON)
    assert any("except " in block for block in PYTHON)


def test_the_first_screen_has_the_two_commands():
    screen = "\n".join(README.splitlines()[:30])
    assert screen.count("```sh") == 2
    assert "luup-agent chat smollm2" in screen
    assert "pytest" in screen


def test_the_commands_are_those_that_ci_runs():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for marker in (r"readme\(\) \{.*\n    readme_command 1 ", r"tests\(\) \{.*\n.*\n    if ! readme_command 2 "):
        assert re.search(marker, script)


def test_linked_files_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if not link.startswith("http")]
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_commands_of_the_readme_are_accepted():
    """Each `luup-agent …` line is understood by the command line's own parser."""
    from luup_agent.cli.parser import parse

    lines = re.findall(r"(?:^|/|`)(luup-agent (?:chat|download|doctor)[^`\n&]*)", README, flags=re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        assert parse(shlex.split(line)[1:]).run
