"""Histories that have to leave the context go to RAM, and come back without a prefill."""

import asyncio

import pytest

from luup_agent import Agent, Model

SYSTEM = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 6
AGENTS = 12


@pytest.fixture
def narrow(tiny_path):
    """A context that holds about three of the conversations below."""
    with Model.from_local(tiny_path, threads=1, context_size=1024, max_sequences=16) as model:
        yield model


def agents_of(model, system_prompt, **settings):
    return [Agent(model, system_prompt, temperature=0, max_tokens=8, **settings) for _ in range(AGENTS)]


def turn(agents, text):
    return [agent.run(f"{text} {index} " + f"word{index} " * 40) for index, agent in enumerate(agents)]


@pytest.mark.parametrize("system_prompt", [None, SYSTEM], ids=["alone", "shared prompt"])
def test_agents_come_back_without_a_prefill(narrow, system_prompt):
    agents = agents_of(narrow, system_prompt)
    turn(agents, "First")
    stats = narrow.stats()
    assert stats.evictions > 0
    assert stats.sequences_in_ram > 0
    assert stats.ram_used > 0
    for before, answer in zip([len(agent._prompt_tokens(None)) for agent in agents], turn(agents, "Second")):
        assert answer.usage.cached_tokens >= before - 16, answer.usage
    assert narrow.stats().restored >= AGENTS - 4


def test_what_comes_back_is_what_left(tiny_path, narrow):
    """The same answers as where nothing has to leave."""
    with Model.from_local(tiny_path, threads=1, context_size=16384) as wide:
        expected, got = ([], [])
        for model, answers in ((wide, expected), (narrow, got)):
            agents = agents_of(model, SYSTEM)
            for text in ("First", "Second", "Third"):
                answers += [answer.text for answer in turn(agents, text)]
        assert wide.stats().evictions == 0
    assert narrow.stats().restored > 0
    same = sum(a == b for a, b in zip(expected, got))
    assert same >= 0.9 * len(expected), (same, len(expected))  # near ties fall otherwise with another batch


def test_a_shared_prompt_is_stored_once(narrow):
    agents = agents_of(narrow, SYSTEM)
    turn(agents, "First")
    stats = narrow.stats()
    alone = Agent(narrow, SYSTEM, max_tokens=1)
    per_token = 2 * 2 * 32  # K and V of one layer, half precision, 32 wide
    own = max(len(agent._prompt_tokens(None)) for agent in agents) - len(alone._prompt_tokens(None))
    assert stats.ram_used <= stats.sequences_in_ram * (own + 40) * (per_token + 64)


def test_without_ram_they_are_computed_again(tiny_path):
    with Model.from_local(tiny_path, threads=1, context_size=1024, max_sequences=16, cache_ram=0) as model:
        agents = agents_of(model, None)
        turn(agents, "First")
        turn(agents, "Second")
        stats = model.stats()
    assert stats.evictions > 0
    assert (stats.restored, stats.sequences_in_ram, stats.ram_used) == (0, 0, 0)


def test_the_oldest_leave_a_full_ram(tiny_path):
    with Model.from_local(tiny_path, threads=1, context_size=1024, max_sequences=16, cache_ram=100_000) as model:
        agents = agents_of(model, None)
        turn(agents, "First")
        assert 0 < model.stats().ram_used <= 100_000
        assert 0 < model.stats().sequences_in_ram < AGENTS - 4
        turn(agents, "Second")


def test_agents_that_are_gone_leave_the_ram(narrow):
    agents = agents_of(narrow, None)
    turn(agents, "First")
    assert narrow.stats().sequences_in_ram > 0
    for agent in agents:
        agent.close()
    Agent(narrow, max_tokens=1).run("Hello")
    stats = narrow.stats()
    assert stats.sequences_in_ram <= 2  # what the last of them began with, for others that begin alike
    assert stats.context_used < 128


def test_what_agents_that_are_gone_began_with_makes_room_and_comes_back(model_path):
    """Attention would step over it in each decode of an agent that begins otherwise."""
    rules = "Rule {}: be brief, kind and exact, and name your sources. "
    system = "".join(rules.format(number) for number in range(30))
    with Model.from_local(model_path, context_size=4096, threads=2) as model:
        with Agent(model, system, temperature=0, max_tokens=4) as agent:
            first = agent.run("Who are you?")
        with Agent(model, "You are a poet.", temperature=0, max_tokens=4) as other:
            other.run("Say something.")
            stats = model.stats()
            assert (stats.sequences_in_ram, stats.evictions) == (1, 0)
            assert stats.context_used < 128
        with Agent(model, system, temperature=0, max_tokens=4) as again:
            second = again.run("Who are you?")
        assert second.usage.cached_tokens >= first.usage.prompt_tokens - 1
        assert second.text == first.text


def test_a_cleared_history_is_not_brought_back(narrow):
    agents = agents_of(narrow, None)
    turn(agents, "First")
    agents[0].clear_history()
    assert agents[0].run("Something else entirely").usage.cached_tokens < 64


async def test_hundreds_of_agents_take_turns(narrow):
    agents = [Agent(narrow, SYSTEM, temperature=0, max_tokens=4) for _ in range(200)]
    for text in ("First", "Second"):
        answers = await asyncio.gather(*[agent.run_async(f"{text} {index}") for index, agent in enumerate(agents)])
        assert all(answer.finish_reason in ("stop", "length") for answer in answers)
    stats = narrow.stats()
    assert (stats.runs_active, stats.runs_waiting) == (0, 0)
    assert stats.context_used <= 1024
