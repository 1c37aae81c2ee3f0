"""Agents of a team hand a conversation over to one another."""

import asyncio
from typing import List

import pytest
from pydantic import BaseModel, field_validator

from luup_agent import (
    Agent,
    BusyError,
    HandedOver,
    Handoff,
    HTTPError,
    InvalidParamError,
    InvalidSchemaError,
    MaxTurnsError,
    RunContext,
    Team,
    Tool,
    ToolResult,
    UsageLimitError,
    UsageLimits,
)
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

TO_BILLING = tool_call("transfer_to_billing")
TO_DESK = tool_call("transfer_to_desk")


class Complaint(BaseModel):
    reason: str
    amount: int = 0

    @field_validator("amount")
    @classmethod
    def positive(cls, value):
        if value < 0:
            raise ValueError("an amount is positive")
        return value


class Sync:
    def run(self, team, message, **options):
        return team.run(message, **options)

    def resume(self, team, approvals, **options):
        return team.resume(approvals, **options)

    def events(self, team, message, **options):
        return list(team.stream_events(message, **options))

    def pieces(self, team, message, **options):
        return list(team.generate_stream(message, **options))


class Async:
    def run(self, team, message, **options):
        return asyncio.run(team.run_async(message, **options))

    def resume(self, team, approvals, **options):
        return asyncio.run(team.resume_async(approvals, **options))

    def events(self, team, message, **options):
        async def collect():
            return [event async for event in team.stream_events_async(message, **options)]

        return asyncio.run(collect())

    def pieces(self, team, message, **options):
        async def collect():
            return [piece async for piece in team.generate_stream_async(message, **options)]

        return asyncio.run(collect())


@pytest.fixture(params=[Sync(), Async()], ids=["sync", "async"])
def way(request):
    return request.param


def look_up(customer: str) -> str:
    """Looks a customer up."""
    return f"{customer} pays 5"


def make(desk, billing, *, to_billing=None, options=None, **team):
    """Return a team of a desk, which may hand over to the billing, and the two models."""
    desk = ScriptedModel(desk) if isinstance(desk, list) else desk
    billing = ScriptedModel(billing) if isinstance(billing, list) else billing
    agents = {
        "desk": Agent(desk, "You are the desk.", **(options or {})),
        "billing": Agent(billing, "You know bills.", tools=[look_up], **(options or {})),
    }
    handoffs = {"desk": [to_billing or Handoff("billing", "For bills.")], "billing": [Handoff("desk", "For the rest.")]}
    return Team(agents, handoffs=handoffs, **team), desk, billing


def texts(messages):
    return [(message.role, message.content) for message in messages]


HANDED = ("tool", "The conversation was handed over to billing.")


def test_the_other_agent_answers_from_there_on(way):
    team, desk, billing = make(
        ["Hello.", TO_BILLING], [tool_call("look_up", customer="Ada"), "You pay 5.", "You are welcome."]
    )
    assert way.run(team, "Hi").agent == "desk"
    response = way.run(team, "What do I pay?")
    assert (response.agent, response.output, response.text) == ("billing", "You pay 5.", "You pay 5.")
    assert response.handoffs == [HandedOver("desk", "billing", None)]
    assert [(call.name, call.result.content) for call in response.tool_calls] == [
        ("transfer_to_billing", "The conversation was handed over to billing."),
        ("look_up", "Ada pays 5"),
    ]
    assert texts(response.messages) == [
        ("user", "What do I pay?"), ("assistant", ""), HANDED, ("assistant", ""), ("tool", "Ada pays 5"),
        ("assistant", "You pay 5."),
    ]  # fmt: skip
    assert response.usage.turns == 3
    assert response.usage == response.responses[0].usage + response.responses[1].usage
    assert team.agent == "billing"
    assert way.run(team, "Thanks").output == "You are welcome."
    asked = billing.requests[0]
    assert texts(asked.messages)[:2] == [("system", "You know bills."), ("user", "Hi")]
    assert asked.tools == ["look_up", "transfer_to_desk"]
    assert len(billing.requests[2].messages) == 1 + 2 + 6 + 1
    assert desk.requests[0].tools == ["transfer_to_billing"]
    assert texts(team.messages)[-2:] == [("user", "Thanks"), ("assistant", "You are welcome.")]
    team.clear_history()
    assert (team.messages, team.agent) == ([], "desk")


def test_the_agents_remember_nothing(way):
    team, _, _ = make([TO_BILLING], ["Yes."])
    way.run(team, "Hi")
    assert [agent.messages[1:] for agent in team._agents.values()] == [[], []]


def test_events(way):
    team, _, _ = make([["Wait. ", TO_BILLING]], ["You pay 5."])
    events = way.events(team, "Hi")
    types = [event.type for event in events]
    once = [kind for index, kind in enumerate(types) if index == 0 or types[index - 1] != kind]
    assert once == ["text", "tool_call", "tool_result", "text", "done"]
    call, result = events[types.index("tool_call")], events[types.index("tool_result")]
    assert call.call.id == result.call_id
    assert result.content == HANDED[1]
    assert events[-1].response.output == "You pay 5."
    assert team.agent == "billing"
    assert len(team.messages) == 4


def test_pieces(way):
    team, _, _ = make([["Wait. ", TO_BILLING]], ["You pay 5."])
    assert "".join(way.pieces(team, "Hi")) == "Wait. You pay 5."


def test_there_and_back(way):
    team, _, _ = make([TO_BILLING, "I can help."], [TO_DESK])
    response = way.run(team, "Hi")
    assert [(each.sender, each.receiver) for each in response.handoffs] == [("desk", "billing"), ("billing", "desk")]
    assert (response.agent, response.output) == ("desk", "I can help.")


def test_agents_that_hand_over_for_ever(way):
    team, desk, billing = make([TO_BILLING] * 9, [TO_DESK] * 9, max_handoffs=3)
    with pytest.raises(MaxTurnsError, match=r"handed the message over 3 times, and 'billing' wants") as caught:
        way.run(team, "Hi")
    assert len(desk.requests) + len(billing.requests) == 4
    assert [call.name for call in caught.value.tool_calls] == [
        "transfer_to_billing", "transfer_to_desk", "transfer_to_billing", "transfer_to_desk",
    ]  # fmt: skip
    assert caught.value.usage.turns == 4
    assert (team.messages, team.agent) == ([], "desk")


def test_an_input(way):
    seen = []
    handoff = Handoff("billing", "For complaints.", input_type=Complaint, on_handoff=seen.append)
    team, desk, _ = make([tool_call("transfer_to_billing", reason="late", amount=3)], ["Sorry."], to_billing=handoff)
    response = way.run(team, "Hi")
    assert response.handoffs == [HandedOver("desk", "billing", Complaint(reason="late", amount=3))]
    assert seen == [Complaint(reason="late", amount=3)]
    schema = desk.requests[0].body["tools"][0]["function"]["parameters"]
    assert set(schema["properties"]) == {"reason", "amount"}


def test_an_input_that_a_validator_refuses(way):
    handoff = Handoff("billing", "For complaints.", input_type=Complaint)
    script = [tool_call("transfer_to_billing", reason="late", amount=-1), "I keep it."]
    team, desk, _ = make(script, [], to_billing=handoff)
    response = way.run(team, "Hi")
    assert (response.agent, response.output, response.handoffs) == ("desk", "I keep it.", [])
    assert "an amount is positive" in desk.requests[1].messages[-1].content
    assert response.tool_calls[0].result.is_error


def test_what_the_other_agent_reads(way):
    said = ["Hello.", [tool_call("clock"), "Wait. "], TO_BILLING]
    clock = Tool(lambda: "noon", name="clock", parameters={"type": "object"})
    expected = [("user", "Hi"), ("assistant", "Hello."), ("user", "What do I pay?")]
    for history in ("texts", lambda messages: [m for m in messages if m.role == "user"]):
        team, _, billing = make(said, ["5."], to_billing=Handoff("billing", "For bills.", history=history))
        way.run(team, "Hi")
        response = way.run(team, "What do I pay?", tools=[clock])
        found = texts(billing.requests[0].messages)[1:]
        assert found == (expected if history == "texts" else [pair for pair in expected if pair[0] == "user"])
        assert len(response.messages) == 6  # all of them
        assert len(team.messages) == len(found) + 1


@pytest.mark.parametrize("history", [lambda messages: [], lambda messages: [3], lambda messages: messages[:2]])
def test_what_no_agent_can_answer(way, history):
    team, _, _ = make(["Hello.", TO_BILLING], [], to_billing=Handoff("billing", "For bills.", history=history))
    way.run(team, "Hi")
    with pytest.raises(InvalidParamError, match="history of the handoff to 'billing' must return mess") as caught:
        way.run(team, "What do I pay?")
    assert caught.value.usage.turns == 1
    assert team.agent == "desk"


def test_other_calls_of_the_same_turn_run(way):
    team, _, billing = make([[tool_call("clock"), TO_BILLING, TO_BILLING]], ["Yes."])
    clock = Tool(lambda: "noon", name="clock", parameters={"type": "object"})
    response = way.run(team, "Hi", tools=[clock])
    assert [call.result.content for call in response.tool_calls] == [
        "noon", HANDED[1], "Error: there can be one handoff at a time",
    ]  # fmt: skip
    assert len(response.handoffs) == 1
    assert len(billing.requests[0].messages) == 6


def test_an_approve_function_is_not_asked_about_handoffs(way):
    asked = []
    team, _, _ = make([TO_BILLING], ["Yes."])
    assert way.run(team, "Hi", approve=lambda call: asked.append(call) or True).agent == "billing"
    assert asked == []


def test_calls_that_wait_for_an_approval(way):
    pay = Tool(lambda: "paid", name="pay", parameters={"type": "object"}, requires_approval=True)
    team, _, _ = make([TO_BILLING, "All is paid."], [[tool_call("pay"), TO_DESK]])
    team._agents["billing"].add_tool(pay)
    response = way.run(team, "Pay.")
    assert [call.name for call in response.pending] == ["pay"] == [call.name for call in team.pending]
    assert response.agent == "billing"
    with pytest.raises(InvalidParamError, match="no call 'x' waits"):
        way.resume(team, {"x": True})
    response = way.resume(team, {team.pending[0].id: True})
    assert (response.agent, response.output, response.pending) == ("desk", "All is paid.", [])
    assert team.pending == []


def test_limits_hold_for_all_together(way):
    team, _, _ = make([TO_BILLING] * 9, [TO_DESK] * 9, max_handoffs=100)
    with pytest.raises(UsageLimitError) as caught:
        way.run(team, "Hi", usage_limits=UsageLimits(turns_limit=3))
    assert (caught.value.used, caught.value.usage.turns) == (3, 3)
    team, _, _ = make([TO_BILLING], ["one two three four five"])
    with pytest.raises(UsageLimitError):
        way.events(team, "Hi", usage_limits=UsageLimits(output_tokens_limit=4))


def test_a_failure_reports_what_all_have_done_and_changes_nothing(way):
    team, _, _ = make(["Hello.", TO_BILLING], [tool_call("look_up", customer="Ada"), HTTPError("down")])
    way.run(team, "Hi")
    before = team.messages
    with pytest.raises(HTTPError) as caught:
        way.run(team, "What do I pay?")
    error = caught.value
    assert [call.result for call in error.tool_calls] == [ToolResult(HANDED[1]), ToolResult("Ada pays 5")]
    assert [message.role for message in error.messages] == ["user", "assistant", "tool", "assistant", "tool"]
    assert error.usage.turns == 3
    assert (team.messages, team.agent) == (before, "desk")


def test_a_failure_is_kept_with_on_error(way):
    team, _, _ = make([TO_BILLING], [HTTPError("down"), "Now it works."], options={"keep_history": "on_error"})
    with pytest.raises(HTTPError):
        way.run(team, "Hi")
    assert team.agent == "billing"
    assert texts(team.messages) == [("user", "Hi"), ("assistant", ""), HANDED]
    assert way.run(team, "Again.").output == "Now it works."


def test_one_message_at_a_time(way):
    team, _, _ = make(["one two"], [])
    stream = team.stream_events("Hi")
    next(stream)
    with pytest.raises(BusyError, match="the team is answering another message"):
        way.run(team, "Hi")
    stream.close()
    assert team.messages == []


def test_the_settings_of_a_message(way):
    team, desk, billing = make([TO_BILLING], ["Yes."])
    way.run(team, "Hi", tool_choice="transfer_to_billing", max_tokens=9)
    assert desk.requests[0].tool_choice == "transfer_to_billing"
    assert billing.requests[0].tool_choice == "auto"
    assert [model.requests[0].body["max_tokens"] for model in (desk, billing)] == [9, 9]


def test_a_typed_answer(way):
    team, _, _ = make([TO_BILLING], [])
    team._agents["billing"] = Agent(ScriptedModel([[1, 2]]), output_type=List[int])
    assert way.run(team, "Hi").output == [1, 2]


def test_deps_reach_the_tools_of_all(way):
    seen = []

    def note(ctx: RunContext[str]) -> str:
        seen.append(ctx.deps)
        return "noted"

    team, _, _ = make([tool_call("note"), TO_BILLING], [tool_call("note"), "Yes."])
    way.run(team, "Hi", deps="Ada", tools=[note])
    assert seen == ["Ada", "Ada"]


def test_generate():
    team, _, _ = make([TO_BILLING], ["Yes.", "No."])
    assert team.generate("Hi") == "Yes."
    assert asyncio.run(team.generate_async("Hi")) == "No."
    assert repr(team) == "<Team desk, billing>"
    assert repr(Handoff("billing", "For bills.")) == "<Handoff to billing>"


def test_wrong_handoffs():
    for arguments, options, problem in [
        (("a b", "x"), {}, "transfer_to_a b"),
        (("a", 3), {}, "description"),
        (("a", "x"), {"on_handoff": 3}, "on_handoff must be callable, not int"),
        (("a", "x"), {"history": "none"}, "history must be 'all', 'texts' or a function of the messages, not 'none'"),
        (("a", "x"), {"input_type": int}, "input_type must be a type with fields"),
    ]:
        with pytest.raises(InvalidParamError, match=problem):
            Handoff(*arguments, **options)
    with pytest.raises(InvalidSchemaError):
        Handoff("a", "x", input_type=object())


def test_wrong_teams():
    agent, other = Agent(FunctionModel(str)), Agent(FunctionModel(str))
    to_b = Handoff("b", "x")
    for agents, options, problem in [
        ({}, {"handoffs": {}}, "agents must be a dict"),
        ({"a": 3}, {"handoffs": {}}, r"agents\['a'\] must be an Agent, not int"),
        ({"a": agent}, {"handoffs": {"a": [to_b]}}, "has one to 'b'; give the name of another agent"),
        ({"a": agent, "b": other}, {"handoffs": {"c": []}}, "handoffs names 'c', but the team has 'a', 'b'"),
        ({"a": agent, "b": other}, {"handoffs": {"a": [3]}}, r"handoffs\['a'\] must be a list of Handoff, but has int"),
        ({"a": agent, "b": other}, {"handoffs": {"a": [to_b, to_b]}}, "has two tools 'transfer_to_b'"),
        ({"a": agent, "b": other}, {"handoffs": {"b": [to_b]}}, "give the name of another agent"),
        ({"a": agent}, {"handoffs": {}, "first": "b"}, "first names 'b'"),
        ({"a": agent}, {"handoffs": {}, "max_handoffs": -1}, "max_handoffs"),
        ({"a": Agent(FunctionModel(str), enable_history=False)}, {"handoffs": {}}, "needs enable_history"),
    ]:
        with pytest.raises(InvalidParamError, match=problem):
            Team(agents, **options)


def test_the_real_model_hands_over(way, model):
    desk = Agent(model, "You send people to the right expert.", temperature=0, max_tokens=64)
    expert = Agent(model, "You know the countries of the world.", temperature=0, max_tokens=32)
    handoff = Handoff("expert", "For questions about countries.", history="texts")
    team = Team({"desk": desk, "expert": expert}, handoffs={"desk": [handoff]})
    response = way.run(team, "What is the capital of France?", tool_choice="transfer_to_expert")
    assert response.agent == "expert"
    assert "Paris" in response.output
    assert response.usage.turns == 2
    assert way.run(team, "And of Japan?").agent == "expert"
