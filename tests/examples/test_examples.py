"""Every file in examples/ runs and prints what its docstring promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.http_server import Server, replying

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXPECTED = {
    "async_streaming.py": ["Ann got ", "Paris", "Ben got ", "Tokyo", "Cleo got ", "Cairo", "Berlin"],
    "basic_chat.py": ["Paris", "5 messages, "],
    "builtin_tools.py": [
        'todo_list returned: [{"id":1,"text":"Buy milk"',
        "done: ['Buy milk']",
        "mat.",
        "summarized: True",
    ],
    "forms_and_probabilities.py": [
        "I won the race! happy, ",
        "year: 19",
        "sum: ",
        " + ",
        "city: {'name': 'Paris', 'country': ",
        "' Paris': ' Paris' ",
        "animals: ",
    ],
    "long_context.py": ["q8_0: 191 MB", "trained for 8192 tokens, now 16384 by yarn", "answer: "],
    "idle_model.py": ["Paris", "in memory: False, messages: 3", "Madrid", "in memory: False, messages: 5"],
    "multi_agent.py": ["the lead asks with {'country': ", "the geographer says: ", "the poet says: "],
    "structured_output.py": ["{'title': ", " is a ", "confidence in the genre: ", " colors: ", "happy: ", "sad: "],
    "tool_calling.py": [
        "weather is called with {'city': ",
        "weather returned: It is sunny in ",
        "is allowed",
        "book_flight returned: The flight to ",
    ],
}


def run(example, model):
    return subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / example), str(model)], capture_output=True, text=True, timeout=120
    )


OTHERS = [
    "rag.py",
    "remote_api.py",
    "serve_agent.py",
    "testing_your_agent.py",
]  # those that need no model, or another one


def test_every_example_is_tested():
    assert sorted(path.name for path in FOLDER.glob("*.py")) == sorted([*EXPECTED, *OTHERS])


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


def test_the_example_that_serves(model_path):
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    result = run("serve_agent.py", model_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "the server calls opening_hours\n" in result.stdout
    assert "it returned: On " in result.stdout


def test_the_example_with_a_server():
    server = Server(*replying("The capital of France is Paris.", '{"name": "Paris", "country": "France"}'))
    try:
        result = subprocess.run(
            [sys.executable, "-W", "error", str(FOLDER / "remote_api.py"), server.url, "qwen3"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        server.close()
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "The capital of France is Paris.\nParis is in France\n"


def test_the_example_with_a_server_tells_that_nobody_is_there():
    result = run("remote_api.py", "http://127.0.0.1:9/v1")
    assert result.returncode == 1
    assert "127.0.0.1" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_example_with_vectors_tells_of_a_wrong_embedder(tmp_path, model_path):
    command = [sys.executable, "-W", "error", str(FOLDER / "rag.py")]
    for arguments, code, words in (
        ([], 2, "usage: "),
        ([str(tmp_path / "none.gguf"), str(tmp_path), "What?", str(model_path)], 1, "there is no file"),
        ([str(model_path), str(tmp_path), "What?", str(model_path)], 1, "Choose a pooling"),
    ):
        result = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)
        assert result.returncode == code
        assert words in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("how", [[], ["-m", "pytest", "-q", "-p", "no:cacheprovider"]], ids=["script", "pytest"])
def test_the_tests_of_an_agent_pass(how):
    command = [sys.executable, *how, str(FOLDER / "testing_your_agent.py")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("passed") == (1 if how else 3)
