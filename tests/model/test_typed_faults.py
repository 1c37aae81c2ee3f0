"""Failures of typed results and calls end in a typed error, and only failures do."""

import asyncio
import json
import random
import threading
from enum import Enum
from pathlib import Path
from typing import List, Literal

import pytest
from pydantic import BaseModel, Field

from luup_agent import Agent, InvalidOutputError

GIB = 2**30


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Thing(BaseModel):
    colour: Colour
    size: int = Field(ge=0, le=99)
    tags: List[Literal["a", "b"]] = Field(max_length=2)


def paint(colour: Colour, times: int) -> str:
    """Paints the wall.

    Args:
        colour: Of the paint.
        times: How often.
    """
    assert isinstance(colour, Colour)
    assert isinstance(times, int)
    return f"painted {times} times"


@pytest.fixture
def wild(tiny_model):
    """Makes agents that say anything."""

    def make(**options):
        return Agent(tiny_model, **{"temperature": 1.0, "max_tokens": 400, "retries": 0, **options})

    return make


# ---------------------------------------------------------------------------------------------------------------------
# Cut off
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 5, 9])
def test_an_output_that_is_cut_off_is_a_typed_error_with_its_text(wild, limit):
    agent = wild()
    agent.add_message("user", "Hello")
    before = agent.get_history()
    with pytest.raises(InvalidOutputError, match="max_tokens") as caught:
        agent.run("A list", output_type=Thing, max_tokens=limit)
    assert agent.get_history() == before
    partial = caught.value.partial_text
    assert partial
    assert '{"colour":"red","size":'.startswith(partial[:11])


def test_a_call_that_is_cut_off_is_a_typed_error_and_no_call(wild):
    called = []
    agent = wild()

    @agent.tool
    def note(text: str) -> None:
        """Keeps a text."""
        called.append(text)

    with pytest.raises(InvalidOutputError, match="max_tokens"):
        agent.run("Note it", tool_choice="required", max_tokens=8)
    assert called == []
    assert agent.get_history() == []


def test_an_output_that_ends_with_its_last_token_is_whole(wild):
    agent = wild(enable_history=False)
    needed = agent.run("A list", output_type=Thing, seed=3).usage.completion_tokens
    assert agent.run("A list", output_type=Thing, seed=3, max_tokens=needed).usage.completion_tokens == needed


# ---------------------------------------------------------------------------------------------------------------------
# Stop texts
# ---------------------------------------------------------------------------------------------------------------------


def test_stop_texts_do_not_cut_typed_results(wild):
    agent = wild(enable_history=False)
    for seed in range(10):
        answer = agent.run("A list", output_type=Thing, seed=seed, stop=['"', "}", "colour", "e"])
        assert isinstance(answer.output, Thing)
        assert json.loads(answer.text)


def test_stop_texts_do_not_cut_calls(wild):
    agent = wild(tools=[paint], enable_history=False, max_turns=2)
    for seed in range(5):
        answer = agent.run("Paint it", output_type=Thing, tool_choice="paint", seed=seed, stop=['"', "}", "name"])
        assert answer.tool_calls[0].name == "paint"
        assert isinstance(answer.output, Thing)


# ---------------------------------------------------------------------------------------------------------------------
# Schemas that are meant to harm
# ---------------------------------------------------------------------------------------------------------------------


def test_a_schema_that_is_meant_to_harm_ends_in_an_answer_or_a_typed_error(child, tiny_path):
    program = (Path(__file__).parents[1] / "support" / "schema_bombs.py").read_text("utf-8")
    result = child(program, tiny_path, memory=3 * GIB, timeout=150)
    assert result.returncode == 0, result.stdout[-300:] + result.stderr[-2000:]
    ends = dict(line.split() for line in result.stdout.splitlines())
    assert set(ends.values()) <= {
        "done",
        "InvalidSchemaError",
        "InvalidOutputError",
        "JSONParseError",
        "ContextFullError",
    }, ends
    refused = {name for name, end in ends.items() if end in ("InvalidSchemaError", "JSONParseError")}
    assert {"far_too_deep", "circle", "endless", "too_large_enum", "unique", "text", "nonsense"} <= refused, ends
    assert {"deep", "wide_and_required", "large_enum", "doubled"} <= set(ends) - refused, ends


# ---------------------------------------------------------------------------------------------------------------------
# All at once
# ---------------------------------------------------------------------------------------------------------------------


def test_16_threads_with_typed_runs_and_tools_on_one_model(wild):
    failures, answered, calls = [], [], []
    lock = threading.Lock()

    def work(number):
        choice = random.Random(number)
        try:
            agent = wild(tools=[paint], max_turns=2)
            for round_number in range(4):
                answer = agent.run(
                    f"Paint it, {number} {round_number}",
                    output_type=Thing,
                    tool_choice=choice.choice(["required", "none", "paint"]),
                )
                assert isinstance(answer.output, Thing)
                with lock:
                    answered.append(answer.output)
                    calls.extend(answer.tool_calls)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(answered) == 64
    assert calls
    assert all(call.name == "paint" for call in calls)


def test_typed_runs_that_are_cancelled_do_not_disturb_the_others(wild):
    async def main():
        agent = wild(enable_history=False, tools=[paint], max_turns=2)
        tasks = [
            asyncio.ensure_future(agent.run_async("Paint it", output_type=Thing, tool_choice="paint", seed=seed))
            for seed in range(24)
        ]
        await asyncio.sleep(0.05)
        for task in tasks[::3]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            if number % 3 or not isinstance(result, asyncio.CancelledError):
                assert isinstance(result.output, Thing), result

    asyncio.run(main())
