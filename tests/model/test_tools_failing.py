"""Tools that raise, are cancelled, or ask for a better call.

Where it matters what is called, the history ends with pending calls (`tooled`), and the run begins with them.
"""

import asyncio
import contextlib
import logging
import threading
import time

import pytest
from pydantic import AfterValidator
from support.tool_calls import add, results
from typing_extensions import Annotated

from luup_agent import (
    MaxTurnsError,
    ModelRetry,
    RunContext,
    Tool,
    ToolResult,
    ToolRetryError,
)


def test_an_exception_is_told_to_the_model_and_logged(api, tooled, caplog):
    def fail() -> None:
        raise LookupError("no such row")

    async def fail_too() -> None:
        raise LookupError("no such row")

    def cycle() -> list:
        value = []
        value.append(value)
        return value

    agent = tooled([fail, fail_too, cycle], ("fail", {}), ("fail_too", {}), ("cycle", {}))
    with caplog.at_level(logging.WARNING, "luup_agent"):
        told = results(api.response(agent, None))
    assert told == [
        ToolResult("Error: LookupError", is_error=True),
        ToolResult("Error: LookupError", is_error=True),
        ToolResult("Error: ValueError", is_error=True),
    ]
    records = [record for record in caplog.records if record.exc_info]
    assert sorted(record.getMessage() for record in records) == [
        "the tool 'cycle' failed",
        "the tool 'fail' failed",
        "the tool 'fail_too' failed",
    ]


class Boom(Exception):
    pass


def test_what_is_cancelled_inside_of_a_tool_is_a_failed_call(api, tooled):
    async def wait() -> str:
        inner = asyncio.ensure_future(asyncio.sleep(60))
        inner.cancel()
        await inner
        return "never"

    assert results(api.response(tooled([wait], ("wait", {})), None)) == [ToolResult("Error: CancelledError", True)]


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("others", [0, 1])
def test_what_is_to_propagate_ends_the_run(api, tooled, error, others):
    raised = error("stop")

    @Tool
    def fail() -> None:
        raise raised

    fail.on_error = "raise"
    agent = tooled([fail, add], ("fail", {}), *[("add", {"a": 1})] * others)
    before = agent.get_history()
    with pytest.raises(error) as caught:
        api.response(agent, None)
    assert caught.value is raised
    assert agent.get_history() == before


@pytest.mark.parametrize("error", [Boom, SystemExit])
def test_what_is_to_propagate_from_a_coroutine_ends_the_run(api, tooled, error):
    cancelled = threading.Event()

    async def fail() -> None:
        await asyncio.sleep(0.05)
        raise error("stop")

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    agent = tooled([Tool(fail, on_error="raise"), wait], ("fail", {}), ("wait", {}))
    begin = time.monotonic()
    with pytest.raises(error, match="stop"):
        api.response(agent, None)
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("source", ["hint", "validator"])
def test_a_better_call_is_asked_for_so_many_times(api, tooled, source):
    def check(n: int) -> int:
        if n > 9:
            raise ValueError("too many")
        return n

    def order(ctx: RunContext, n: Annotated[int, AfterValidator(check)]) -> str:
        raise ModelRetry("Ask Ada first.")

    call = ("order", {"n": 5 if source == "hint" else 50})
    told = (
        "Error: Ask Ada first." if source == "hint" else "Error: the arguments are not valid:\nn: Value error, too many"
    )
    (result,) = results(api.response(tooled([order], call), None))
    assert result == ToolResult(told, is_error=True)
    twice = api.response(tooled([order], call, call), None, retries=2)
    assert results(twice) == [result] * 2
    for options, tool in (({"retries": 0}, order), ({}, Tool(order, retries=0))):
        agent = tooled([tool], call)
        before = agent.get_history()
        with pytest.raises(ToolRetryError, match="order.*0 times") as caught:
            api.response(agent, None, **options)
        assert caught.value.call.id == "call_0"
        assert isinstance(caught.value.__cause__, ModelRetry if source == "hint" else ValueError)
        assert agent.get_history() == before


def test_the_context_counts_the_retries(api, tooled, greedy):
    seen = []

    def order(ctx: RunContext) -> str:
        """Orders a pizza."""
        seen.append(ctx.retry)
        raise ModelRetry("again")

    agent = greedy(tools=[order], max_tokens=48)
    with contextlib.suppress(ToolRetryError, MaxTurnsError):
        api.response(agent, "Order a pizza.", tool_choice="required", retries=1, max_turns=3)
    assert seen == list(range(len(seen)))
