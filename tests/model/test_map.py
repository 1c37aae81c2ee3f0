"""Many items with the real model: answers, labels, cancelling, and both APIs."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from typing import Literal

import pytest

from luup_agent import Agent, Choice, RunCancelledError

COUNTRIES = ["France", "Italy", "Spain", "Japan", "Egypt", "Norway"]


def test_many_are_answered_as_one_by_one(api, greedy):
    agent = greedy("You are a helpful assistant.")
    prompt = "What is the capital of {item}?"
    if hasattr(api, "do"):
        results = api.do(agent.map_async(COUNTRIES, prompt).all())
    else:
        results = agent.map(COUNTRIES, prompt).all()
    for country, result in zip(COUNTRIES, results):
        assert result.item == country
        assert result.finish_reason in ("stop", "length")
        assert result.usage.prompt_tokens > 10
    assert sum(country in result.value for country, result in zip(COUNTRIES, results)) >= 5
    assert "Paris" in results.values[0]
    assert len(agent.messages) == 1
    # Beside one another the agents share the prefix, and no item reads another one.
    counts = {result.usage.prompt_tokens for result in results}
    assert max(counts) - min(counts) < 5


def test_a_typed_map_of_the_model(model):
    kinds = Literal["city", "animal"]
    results = model.map(
        [{"thing": "Paris"}, {"thing": "cat"}],
        "What is {thing}?",
        output_type=kinds,
        temperature=0,
        system_prompt="Hi.",
    ).all()
    assert all(result.value in ("city", "animal") for result in results)
    chosen = asyncio.run(model.map_async(["a", "b"], output_type=Choice(["x", "y"])).all())
    assert all(value in ("x", "y") for value in chosen.values)


LABELS = ["happy", "unhappy"]
TEXTS = ["I love it, it is wonderful!", "I hate it, it is awful!", "What a lovely day!", "It broke at once."] * 8


def test_many_texts_are_classified(greedy, tmp_path):
    agent = greedy()
    path = tmp_path / "labels.jsonl"
    results = agent.classify_many(TEXTS, LABELS, path=path).all()
    alone = {text: agent.classify(text, LABELS) for text in set(TEXTS)}
    for result in results:
        assert sum(result.value.probabilities.values()) == pytest.approx(1)
        expected = alone[result.item].probabilities
        assert result.value.probabilities == pytest.approx(expected, abs=0.1)
    assert results[0].value.probabilities["happy"] > results[1].value.probabilities["happy"]
    again = agent.classify_many(TEXTS, LABELS, path=path).all()
    assert again.values == results.values
    assert again.rows()[0]["value.label"] == results[0].value.label
    assert agent.messages == []


def test_a_label_costs_no_tokens_of_its_own(model, greedy, idle):
    """Labels with different beginnings need one row of logits behind the prompt, whose beginning all texts share."""
    labels = ["sports", "politics", "business", "science", "culture", "weather"]
    agent = greedy("You sort messages by their topics.")
    list(agent.classify_many(["warm up"], labels))
    before = idle(model)
    texts = [f"The team {number} won the cup after a long and exciting match." for number in range(48)]
    results = agent.classify_many(texts, labels).all()
    after = idle(model)
    assert not results.errors
    assert after.tokens_decoded - before.tokens_decoded == len(texts)
    prefilled = (after.tokens_prefilled - before.tokens_prefilled) / len(texts)
    own = max(len(model.tokenize(text)) for text in texts)
    assert prefilled < own + 12  # the text and the template's end


def test_closing_frees_the_model_within_a_token(model, greedy, idle):
    stream = greedy(max_tokens=2000).map(["Count to a thousand."] * 20, concurrency=4)

    def close_once_it_runs():
        while model.stats().runs_active < 4:
            time.sleep(0.01)
        stream.close()

    closer = threading.Thread(target=close_once_it_runs)
    closer.start()
    with pytest.raises(RunCancelledError):
        stream.all()
    closer.join()
    stats = idle(model)
    assert (stats.runs_active, stats.runs_waiting) == (0, 0)


def test_a_cancelled_task_frees_the_model(model, greedy, idle):
    async def main():
        task = asyncio.ensure_future(greedy(max_tokens=2000).map_async(["Count to a thousand."] * 20).all())
        while not model.stats().runs_active:  # noqa: ASYNC110  # another thread changes it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    stats = idle(model)
    assert (stats.runs_active, stats.runs_waiting) == (0, 0)


INTERRUPTED = """
    import os, signal, sys, threading, time
    from luup_agent import Agent, Model

    with Model.from_local(sys.argv[1], threads=1) as model:
        agent = Agent(model, temperature=0, max_tokens=8)
        stream = agent.map((f"Say {n}" for n in range(10**6)), path=sys.argv[2], concurrency=4)
        next(stream)
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            for _ in stream:
                pass
        except KeyboardInterrupt:
            print("interrupted")
        deadline = time.monotonic() + 20  # within the token under way
        while model.stats().runs_active and time.monotonic() < deadline:
            time.sleep(0.01)
        print(model.stats().runs_active, model.stats().runs_waiting)
        print(agent.generate("What is the capital of France?", max_tokens=16))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_a_ctrl_c_ends_the_map_and_nothing_else(model_path, tmp_path):
    path = tmp_path / "results.jsonl"
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(model_path), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == ["interrupted", "0 0"]
    assert "Paris" in lines[2]
    assert len(path.read_text().splitlines()) >= 2


def test_an_answer_that_was_cut_says_so(greedy):
    results = Agent.map(greedy(max_tokens=3), ["Tell me a long story."]).all()
    assert results[0].finish_reason == "length"
    assert results.rows()[0]["finish_reason"] == "length"
