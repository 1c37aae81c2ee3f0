"""The examples in the docstrings run, and give what they say."""

import doctest
import inspect
import io

import pytest

import luup_agent
from luup_agent import Agent

# What a docstring's first lines take for given.
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
    """The example in a docstring, without its asynchronous lines; None if there is none."""
    value = DOCUMENTED[name]
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(value) or "", given, name, None, None)
    test.examples = [e for e in test.examples if "await " not in e.source and "async for" not in e.source]
    return test if test.examples else None


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if example_of(name, {})])
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
    without = [name for name in DOCUMENTED if name.partition(".")[0] in ("Agent", "Model") and ">>>" not in
               (inspect.getdoc(DOCUMENTED[name]) or "")]  # fmt: skip
    assert without == []
