"""Scaled rotary positions: contexts beyond that of the training, as llama.cpp computes them."""

import math

import pytest
from support import random_model
from support.reference import QUESTIONS, TOKENS, check_answers, reference_steps

from luup_agent import Agent, InvalidParamError, Model, RopeScaling, _native

SYSTEM = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 6
TRAINED = 256  # tokens, of the tiny model


@pytest.fixture(scope="session")
def short_path(model_path, tmp_path_factory):
    """A tiny model that was trained with a short context."""
    gguf = pytest.importorskip("gguf")
    path = tmp_path_factory.mktemp("short") / "short.gguf"
    random_model.write(gguf, pytest.importorskip("numpy"), model_path, path, context=TRAINED)
    return path


@pytest.mark.parametrize(
    ("scaling", "told", "context_size"),
    [
        (None, ("none", 1, TRAINED), TRAINED),
        (RopeScaling("yarn", 4.0), ("yarn", 4, TRAINED), 4 * TRAINED),
        (RopeScaling("linear", 2), ("linear", 2, TRAINED), 2 * TRAINED),
        (RopeScaling("yarn", 2.5, original_context_size=512), ("yarn", 2.5, 512), 1280),
        (RopeScaling("yarn", 1000.0), ("yarn", 1000, TRAINED), 8192),
    ],
)
def test_the_model_tells_it(short_path, scaling, told, context_size):
    with Model.from_local(short_path, threads=1, rope_scaling=scaling) as model:
        info = model.get_info()
    assert (info.rope_scaling, info.rope_factor, info.rope_original_context) == told
    assert (info.context_size, info.training_context_size) == (context_size, TRAINED)
    assert Model.estimate(short_path, rope_scaling=scaling).memory_context == info.memory_context


OTHERS = [pytest.param(each, marks=pytest.mark.gate) for each in (RopeScaling("yarn", 1.5), RopeScaling("linear", 2.0))]


@pytest.mark.gate
@pytest.mark.parametrize("scaling", [RopeScaling("yarn", 4.0), *OTHERS])
def test_the_answers_are_llama_cpps(model, model_path, tool, scaling):
    program, questions = tool("luup-reference"), QUESTIONS[-10:]
    steps = reference_steps(program, model_path, model, questions, "f16", "f16", scaling.type, scaling.factor)
    unscaled = reference_steps(program, model_path, model, questions)
    assert sum(ours != theirs for ours, theirs in zip(steps, unscaled)) == len(questions)
    with Model.from_local(model_path, threads=1, rope_scaling=scaling) as scaled:
        answers = [Agent(scaled, temperature=0, max_tokens=TOKENS).generate(question) for question in questions]
    check_answers(model, questions, answers, steps, least=8)


@pytest.mark.parametrize("kind", ["yarn", "linear"])
def test_a_prompt_beyond_the_trained_context(short_path, tool, kind):
    questions = [f"Number {number}. " + "Once upon a time there was a fox. " * 60 for number in range(4)]
    scaling = RopeScaling(kind, 8.0)
    with Model.from_local(short_path, threads=1, rope_scaling=scaling) as model:
        steps = reference_steps(tool("luup-reference"), short_path, model, questions, "f16", "f16", kind, 8.0)
        agents = [Agent(model, temperature=0, max_tokens=TOKENS) for _ in questions]
        responses = [agent.run(question) for agent, question in zip(agents, questions)]
        assert all(response.usage.prompt_tokens > 2 * TRAINED for response in responses)
        check_answers(model, questions, [response.text for response in responses], steps, least=3)
        again = agents[0].run("And then?")
        assert again.usage.cached_tokens > 2 * TRAINED


@pytest.mark.gate
def test_prefixes_on_the_disk_are_those_of_the_scaling(short_path, tmp_path):
    kinds = [
        None,
        RopeScaling("yarn", 8.0),
        RopeScaling("linear", 8.0),
        RopeScaling("yarn", 8.5),
        RopeScaling("yarn", 8.0, 300),
    ]
    answers = []
    for visit in range(2):
        for kind in kinds:
            options = {"context_size": 2048, "prefix_cache": tmp_path / "prefixes", "rope_scaling": kind}
            with Model.from_local(short_path, threads=1, **options) as model:
                answers.append(Agent(model, SYSTEM, temperature=0, max_tokens=12).generate("Hello!"))
                assert model.stats().prefixes_loaded == visit, kind
    assert len(list((tmp_path / "prefixes").iterdir())) == len(kinds)
    assert answers[: len(kinds)] == answers[len(kinds) :]


def test_a_saved_agent_of_another_scaling_is_computed_again(short_path, tmp_path):
    def load(factor):
        return Model.from_local(short_path, threads=1, context_size=2048, rope_scaling=RopeScaling("yarn", factor))

    with load(8.0) as first, load(8.0) as same, load(4.0) as other:
        agent = Agent(first, SYSTEM, temperature=0, max_tokens=8)
        agent.run("My name is Ada.")
        agent.save(tmp_path / "ada.agent")
        assert Agent.load(tmp_path / "ada.agent", same).run("Who am I?").usage.cached_tokens > 100
        assert Agent.load(tmp_path / "ada.agent", other).run("Who am I?").usage.cached_tokens == 0


@pytest.mark.parametrize("call", [Model.from_local, Model.estimate], ids=["from_local", "estimate"])
@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        (RopeScaling("dynamic", 2.0), 'the type of rope_scaling must be "yarn" or "linear", not "dynamic"'),
        (RopeScaling(None, 2.0), "the type of rope_scaling must be a str, not NoneType"),
        (RopeScaling("yarn", 0), "the factor of rope_scaling must be between 1 and 1000, not 0"),
        (RopeScaling("yarn", -4.0), "not -4"),
        (RopeScaling("linear", 0.5), "not 0.5"),
        (RopeScaling("yarn", math.nan), "not -?nan"),
        (RopeScaling("yarn", math.inf), "not inf"),
        (RopeScaling("yarn", 1e300), "not inf"),
        (RopeScaling("yarn", 1000.5), "not 1000.5"),
        (RopeScaling("yarn", "4"), "the factor of rope_scaling must be a float, not str"),
        (RopeScaling("yarn", 4.0, 0), "original_context_size of rope_scaling must be between 1 and"),
        (RopeScaling("yarn", 4.0, 1 << 23), "must be between 1 and 4194304 tokens.*, not 8388608"),
        (RopeScaling("yarn", 4.0, 1.5), "must be an int, not float"),
        ({"rope_type": "yarn", "factor": 4.0}, "rope_scaling must be a RopeScaling, .*, not dict"),
        ("yarn", "rope_scaling must be a RopeScaling, .*, not str"),
    ],
)
def test_what_is_no_scaling(tiny_path, call, scaling, words):
    with pytest.raises(InvalidParamError, match=words):
        call(tiny_path, rope_scaling=scaling)


@pytest.mark.parametrize("call", [Model.from_local, Model.estimate], ids=["from_local", "estimate"])
def test_a_model_without_rotary_positions(model_path, tmp_path, call):
    gguf = pytest.importorskip("gguf")
    random_model.write(gguf, pytest.importorskip("numpy"), model_path, tmp_path / "model.gguf", kind="mamba")
    with pytest.raises(InvalidParamError, match="its architecture, mamba, has no rotary positions"):
        call(tmp_path / "model.gguf", rope_scaling=RopeScaling("yarn", 2.0))
    with Model.from_local(tmp_path / "model.gguf", threads=1, context_size=512) as model:
        assert model.get_info().rope_scaling == "none"


@pytest.mark.parametrize(("field", "value"), [("rope_factor", 2.0), ("rope_original_context", 512)])
def test_numbers_without_a_type_in_c(tiny_path, field, value):
    params = _native.ffi.new("luup_model_params *")
    _native.lib.luup_model_default_params(params)
    setattr(params, field, value)
    cell = _native.ffi.new("luup_model **")
    assert _native.lib.luup_model_load(str(tiny_path).encode(), params, cell) == _native.lib.LUUP_ERROR_INVALID_PARAM
    message = _native.ffi.string(_native.lib.luup_last_error_message()).decode()
    assert 'need a rope_scaling: give "yarn" or "linear"' in message


def test_scaled_positions_and_a_quantized_cache(short_path, model_path):
    """Both at once, where both are possible."""
    options = {"rope_scaling": RopeScaling("yarn", 2.0), "cache_type": "q8_0"}
    with Model.from_local(model_path, threads=1, context_size=512, **options) as model:
        info = model.get_info()
        assert (info.rope_scaling, info.cache_type_k) == ("yarn", "q8_0")
        assert Agent(model, temperature=0, max_tokens=8).run("Hello").usage.completion_tokens > 0
    with pytest.raises(InvalidParamError, match="heads have 8 numbers"):
        Model.from_local(short_path, **options)
