"""Models without a plain KV cache: sliding windows, and recurrent states."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import random_model

from luup_agent import Agent, Model

SYSTEM = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 6
ANSWER = 8  # tokens


@pytest.fixture(scope="module", params=["gemma3", "mamba"])
def kind_path(request, model_path, tmp_path_factory):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("kinds") / f"{request.param}.gguf"
    random_model.write(gguf, numpy, model_path, path, kind=request.param)
    return path


@pytest.fixture(scope="module")
def kind_model(kind_path):
    with Model.from_local(kind_path, threads=1) as model:
        yield model


def agent_of(model, **settings):
    return Agent(model, SYSTEM, **{"temperature": 0, "max_tokens": ANSWER, **settings})


def test_a_turn_computes_only_what_is_new(kind_model):
    agent = agent_of(kind_model)
    agent.run("Who wrote Hamlet?")
    for question in ("And Macbeth?", "And Faust, the first part of it?"):
        before = len(agent._prompt_tokens(None))
        answer = agent.run(question)
        assert answer.usage.cached_tokens >= before - 16
        assert answer.timings.recomputed_tokens <= 2  # where the text goes on, tokens may join


def test_equal_beginnings_are_prefilled_once(kind_path):
    with Model.from_local(kind_path, threads=1) as fresh:
        agents = [agent_of(fresh) for _ in range(10)]
        shared = len(agents[0]._prompt_tokens("A")) - 12
        with ThreadPoolExecutor(len(agents)) as pool:
            answers = list(pool.map(lambda agent: agent.run(f"Is {id(agent)} prime?"), agents))
        cached = sorted(answer.usage.cached_tokens for answer in answers)
        assert cached[1] >= shared > 100, cached
        agents.clear()  # the system prompt outlives them
        assert agent_of(fresh).run("Something else").usage.cached_tokens >= shared


def test_the_timings_tell_what_was_computed_again(kind_path):
    """Where the last message is taken back, a model with one state for all needs a checkpoint."""
    for cache_ram in (0, 1 << 20):
        with Model.from_local(kind_path, threads=1, cache_ram=cache_ram) as model:
            agent = agent_of(model)
            agent.run("Who wrote Hamlet? " * 8)
            agent.run("And Macbeth?")
            agent.set_history(agent.get_history()[:2])
            kept = len(agent._prompt_tokens(None))
            answer = agent.run("And Faust?")
        if kind_path.stem == "mamba" and cache_ram == 0:
            assert 100 < answer.usage.cached_tokens < kept - 32
            assert answer.timings.recomputed_tokens > 32
        else:
            assert answer.usage.cached_tokens >= kept - 32
            assert answer.timings.recomputed_tokens <= ANSWER + 16


def test_forks_and_saved_agents_go_on_warm(kind_model, tmp_path):
    agent = agent_of(kind_model)
    agent.run("My cat is called Tom.")
    before = len(agent._prompt_tokens(None))
    agent.save(tmp_path / "agent")
    expected = agent.fork().run("What is it called?")
    loaded = Agent.load(tmp_path / "agent", kind_model).run("What is it called?")
    assert loaded.text == expected.text
    assert expected.usage.cached_tokens >= before - 16
    assert loaded.usage.prompt_tokens == expected.usage.prompt_tokens


async def test_many_at_once_answer_as_if_alone(kind_model):
    agents = [agent_of(kind_model) for _ in range(40)]
    texts = [
        [answer.text for answer in await asyncio.gather(*[agent.run_async(f"{turn} {i}") for i, agent in agents])]
        for agents in [list(enumerate(agents))]
        for turn in ("First", "Second")
    ]
    same = 0
    for number in range(0, 40, 4):
        alone = agent_of(kind_model)
        same += [alone.generate(f"First {number}"), alone.generate(f"Second {number}")] == [t[number] for t in texts]
    assert same >= 9  # near ties fall otherwise in another batch


def test_a_context_too_small_for_all(kind_path):
    with Model.from_local(kind_path, threads=1, context_size=1024, max_sequences=8) as model:
        agents = [agent_of(model) for _ in range(12)]
        for turn in ("First", "Second"):
            for number, agent in enumerate(agents):
                assert agent.run(f"{turn} {number} " + "word " * 60).finish_reason in ("stop", "length")
        stats = model.stats()
    assert stats.evictions > 0
    assert (stats.runs_active, stats.runs_waiting) == (0, 0)


def test_a_cancelled_prefill_leaves_nothing(kind_model, idle):
    agent = agent_of(kind_model)
    events = agent.stream_events("word " * 6000)
    next(events)
    events.close()
    assert agent.run("Hello").finish_reason in ("stop", "length")
    assert idle(kind_model).sequences_active == 0
