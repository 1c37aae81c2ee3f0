"""Tools, run for the real model; the same for the synchronous and the asynchronous API.

Where it matters what is called, the history ends with calls that wait (`calling`): a run goes on with them.
"""

import asyncio
import contextlib
import contextvars
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import AfterValidator
from typing_extensions import Annotated, Literal

from luup_agent import (
    Agent,
    InvalidParamError,
    InvalidSchemaError,
    MaxTurnsError,
    Message,
    ModelRetry,
    RunContext,
    RunTimeoutError,
    Tool,
    ToolNotFoundError,
    ToolResult,
    ToolRetryError,
)

QUESTION = {"role": "user", "content": "Do it."}


def calling(agent, *calls):
    """Lets the history end with calls, (name, arguments) each, that wait for their results."""
    written = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(calls)
    ]
    agent.set_history([QUESTION, {"role": "assistant", "content": "", "tool_calls": written}])
    return agent


@pytest.fixture
def tooled(greedy):
    """Makes an agent with tools whose history ends with calls of them, and which then only says a word."""

    def make(tools, *calls, **options):
        agent = greedy(tools=tools, **{"max_tokens": 2, "tool_choice": "none", **options})
        return calling(agent, *calls) if calls else agent

    return make


def results(response):
    return [call.result for call in response.tool_calls]


# ---------------------------------------------------------------------------------------------------------------------
# Called by the model
# ---------------------------------------------------------------------------------------------------------------------


def test_a_forced_tool_is_run_with_valid_arguments(api, greedy):
    seen = []

    def paint(color: Literal["red"], layers: Annotated[int, AfterValidator(lambda n: n)], fast: bool) -> str:
        """Paints the wall."""
        seen.append((color, layers, fast))
        return "painted"

    agent = greedy("You are helpful.", tools=[paint], max_tokens=64)
    response = api.response(agent, "Paint the wall, please.", tool_choice="paint", max_turns=4)
    color, layers, fast = seen[0]
    assert (color, type(layers), type(fast)) == ("red", int, bool)
    first = response.tool_calls[0]
    assert (first.name, first.arguments) == ("paint", {"color": color, "layers": layers, "fast": fast})
    assert first.result == ToolResult("painted")
    assert response.usage.turns >= 2
    assert response.pending == []
    assert [message.role for message in response.messages[:3]] == ["user", "assistant", "tool"]
    assert response.messages[1].tool_calls[0].id == response.messages[2].tool_call_id == first.id
    assert response.messages == agent.messages[1:]
    assert response.text == agent.messages[-1].content


def test_events_tell_of_calls_and_results(api, tooled):
    agent = tooled([Tool(lambda: "sunny", name="weather")], ("weather", {}))
    events = api.events(agent, None)
    types = [event.type for event in events if event.type not in ("progress", "text")]
    assert types == ["tool_call", "tool_result", "done"]
    call, result = (event for event in events if event.type in ("tool_call", "tool_result"))
    assert (call.call.name, call.call.arguments, call.call.result) == ("weather", {}, None)
    assert (result.call_id, result.name) == (call.call.id, "weather")
    assert (result.content, result.is_error) == ("sunny", False)


def test_a_tool_that_is_not_to_be_called_is_not_called(api, greedy):
    agent = greedy(tools=[Tool(pytest.fail, name="never", parameters={"type": "object"})], max_tokens=8)
    assert api.response(agent, "Call the tool.", tool_choice="none").tool_calls == []
    agent.enable_tool_calling = False
    assert api.response(agent, "Call the tool.").tool_calls == []
    with pytest.raises(InvalidParamError, match="enable_tool_calling"):
        api.text(agent, "Hi", tools=[add])


def test_turns_are_limited(api, greedy):
    agent = greedy(tools=[Tool(lambda: "go on", name="step")], max_tokens=128)
    with pytest.raises(MaxTurnsError):
        api.text(agent, "Go.", tool_choice="required", max_turns=1)
    assert agent.get_history() == []


@pytest.mark.parametrize("choice", ["nothing", "", "Auto"])
def test_a_choice_that_is_no_tool_is_refused(api, greedy, choice):
    agent = greedy(tools=[Tool(lambda: 1, name="one")])
    with pytest.raises((InvalidParamError, ToolNotFoundError), match="tool"):
        api.text(agent, "Hi", tool_choice=choice)


@pytest.mark.parametrize("option", ["required", "one"])
def test_a_choice_without_tools_is_refused(api, greedy, option):
    with pytest.raises((InvalidParamError, ToolNotFoundError), match="tool"):
        api.text(greedy(), "Hi", tool_choice=option)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_turns": 0}, "max_turns"),
        ({"max_turns": "3"}, "max_turns"),
        ({"retries": -1}, "retries"),
        ({"retries": 101}, "retries"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"tool_choice": None}, "tool_choice"),
        ({"tools": 5}, "tools must be a list"),
        ({"tools": [5]}, r"tools\[0\]: a tool must be callable"),
        ({"tools": [lambda: 1]}, r"tools\[0\]: the name of a tool"),
        ({"tools": [Tool(print, name="a", parameters={"type": "object"})] * 2}, r"tools\[1\] has the name"),
    ],
)
def test_a_wrong_option_is_named(api, greedy, options, problem):
    with pytest.raises(InvalidParamError, match=problem):
        api.text(greedy(), "Hi", **options)


# ---------------------------------------------------------------------------------------------------------------------
# Running them
# ---------------------------------------------------------------------------------------------------------------------


def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


async def add_later(a: int, b: int = 1) -> int:
    """Adds two numbers, after a while."""
    await asyncio.sleep(0.01)
    return a + b


def test_results_stand_in_the_order_of_the_calls(api, tooled):
    def wait(seconds: float) -> str:
        time.sleep(seconds)
        return f"waited {seconds}"

    agent = tooled(
        [wait, add, add_later], ("wait", {"seconds": 0.2}), ("add", {"a": 1}), ("add_later", {"a": 5, "b": 6})
    )
    response = api.response(agent, None)
    assert results(response) == [ToolResult("waited 0.2"), ToolResult("2"), ToolResult("11")]
    told = [message for message in response.messages if message.role == "tool"]
    assert [message.content for message in told] == ["waited 0.2", "2", "11"]
    assert [message.tool_call_id for message in told] == ["call_0", "call_1", "call_2"]
    assert [message.name for message in told] == ["wait", "add", "add_later"]


def test_calls_of_a_turn_run_side_by_side(api, tooled):
    barrier = threading.Barrier(3, timeout=5)

    def meet() -> int:
        return barrier.wait()

    async def meet_too() -> int:
        return await asyncio.get_running_loop().run_in_executor(None, barrier.wait)

    agent = tooled([meet, meet_too], ("meet", {}), ("meet", {}), ("meet_too", {}))
    assert sorted(result.content for result in results(api.response(agent, None))) == ["0", "1", "2"]


def test_results_are_told_as_they_come(api, tooled):
    def wait(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    agent = tooled([wait], ("wait", {"seconds": 0.3}), ("wait", {"seconds": 0.01}))
    events = [event for event in api.events(agent, None) if event.type == "tool_result"]
    assert [event.content for event in events] == ["0.01", "0.3"]


def test_a_single_call_runs_in_the_callers_thread(tooled):
    agent = tooled([Tool(threading.get_ident, name="where", parameters={"type": "object"})], ("where", {}))
    assert results(agent.run(None)) == [ToolResult(str(threading.get_ident()))]


async def test_an_asynchronous_tool_runs_in_the_callers_loop(tooled):
    async def where() -> int:
        return id(asyncio.get_running_loop())

    agent = tooled([where], ("where", {}))
    assert results(await agent.run_async(None)) == [ToolResult(str(id(asyncio.get_running_loop())))]


async def test_a_synchronous_run_inside_a_loop_runs_asynchronous_tools(tooled):
    assert results(tooled([add_later], ("add_later", {"a": 1})).run(None)) == [ToolResult("2")]


def test_context_variables_reach_the_tools(api, tooled):
    variable = contextvars.ContextVar("variable", default="nothing")

    def read() -> str:
        return variable.get()

    async def read_too() -> str:
        return variable.get()

    agent = tooled([read, read_too], ("read", {}), ("read_too", {}))
    token = variable.set("something")
    try:
        assert results(api.response(agent, None)) == [ToolResult("something")] * 2
    finally:
        variable.reset(token)


def test_the_context_tells_of_the_run(api, tooled):
    seen = []

    def look(ctx: RunContext[dict], n: int) -> str:
        seen.append(ctx)
        assert [message.role for message in ctx.messages] == []
        return ctx.deps["name"]

    agent = tooled([look], ("look", {"n": 5}))
    assert results(api.response(agent, None, deps={"name": "Ada"})) == [ToolResult("Ada")]
    (ctx,) = seen
    assert (ctx.agent, ctx.tool_name, ctx.call_id, ctx.retry) == (agent, "look", "call_0", 0)
    assert repr(ctx) == "<RunContext of look, call_0>"


def test_long_and_odd_results_reach_the_model_bounded(api, tooled):
    values = iter(["x" * 10_000_000, "a\0b\ud800", float("nan"), None])
    lock = threading.Lock()

    def give() -> object:
        with lock:
            return next(values)

    agent = tooled([Tool(give, max_result_chars=100)], *[("give", {})] * 4)
    contents = sorted(result.content for result in results(api.response(agent, None)))
    assert contents[:3] == ['"NaN"', "a\ufffdb\ufffd", "null"]
    assert contents[3].startswith("xxx")
    assert len(contents[3]) < 150


# ---------------------------------------------------------------------------------------------------------------------
# Failing
# ---------------------------------------------------------------------------------------------------------------------


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
    assert told[:2] == [ToolResult("Error: LookupError: no such row", is_error=True)] * 2
    assert "Circular" in told[2].content
    assert told[2].is_error
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

    assert results(api.response(tooled([wait], ("wait", {})), None)) == [ToolResult("Error: CancelledError: ", True)]


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


# ---------------------------------------------------------------------------------------------------------------------
# Time
# ---------------------------------------------------------------------------------------------------------------------


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


# ---------------------------------------------------------------------------------------------------------------------
# The tools of an agent
# ---------------------------------------------------------------------------------------------------------------------


def test_tools_come_and_go(greedy):
    agent = greedy("You are helpful.")
    assert dict(agent.tools) == {}
    empty = agent.context

    @agent.tool
    def plus(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @agent.tool(name="minus", description="Subtracts.")
    def subtract(a: int, b: int) -> int:
        return a - b

    assert (plus(1, 2), subtract(3, 2)) == (3, 1)  # the functions themselves
    assert list(agent.tools) == ["plus", "minus"]
    assert agent.tools["minus"].description == "Subtracts."
    full = agent.context
    assert full.tools > 20
    assert full.system + full.tools + full.history + full.free == full.total
    with pytest.raises(InvalidParamError, match="'plus' already"):
        agent.add_tool(plus)
    agent.remove_tool("plus")
    agent.remove_tool("minus")
    with pytest.raises(ToolNotFoundError, match="no tool 'plus'"):
        agent.remove_tool("plus")
    assert agent.context == empty


def test_tools_of_a_call_come_to_those_of_the_agent(api, tooled):
    agent = tooled([add, Tool(lambda: "theirs", name="who")], ("who", {}), ("add", {"a": 1}), ("new", {}))
    mine = [Tool(lambda: "mine", name="who"), Tool(lambda: "new", name="new")]
    assert results(api.response(agent, None, tools=mine)) == [ToolResult("mine"), ToolResult("2"), ToolResult("new")]
    assert list(agent.tools) == ["add", "who"]
    calling(agent, ("who", {}))
    assert results(api.response(agent, None)) == [ToolResult("theirs")]


def test_a_tool_that_can_not_be_enforced_is_refused_by_the_agent_too(greedy):
    def take(n: int, word: str): ...

    with pytest.raises(InvalidSchemaError):
        greedy(tools=[Tool(take, parameters={"type": "object", "properties": {"w": {"pattern": "(?<=a)b"}}})])


def test_sixteen_agents_use_tools_at_once(api, model):
    agents = [Agent(model, temperature=0, max_tokens=4, tool_choice="none") for _ in range(16)]
    for n, agent in enumerate(agents):

        def who(n: int = n) -> str:
            return f"agent {n}"

        agent.add_tool(Tool(who, name="who", parameters={"type": "object"}))
        agent.add_tool(add_later)
        calling(agent, ("who", {}), ("add_later", {"a": n}))
    if hasattr(api, "do"):

        async def gather():
            return await asyncio.gather(*(agent.run_async(None) for agent in agents))

        responses = api.do(gather())
    else:
        with ThreadPoolExecutor(16) as pool:
            responses = list(pool.map(lambda agent: agent.run(None), agents))
    for n, response in enumerate(responses):
        assert results(response) == [ToolResult(f"agent {n}"), ToolResult(str(n + 1))]


def test_history_with_calls_survives(greedy):
    agent = calling(greedy(tools=[add]), ("add", {"a": 1}), ("add", {"a": 2}))
    other = greedy(tools=[add])
    other.set_history(json.loads(json.dumps(agent.get_history())))
    assert other.messages == agent.messages
    assert [call.arguments for call in other.pending] == [{"a": 1}, {"a": 2}]
    third = greedy(tools=[add])
    third.set_history(agent.messages)
    assert third.get_history() == agent.get_history()
    assert isinstance(third.messages[-1], Message)


@pytest.mark.parametrize("text", ["a\0b", "\udfff"])
def test_calls_that_the_core_could_not_take_are_refused(greedy, text):
    agent = greedy(tools=[add])
    call = {"id": text, "type": "function", "function": {"name": "add", "arguments": "{}"}}
    with pytest.raises(InvalidParamError, match=r"messages\[1\]\.tool_calls\[0\]\.id"):
        agent.set_history([QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]}])
