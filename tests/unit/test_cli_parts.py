"""The parts of the command line that need no model: schemas in short, stdin, history, progress, names, bench's text."""

from __future__ import annotations

import io
import json
import os
import stat
import sys

import pytest

from luup_agent import InvalidParamError, InvalidSchemaError, JSONParseError, StorageError, cli
from luup_agent.cli import bench, history, output, progress, schema_text, view
from luup_agent.cli.keyboard import Keyboard
from luup_agent.messages import ToolCall

# --schema


def test_fields_become_a_schema():
    fields = "name, year int, score float, ok bool, tags str[], mood happy|sad, note? str: a remark"
    schema = schema_text.from_fields(fields)
    assert schema == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "year": {"type": "integer"},
            "score": {"type": "number"},
            "ok": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "mood": {"type": "string", "enum": ["happy", "sad"]},
            "note": {"type": "string", "description": "a remark"},
        },
        "required": ["name", "year", "score", "ok", "tags", "mood"],
        "additionalProperties": False,
    }


def test_lines_are_fields_whose_descriptions_have_commas():
    schema = schema_text.from_fields("name str: first, then last\nyear int\n")
    assert schema["properties"]["name"]["description"] == "first, then last"
    assert schema["required"] == ["name", "year"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name strr", "'strr' is not a type for 'name'"),
        ("two words here", "'two words here' is not a field"),
        ("", "'' is not a field"),
        ("a int, a str", "two fields 'a'"),
        ("mood happy|happy", "must be different"),
        ("mood |", "must be different"),
        ("1st int", "is not a field"),
        ("a int,", "'' is not a field"),
    ],
)
def test_a_wrong_field_is_named(text, message):
    with pytest.raises(InvalidSchemaError, match="schema: ") as error:
        schema_text.read(text)
    assert message in str(error.value)


def test_a_schema_of_a_file_of_text_and_of_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "movie.json").write_text('{"type": "integer"}', encoding="utf-8")
    (tmp_path / "film_types.py").write_text("class Movie: ...", encoding="utf-8")
    assert schema_text.read("movie.json") == {"type": "integer"}
    assert schema_text.read(' {"type": "integer"}') == {"type": "integer"}
    assert schema_text.read("film_types.py:Movie").__name__ == "Movie"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("missing.json", StorageError, "missing.json can't be read: No such file"),
        ("bad.json", JSONParseError, "bad.json is not valid JSON"),
        ("list.json", InvalidSchemaError, "list.json must be a JSON object, not list"),
        ("latin.json", JSONParseError, "latin.json is not UTF-8"),
        ("{", JSONParseError, "the schema is not valid JSON"),
        ("broken.py:Movie", InvalidParamError, "'broken.py:Movie' can't be imported: ZeroDivisionError"),
        ("missing_file.py:Movie", FileNotFoundError, "there is no file 'missing_file.py'"),
    ],
)
def test_a_schema_that_can_not_be_read(text, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "latin.json").write_bytes(b'"caf\xe9"')
    (tmp_path / "broken.py").write_text("1 / 0", encoding="utf-8")
    with pytest.raises(error) as raised:
        schema_text.read(text)
    assert message in str(raised.value)


# Names of models


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("https://huggingface.co/owner/repo", "; write hf:owner/repo"),
        ("https://huggingface.co/owner/repo/resolve/main/q/m.gguf?download=true", "; write hf:owner/repo/q/m.gguf"),
        ("https://example.org/m.gguf", "--base-url"),
        ("owner/repo", "write hf:owner/repo"),
    ],
)
@pytest.mark.parametrize("command", [["chat", None, "Hi"], ["download", None], ["bench", None]])
def test_a_url_is_answered_with_what_to_write(name, hint, command, capsys):
    assert cli.main([name if part is None else part for part in command]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert hint in error


# Usage


@pytest.mark.parametrize(
    ("arguments", "prog", "hint"),
    [
        (["chat", "m", "Hi", "--temprature", "1"], "chat", "did you mean --temperature?"),
        (["chat", "m", "Hi", "--nothing-like-it"], "chat", "--nothing-like-it"),
        (["chat", "m", "two", "words"], "chat", "put a message of several words in quotes"),
        (["bench", "--agnts", "3"], "bench", "did you mean --agents?"),
        (["serve", "m", "--prt", "1"], "serve", "did you mean --port?"),
        (["download", "m", "--json"], "download", "--json"),
    ],
)
def test_a_wrong_option_shows_the_usage_of_its_command(arguments, prog, hint, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: luup-agent {prog}")
    assert hint in error.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chat", "m", "Hi", "--base-url", "http://127.0.0.1:9/v1", "--threads", "2"], "--threads is for models that"),
        (["chat", "m", "Hi", "--base-url", "nonsense"], "base_url must be"),
        (["chat", "m", "Hi", "--tool", "add"], "--tool must be file.py:name or package.module:name, got 'add'"),
        (["chat", "m", "Hi", "--tool", "json:nothing"], "--tool json:nothing: json has no attribute 'nothing'"),
        (["chat", "m", "Hi", "--tool", "no_such_module:f"], "there is no module 'no_such_module'"),
        (["chat", "json:dumps", "Hi"], "'json:dumps' must be an Agent or a Model, not function"),
        (["bench", "--agents", "0"], "--agents must be between 1 and 256, got 0"),
        (["bench", "--tokens", "1"], "--tokens must be between 2 and"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message, capsys):
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


# Output


def test_control_characters_are_shown_and_not_obeyed():
    assert output.printable("a\tb\nc\x1b[2J\x07\x7f\x9b\r\u00e9") == "a\tb\nc\u241b[2J\u2407\u2421\ufffd\u240d\u00e9"


def test_a_call_and_a_long_result():
    assert view.describe(ToolCall.from_json("1", "add", '{"a": 1, "b": "\u00e9"}')) == 'add(a=1, b="\u00e9")'
    text = "\n".join(f"line {number}" for number in range(100))
    shown = view.excerpt(text)
    assert shown.startswith("line 0\n")
    assert shown.endswith("more characters)")
    rest = int(shown.rpartition("(")[2].split()[0])
    assert len(shown.partition(" \u2026")[0]) + rest == len(text)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["chat", "--help"], ["--version"], ["completion", "bash"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_help_that_can_not_be_written(arguments, unbuffered):
    import subprocess

    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run(
            [sys.executable, "-m", "luup_agent", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert result.returncode == 1
    assert result.stderr == "luup-agent: the output can't be written: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_streams_that_are_closed():
    import subprocess

    def run(redirection):
        command = f'"{sys.executable}" -m luup_agent --version {redirection}'
        return subprocess.run(["sh", "-c", command], capture_output=True, text=True)

    closed = run(">&-")
    assert (closed.returncode, closed.stderr) == (1, "luup-agent: the output can't be written: stdout is closed\n")
    for redirection in ("<&-", "2>&-"):
        result = run(redirection)
        assert result.returncode == 0
        assert result.stdout.startswith("luup-agent ")


# Progress


def test_a_bar_is_shorter_in_a_narrow_window(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # has no encoding, so the bar is of ASCII
    meter = progress.Meter(progress.tokens)
    lines = {}
    for columns in (100, 65, 30):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines[columns] = meter.line("reading", 500, 1000)
    assert lines[100].startswith("reading [" + "#" * 12 + "." * 12 + "] 500 tokens of 1,000 tokens")
    assert 0 < lines[65].count("#") < 12
    assert len(lines[65]) < 65
    assert lines[30].startswith("reading 500 tokens of")


def test_a_bar_where_the_encoding_has_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert progress.bar(1, 4, 8) == "\u2501" * 2 + "\u257a" * 6


def test_a_short_prefill_shows_nothing(monkeypatch):
    clock = [10.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    shown = progress.PrefillProgress()
    assert shown.line(0, 1000) is None
    clock[0] += 0.4
    assert shown.line(500, 1000) is None
    clock[0] += 0.6
    assert "750 tokens/s, 0:00 left" in shown.line(750, 1000)
    assert shown.line(1000, 1000) is None


# History


def test_the_history_is_for_its_owner_and_survives(tmp_path):
    path = str(tmp_path / "state" / "luup-agent" / "chat_history")
    first = history.History(path)
    for message in ("one", "one", "two\nlines", " secret", "", "\u00e9"):
        first.add(message)
    assert history.History(path).entries == ["one", "two\nlines", "\u00e9"]
    if os.name != "nt":
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_two_conversations_append_to_one_history(tmp_path):
    path = str(tmp_path / "chat_history")
    first, second = history.History(path), history.History(path)
    first.add("one")
    second.add("two")
    first.add("three")
    assert history.History(path).entries == ["one", "two", "three"]


def test_a_history_stays_short_and_bears_broken_lines(tmp_path):
    path = tmp_path / "chat_history"
    path.write_text("".join(json.dumps(f"message {number}") + "\n" for number in range(5000)) + '"cut', "utf-8")
    loaded = history.History(str(path))
    assert loaded.entries[-1] == "message 4999"
    assert len(loaded.entries) == 2000
    assert len(path.read_text("utf-8").splitlines()) == 2000


def test_a_history_that_can_not_be_kept_says_why(tmp_path):
    (tmp_path / "file").touch()
    kept = history.History(str(tmp_path / "file" / "chat_history"))
    kept.add("one")
    assert kept.entries == ["one"]
    assert "messages are not kept for later conversations" in kept.problem


def test_the_place_of_the_history(monkeypatch, tmp_path):
    if sys.platform not in ("win32", "darwin"):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        assert history.history_file() == str(tmp_path / "luup-agent" / "chat_history")
        monkeypatch.setenv("XDG_STATE_HOME", "relative")  # must be ignored
        assert os.path.isabs(history.history_file())
    assert history.history_file().endswith(os.path.join("luup-agent", "chat_history"))


def test_a_keyboard_without_a_terminal_does_nothing():
    keyboard = Keyboard()
    with keyboard.quiet(), keyboard.asking():
        keyboard.drain()
    assert keyboard.take() == ""


# bench


def test_the_bars_of_bench_are_as_long_as_the_speeds(monkeypatch, capsys):
    results = {
        "luup_agent": "0",
        "llama_cpp": "1",
        "model": "tiny",
        "device": "CPU",
        "threads": 2,
        "memory_bytes": 5_000_000,
        "load_seconds": 0.5,
        "prefill_tokens": 512,
        "prefill_tokens_per_second": 1234.5,
        "decode_tokens": 63,
        "decode_tokens_per_second": 50.0,
        "agents": [
            {"agents": 1, "tokens_per_second": 50.0, "slowest_first_token_seconds": 0.1},
            {"agents": 16, "tokens_per_second": 200.0, "slowest_first_token_seconds": 0.2},
        ],
    }
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    text = bench.to_text(results)
    one, sixteen = text.splitlines()[-2:]
    assert (one.count("\u2588"), sixteen.count("\u2588")) == (10, 40)
    assert "1,234.5 tokens/s" in text
