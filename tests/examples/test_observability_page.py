"""docs/OBSERVABILITY.md: its Python blocks run, and print what their comments say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "OBSERVABILITY.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
PROMPT, TURNS, LOG, SPANS = BLOCKS


def run(source, model_path):
    source = source.replace('"smollm2"', repr(str(model_path)))
    result = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    for text in re.findall(r"print\(.*\)  # (.+)$", source, flags=re.MULTILINE):
        assert text in result.stdout
    return result


def test_the_prompt(model_path):
    assert "You are terse." in run(PROMPT, model_path).stdout


def test_the_turns(model_path):
    assert "\n- a call is required, and was begun\n" in run(TURNS, model_path).stdout


def test_the_log(model_path):
    assert "luup_agent.runs: run 1 turn 1, raw output (stop; " in run(LOG, model_path).stderr


def test_the_spans(model_path):
    pytest.importorskip("opentelemetry.sdk")
    output = run(SPANS, model_path).stdout
    assert re.findall(r'"name": "(\w+) ', output) == ["chat", "execute_tool", "chat", "invoke_agent"]
