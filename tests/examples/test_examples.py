"""Every file in examples/ runs and prints what its docstring promises."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import pictures, projectors, random_model
from support.http_server import Server, replying

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXPECTED = {
    "async_streaming.py": ["Ann got ", "Paris", "Ben got ", "Tokyo", "Cleo got ", "Cairo", "Berlin"],
    "basic_chat.py": ["Paris", "5 messages, "],
    "bulk.py": [
        "very happy: I loved the food",
        "very unhappy: It broke after a day",
        "Anna Oslo None",
        "None None InvalidParamError: items[2] has no field 'text'",
        "errors: 0, the others unchanged: True",
    ],
    "chat_agent.py": ["today returned: 20", "answer: "],
    "builtin_tools.py": [
        'todo_list returned: [{"id":1,"text":"Buy milk"',
        "done: ['Buy milk']",
        "mat.",
        "summarized: True",
    ],
    "durable_run.py": [
        "add is called, key sum/",
        "\nkilled after the result was recorded\nended with 4 messages, the sum is ",
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
    "limits.py": [
        "output_tokens_limit: '",
        "turns of both: 2, tool calls: 1\n",
        "read was called 6 times, for nothing\n",
    ],
    "long_context.py": ["q8_0: 191 MB", "trained for 8192 tokens, now 16384 by yarn", "answer: "],
    "idle_model.py": ["Paris", "in memory: False, messages: 3", "Madrid", "in memory: False, messages: 5"],
    "multi_agent.py": ["the lead asks with {'country': ", "the geographer says: ", "the poet says: "],
    "stored_chats.py": [
        "Ada: ",
        "Paris",
        "ada-2: Paris, 2 messages, 0 tokens",
        "ada: Paris, 4 messages, ",
        "bob: None, 2 messages, ",
        "found in bob: What is the capital of Japan?",
    ],
    "structured_output.py": ["{'title': ", " is a ", "confidence in the genre: ", " colors: ", "happy: ", "sad: "],
    "thoughts.py": ["False: 0 tokens of thoughts, ", "by the template: 0\n", "answer: ", "Paris"],
    "tool_calling.py": [
        "weather is called with {'city': ",
        "weather returned: It is sunny in ",
        "is allowed",
        "book_flight returned: The flight to ",
    ],
}

# The examples that need a framework: its module, and the texts.
FRAMEWORKS = {
    "observability.py": (
        "opentelemetry.sdk",
        [
            "the prompt has ",
            "turn 1: ",
            "  a call is required, and was begun\n",
            "turn 2: ",
            "invoke_agent forecaster: ",
            "\n  execute_tool weather: ",
        ],
    ),
    "with_langchain.py": (
        "langchain_core",
        [
            "typed: name='Paris' country='France'",
            "weather is called with {'city': 'Paris'} and returns: It is sunny in Paris.",
            "The capital of France is Paris.",
            "16 questions: ",
        ],
    ),
    "with_pydantic_ai.py": (
        "pydantic_ai",
        [
            "typed: name='Paris' country='France', ",
            "weather is called for Paris\nanswer: It is sunny in Paris.",
            "The capital of France is Paris.",
            "16 agents: ",
        ],
    ),
    "with_llm.py": (
        "llm",
        [
            'typed: {"name":"Paris"',
            "weather({'city': 'Paris'}): It is sunny in Paris.",
            "The capital of France is Paris.",
        ],
    ),
    "with_openai_agents.py": (
        "agents",
        [
            "typed: name='Paris' country='France'",
            "weather is called for Paris\nanswer: It is sunny in Paris.",
            "The capital of France is Paris.",
            "16 agents: ",
        ],
    ),
    "with_smolagents.py": (
        "smolagents",
        ["weather is called for Paris", 'typed: {"city":"Paris"}', "The capital of France is Paris.", "16 threads: "],
    ),
}


def run(example, model):
    return subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / example), str(model)], capture_output=True, text=True, timeout=120
    )


OTHERS = [
    "adapters.py",
    "mcp_tools.py",
    "pictures.py",
    "rag.py",
    "remote_api.py",
    "serve_agent.py",
    "sounds.py",
    "testing_your_agent.py",
]  # those that need no model, or another one


def test_every_example_is_tested():
    assert sorted(path.name for path in FOLDER.glob("*.py")) == sorted([*EXPECTED, *FRAMEWORKS, *OTHERS])


@pytest.mark.parametrize("example", sorted(EXPECTED))
def test_an_example_runs(example, model_path):
    result = run(example, model_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for text in EXPECTED[example]:
        assert text in result.stdout


@pytest.mark.parametrize("example", sorted(FRAMEWORKS))
def test_an_example_with_a_framework_runs(example, model_path):
    module, texts = FRAMEWORKS[example]
    pytest.importorskip(module)
    result = run(example, model_path)
    assert result.returncode == 0, result.stderr
    for text in texts:
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


def test_the_example_with_a_server_of_tools(model_path):
    pytest.importorskip("mcp")
    result = run("mcp_tools.py", model_path)
    assert (result.returncode, result.stderr) == (0, "")
    for text in (
        "choosing tools for Ada\nweather is called with {'city': ",
        "weather returned: It is sunny in ",
        "the expert answered: ",
        "turns of both: 3",
    ):
        assert text in result.stdout


def test_the_example_with_a_server_of_tools_says_what_is_missing(model_path):
    with_mcp = importlib.util.find_spec("mcp") is not None
    result = run("mcp_tools.py", "smollm3" if with_mcp else model_path)
    assert result.returncode == 1
    assert ("did you mean 'smollm2'" if with_mcp else 'pip install "luup-agent[mcp]"') in result.stderr
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


def test_the_example_with_a_picture(tmp_path, model_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    projectors.write(gguf, numpy, tmp_path / "mmproj.gguf", 576, scale=0.1)
    (tmp_path / "cat.png").write_bytes(pictures.png(64, 48))
    command = [sys.executable, "-W", "error", str(FOLDER / "pictures.py"), str(model_path)]
    command += [str(tmp_path / "mmproj.gguf"), str(tmp_path / "cat.png")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Picture: 64 x 48 pixels\nAnswer: ")
    assert "\nTyped: subject=" in result.stdout
    assert result.stdout.endswith("\nEncoded: 1\n")
    result = subprocess.run([*command[:-1], str(tmp_path / "none.png")], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "none.png" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_example_with_thoughts_of_a_model_that_thinks(tmp_path, model_path, templates):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    source = next(path for path in templates if path.stem == "Qwen3.5-4B").read_text(encoding="utf-8")
    names = random_model.markers([source])
    random_model.write(gguf, numpy, model_path, tmp_path / "thinker.gguf", names, template=source)
    result = run("thoughts.py", tmp_path / "thinker.gguf")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    pattern = r"(?:40|low): (\d+) tokens of thoughts, \d+ of the answer$"
    bounded = [int(re.match(pattern, line)[1]) for line in lines[1:3]]
    assert lines[0].startswith("False: 0 tokens of thoughts, ")
    assert lines[3] == "by the template: 0"
    ended = int(re.match(r"ended after (\d+) tokens of thoughts$", lines[4])[1])
    assert 0 < bounded[0] <= 40 + 24  # the marks
    assert 0 < bounded[1] <= 512 + 24
    assert 0 < ended < 1000
    assert re.match(r"answer: \S", lines[5])


def test_the_example_with_adapters(tmp_path, tiny_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    files = [tmp_path / "red.gguf", tmp_path / "blue.gguf"]
    for seed, path in enumerate(files):
        random_model.write_adapter(gguf, numpy, path, seed)
    command = [sys.executable, "-W", "error", str(FOLDER / "adapters.py"), str(tiny_path)]
    for draft, guessed in ((str(tiny_path), True), ("none", False)):
        result = subprocess.run(
            [*command, draft, *map(str, files)], capture_output=True, encoding="utf-8", timeout=120, check=False
        )
        assert (result.returncode, result.stderr) == (0, "")
        lines = dict(line.split(": ", 1) for line in result.stdout.splitlines()[:5])
        assert list(lines) == ["no adapter", "first", "second", "half of both", "first, then second"]
        assert len(set(lines.values())) == 5
        assert bool(re.search(r"the draft model takes [\d.]+ MB; it guessed \d+ tokens", result.stdout)) is guessed
    result = subprocess.run(
        [*command, "none", str(files[0]), str(tmp_path / "none.gguf")],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
    assert "none.gguf" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_example_with_a_sound(tmp_path, tiny_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    projectors.write(gguf, numpy, tmp_path / "hears.gguf", random_model.WIDTH, "ultravox", scale=4.0)
    projectors.write(gguf, numpy, tmp_path / "sees.gguf", random_model.WIDTH)
    (tmp_path / "tone.wav").write_bytes(pictures.wav())
    (tmp_path / "broken.wav").write_bytes(pictures.wav()[:40])
    for projector, sound, code, words in (
        ("hears.gguf", "tone.wav", 0, r"Answer: .+\nLanguage: .*\nEncoded: 1, reused: [1-9]\d* tokens\n"),
        ("sees.gguf", "tone.wav", 1, "error: .* does not read sounds\n"),
        ("hears.gguf", "broken.wav", 1, "error: .*broken.*\n"),
        ("hears.gguf", "none.wav", 1, "error: .*none.wav.*\n"),
    ):
        command = [sys.executable, "-W", "error", str(FOLDER / "sounds.py"), str(tiny_path)]
        command += [str(tmp_path / projector), str(tmp_path / sound)]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
        assert result.returncode == code, result.stderr
        assert re.fullmatch(words, result.stderr if code else result.stdout), (sound, result.stdout, result.stderr)


@pytest.mark.parametrize("how", [[], ["-m", "pytest", "-q", "-p", "no:cacheprovider"]], ids=["script", "pytest"])
def test_the_tests_of_an_agent_pass(how):
    command = [sys.executable, *how, str(FOLDER / "testing_your_agent.py")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("passed") == (1 if how else 3)
