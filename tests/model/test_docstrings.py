"""The examples in the docstrings run and print what they promise."""

import doctest
import inspect
import io

import pytest
from support import bert

import luup_agent
from luup_agent import Agent, Embedder

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


@pytest.mark.parametrize(
    "name", [name for name in DOCUMENTED if not name.startswith(WITH_VECTORS) and example_of(name, {})]
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
