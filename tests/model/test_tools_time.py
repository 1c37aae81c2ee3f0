"""Tools that are late, and runs that end while their tools still work.

Where it matters what is called, the history ends with pending calls (`tooled`), and the run begins with them.
"""

import asyncio
import threading
import time

import pytest
from support.tool_calls import add, results

from luup_agent import (
    RunContext,
    RunTimeoutError,
    Tool,
    ToolResult,
)


def test_a_late_tool_is_told_to_the_model(api, tooled):
    release = threading.Event()

    def slow() -> str:
        release.wait(60)
        return "too late"

    async def slow_too() -> str:
        await asyncio.sleep(60)
        return "too late"

    agent = tooled([Tool(slow, timeout=0.1), Tool(slow_too, timeout=0.1)], ("slow", {}), ("slow_too", {}))
    begin = time.monotonic()
    response = api.response(agent, None)
    assert time.monotonic() - begin < 300
    assert results(response) == [ToolResult("Error: the tool did not answer within 0.1 seconds", is_error=True)] * 2
    release.set()


def test_the_runs_deadline_holds_while_tools_run(api, tooled):
    release = threading.Event()

    def slow() -> None:
        release.wait(60)

    async def slow_too() -> None:
        await asyncio.sleep(60)

    for calls in ([("slow", {})], [("slow_too", {})], [("slow", {}), ("slow_too", {})]):
        agent = tooled([slow, slow_too], *calls)
        begin = time.monotonic()
        with pytest.raises(RunTimeoutError):
            api.response(agent, None, timeout=0.3)
        assert time.monotonic() - begin < 30
        assert len(agent.pending) == len(calls)
    release.set()


def test_closing_a_stream_does_not_wait_for_its_tools(tooled):
    release = threading.Event()

    def slow() -> None:
        release.wait(60)

    agent = tooled([slow, add], ("slow", {}), ("add", {"a": 1}))
    stream = agent.stream_events(None)
    begin = time.monotonic()
    while next(stream).type != "tool_result":
        pass
    stream.close()
    assert time.monotonic() - begin < 30
    agent.clear_history()  # not busy
    release.set()


def test_cancelling_a_run_cancels_its_tools(async_api, tooled):
    state = []

    async def slow() -> None:
        try:
            state.append("begun")
            await asyncio.sleep(60)
        finally:
            state.append("ended")

    async def cancel():
        agent = tooled([slow], ("slow", {}))
        task = asyncio.ensure_future(agent.run_async(None))
        while not state:  # noqa: ASYNC110  # set by the tool
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)
        assert state == ["begun", "ended"]
        agent.clear_history()  # not busy

    async_api.do(cancel())


def test_dropping_a_run_cancels_its_tools(async_api, tooled):
    state = []

    async def slow() -> None:
        try:
            state.append("begun")
            await asyncio.sleep(60)
        finally:
            state.append("ended")

    async def drop():
        agent = tooled([slow, add], ("slow", {}), ("add", {"a": 1}))
        stream = agent.stream_events_async(None)
        async for event in stream:
            if event.type == "tool_result":
                break
        del stream
        await asyncio.sleep(0.1)
        assert state == ["begun", "ended"]
        agent.clear_history()  # not busy

    async_api.do(drop())


def test_ctrl_c_while_tools_run(tooled):
    import _thread

    release = threading.Event()

    def interrupted() -> None:
        _thread.interrupt_main()
        release.wait(60)

    for others in (0, 1):
        agent = tooled([Tool(interrupted, timeout=60), add], ("interrupted", {}), *[("add", {"a": 1})] * others)
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            agent.run(None)
        assert time.monotonic() - begin < 30
        agent.clear_history()  # not busy
    release.set()


def test_the_context_of_a_run_that_has_ended_says_so(tooled):
    kept = []

    def keep(ctx: RunContext) -> None:
        kept.append(ctx)

    tooled([keep], ("keep", {})).run(None)
    with pytest.raises(Exception, match="has ended"):
        print(kept[0].messages)
