"""The facade's signatures agree with the C library, with each other and with what they say."""

import inspect
import subprocess
import sys

import pytest

import luup_agent
from luup_agent import Agent, InvalidParamError, Model, RunOptions, _native
from luup_agent.sampling import Settings

OURS = {"seed", "stop", "timeout", "tools", "tool_choice", "deps", "approve"}  # have no default in the library


def defaults(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def test_sampling_defaults_are_the_librarys():
    python = defaults(Agent.__init__)
    native = _native.default_sampling()
    assert native.pop("seed") == 0xFFFFFFFF
    assert python["seed"] is None
    assert native.pop("stop") == _native.ffi.NULL
    assert {name: python[name] for name in native} == pytest.approx(native)
    assert set(native) | set(_native.default_run_params()) == set(Settings._fields) - OURS


def test_run_defaults_are_the_librarys():
    python = defaults(Agent.__init__)
    native = _native.default_run_params()
    assert {name: python[name] for name in native} == native
    assert Settings._field_defaults == {name: python[name] for name in Settings._field_defaults}


def test_model_defaults_are_the_librarys():
    python = defaults(Model.from_local)
    native = _native.default_model_params()
    assert {name: python[name] for name in native} == native


def test_every_setting_of_an_agent_can_be_overridden():
    options = set(RunOptions.__annotations__)
    assert options == set(Settings._fields)
    assert options < set(inspect.signature(Agent.__init__).parameters)


@pytest.mark.parametrize(
    ("sync", "twin"),
    [
        ("generate", "generate_async"),
        ("run", "run_async"),
        ("stream_events", "stream_events_async"),
        ("resume", "resume_async"),
        ("classify", "classify_async"),
    ],
)
def test_async_twins_take_the_same_parameters(sync, twin):
    one, other = inspect.signature(getattr(Agent, sync)), inspect.signature(getattr(Agent, twin))
    assert one.parameters == other.parameters


@pytest.mark.parametrize(
    "method", ["generate", "generate_stream", "generate_async", "run", "stream_events", "stream_events_async"]
)
def test_an_unknown_option_is_named(method):
    agent = Agent.__new__(Agent)
    agent._settings = Settings(0.7, 0.95, 40, 0.05, 1.0, 64, None, None, 512, None)
    with pytest.raises(TypeError, match=rf"{method}\(\) got an unexpected keyword argument 'temprature'"):
        getattr(agent, method)("Hi", temprature=1)


def test_a_model_is_not_made_directly():
    with pytest.raises(TypeError, match="from_local"):
        Model("model.gguf")


@pytest.mark.parametrize("value", [None, "model.gguf", 5])
def test_an_agent_needs_a_model(value):
    with pytest.raises(InvalidParamError, match="model must be a luup_agent.Model"):
        Agent(value)


def test_public_names_are_sorted_and_say_where_they_come_from():
    assert list(luup_agent.__all__) == sorted(luup_agent.__all__)
    for name in luup_agent.__all__:
        value = getattr(luup_agent, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__ == "luup_agent", name


def members_of(cls):
    """What a class has from this package's classes."""
    for part in cls.__mro__:
        if part.__module__.partition(".")[0] == "luup_agent":
            yield from vars(part).items()


def test_everything_public_is_documented():
    for name in luup_agent.__all__:
        value = getattr(luup_agent, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        assert value.__doc__, name
        if inspect.isclass(value) and not issubclass(value, Exception):
            for member, function in members_of(value):
                if inspect.isfunction(function) and not member.startswith("_"):
                    assert function.__doc__, f"{name}.{member}"


def test_the_version_is_the_same_everywhere():
    assert luup_agent.__version__ == _native.version()
    assert "0c1e57098" in luup_agent.llama_version()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Modell'"):
        luup_agent.Modell  # noqa: B018


def test_the_import_brings_nothing_heavy_along():
    source = (
        "import sys, pydantic\nclass Any(pydantic.BaseModel): x: int\nbefore = set(sys.modules); import luup_agent; "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    loaded = set(eval(result.stdout))
    assert not loaded & {
        "asyncio",
        "concurrent",
        "docstring_parser",
        "httpx",
        "rich",
        "click",
        "socket",
        "numpy",
        "ctypes",
        "subprocess",
        "urllib",
    }
    assert result.stderr == ""
