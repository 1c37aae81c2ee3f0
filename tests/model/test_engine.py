"""The engine: shared prefixes, warm turns, eviction, fairness, cancelling."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from luup_agent import Agent, ContextFullError, Model, RunTimeoutError

LONG_PROMPT = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 8


@pytest.fixture(scope="module")
def small(model_path):
    """A context in which five short conversations have room."""
    with Model.from_local(model_path, threads=1, context_size=512, max_sequences=16) as loaded:
        yield loaded


def texts(agents, messages):
    with ThreadPoolExecutor(len(agents)) as pool:
        return list(pool.map(lambda pair: pair[0].generate(pair[1]), zip(agents, messages)))


def test_a_turn_prefills_only_what_is_new(model):
    agent = Agent(model, LONG_PROMPT, temperature=0, max_tokens=8)
    first = agent.run("Who wrote Hamlet?")
    assert first.usage.prompt_tokens > 150
    for question in ("And Macbeth?", "And Faust?"):
        before = len(agent._prompt_tokens(None))
        turn = agent.run(question)
        new = turn.usage.prompt_tokens - before
        assert turn.usage.prompt_tokens - turn.usage.cached_tokens <= new + 3, turn.usage


def test_equal_beginnings_are_prefilled_once(model_path):
    with Model.from_local(model_path, threads=1) as fresh:
        agents = [Agent(fresh, LONG_PROMPT, temperature=0, max_tokens=4) for _ in range(12)]
        texts(agents, [f"Is {number} prime?" for number in range(12)])
        stats = fresh.stats()
        one, other = (Agent(fresh, LONG_PROMPT)._prompt_tokens(f"Is {number} prime?") for number in (0, 1))
        shared = next(i for i, (a, b) in enumerate(zip(one, other)) if a != b)
        assert shared > 150
        assert stats.tokens_cached >= 11 * shared, stats
        assert stats.tokens_prefilled <= shared + 12 * (len(one) - shared + 1), stats
        # Later agents find it too, no matter which one computed it.
        assert Agent(fresh, LONG_PROMPT, max_tokens=1).run("Is 97 prime?").usage.cached_tokens >= shared


@pytest.mark.gate
@pytest.mark.slow
def test_more_agents_than_the_context_holds(small, solo):
    """Sequences are evicted and computed again, without a change of the text."""
    questions = [f"Tell me a story about the number {number}." for number in range(20)]
    before = small.stats()
    answers = texts([Agent(small, temperature=0, max_tokens=24) for _ in questions], questions)
    stats = small.stats()
    assert (stats.runs_active, stats.runs_waiting, stats.sequences_active) == (0, 0, 0)
    assert stats.context_used <= 512
    assert stats.evictions > before.evictions
    solo.check(questions, answers)


@pytest.mark.slow
def test_running_out_of_room_sets_others_back(small):
    """Answers that grow beyond the context together: all end, one after the other where needed."""
    agents = [Agent(small, temperature=1.0, seed=number, max_tokens=150) for number in range(6)]
    before = small.stats().preemptions
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda agent: agent.run("Write a very long story about the sea."), agents))
    assert all(answer.finish_reason in ("stop", "length") for answer in answers)
    assert small.stats().preemptions > before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="huge pages for the asking are Linux's")
def test_large_buffers_ask_for_huge_pages(model_path):
    flags = {line.split(":")[0] for line in Path("/proc/self/smaps").read_text().splitlines() if ":" in line}
    if "VmFlags" not in flags or not Path("/sys/kernel/mm/transparent_hugepage").is_dir():
        pytest.skip("this kernel does not report huge pages, or has none")
    with Model.from_local(model_path, threads=1, context_size=8192):  # a KV cache of 180 MiB
        asked, size = 0, 0
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if line.startswith("Size:"):
                size = int(line.split()[1])
            elif line.startswith("VmFlags:") and " hg" in line:
                asked += size
    assert asked > 180 * 1024, f"{asked} KiB"


def test_a_context_that_one_answer_fills(model_path):
    with Model.from_local(model_path, threads=1, context_size=256) as tiny:
        agent = Agent(tiny, temperature=0, max_tokens=4000)
        with pytest.raises(ContextFullError, match="256") as failure:
            agent.generate("Write a long story.")
        assert failure.value.partial_text
        assert agent.messages == []
        answer = agent.run("Write a long story.", max_tokens=None)
        assert answer.finish_reason == "length"
        assert answer.usage.prompt_tokens + answer.usage.completion_tokens >= 256


@pytest.mark.slow
def test_a_long_prompt_does_not_stall_the_others(model):
    """While 3,000 tokens come in, an agent that answers goes on getting its tokens."""
    talker = Agent(model, temperature=1.0, seed=3, max_tokens=400)
    stream = talker.generate_stream("Tell me a very long story.")
    next(stream)
    reader = Agent(model, temperature=0, max_tokens=1)
    started, over = time.monotonic(), []
    thread = threading.Thread(target=lambda: over.append((reader.generate("word " * 3000), time.monotonic())))
    thread.start()
    arrivals = [time.monotonic()]
    for _ in stream:
        arrivals.append(time.monotonic())
        if over:
            break
    thread.join()
    took = over[0][1] - started
    during = [time_ for time_ in arrivals if started <= time_ <= over[0][1]]
    gaps = [b - a for a, b in zip(during, during[1:])]
    assert len(during) > 10
    assert max(gaps) < took / 4, (max(gaps), took)


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_prefill_ends_in_the_middle(model, how):
    """The engine is free again long before the prompt would have been read."""
    agent = Agent(model, temperature=0, max_tokens=1)
    begin = time.monotonic()
    if how == "timeout":
        with pytest.raises(RunTimeoutError):
            agent.generate("word " * 6000, timeout=0.3)
        begin += 0.3
    else:
        events = agent.stream_events("word " * 6000)
        progress = next(events)
        assert (progress.type, progress.done < progress.total) == ("progress", True)
        begin, first = time.monotonic(), time.monotonic() - begin
        events.close()
    assert Agent(model, temperature=0, max_tokens=1).run("Hi").finish_reason == "length"
    took = time.monotonic() - begin
    assert took < (first if how == "cancel" else 2.0)
    assert agent.messages == []


def test_a_run_that_waits_can_be_cancelled_too(small):
    runs = [
        Agent(small, temperature=1.0, seed=n, max_tokens=100).stream_events("A long story, please.") for n in range(20)
    ]
    for run in runs[:4]:
        next(run)
    for run in reversed(runs):
        run.close()
    deadline = time.monotonic() + 10
    while small.stats().runs_active + small.stats().runs_waiting and time.monotonic() < deadline:
        time.sleep(0.02)
    stats = small.stats()
    assert (stats.runs_active, stats.runs_waiting, stats.sequences_active) == (0, 0, 0)
