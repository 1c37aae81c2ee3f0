"""``luup-agent serve``: targets, names, and a process that serves until it gets a signal."""

import argparse
import os
import signal
import stat
import sys
from pathlib import Path

import httpx
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from support.serving import start_command

from luup_agent import InvalidParamError, ModelNotFoundError, StorageError
from luup_agent._server import command

APP = """
from luup_agent import Agent
from luup_agent.testing import FunctionModel
from helper import PROMPT

model = FunctionModel(lambda request: f"{len(request.messages)} messages: {request.prompt}")
agent = Agent(model, PROMPT)
several = {"first": agent, "second": model}
number = 5
"""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "helper.py").write_text('PROMPT = "You help."\n')
    return tmp_path / "app.py"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("smollm2", "smollm2"),
        ("hf:owner/repo", "owner/repo"),
        ("hf:owner/repo:Q4_K_M", "owner/repo"),
        ("hf:owner/repo/folder/file.gguf", "owner/repo"),
        ("ollama:qwen3:4b", "qwen3:4b"),
        ("models/tiny.gguf", "tiny"),
    ],
)
def test_names_of_models(target, name):
    assert command.from_python(target) is None
    assert command.short_name(target) == name
    assert command.split_name(target) == ("", target)
    assert command.split_name(f"mine={target}") == ("mine", target)


def test_a_path_with_an_equals_sign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.gguf").touch()
    assert command.split_name("a=b.gguf") == ("", "a=b.gguf")


def test_targets_in_python(app, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = command.from_python(f"{app}:agent")
    assert list(found) == ["agent"]
    assert found["agent"].system_prompt == "You help."
    assert list(command.from_python(f"{app}:several")) == ["first", "second"]
    assert list(command.from_python("luup_agent.testing:ScriptedModel")) == ["ScriptedModel"]
    with pytest.raises(ModelNotFoundError, match="nothing"):
        command.from_python(f"{app}:nothing")
    with pytest.raises(ModelNotFoundError, match="missing.py"):
        command.from_python("missing.py:agent")
    with pytest.raises(ModelNotFoundError, match="no_such_module"):
        command.from_python("no_such_module:agent")


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process(app, number):
    process, url = start_command("app.py:agent", "other=app.py:model", cwd=app.parent, LUUP_API_KEY="sk-1")
    try:
        with httpx.Client(base_url=url, trust_env=False, headers={"authorization": "Bearer sk-1"}) as client:
            assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["agent", "other"]
            body = {"model": "agent", "messages": [{"role": "user", "content": "Hi"}]}
            answer = client.post("/v1/chat/completions", json=body).json()
            assert answer["choices"][0]["message"]["content"] == "2 messages: Hi"
            assert client.get("/v1/models", headers={"authorization": "Bearer no"}).status_code == 401
    finally:
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
    assert "Traceback" not in rest
    assert process.returncode in (0, 130, -number)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["app.py:number"], "Embedder, not int"),
        (["app.py:nothing"], "no attribute 'nothing'"),
        (["app.py:agent", "app.py:agent"], "two models have the name 'agent'"),
        (["name=app.py:several"], "one name to 2 models"),
        (["app.py:agent", "--host", "192.0.2.1"], "192.0.2.1"),
        (["app.py:agent", "--allow-origin", "example.org"], "allow_origins"),
        (["missing.gguf"], "missing.gguf"),
    ],
)
def test_wrong_arguments(app, arguments, message):
    process, output = start_command(*arguments, cwd=app.parent)
    assert process.returncode == 1
    assert message in output
    assert "Traceback" not in output


def test_two_names(app):
    found = {}
    command._add(found, {"a": 1}, "", "a")
    command._add(found, {"a": 1}, "b", "b=a")
    assert list(found) == ["a", "b"]
    with pytest.raises(InvalidParamError, match="NAME=a"):
        command._add(found, {"a": 1}, "", "a")


def options(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers(), "smollm2", "smollm2")
    return parser.parse_args(["serve", "smollm2", *arguments])


def test_where_conversations_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_DATA_HOME" if sys.platform == "linux" else "LOCALAPPDATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with command._open_sessions(options()) as kept:
        assert str(tmp_path) in repr(kept)
    usual = Path(command.default_sessions())
    assert usual.is_file()
    if os.name == "posix":
        assert stat.S_IMODE(usual.stat().st_mode) == 0o600
    with command._open_sessions(options("--sessions", str(tmp_path / "mine.db"))):
        assert (tmp_path / "mine.db").is_file()
    assert command._open_sessions(options("--no-sessions")) is None
    with pytest.raises(StorageError, match="folder"):
        command._open_sessions(options("--sessions", str(tmp_path)))
    usual.write_text("not a database")
    assert command._open_sessions(options()) is None  # the server starts nevertheless
    assert "keeps its conversations in the browser" in capsys.readouterr().err
