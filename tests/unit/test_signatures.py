"""The facade's signatures agree with the C library, with each other and with their docstrings."""

import inspect
import os
import re
import subprocess
import sys
from typing import Any, List

import pytest
from typing_extensions import get_type_hints

import luup_agent
from luup_agent import Agent, Embedder, InvalidParamError, LoadOptions, Model, RunOptions, _native
from luup_agent._agent import agent_settings
from luup_agent._agent.agent_settings import AgentSettings
from luup_agent.embeddings import EmbedderOptions
from luup_agent.limits import LoopGuard, UsageLimits
from luup_agent.settings import DepsT, Settings, native_settings
from luup_agent.testing import ScriptedModel
from luup_agent.tools import ToolLike
from luup_agent.toolsets import ToolsetLike


def defaults(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def native_default(name, native):
    """Return the library's default for a setting as a Python value."""
    params = _native.ffi.new(f"luup_{native.struct}_params *")
    getattr(_native.lib, f"luup_{native.struct}_default_params")(params)
    value = getattr(params, native.field or name)
    if native.kind in ("texts", "reasoning", "json", "bias", "adapter"):
        return None if value == _native.ffi.NULL else value
    if native.kind == "tool_choice":
        return "auto" if value == _native.ffi.NULL else value
    if native.kind == "keep_history":
        return "on_error" if value else "on_success"
    if native.kind == "seconds":
        return None if value == -1 else value / 1000
    return None if value == native.none else value


def test_the_defaults_of_an_embedder_are_the_librarys():
    params = _native.ffi.new("luup_embedder_params *")
    _native.lib.luup_embedder_default_params(params)
    for name, value in defaults(Embedder.from_local).items():
        if name == "weights_cache":  # the library itself has no folder for it
            assert value is True
            assert params.weights_cache == _native.ffi.NULL
        elif value is None:
            unset = {"context_size": -(2**31), "pooling": -1, "devices": _native.ffi.NULL, "on_progress": None}[name]
            assert unset is None or getattr(params, name) == unset, name
        else:
            assert getattr(params, name) == value, name
    call = _native.ffi.new("luup_embed_params *")
    _native.lib.luup_embed_default_params(call)
    for function in (Embedder.embed, Embedder.embed_async):
        assert defaults(function) == {"normalize": call.normalize, "truncate": call.truncate, "on_progress": None}
    assert defaults(Embedder.rerank) == defaults(Embedder.rerank_async)
    assert set(EmbedderOptions.__annotations__) == set(defaults(Embedder.from_local))


def test_defaults_are_the_librarys():
    table = native_settings()
    python = {name: defaults(Agent.__init__)[name] for name in table}
    native = {name: native_default(name, each) for name, each in table.items()}
    assert {name: type(value) for name, value in native.items()} == {name: type(python[name]) for name in python}
    assert native == pytest.approx(python)
    python_only = {"tools", "toolsets", "deps", "approve", "usage_limits", "loop_guard", "on_event", "process_history"}
    assert set(Settings._fields) - set(table) == python_only


def test_every_number_of_the_library_is_a_setting():
    requests = {
        "sampling",
        "tools",
        "output_schema",
        "output_pattern",
        "output_grammar",
        "output_choices",
        "review_output",
        "confidence",
        "choices",
        "n_choices",
        "system_prompt",
        "history",
        "raw_prompt",
        "media",
        "n_media",
    }
    beside = {"n_stop", "max_reasoning_tokens", "n_logit_bias", "n_adapters"}  # the second numbers of other settings
    for struct in ("sampling", "run"):
        fields = {name for name, _ in _native.ffi.typeof(f"luup_{struct}_params").fields}
        known = {each.field or name for name, each in native_settings().items() if each.struct == struct}
        assert fields - known - requests == {"size"} | (beside if struct == "sampling" else set())


def test_model_defaults_are_the_librarys():
    python = defaults(Model.from_local)
    native = _native.default_model_params()
    assert {name: python[name] for name in native} == native


def test_the_settings_are_the_same_wherever_they_are_written():
    names = {"Approve": str, "ToolLike": ToolLike, "ToolsetLike": ToolsetLike}  # known to type checkers only
    names.update(OnEvent=str, HistoryProcessor=str, SystemPrompt=List)
    names.update(Parts=Any, UsageLimits=UsageLimits, LoopGuard=LoopGuard)
    table, options, arguments = (get_type_hints(each, localns=names) for each in (Settings, RunOptions, Agent.__init__))
    view = get_type_hints(AgentSettings, vars(agent_settings), names)
    assert (options["deps"], table["deps"]) == (DepsT, Any)
    options["deps"] = Any
    assert table == options == {name: arguments[name] for name in options}
    assert {name: view[name] for name in view if name != "_parts"} == {
        name: table[name] for name in agent_settings.NAMES
    }
    assert Settings._field_defaults == {name: defaults(Agent.__init__)[name] for name in table}


def test_one_class_declares_the_state_of_an_agent():
    def declared(cls):
        return inspect.get_annotations(cls) if sys.version_info >= (3, 10) else vars(cls).get("__annotations__", {})

    classes = [cls for cls in Agent.__mro__ if cls.__module__.partition(".")[0] == "luup_agent"]
    assert len(classes) > 6
    assert {cls.__name__: sorted(declared(cls)) for cls in classes if declared(cls)} == {
        "Agent": ["_ask_user", "name"],
        "AgentState": ["_parts", "enable_builtin_tools", "enable_history", "enable_tool_calling"],
    }


def test_the_options_of_a_load_are_the_same_wherever_they_are_written():
    names = set(inspect.signature(Model.from_local).parameters) - {"path"}
    assert set(LoadOptions.__annotations__) == names
    assert not names & set(inspect.signature(Model.from_hub).parameters)
    if sys.version_info >= (3, 9):  # where os.PathLike has parameters
        arguments, options = get_type_hints(Model.from_local), get_type_hints(LoadOptions, localns={"os": os})
        assert options == {name: arguments[name] for name in names}


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
    agent = Agent(ScriptedModel([]))
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
    assert list(luup_agent.__all__) == sorted(luup_agent.__all__, key=lambda name: (not name.isupper(), name))
    for name in luup_agent.__all__:
        value = getattr(luup_agent, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__ == "luup_agent", name


def members_of(cls):
    """Return the attributes that a class has from classes of this package."""
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
    assert re.fullmatch(r"[\d.]+(-dev)? \([0-9a-f]{9}\)", luup_agent.llama_version())


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
