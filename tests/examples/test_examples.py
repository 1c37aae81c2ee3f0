"""Every file in examples/ runs, and says what its docstring promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXPECTED = {
    "async_streaming.py": ["Ann got ", "Paris", "Ben got ", "Tokyo", "Cleo got ", "Cairo", "Berlin"],
    "basic_chat.py": ["Paris", "5 messages, "],
    "structured_output.py": ["{'title': ", " is a ", "sure of the genre: ", " colors: ", "happy: ", "sad: "],
    "tool_calling.py": [
        "weather is called with {'city': ",
        "weather gave: It is sunny in ",
        "is allowed",
        "book_flight gave: The flight to ",
    ],
}


def run(example, model):
    return subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / example), str(model)], capture_output=True, text=True, timeout=120
    )


def test_every_example_is_tested():
    assert sorted(path.name for path in FOLDER.glob("*.py")) == sorted(EXPECTED)


@pytest.mark.parametrize("example", sorted(EXPECTED))
def test_an_example_runs(example, model_path):
    result = run(example, model_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for text in EXPECTED[example]:
        assert text in result.stdout


@pytest.mark.parametrize("example", sorted(EXPECTED))
def test_an_example_tells_of_a_wrong_model(example):
    result = run(example, "smollm3")
    assert result.returncode == 1
    assert "did you mean 'smollm2'" in result.stderr
    assert "Traceback" not in result.stderr
