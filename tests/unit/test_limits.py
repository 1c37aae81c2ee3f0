"""A run, with the agents that its tools ask, ends at its `usage_limits`; the error has all that was done."""

import asyncio
import copy
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.http_server import Server, data, head

from luup_agent import (
    Agent,
    InvalidOutputError,
    InvalidParamError,
    LoopGuard,
    MaxTurnsError,
    Model,
    RunTimeoutError,
    StorageError,
    Tool,
    UsageLimitError,
    UsageLimits,
)
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

DRIVERS = ["text", "pieces", "response", "events"]


@pytest.fixture(params=DRIVERS)
def drive(api, request):
    """Answers a message in one of the ways to do so."""
    return getattr(api, request.param)


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def sums(count):
    return [tool_call("add", a=n, b=1) for n in range(count)]


def limited(drive, agent, message="Go.", **limits):
    """Run into a limit, and check that the error agrees with itself and that the history can go on with it."""
    with pytest.raises(UsageLimitError) as caught:
        drive(agent, message, usage_limits=UsageLimits(**limits))
    error = caught.value
    assert error.limit in limits
    assert error.value == limits[error.limit]
    assert error.limit in str(error)
    assert error.usage.total_tokens == error.usage.prompt_tokens + error.usage.completion_tokens
    assert error.messages[0].content == message
    other = Agent(ScriptedModel(["Fine."]))
    other.set_history([*agent.get_history(), *error.messages])
    assert other.generate("Go on.") == "Fine."
    return error


def results(error):
    return [call.result and call.result.content for call in error.tool_calls]


# ---------------------------------------------------------------------------------------------------------------------
# Each limit
# ---------------------------------------------------------------------------------------------------------------------


def test_turns(drive, script):
    agent = script.agent(*sums(9), tools=[add])
    error = limited(drive, agent, turns_limit=2)
    assert (error.limit, error.used, error.usage.turns) == ("turns_limit", 2, 2)
    assert results(error) == ["1", "2"]
    assert [message.role for message in error.messages] == ["user", "assistant", "tool", "assistant", "tool"]
    assert agent.get_history() == []


def test_as_many_turns_as_are_allowed(drive, script):
    agent = script.agent(*sums(2), "It is 2.", tools=[add])
    drive(agent, "Go.", usage_limits=UsageLimits(turns_limit=3, tool_calls_limit=2, total_tokens_limit=1000))
    assert agent.messages[-1].content == "It is 2."


def test_no_request_is_made_for_a_turn_that_must_not_be(drive):
    model = ScriptedModel(sums(9))
    limited(drive, Agent(model, tools=[add]), turns_limit=2)
    assert len(model.requests) == 2


def test_a_turn_whose_calls_are_too_many_runs_none(drive, script):
    called = []
    note = Tool(lambda n: called.append(n), name="note", parameters={"type": "object"})
    two = [[tool_call("note", n=2 * n), tool_call("note", n=2 * n + 1)] for n in range(9)]
    error = limited(drive, script.agent(*two, tools=[note]), tool_calls_limit=5)
    assert (error.used, error.usage.turns) == (4, 3)
    assert sorted(called) == [0, 1, 2, 3]
    assert [call.result is None for call in error.tool_calls] == [False] * 4 + [True] * 2


def test_no_calls_at_all(drive):
    error = limited(drive, Agent(ScriptedModel(sums(1)), tools=[add]), tool_calls_limit=0)
    assert (error.used, results(error)) == (0, [None])
    Agent(ScriptedModel(["Hello."])).generate("Hi", usage_limits=UsageLimits(tool_calls_limit=0))


def test_calls_of_builtin_tools_count(drive):
    agent = Agent(ScriptedModel([tool_call("todo_add", text=str(n)) for n in range(9)]))
    agent.enable_builtin_todo()
    error = limited(drive, agent, tool_calls_limit=2)
    assert (error.used, error.usage.turns) == (2, 3)


@pytest.mark.parametrize("limit", ["output_tokens_limit", "total_tokens_limit"])
def test_an_answer_ends_in_its_middle(drive, script, limit):
    agent = script.agent("one two three four five six seven eight nine ten")
    error = limited(drive, agent, **{limit: 5})
    assert error.partial_text == error.messages[-1].content == "one two three four five "
    assert (error.used, error.usage.completion_tokens) == (5, 5)
    assert agent.get_history() == []


def test_an_answer_may_use_all_tokens(drive, script):
    agent = script.agent("one two three four five")
    drive(agent, "Go.", usage_limits=UsageLimits(output_tokens_limit=5))
    assert agent.messages[-1].content == "one two three four five"


def test_thoughts_are_tokens_too(drive):
    agent = Agent(ScriptedModel([Reply("Yes.", reasoning="one two three four five six")]))
    error = limited(drive, agent, output_tokens_limit=4)
    assert error.messages[-1].reasoning == "one two three four "


def test_a_server_gets_no_more_tokens_than_are_left(drive):
    model = ScriptedModel(["one"] * 3)
    drive(Agent(model), "Go.", usage_limits=UsageLimits(output_tokens_limit=7))
    drive(Agent(model, max_tokens=4), "Go.", usage_limits=UsageLimits(output_tokens_limit=7))
    drive(Agent(model, max_tokens=None), "Go.", usage_limits=UsageLimits(input_tokens_limit=70))
    assert [request.body.get("max_tokens") for request in model.requests] == [7, 4, None]


def test_an_answer_that_the_server_cut_off_at_the_limit(drive):
    agent = Agent(ScriptedModel([Reply("one two three", finish_reason="length")]))
    error = limited(drive, agent, output_tokens_limit=3)
    assert (error.partial_text, error.usage.completion_tokens) == ("one two three", 3)
    assert agent.get_history() == []


def test_an_answer_that_max_tokens_cut_off_is_an_answer(drive):
    agent = Agent(ScriptedModel([Reply("one two three", finish_reason="length")]), max_tokens=3)
    drive(agent, "Go.", usage_limits=UsageLimits(output_tokens_limit=30))
    assert agent.messages[-1].content == "one two three"


@pytest.mark.parametrize("limit", ["input_tokens_limit", "total_tokens_limit"])
def test_tokens_that_are_used_up_before_the_calls(drive, limit):
    agent = Agent(ScriptedModel([Reply(tool_calls=(sums(1)[0],), prompt_tokens=50)]), tools=[add])
    error = limited(drive, agent, **{limit: 50})
    assert results(error) == [None]
    assert error.usage.prompt_tokens == 50
    assert error.used >= 50


def test_seconds(drive):
    agent = Agent(ScriptedModel([Reply("Too late.", delay=30)]))
    error = limited(drive, agent, seconds_limit=0.2)
    assert 0.19 < error.used < 20
    assert isinstance(error.__cause__, RunTimeoutError)


def test_seconds_of_a_tool(drive):
    release = threading.Event()
    tool = Tool(lambda: release.wait(30), name="wait", parameters={"type": "object"})
    try:
        error = limited(drive, Agent(ScriptedModel([tool_call("wait")]), tools=[tool]), seconds_limit=0.2)
    finally:
        release.set()
    assert results(error) == [None]


def test_the_timeout_of_the_run_is_still_a_timeout(drive):
    agent = Agent(ScriptedModel([Reply("Too late.", delay=30)]), timeout=0.1)
    with pytest.raises(RunTimeoutError):
        drive(agent, "Go.", usage_limits=UsageLimits(seconds_limit=20))


def test_other_errors_stay_what_they_are(drive):
    limits = UsageLimits(turns_limit=5, output_tokens_limit=1000, seconds_limit=100)
    with pytest.raises(MaxTurnsError):
        drive(Agent(ScriptedModel(sums(9)), tools=[add], max_turns=2), "Go.", usage_limits=limits)
    with pytest.raises(InvalidOutputError):
        drive(Agent(ScriptedModel(["no", "no"])), "Go.", output_type=int, usage_limits=limits)


def test_a_better_answer_is_a_turn(drive):
    agent = Agent(ScriptedModel(["no", "3"]), output_type=int, retries=3)
    error = limited(drive, agent, turns_limit=1)
    assert error.usage.turns == 1
    drive(Agent(ScriptedModel(["no", "3"]), output_type=int), "Go.", usage_limits=UsageLimits(turns_limit=2))


def test_the_history_follows_keep_history(drive):
    agent = Agent(ScriptedModel([*sums(2), "one two three four"]), tools=[add], keep_history="on_error")
    first = limited(drive, agent, turns_limit=2)
    assert agent.messages == list(first.messages)
    drive(agent, None, usage_limits=UsageLimits(turns_limit=1))
    cut = Agent(ScriptedModel(["one two three four"]), keep_history="on_error")
    error = limited(drive, cut, output_tokens_limit=2)
    assert cut.messages == list(error.messages)
    assert cut.messages[-1].content == "one two "


def test_the_events_before_the_end_are_read(api):
    seen = []
    agent = Agent(ScriptedModel(sums(9)), tools=[add], usage_limits=UsageLimits(turns_limit=2))
    with pytest.raises(UsageLimitError):
        api.each_event(agent, "Go.", lambda event: seen.append(event.type))
    assert seen == ["tool_call", "tool_result"] * 2


# ---------------------------------------------------------------------------------------------------------------------
# Agents that tools ask
# ---------------------------------------------------------------------------------------------------------------------


def asking(count, name="ask"):
    return [tool_call(name, message=str(n)) for n in range(count)]


def test_an_agent_as_a_tool_uses_the_limits_of_the_run(drive):
    expert = Agent(ScriptedModel(["one two"] * 9)).as_tool("ask", "Answers.")
    error = limited(drive, Agent(ScriptedModel(asking(9)), tools=[expert]), turns_limit=4)
    assert (error.used, error.usage.turns) == (4, 4)
    assert results(error) == ["one two", "one two"]


def test_an_agent_as_a_tool_is_stopped_too(drive):
    expert = Agent(ScriptedModel(["one two three four five six seven"])).as_tool("ask", "Answers.")
    error = limited(drive, Agent(ScriptedModel(asking(9)), tools=[expert]), output_tokens_limit=5)
    assert error.used == 5  # one for the call, four of the expert
    assert error.usage.completion_tokens == 5
    assert "UsageLimitError" in results(error)[0]


def test_a_run_in_the_code_of_a_tool_counts(drive):
    model = ScriptedModel(["one two three four five"] * 9)

    def ask(message: str) -> str:
        return Agent(model).generate(message)

    error = limited(drive, Agent(ScriptedModel(asking(9)), tools=[ask]), turns_limit=4)
    assert (error.used, error.usage.turns, len(model.requests)) == (4, 2, 2)


def test_a_run_in_an_asynchronous_tool_counts(drive):
    model = ScriptedModel(["one two three four five"] * 9)

    async def ask(message: str) -> str:
        one, other = await asyncio.gather(Agent(model).run_async(message), Agent(model).run_async(message))
        return one.output + other.output

    error = limited(drive, Agent(ScriptedModel(asking(9)), tools=[ask]), turns_limit=6)
    assert (error.used, len(model.requests)) == (6, 4)


def test_a_run_in_a_thread_without_the_context_does_not_count(drive):
    model = ScriptedModel(["one"] * 9)

    def ask(message: str) -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(Agent(model).generate, message).result()

    error = limited(drive, Agent(ScriptedModel(asking(9)), tools=[ask]), turns_limit=3)
    assert (error.used, len(model.requests)) == (3, 3)


def test_the_limits_of_an_expert_are_its_own_too(drive):
    expert = Agent(ScriptedModel(["one two three four"]), usage_limits=UsageLimits(output_tokens_limit=2))
    script = ScriptedModel([*asking(1), "It is not known."])
    lead = Agent(script, tools=[expert.as_tool("ask", "Answers.")])
    drive(lead, "Go.", usage_limits=UsageLimits(total_tokens_limit=1000))
    assert script.requests[1].messages[-1].content.startswith("Error: UsageLimitError: the run has used 2 of 2 output")
    assert lead.messages[-1].content == "It is not known."


def test_experts_side_by_side_share_the_turns(drive):
    model = ScriptedModel(["one"] * 9)
    expert = Agent(model).as_tool("ask", "Answers.")
    error = limited(drive, Agent(ScriptedModel([asking(6)]), tools=[expert]), turns_limit=4)
    assert (error.used, len(model.requests)) == (4, 3)
    assert sorted(result[:6] for result in results(error)) == ["Error:"] * 3 + ["one"] * 3


def test_limits_do_not_leak_into_later_runs(drive):
    asker = Agent(
        ScriptedModel([*asking(1), "Done."]), tools=[Agent(ScriptedModel(["one"])).as_tool("ask", "Answers.")]
    )
    drive(asker, "Go.", usage_limits=UsageLimits(turns_limit=3))
    drive(Agent(ScriptedModel([*sums(5), "Done."]), tools=[add]), "Go.")


# ---------------------------------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------------------------------


def test_no_other_model_of_a_fallback_takes_over(drive):
    second = ScriptedModel(["no"])
    agent = Agent(
        Model.fallback(ScriptedModel([Reply(tool_calls=(tool_call("add", a=1, b=2),) * 9)]), second), tools=[add]
    )
    limited(drive, agent, output_tokens_limit=3)
    assert second.requests == []


def test_a_function_is_asked_for_no_more_than_is_left(drive):
    made = []

    def answer(request):
        for n in range(1000):
            made.append(n)
            yield f"{n} "

    error = limited(drive, Agent(FunctionModel(answer)), output_tokens_limit=10)
    assert error.partial_text == "0 1 2 3 4 5 6 7 8 9 "
    assert made == list(range(11))  # the eleventh tells that the answer has more


def test_usage_that_a_server_tells_with_each_chunk(drive):
    def answer(connection, request):
        connection.sendall(head())
        for n in range(1, 30):
            usage = {"prompt_tokens": 5, "completion_tokens": 3 * n}
            connection.sendall(data(_chunk({"content": f"{n} two three "}, usage)))

    server = Server(answer)
    try:
        agent = Agent(Model.from_remote(server.url, "qwen3", timeout=30))
        error = limited(drive, agent, output_tokens_limit=12)
    finally:
        server.close()
    assert error.partial_text == "1 two three 2 two three 3 two three 4 two three "
    assert (error.used, error.usage.completion_tokens) == (12, 12)


def _chunk(delta, usage):
    return json.dumps({"choices": [{"index": 0, "delta": delta}], "usage": usage})


# ---------------------------------------------------------------------------------------------------------------------
# Values
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"turns_limit": 0}, "turns_limit must be between 1 and"),
        ({"tool_calls_limit": -1}, "tool_calls_limit must be between 0 and"),
        ({"output_tokens_limit": 1.5}, "output_tokens_limit must be an int or None, not float"),
        ({"input_tokens_limit": True}, "input_tokens_limit must be an int or None, not bool"),
        ({"total_tokens_limit": "9"}, "total_tokens_limit must be an int or None, not str"),
        ({"total_tokens_limit": 2**60}, "total_tokens_limit must be between 1 and"),
        ({"seconds_limit": -0.1}, "seconds_limit must be 0 or more seconds, got -0.1"),
        ({"seconds_limit": float("nan")}, "seconds_limit must be 0 or more seconds, got nan"),
        ({"seconds_limit": "1"}, "seconds_limit must be a number of seconds or None, not str"),
    ],
)
def test_wrong_limits(limits, problem):
    with pytest.raises(InvalidParamError, match=problem):
        UsageLimits(**limits)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"usage_limits": 5}, r"usage_limits must be a UsageLimits or None, not int"),
        ({"usage_limits": {"turns_limit": 3}}, r"usage_limits must be a UsageLimits or None, not dict"),
        ({"loop_guard": 3}, r"loop_guard must be a LoopGuard or None, not int"),
    ],
)
def test_settings_of_another_type(api, options, problem):
    with pytest.raises(InvalidParamError, match=problem):
        Agent(ScriptedModel([]), **options)
    with pytest.raises(InvalidParamError, match=problem):
        api.response(Agent(ScriptedModel([])), "Go.", **options)


def test_limits_are_values():
    limits = UsageLimits(turns_limit=3, seconds_limit=1.5)
    assert limits == UsageLimits(seconds_limit=1.5, turns_limit=3) == pickle.loads(pickle.dumps(limits))
    assert limits == copy.deepcopy(limits)
    assert limits != UsageLimits(turns_limit=3)
    assert limits != LoopGuard()
    assert hash(limits) == hash(copy.copy(limits))
    assert repr(limits) == "UsageLimits(seconds_limit=1.5, turns_limit=3)"
    for change in (lambda: setattr(limits, "turns_limit", 4), lambda: delattr(limits, "turns_limit")):
        with pytest.raises(AttributeError, match="UsageLimits can't be changed"):
            change()
    with pytest.raises(TypeError):
        UsageLimits(3)


def test_limits_of_an_agent_hold_for_each_run_and_its_forks(tmp_path):
    limits, guard = UsageLimits(turns_limit=1, seconds_limit=60), LoopGuard(hint=2, end=4)
    agent = Agent(ScriptedModel(sums(9)), tools=[add], usage_limits=limits, loop_guard=guard)
    for each in (agent, agent, agent.fork()):
        with pytest.raises(UsageLimitError):
            each.generate("Go.")
    agent.save(tmp_path / "saved.agent")
    loaded = Agent.load(tmp_path / "saved.agent", ScriptedModel(sums(9)), tools=[add])
    assert loaded._parts.settings.usage_limits == limits
    assert loaded._parts.settings.loop_guard == guard
    with pytest.raises(UsageLimitError):
        loaded.generate("Go.")
    free = Agent.load(tmp_path / "saved.agent", ScriptedModel(["one"]), usage_limits=None, loop_guard=None)
    assert free.generate("Go.") == "one"
    with pytest.raises(InvalidParamError, match="usage_limits"):
        Agent.load(tmp_path / "saved.agent", ScriptedModel([]), usage_limits=3)


def test_a_file_with_wrong_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(UsageLimits, "_values", lambda self: {"turns_limit": 0})
    Agent(ScriptedModel([]), usage_limits=UsageLimits(turns_limit=1)).save(tmp_path / "saved.agent")
    monkeypatch.undo()
    with pytest.raises(StorageError, match="turns_limit must be between"):
        Agent.load(tmp_path / "saved.agent", ScriptedModel([]))
