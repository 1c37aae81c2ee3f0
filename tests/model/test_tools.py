"""Tools that the real model calls, by the synchronous and the asynchronous API alike.

Where it matters what is called, the history ends with pending calls (`tooled`), and the run begins with them.
"""

import asyncio
import contextvars
import threading
import time

import pytest
from pydantic import AfterValidator
from support.tool_calls import add, add_later, results
from typing_extensions import Annotated, Literal

from luup_agent import (
    InvalidParamError,
    MaxTurnsError,
    RunContext,
    Tool,
    ToolNotFoundError,
    ToolResult,
)

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
        ({"tools": [Tool(print, name="a", parameters={"type": "object"})] * 2}, r"tools\[1\] has the same name"),
    ],
)
def test_a_wrong_option_is_named(api, greedy, options, problem):
    with pytest.raises(InvalidParamError, match=problem):
        api.text(greedy(), "Hi", **options)


# ---------------------------------------------------------------------------------------------------------------------
# Running them
# ---------------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("city", ["Paris", "Rome"])
def test_a_history_that_ends_with_results_is_answered_as_within_the_run(api, greedy, city):
    def weather(city: str) -> str:
        """Return the weather of a city."""
        return f"It is sunny in {city}."

    agent = greedy("You are a helpful assistant.", tools=[weather], max_tokens=48)
    response = api.response(agent, f"What is the weather in {city}?", tool_choice="weather")
    other = greedy("You are a helpful assistant.", tools=[weather], max_tokens=48)
    other.set_history(agent.get_history()[:-1])
    again = api.response(other, None)
    assert again.tool_calls == []
    assert again.text == response.text
