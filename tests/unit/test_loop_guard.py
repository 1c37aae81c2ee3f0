"""A run that makes the same call with the same result again and again gets a hint, and ends."""

import itertools

import pytest

from luup_agent import Agent, InvalidParamError, LoopGuard, Tool, ToolLoopError
from luup_agent.testing import ScriptedModel, tool_call

HINT = "This call has returned the same result {} times. Do not make it again"


@pytest.fixture(params=["text", "pieces", "response", "events"])
def drive(api, request):
    """Answers a message in one of the ways to do so."""
    return getattr(api, request.param)


def look(place: str, deep: bool = False) -> str:
    """Looks somewhere."""
    return f"nothing at {place}"


def looks(count, **arguments):
    return [tool_call("look", **(arguments or {"place": "home"}))] * count


def hints(messages):
    return [
        HINT.format(n) in message.content for message in messages if message.role == "tool" for n in [_number(message)]
    ]


def _number(message):
    return next((n for n in range(2, 20) if f" {n} times" in message.content), 0)


def test_the_third_time_gets_a_hint_and_the_sixth_is_the_end(drive, script):
    agent = script.agent(*looks(9), tools=[look])
    with pytest.raises(ToolLoopError, match=r"'look' in 6 turns .* same result: \{\"place\": ?\"home\"\}") as caught:
        drive(agent, "Go.")
    error = caught.value
    assert (error.call.name, error.call.arguments, error.count) == ("look", {"place": "home"}, 6)
    assert [call.result.content.partition("\n\n")[0] for call in error.tool_calls] == ["nothing at home"] * 6
    assert hints(error.messages) == [False, False, True, True, True, True]
    assert [_number(m) for m in error.messages if m.role == "tool"] == [0, 0, 3, 4, 5, 6]
    assert error.usage.turns == 6
    assert agent.get_history() == []


def test_a_model_that_listens_goes_on(drive, script):
    agent = script.agent(*looks(5), "I give up.", tools=[look])
    drive(agent, "Go.")
    assert agent.messages[-1].content == "I give up."
    assert hints(agent.messages) == [False, False, True, True, True]


def test_results_that_differ_never_count(drive):
    times = itertools.count()
    poll = Tool(lambda: next(times), name="poll", parameters={"type": "object"})
    agent = Agent(ScriptedModel([*[tool_call("poll")] * 12, "Done."]), tools=[poll])
    drive(agent, "Go.")
    assert hints(agent.messages) == [False] * 12


def test_other_arguments_and_other_tools_do_not_count(drive):
    script = [tool_call("look", place=str(n % 6)) for n in range(12)]
    agent = Agent(ScriptedModel([*script, "Done."]), tools=[look])
    drive(agent, "Go.")
    assert hints(agent.messages) == [False] * 12


def test_calls_in_between_do_not_help(drive):
    script = [call for n in range(9) for call in (tool_call("look", place="home"), tool_call("look", place=str(n)))]
    with pytest.raises(ToolLoopError) as caught:
        drive(Agent(ScriptedModel(script), tools=[look]), "Go.")
    assert len(caught.value.tool_calls) == 11


def test_arguments_are_compared_as_json_values(drive):
    texts = ['{"place":"a","deep":true}', '{ "deep" : true, "place" : "a" }', '{"deep":true,"place":"\\u0061"}']
    script = [tool_call("look", texts[n % 3]) for n in range(9)]
    with pytest.raises(ToolLoopError) as caught:
        drive(Agent(ScriptedModel(script), tools=[look]), "Go.")
    assert caught.value.count == 6
    assert len(caught.value.tool_calls) == 6


def test_numbers_are_values_and_true_is_not_one(drive):
    tool = Tool(lambda n: "same", name="take", parameters={"type": "object"})
    texts = ['{"n":1}', '{"n":1.0}', '{"n":1e0}', '{"n":true}', '{"n":"1"}', '{"n":1.5}', '{"n":12345678901234567890}']
    agent = Agent(ScriptedModel([*(tool_call("take", text) for text in texts), "Done."]), tools=[tool])
    drive(agent, "Go.")
    assert hints(agent.messages) == [False, False, True, False, False, False, False]


def test_the_same_calls_of_one_turn_count_once(drive):
    script = [looks(7), looks(2), looks(2), "Done."]
    agent = Agent(ScriptedModel(script), tools=[look])
    drive(agent, "Go.")
    assert hints(agent.messages) == [False] * 7 + [False] * 2 + [True] * 2


def test_errors_repeat_too(drive):
    def fail(n: int) -> int:
        raise KeyError(n)

    with pytest.raises(ToolLoopError) as caught:
        drive(Agent(ScriptedModel([tool_call("fail", n=1)] * 9), tools=[fail]), "Go.")
    assert caught.value.tool_calls[-1].result.is_error


def test_calls_that_are_denied_again_and_again(drive):
    tool = Tool(look, requires_approval=True)
    with pytest.raises(ToolLoopError):
        drive(Agent(ScriptedModel(looks(9)), tools=[tool], approve=lambda call: False), "Go.")


def test_builtin_tools_end_the_run_too(drive):
    agent = Agent(ScriptedModel([tool_call("todo_list")] * 9))
    agent.enable_builtin_todo()
    with pytest.raises(ToolLoopError, match="todo_list") as caught:
        drive(agent, "Go.")
    assert len(caught.value.tool_calls) == 6
    assert caught.value.usage.turns == 6


def test_each_run_counts_anew(drive):
    agent = Agent(ScriptedModel([*looks(2), "Done."] * 4), tools=[look])
    for _ in range(4):
        drive(agent, "Go.")
    assert hints(agent.messages) == [False] * 8


@pytest.mark.parametrize(
    ("guard", "hinted", "calls"),
    [
        (LoopGuard(hint=2, end=3), 2, 3),
        (LoopGuard(hint=None, end=4), 0, 4),
        (LoopGuard(hint=4, end=None), 9, 12),
        (None, 0, 12),
    ],
)
def test_the_numbers_can_be_set(drive, guard, hinted, calls):
    agent = Agent(ScriptedModel([*looks(12), "Done."]), tools=[look], loop_guard=guard, keep_history="on_error")
    if calls < 12:
        with pytest.raises(ToolLoopError) as caught:
            drive(agent, "Go.")
        assert caught.value.count == calls
    else:
        drive(agent, "Go.")
    found = hints(agent.messages)
    assert (sum(found), len(found)) == (hinted, calls)


def test_the_setting_of_a_run(drive):
    agent = Agent(ScriptedModel([*looks(8), "Done."]), tools=[look])
    drive(agent, "Go.", loop_guard=None)
    with pytest.raises(ToolLoopError):
        drive(Agent(ScriptedModel(looks(8)), tools=[look], loop_guard=None), "Go.", loop_guard=LoopGuard())


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ({"hint": 1}, "hint must be between 2 and"),
        ({"end": 0}, "end must be between 2 and"),
        ({"hint": 2.0}, "hint must be an int or None, not float"),
        ({"end": True}, "end must be an int or None, not bool"),
        ({"hint": 6, "end": 6}, "end must be greater than hint, got hint=6 and end=6"),
    ],
)
def test_wrong_numbers(numbers, problem):
    with pytest.raises(InvalidParamError, match=problem):
        LoopGuard(**numbers)


def test_a_long_call_is_shortened_in_the_message_only():
    place = "x" * 5000
    with pytest.raises(ToolLoopError) as caught:
        Agent(ScriptedModel(looks(9, place=place)), tools=[look]).generate("Go.")
    assert len(str(caught.value)) < 600
    assert "(5012 characters)" in str(caught.value) or "(5013 characters)" in str(caught.value)
    assert caught.value.call.arguments == {"place": place}
