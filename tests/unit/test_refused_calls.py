"""Calls that can't be made are seen: as events, among the calls, in the messages, and by `retries`."""

import json

import pytest

from luup_agent import Agent, ModelRetry, RunContext, Tool, ToolRetryError
from luup_agent.testing import ScriptedModel, tool_call

BAD = {"n": "12"}


def increase(n: int) -> int:
    return n + 1


def told(calls):
    return [(call.name, call.result.content, call.result.is_error) for call in calls]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (tool_call("increase", **BAD), "/n"),
        (tool_call("increase"), "n"),
        (tool_call("increase", n=1, m=2), "m"),
        (tool_call("decrease", n=1), 'there is no tool "decrease"'),
    ],
    ids=["type", "missing", "too many", "unknown"],
)
def test_a_refused_call_is_seen_everywhere(api, call, reason):
    agent = Agent(ScriptedModel([call, "Done."]), tools=[increase])
    response = api.response(agent, "Go.")
    ((name, content, is_error),) = told(response.tool_calls)
    assert (name, is_error) == (call.name, True)
    assert content.startswith("Error: ")
    assert reason in content
    assert [m.role for m in response.messages] == ["user", "assistant", "tool", "assistant"]
    assert response.messages == agent.messages
    assert response.messages[2].content == content
    events = api.events(Agent(ScriptedModel([call, "Done."]), tools=[increase]), "Go.")
    seen = [event for event in events if event.type in ("tool_call", "tool_result")]
    assert [event.type for event in seen] == ["tool_call", "tool_result"]
    assert (seen[0].call.name, seen[0].call.arguments) == (call.name, json.loads(call.arguments_json))
    assert (seen[1].content, seen[1].is_error, seen[1].call_id) == (content, True, seen[0].call.id)


@pytest.mark.parametrize("name", ["increase", "decrease"])
@pytest.mark.parametrize("retries", [0, 1, 2])
def test_they_are_counted(api, name, retries):
    model = ScriptedModel([tool_call(name, **BAD)] * 20)
    agent = Agent(model, tools=[increase], retries=retries)
    with pytest.raises(ToolRetryError, match=f"{name}.*{retries} times") as caught:
        api.response(agent, "Go.")
    assert len(model.requests) == retries + 1
    assert caught.value.call.arguments == BAD
    assert len(caught.value.tool_calls) == retries + 1
    assert all(call.result.is_error for call in caught.value.tool_calls)


def test_events_of_the_last_refused_call_come_before_the_error(api):
    agent = Agent(ScriptedModel([tool_call("increase", **BAD)]), tools=[increase], retries=0)
    seen = []
    with pytest.raises(ToolRetryError):
        api.each_event(agent, "Go.", seen.append)
    assert [event.type for event in seen][-2:] == ["tool_call", "tool_result"]


def test_the_retries_of_the_tool_count_for_its_calls(api):
    model = ScriptedModel([tool_call("increase", **BAD)] * 3 + ["Done."])
    agent = Agent(model, tools=[Tool(increase, retries=3)], retries=0)
    assert api.response(agent, "Go.").text == "Done."


def test_calls_of_one_turn_count_once(api):
    seen = []

    def pick(ctx: RunContext, n: int) -> int:
        seen.append(ctx.retry)
        if n < 5:
            raise ModelRetry("More.")
        return n

    turns = [[tool_call("pick", n=n) for n in range(4)] + [tool_call("pick", **BAD)], [tool_call("pick", n=7)] * 2]
    agent = Agent(ScriptedModel([*turns, "Done."]), tools=[pick], retries=1)
    response = api.response(agent, "Go.")
    assert response.text == "Done."
    assert [is_error for _, _, is_error in told(response.tool_calls)] == [True] * 5 + [False] * 2
    assert seen == [0] * 4 + [1] * 2
    twice = Agent(ScriptedModel([turns[0], turns[0], "Done."]), tools=[pick], retries=1)
    with pytest.raises(ToolRetryError):
        api.response(twice, "Go.")


def test_calls_keep_the_order_of_the_model(api):
    calls = [
        tool_call("increase", n=1),
        tool_call("increase", **BAD),
        tool_call("todo_add", text="x"),
        tool_call("nothing"),
        tool_call("increase", n=2),
    ]
    agent = Agent(ScriptedModel([calls, "Done."]), tools=[increase])
    agent.enable_builtin_todo()
    response = api.response(agent, "Go.")
    assert [call.name for call in response.tool_calls] == [call.name for call in calls]
    assert [call.result.content for call in response.tool_calls] == [
        m.content for m in response.messages if m.role == "tool"
    ]
    assert response.messages == agent.messages


def test_a_call_with_the_same_id_in_each_turn_keeps_its_own_result(api):
    agent = Agent(ScriptedModel([tool_call("increase", n=1), tool_call("increase", n=2), "Done."]), tools=[increase])
    assert [content for _, content, _ in told(api.response(agent, "Go.").tool_calls)] == ["2", "3"]
