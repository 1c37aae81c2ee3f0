"""The examples in the docstrings run and print what they promise."""

import doctest
import inspect
import io
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import BaseModel
from support import bert

import luup_agent
from luup_agent import Agent, Embedder
from luup_agent.testing import ScriptedModel, tool_call

SERVER = Path(__file__).resolve().parents[1] / "support" / "mcp_server.py"

# The names that the examples assume.
GIVEN = {name: getattr(luup_agent, name) for name in luup_agent.__all__}


def documented():
    for name in luup_agent.__all__:
        value = getattr(luup_agent, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        yield name, value
        if inspect.isclass(value):
            for member in dir(value):
                function = inspect.getattr_static(value, member)
                function = getattr(function, "__func__", function)
                if not str(getattr(function, "__module__", "")).startswith("luup_agent"):
                    continue
                if inspect.isfunction(function) and not member.startswith("_"):
                    yield f"{name}.{member}", function


DOCUMENTED = dict(documented())


def example_of(name, given):
    """Return the example in a docstring, without its asynchronous lines; None if it has no example."""
    value = DOCUMENTED[name]
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(value) or "", given, name, None, None)
    test.examples = [e for e in test.examples if "await " not in e.source and "async for" not in e.source]
    return test if test.examples else None


WITH_VECTORS = ("Embedder", "Vectors", "Ranked")
WITH_TOOLSETS = ("MCP", "Toolset", "FunctionToolset", "DynamicToolset")


@pytest.fixture(scope="module")
def minilm_path():
    """The file of the model with which the examples make vectors."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    try:
        return bert.minilm_path(gguf, numpy)
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.mark.network
@pytest.mark.parametrize("name", [n for n in DOCUMENTED if n.startswith(WITH_VECTORS) and example_of(n, {})])
def test_an_example_with_vectors_runs(name, minilm_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minilm.gguf").symlink_to(minilm_path)
    output = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    with Embedder.from_local(minilm_path, threads=1) as embedder:
        runner.run(example_of(name, {**GIVEN, "embedder": embedder}), out=output.write)
    assert runner.failures == 0, output.getvalue()


class User(NamedTuple):
    is_admin: bool


def add(a: int, b: int) -> int:
    return a + b


def subtract(a: int, b: int) -> int:
    return a - b


def delete_account(name: str) -> str:
    return "deleted"


@pytest.mark.parametrize("name", [n for n in DOCUMENTED if n.startswith(WITH_TOOLSETS) and example_of(n, {})])
def test_an_example_with_toolsets_runs(name, model, tmp_path, monkeypatch):
    given = {**GIVEN, "model": model, "User": User}
    given.update((function.__name__, function) for function in (add, subtract, delete_account))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    if name.startswith("MCP"):
        pytest.importorskip("mcp")
        (tmp_path / "server.py").write_text(
            f"import runpy, sys\nsys.argv[1:] = ['stdio']\nrunpy.run_path({str(SERVER)!r}, run_name='__main__')\n"
        )
        (tmp_path / ".cursor").mkdir()
        servers = {"shop": {"command": sys.executable, "args": ["server.py"]}}
        (tmp_path / ".cursor" / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        given["mcp"] = luup_agent.MCP([sys.executable, "server.py"])
    output = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example_of(name, given), out=output.write)
    if "mcp" in given:
        given["mcp"].close()
    assert runner.failures == 0, output.getvalue()


class Bank:
    def pay(self, amount, idempotency_key):
        return f"{amount} euros"


def scripted(*replies):
    return Agent(ScriptedModel(list(replies)))


def scripts():
    """Return the objects that the examples with prepared answers use, by the names of the examples."""
    team = {
        "desk": scripted(tool_call("transfer_to_billing")),
        "billing": scripted("You have called Australia."),
    }
    handoffs = {"desk": [luup_agent.Handoff("billing", "For questions about bills.")]}
    return {
        "DurableRuns": {"agent": scripted(tool_call("pay", amount=20), "Paid."), "bank": Bank()},
        "Handoff": {"BaseModel": BaseModel},
        "LoopGuard": {"model": ScriptedModel([]), "search": delete_account, "press_button": delete_account},
        "SQLSessions": {},
        "SQLiteSessions": {"agent": scripted("Hello!")},
        "Session": {"agent": scripted("Hello Ada!")},
        "Sessions": {"agent": scripted("Hello Ada!")},
        "Team": team,
        "Team.generate": {"team": luup_agent.Team(team, handoffs=handoffs)},
        "UsageLimits": {"agent": scripted("Begin at the Colosseum.")},
    }


SCRIPTED = tuple(scripts())


@pytest.mark.parametrize("name", SCRIPTED)
def test_an_example_with_prepared_answers_runs(name, tmp_path, monkeypatch):
    if name == "SQLSessions":
        pytest.importorskip("sqlalchemy")
        pytest.importorskip("asyncpg")
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example_of(name, {**GIVEN, **scripts()[name]}), out=output.write)
    assert runner.failures == 0, output.getvalue()


ELSEWHERE = (*WITH_VECTORS, *WITH_TOOLSETS)


@pytest.mark.parametrize(
    "name", [n for n in DOCUMENTED if not n.startswith(ELSEWHERE) and n not in SCRIPTED and example_of(n, {})]
)
def test_an_example_runs(name, model, model_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    for link in (tmp_path / "model.gguf", tmp_path / "models" / model_path.name):
        link.symlink_to(model_path)
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=256)
    agent.add_message("user", "Hi")
    agent.add_message("assistant", "Hello!")
    if name != "Agent.get_history":
        agent.clear_history()
    if name in ("Model.close", "Model"):  # these end their model
        model = luup_agent.Model.from_local(model_path, context_size=512, threads=1)
    output = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example_of(name, {**GIVEN, "luup_agent": luup_agent, "model": model, "agent": agent}), out=output.write)
    assert runner.failures == 0, output.getvalue()


def test_everything_a_user_calls_has_an_example():
    without = [name for name in DOCUMENTED if name.partition(".")[0] in ("Agent", "Embedder", "Model") and ">>>" not in
               (inspect.getdoc(DOCUMENTED[name]) or "")]  # fmt: skip
    assert without == []
