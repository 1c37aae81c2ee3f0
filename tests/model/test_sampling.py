"""Sampling settings: odd but right ones work, wrong ones are refused by name, for an agent and for a call."""

import math

import pytest

from luup_agent import Agent, InvalidParamError

CAPITAL = "What is the capital city of France? Answer in one sentence."

BAD = [
    ("temperature", -0.1),
    ("temperature", 100.5),
    ("temperature", math.nan),
    ("temperature", math.inf),
    ("temperature", 1e300),
    ("temperature", "hot"),
    ("temperature", None),
    ("temperature", True),
    ("top_p", -0.1),
    ("top_p", 1.1),
    ("top_p", math.nan),
    ("min_p", -0.1),
    ("min_p", 1.1),
    ("min_p", math.nan),
    ("top_k", -1),
    ("top_k", 1.5),
    ("top_k", 2**31),
    ("repeat_penalty", 0),
    ("repeat_penalty", -1),
    ("repeat_penalty", 11),
    ("repeat_penalty", math.nan),
    ("repeat_last_n", -1),
    ("repeat_last_n", 65537),
    ("seed", -1),
    ("seed", 2**32 - 1),
    ("seed", 2**32),
    ("seed", 1.5),
    ("seed", "7"),
    ("max_tokens", 0),
    ("max_tokens", -2),
    ("max_tokens", 1.5),
    ("max_tokens", 2**31),
    ("stop", ""),
    ("stop", ["ok", ""]),
    ("stop", 5),
    ("stop", b"bytes"),
    ("stop", [5]),
    ("stop", {"a", "b"}),
    ("stop", ["x"] * 65),
    ("timeout", -1),
    ("timeout", math.nan),
    ("timeout", "5"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_wrong_value_is_refused_by_name(model, greedy, name, value):
    with pytest.raises(InvalidParamError, match=name):
        Agent(model, **{name: value})
    agent = greedy()
    for call in (agent.generate, agent.generate_stream, agent.run, agent.stream_events):
        with pytest.raises(InvalidParamError, match=name):
            call(CAPITAL, **{name: value})
    assert agent.get_history() == []
    assert "Paris" in agent.generate(CAPITAL)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 100, "max_tokens": 4},
        {"top_p": 0.0},
        {"top_p": 1},
        {"min_p": 1.0},
        {"top_k": 0},
        {"top_k": 1},
        {"top_k": 10**6},
        {"repeat_penalty": 10, "repeat_last_n": 0},
        {"repeat_penalty": 1.1, "repeat_last_n": 65536},
        {"seed": 0},
        {"seed": 2**32 - 2},
        {"stop": []},
        {"stop": ("a", "b")},
        {"stop": ["x" * 5000]},
        {"max_tokens": 1},
        {"max_tokens": 2**31 - 1, "stop": "Paris"},
        {"timeout": math.inf},
        {"timeout": 60},
    ],
)
def test_an_odd_but_right_value_works(model, options):
    settings = {"max_tokens": 16, **options}
    assert isinstance(Agent(model, **settings).generate(CAPITAL), str)
    assert isinstance(Agent(model).generate(CAPITAL, **settings), str)


@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}])
def test_settings_that_leave_one_token_are_greedy(model, greedy, options):
    agent = Agent(model, max_tokens=24, **options)
    assert agent.generate(CAPITAL) == greedy().generate(CAPITAL)


def test_settings_are_copied(model):
    stop = ["Paris"]
    agent = Agent(model, temperature=0, stop=stop)
    stop.clear()
    assert "Paris" not in agent.generate(CAPITAL)
    assert "Paris" not in Agent(model, temperature=0, stop="Paris").generate(CAPITAL, max_tokens=100)


@pytest.mark.parametrize("name", ["enable_history", "enable_tool_calling", "enable_builtin_tools"])
def test_switches_are_bools(model, name):
    assert getattr(Agent(model), name) is True
    assert getattr(Agent(model, **{name: False}), name) is False
    with pytest.raises(InvalidParamError, match=f"{name} must be a bool"):
        Agent(model, **{name: 1})
