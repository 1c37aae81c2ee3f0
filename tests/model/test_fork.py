"""Forks: agents that continue another one's conversation independently."""

import asyncio

import pytest

from luup_agent import Agent, ClosedError

SYSTEM = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 4


@pytest.fixture
def agent(tiny_model):
    agent = Agent(tiny_model, SYSTEM, temperature=0, max_tokens=8)

    @agent.tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    agent.run("My name is Ada.", tool_choice="none")
    return agent


def test_a_fork_prefills_only_its_own_message(agent):
    fork = agent.fork()
    before = len(agent._prompt_tokens(None))
    usage = fork.run("What is my name?", tool_choice="none").usage
    assert usage.cached_tokens >= before - 16, usage


def test_a_fork_and_its_origin_go_different_ways(agent):
    history = agent.get_history()
    fork = agent.fork()
    assert fork.get_history() == history
    fork.run("Go left.", tool_choice="none")
    agent.run("Go right.", tool_choice="none")
    assert [m["content"] for m in fork.get_history() if m["role"] == "user"] == ["My name is Ada.", "Go left."]
    assert [m["content"] for m in agent.get_history() if m["role"] == "user"] == ["My name is Ada.", "Go right."]


def test_a_fork_has_the_settings_and_tools_of_its_origin(agent):
    fork = agent.fork()
    assert type(fork) is Agent
    assert fork.system_prompt == SYSTEM
    assert fork.model is agent.model
    assert fork.run("Go on.", tool_choice="none").usage.completion_tokens <= 8
    assert set(fork.tools) == {"add"}
    fork.remove_tool("add")
    assert set(agent.tools) == {"add"}
    assert set(fork.tools) == set()


def test_a_subclass_stays_one(tiny_model):
    class Named(Agent):
        def __init__(self, name, model):
            super().__init__(model, max_tokens=4)
            self.name = name

    fork = Named("Bob", tiny_model).fork()
    assert isinstance(fork, Named)
    assert fork.name == "Bob"


def test_an_agent_is_forked_while_it_answers(agent):
    history = agent.get_history()
    stream = agent.generate_stream("Tell me more.", max_tokens=200, tool_choice="none")
    next(stream)
    fork = agent.fork()
    stream.close()
    assert fork.get_history() == history


async def test_branches_answer_together(agent):
    branches = [agent.fork() for _ in range(8)]
    calls = [
        branch.run_async("Suggest a name.", temperature=1.0, seed=seed, tool_choice="none")
        for seed, branch in enumerate(branches)
    ]
    answers = await asyncio.gather(*calls)
    assert len({answer.text for answer in answers}) > 4
    assert all(answer.usage.cached_tokens > 100 for answer in answers)


def test_a_closed_agent_has_no_forks(agent):
    agent.close()
    with pytest.raises(ClosedError):
        agent.fork()
