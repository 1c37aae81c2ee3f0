"""``luup-agent chat`` without a conversation: text of stdin, typed answers, tools, servers; and ``bench``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support import random_model
from support.http_server import Server, replying

from luup_agent import Agent, Model, cli

GREEDY = ["--temperature", "0", "--max-tokens", "24", "--threads", "1"]

APP = '''
from luup_agent import Agent, Tool
from luup_agent.testing import ScriptedModel, tool_call


def weather(city: str) -> str:
    """Returns the weather."""
    return f"It is sunny in {city}."


def delete(path: str) -> str:
    """Deletes a file."""
    print("deleting")
    return f"deleted {path}"


plan = Agent(ScriptedModel([tool_call("delete", path="a.txt"), "Done."]), tools=[Tool(delete, requires_approval=True)])
model = ScriptedModel(["**Hello**\\x1b[2J"])
caller = ScriptedModel([tool_call("weather", city="Paris"), "It is sunny."])
tools = [weather]


class Movie:
    pass
'''


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chat(*arguments, text=None):
    """Run the command with a text as its stdin."""
    stdin = (
        {"stdin": subprocess.DEVNULL} if text is None else {"input": text if isinstance(text, bytes) else text.encode()}
    )
    result = subprocess.run(
        [sys.executable, "-m", "luup_agent", "chat", *map(str, arguments)], capture_output=True, timeout=120, **stdin
    )
    return result.returncode, result.stdout.decode("utf-8", "surrogateescape"), result.stderr.decode("utf-8", "replace")


def greedy_answer(model_path, message, **options):
    with Model.from_local(model_path, threads=1) as model:
        return Agent(model, cli.SYSTEM_PROMPT, **{"temperature": 0, "max_tokens": 24, **options}).generate(message)


# stdin


def test_the_text_of_a_pipe_comes_before_the_message(model_path):
    expected = greedy_answer(model_path, "The cat is called Tom.\n\nWhat is the cat called?")
    assert "Tom" in expected
    assert chat(model_path, "What is the cat called?", *GREEDY, text="The cat is called Tom.\n") == (
        0,
        expected + "\n",
        "",
    )


def test_the_text_of_a_file_too(model_path, folder):
    (folder / "cat.txt").write_bytes(b"\xef\xbb\xbfThe cat is called Tom.\n")  # with a mark of UTF-8
    with open("cat.txt", "rb") as file:
        result = subprocess.run(
            [sys.executable, "-m", "luup_agent", "chat", model_path, "What is the cat called?", *GREEDY],
            stdin=file,
            capture_output=True,
            text=True,
        )
    assert "Tom" in result.stdout


def test_a_dash_is_all_of_stdin(model_path):
    expected = greedy_answer(model_path, "What is the capital\nof France?")
    assert chat(model_path, "-", *GREEDY, text="What is the capital\nof France?\n") == (0, expected + "\n", "")
    assert chat(model_path, *GREEDY, "-", text="What is the capital\nof France?\n") == (0, expected + "\n", "")


def test_an_empty_pipe_adds_nothing(model_path):
    expected = greedy_answer(model_path, "What is the capital of France?")
    assert chat(model_path, "What is the capital of France?", *GREEDY, text="\n") == (0, expected + "\n", "")


@pytest.mark.parametrize(
    ("message", "text", "problem"),
    [
        ("-", "", "message is -, but stdin is empty"),
        ("Hi", b"caf\xe9 au lait", "stdin is not UTF-8: byte 0xe9 at offset 3"),
        ("Hi", b"a\0b", "message has a NUL character"),
        ("Hi", b"x" * (16 << 20) + b"x", "stdin has more than 16 MiB"),
        ("Hi", b"word " * 20_000, "tokens"),
    ],
    ids=["empty", "not UTF-8", "NUL", "large", "long"],  # pytest puts a test's id into the environment of its processes
)
def test_a_stdin_that_can_not_be_used(message, text, problem, model_path):
    code, out, error = chat(model_path, message, *GREEDY, text=text)
    assert (code, out) == (1, "")
    assert error.startswith("luup-agent: ")
    assert error.count("\n") == 1
    assert problem in error


def test_a_pipe_without_an_end_is_cut(model_path):
    command = f'yes | "{sys.executable}" -m luup_agent chat "{model_path}" Hi'
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "stdin has more than 16 MiB" in result.stderr


# Typed answers


@pytest.mark.parametrize("form", ["title str, year int, genre horror|comedy", "movie.json", '{"$ref": "movie"}'])
def test_a_schema_prints_validated_json_only(form, model_path, folder):
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "year": {"type": "integer"},
            "genre": {"enum": ["horror", "comedy"]},
        },
        "required": ["title", "year", "genre"],
        "additionalProperties": False,
    }
    (folder / "movie.json").write_text(json.dumps(schema), encoding="utf-8")
    if form.startswith("{"):
        form = json.dumps(schema)
    code, out, error = chat(model_path, "The film Alien of 1979.", "--schema", form, "--temperature", 0, "--threads", 1)
    assert (code, error) == (0, "")
    movie = json.loads(out)
    assert set(movie) == {"title", "year", "genre"}
    assert isinstance(movie["year"], int)
    assert movie["genre"] in ("horror", "comedy")
    assert out.count("\n") == 1


def test_json_is_the_response(model_path):
    code, out, error = chat(model_path, "What is the capital of France?", "--json", *GREEDY)
    assert (code, error) == (0, "")
    response = json.loads(out)
    assert response["text"] == response["output"] == greedy_answer(model_path, "What is the capital of France?")
    assert response["usage"]["completion_tokens"] > 0
    assert response["finish_reason"] == "stop"


def test_json_for_each_line_of_stdin(model_path):
    code, out, _ = chat(model_path, "--json", *GREEDY, text="My name is Ann.\nWhat is my name?\n")
    assert code == 0
    asked = [json.loads(line)["messages"][0]["content"] for line in out.splitlines()]
    assert asked == ["My name is Ann.", "What is my name?"]


# Tools, agents and models in Python


@pytest.mark.parametrize("tool", ["app.py:weather", "app:weather", "app.py:tools"])
def test_a_tool_is_called_and_stdout_has_the_answer_only(tool):
    code, out, error = chat("app.py:caller", "What is the weather in Paris?", "--tool", tool)
    assert (code, out) == (0, "It is sunny.\n")
    assert error == '[weather(city="Paris")]\n[weather returned: It is sunny in Paris.]\n'


def test_the_real_model_is_offered_the_tool(model_path):
    _, without, _ = chat(model_path, "What is the weather in Paris?", "--json", *GREEDY)
    code, out, _ = chat(model_path, "What is the weather in Paris?", "--json", "--tool", "app.py:weather", *GREEDY)
    assert code == 0
    assert json.loads(out)["usage"]["prompt_tokens"] > json.loads(without)["usage"]["prompt_tokens"] + 20


def test_a_call_that_needs_an_approval():
    code, out, error = chat("app.py:plan", "Delete it")
    assert (code, out) == (1, "")
    assert 'the model wants to call delete(path="a.txt"), which needs an approval: add --yes' in error
    code, out, error = chat("app.py:plan", "Delete it", "--yes")
    assert (code, out) == (0, "deleting\nDone.\n")
    assert "[delete returned: deleted a.txt]" in error


def test_a_model_in_python_and_text_for_a_file_is_unchanged():
    assert chat("app.py:model", "Hi") == (0, "**Hello**\x1b[2J\n", "")


# A server


def test_a_model_on_a_server(folder, monkeypatch):
    server = Server(*replying("Paris."))
    try:
        monkeypatch.setenv("LUUP_API_KEY", "sk-of-the-test")
        assert chat("qwen3", "What is the capital of France?", "--base-url", server.url) == (0, "Paris.\n", "")
        (request,) = server.requests
        assert request.headers["authorization"] == "Bearer sk-of-the-test"
        body = json.loads(request.body)
        assert body["model"] == "qwen3"
        assert body["messages"][-1] == {"role": "user", "content": "What is the capital of France?"}
    finally:
        server.close()


def test_a_server_that_is_away():
    code, out, error = chat("qwen3", "Hi", "--base-url", "http://127.0.0.1:9/v1")
    assert (code, out) == (1, "")
    assert "127.0.0.1:9 can't be reached" in error


# Output that can't be written


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_an_answer_that_can_not_be_written(model_path):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "luup_agent", "chat", model_path, "Hi", *GREEDY],
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    assert result.returncode == 1
    assert result.stderr == "luup-agent: the output can't be written: No space left on device\n"


# bench


def test_bench(tiny_path, capsys):
    assert (
        cli.main(["bench", str(tiny_path), "--prompt", "64", "--tokens", "8", "--agents", "3", "--threads", "1"]) == 0
    )
    text = capsys.readouterr().out
    assert "prefill" in text
    assert "decode" in text
    bars = [line.split()[:2] for line in text.splitlines()[-3:]]
    assert [count for count, _ in bars] == ["1", "2", "3"]
    assert max(len(bar) for _, bar in bars) == 40


def test_bench_as_json(tiny_path, capsys):
    arguments = ["--prompt", "64", "--tokens", "8", "--agents", "2", "--threads", "1"]
    assert cli.main(["bench", str(tiny_path), "--json", *arguments]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["threads"] == 1
    assert [row["agents"] for row in results["agents"]] == [1, 2]
    for row in results["agents"]:
        assert 0 < row["tokens"] <= 8 * row["agents"]
        assert row["tokens_per_second"] > 0
    assert results["prefill_tokens_per_second"] > 0
    assert results["load_seconds"] >= 0


def test_bench_without_room(tiny_path, capsys):
    assert cli.main(["bench", str(tiny_path), "--context-size", "256", "--threads", "1"]) == 1
    assert "lower --agents, --tokens or --prompt" in capsys.readouterr().err


@pytest.fixture
def adapters(tmp_path):
    """The files of two LoRA adapters of random weights."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    paths = [tmp_path / "red.gguf", tmp_path / "a=2.gguf"]
    for seed, path in enumerate(paths):
        random_model.write_adapter(gguf, numpy, path, seed)
    return paths


def test_adapters_and_their_strengths(tiny_path, adapters):
    red, blue = adapters
    files = {"red": red, "blue": blue}
    options = {"temperature": 0, "max_tokens": 24, "enable_history": False}
    answers = set()
    with Model.from_local(tiny_path, adapters=files, threads=1) as model:
        agent = Agent(model, cli.SYSTEM_PROMPT, **options)
        for given, adapter in [
            ([], None),
            (["--adapter", red], "red"),
            (["--adapter", f"{red}=0.5", "--adapter", f"{blue}=-.25"], {"red": 0.5, "blue": -0.25}),
            (["--adapter", blue], "blue"),
        ]:
            code, text, notes = chat(tiny_path, "Hello", *GREEDY, *given)
            assert code == 0, notes
            assert text == agent.generate("Hello", adapter=adapter) + "\n"
            answers.add(text)
    assert len(answers) == 4


def test_wrong_adapters_are_named(tiny_path, adapters, tmp_path):
    red = adapters[0]
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    for given, words in [
        (["--adapter", "none.gguf"], "none.gguf"),
        (["--adapter", "broken.gguf"], "broken.gguf"),
        (["--adapter", tiny_path], str(tiny_path)),
        (["--adapter", red, "--adapter", f"{red}=0.5"], "is given twice"),
        (["--adapter", f"{red}=1000"], "1000"),
    ]:
        code, text, notes = chat(tiny_path, "Hello", *GREEDY, *given)
        assert (code, text) == (1, "")
        assert words in notes
        assert "Traceback" not in notes
    code, text, notes = chat("app.py:model", "Hello", "--adapter", red)
    assert (code, text) == (1, "")
    assert "--adapter is for models that this program loads, and app.py:model is in Python" in notes
