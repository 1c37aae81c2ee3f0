"""Recurrent and hybrid models go back to checkpoints: a turn costs its new tokens, with the same answers as without."""

import asyncio
import re
from typing import Literal

import pytest
from pydantic import BaseModel
from support import architectures, builds, random_model

from luup_agent import Agent, Model

KINDS = sorted(architectures.RECURRENT)
SAMPLE = {"mamba", "lfm2", "qwen35"}  # of the plain run: no attention, short convolutions, delta nets
SYSTEM = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 6
ANSWER = 8  # tokens
NEAR = 24  # tokens before a turn's end at which the last checkpoint may be


def marked(name):
    return name if name in SAMPLE else pytest.param(name, marks=(pytest.mark.slow, pytest.mark.gate))


@pytest.fixture(scope="module", params=[marked(name) for name in KINDS])
def path(request, model_path, tmp_path_factory, tool):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("recurrent") / f"{request.param}.gguf"
    if request.param == "mamba":
        random_model.write(gguf, numpy, model_path, path, kind="mamba")
    else:
        tool("luup-tensor-shapes")
        architectures.write(gguf, numpy, model_path, path, request.param)
    yield path
    path.unlink()


@pytest.fixture
def load(path):
    """Loads the model, with or without room for checkpoints."""
    opened = []

    def load(**options):
        opened.append(Model.from_local(path, threads=1, **{"context_size": 2048, "max_sequences": 8, **options}))
        return opened[-1]

    yield load
    for model in opened:
        model.close()


def agent_of(model, **settings):
    return Agent(model, SYSTEM, **{"temperature": 0, "max_tokens": ANSWER, **settings})


def assert_alike(one, other):
    """Assert that two answers are the same up to a near tie, where the next token may be either."""
    for a, b in zip(one.logprobs, other.logprobs):
        assert a.logprob == pytest.approx(b.logprob, abs=0.02)
        if a.id != b.id:
            assert a.top[0].logprob == pytest.approx(a.top[1].logprob, abs=0.02)
            return
    assert one.text == other.text


def length(agent):
    return len(agent._prompt_tokens(None))


def test_a_turn_costs_its_new_tokens(load):
    warm, cold = load(), load(cache_ram=0)
    answers = {}
    for model in (warm, cold):
        agent = agent_of(model, top_logprobs=2)
        answers[model] = []
        for question in ("Who wrote Hamlet, and when was that?", "And Macbeth, please?", "Who wrote the first Faust?"):
            before = length(agent) if answers[model] else 0
            answer = agent.run(question)
            answers[model].append(answer)
            if model is warm and before:
                assert answer.usage.cached_tokens >= before - NEAR - ANSWER
    for one, other in zip(answers[warm], answers[cold]):
        assert_alike(one, other)
    assert cold.stats().checkpoints == 0
    stats = warm.stats()
    assert stats.checkpoints >= 1
    assert 0 < stats.checkpoint_bytes <= 1 << 29


def test_forks_and_changed_histories_go_back(load):
    model = load()
    agent = agent_of(model)
    agent.run("My cat is called Tom, and my dog is called Rex.")
    kept, end = agent.get_history(), length(agent)
    agent.run("What are they called?")
    agent.run("And which of them is the dog?")
    fork = agent_of(model, top_logprobs=2)
    fork.set_history(kept)
    again = fork.run("What is the cat called?")
    assert again.usage.cached_tokens >= end - NEAR - ANSWER
    alone = agent_of(load(cache_ram=0), top_logprobs=2)
    alone.set_history(kept)
    assert_alike(again, alone.run("What is the cat called?"))
    assert model.stats().rewound > 0


async def test_many_share_a_beginning(load):
    model = load()
    agents = [agent_of(model, top_logprobs=2) for _ in range(16)]
    shared = length(agents[0]) - 4
    answers = await asyncio.gather(*[agent.run_async(f"Number {n}?") for n, agent in enumerate(agents)])
    assert sum(answer.usage.cached_tokens >= shared - NEAR for answer in answers) >= 15
    alone = load(cache_ram=0)
    for number in range(0, 16, 4):
        assert_alike(answers[number], agent_of(alone, top_logprobs=2).run(f"Number {number}?"))


class Parcel(BaseModel):
    """A parcel."""

    country: Literal["France", "Italy", "Spain"]
    express: bool
    pieces: Literal[1, 2, 3]


def test_what_goes_back_within_an_answer_stays_right(load):
    """Labels are scored by going back to the prompt's end, again and again."""
    warm, cold = load(), load(cache_ram=0)
    labels = ["rather good", "rather bad", "quite good", "quite bad"]
    results = [agent_of(model).classify("It rains.", labels) for model in (warm, cold)]
    assert results[0].label == results[1].label
    for label in labels:
        assert results[0].probabilities[label] == pytest.approx(results[1].probabilities[label], abs=0.02)
    prefilled = [model.stats().batch_tokens for model in (warm, cold)]
    assert prefilled[0] < prefilled[1]
    parcels = [agent_of(model, max_tokens=120).generate("A parcel.", output_type=Parcel) for model in (warm, cold)]
    assert parcels[0] == parcels[1]


def test_a_stop_text_and_a_cancelled_answer_leave_a_way_back(load):
    model = load()
    agent = agent_of(model, max_tokens=24)
    text = agent.run("Tell me a story of a fox.").text
    stopped = agent_of(model, max_tokens=24, top_logprobs=2)
    stopped.run("Tell me a story of a fox.", stop=text[2:6] or None)
    end = length(stopped)
    events = stopped.stream_events("Go on with that story.", max_tokens=900)  # it does not end before it is cancelled
    next(events)
    events.close()
    history = stopped.get_history()
    assert len(history) == 3
    answer = stopped.run("Go on with that story, please.")
    assert answer.usage.cached_tokens >= end - NEAR - 24
    alone = agent_of(load(cache_ram=0), max_tokens=24, top_logprobs=2)
    alone.set_history(history)
    assert_alike(answer, alone.run("Go on with that story, please."))


def test_saved_agents_and_evicted_ones_come_back(load, tmp_path):
    model = load(context_size=512, max_sequences=4)
    agents = [agent_of(model) for _ in range(5)]
    for turn in ("First", "Second"):
        for number, agent in enumerate(agents):
            assert agent.run(f"{turn} {number} " + "word " * 20).finish_reason in ("stop", "length")
    agents[0].save(tmp_path / "saved")
    loaded = Agent.load(tmp_path / "saved", load(), temperature=0, max_tokens=ANSWER)
    assert loaded.generate("And now?") == agents[0].generate("And now?")


def test_the_memory_is_bounded(load):
    model = load()
    agent_of(model).run("Who wrote Hamlet?")
    each = model.stats().checkpoint_bytes // model.stats().checkpoints
    small = load(cache_ram=6 * each)
    for number in range(6):
        agent = agent_of(small)
        agent.run(f"Question {number}: who wrote this?")
        agent.run("And who did not?")
        assert small.stats().checkpoint_bytes <= 3 * each
    assert small.stats().checkpoints >= 1
    small.unload()
    assert (small.stats().checkpoints, small.stats().checkpoint_bytes) == (0, 0)


def test_all_architectures_of_this_kind_are_tried():
    source = builds.find_llama()
    if source is None:
        pytest.skip("the source of llama.cpp is not here: it comes with a build from source")
    text = (source / "src" / "llama-arch.cpp").read_text("utf-8")
    names = dict(re.findall(r'\{ LLM_ARCH_(\w+),\s*"([^"(]+)"', text))
    cases = re.findall(r"bool llm_arch_is_(?:recurrent|hybrid)\(.*?default:", text, re.DOTALL)
    assert len(cases) == 2
    found = {names[name] for case in cases for name in re.findall(r"case LLM_ARCH_(\w+):", case)}
    assert found == {*architectures.RECURRENT, *architectures.RECURRENT_WRONG}
    assert not architectures.RECURRENT & set(architectures.RECURRENT_WRONG)


def test_large_states_leave_room_for_fewer_sequences(model_path, tmp_path, tool):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    tool("luup-tensor-shapes")
    path = tmp_path / "large.gguf"
    architectures.write(gguf, numpy, model_path, path, "mamba", **{"ssm.state_size": 8192})  # 16 MiB for each sequence
    with Model.from_local(path, threads=1, context_size=256) as model:
        assert 16 < model.get_info().max_sequences < 32
        assert model.get_info().memory_context < 600 << 20
    assert Model.estimate(path, context_size=256).memory_context < 600 << 20
    with Model.from_local(path, threads=1, context_size=256, max_sequences=4) as model:
        assert model.get_info().max_sequences == 4
