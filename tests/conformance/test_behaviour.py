"""The behaviour of agents on each kind of model (`agent_of` makes the agents) and in both APIs (`api`)."""

import json

import pytest
from pydantic import BaseModel
from typing_extensions import Literal

from luup_agent import (
    Agent,
    ApprovalRequiredError,
    BusyError,
    ClosedError,
    InvalidParamError,
    LuupError,
    MaxTurnsError,
    Message,
    RunTimeoutError,
    Tool,
    ToolResult,
)

CAPITAL = "What is the capital city of France? Answer in one sentence."
STORY = "Tell me a long story about a fox and a raven."


class Place(BaseModel):
    city: Literal["Paris", "Rome"]
    size: Literal["large", "small"]


def adder(seen):
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        seen.append((a, b))
        return a + b

    return add


# ---------------------------------------------------------------------------------------------------------------------
# Text, streams and events
# ---------------------------------------------------------------------------------------------------------------------


def test_it_knows_the_capital_of_france(api, agent_of):
    assert "Paris" in api.text(agent_of(), CAPITAL)


def test_pieces_are_the_answer(api, agent_of):
    agent = agent_of()
    pieces = api.pieces(agent, CAPITAL)
    assert pieces
    assert all(pieces)
    assert "".join(pieces) == agent.messages[-1].content
    assert "Paris" in "".join(pieces)


def test_a_response_tells_how_it_went(api, agent_of):
    agent = agent_of("You are terse.")
    response = api.response(agent, CAPITAL)
    assert response.text == response.output
    assert response.reasoning is None
    assert response.messages == [
        Message(role="user", content=CAPITAL),
        Message(role="assistant", content=response.text),
    ]
    assert response.messages == agent.messages[1:]
    usage, timings = response.usage, response.timings
    assert 1 <= usage.completion_tokens <= 24
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.turns == 1
    assert 0 < timings.time_to_first_token <= timings.total_seconds


def test_events_end_with_the_response(api, agent_of):
    events = api.events(agent_of(), CAPITAL)
    done = events[-1]
    assert [event.type for event in events].count("done") == 1
    assert done.type == "done"
    assert done.finish_reason == done.response.finish_reason
    assert "".join(event.text for event in events if event.type == "text") == done.response.text


def test_an_override_holds_for_one_call(api, agent_of):
    agent = agent_of(max_tokens=24, enable_history=False)
    assert api.response(agent, STORY, max_tokens=3).usage.completion_tokens == 3
    assert api.response(agent, STORY).usage.completion_tokens == 24


def test_max_tokens_is_a_limit(api, agent_of):
    response = api.response(agent_of(max_tokens=5), STORY)
    assert response.finish_reason == "length"
    assert response.usage.completion_tokens == 5


def test_an_answer_that_ends_by_itself_stopped(api, agent_of):
    assert api.response(agent_of(max_tokens=64), CAPITAL).finish_reason == "stop"


def test_a_stop_text_ends_the_answer_before_it(api, agent_of):
    response = api.response(agent_of(stop="Paris"), CAPITAL)
    assert response.text
    assert "Paris" not in response.text
    assert response.finish_reason == "stop"


# ---------------------------------------------------------------------------------------------------------------------
# History
# ---------------------------------------------------------------------------------------------------------------------


def test_it_remembers_and_forgets(api, agent_of):
    agent = agent_of("You are helpful.")
    first = api.text(agent, "My name is Ada.")
    second = api.text(agent, "What is my name?")
    system = {"role": "system", "content": "You are helpful."}
    assert agent.get_history() == [
        system,
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": first},
        {"role": "user", "content": "What is my name?"},
        {"role": "assistant", "content": second},
    ]
    agent.clear_history()
    assert agent.get_history() == [system]
    assert "Paris" in api.text(agent, CAPITAL)


def test_without_history_every_run_starts_afresh(api, agent_of):
    agent = agent_of(enable_history=False)
    assert "Paris" in api.text(agent, CAPITAL)
    assert agent.get_history() == []


def test_the_history_can_be_answered_as_it_stands(api, agent_of):
    agent = agent_of()
    agent.add_message("user", CAPITAL)
    response = api.response(agent, None)
    assert "Paris" in response.text
    assert [message.role for message in response.messages] == ["assistant"]
    assert [message.role for message in agent.messages] == ["user", "assistant"]


def test_a_conversation_goes_on_elsewhere(api, agent_of, tmp_path):
    agent = agent_of("You are helpful.")
    api.text(agent, "My name is Ada.")
    other = agent_of("You are helpful.")
    other.set_history(json.loads(json.dumps(agent.get_history())))
    assert other.messages == agent.messages
    agent.save(tmp_path / "agent")
    loaded, fork = Agent.load(tmp_path / "agent", agent.model), agent.fork()
    for copy in (other, loaded, fork):
        assert api.text(copy, CAPITAL) == copy.messages[4].content
        assert len(copy.messages) == 5
    assert len(agent.messages) == 3


# ---------------------------------------------------------------------------------------------------------------------
# Tools and typed results
# ---------------------------------------------------------------------------------------------------------------------


def test_a_forced_tool_is_called(api, agent_of):
    seen = []
    agent = agent_of(max_tokens=128, parallel_tool_calls=False, tools=[adder(seen)])
    agent.add_tool(Tool(lambda: "noon", name="clock", description="Tells the time."))
    events = api.events(agent, "What is 5 + 3?", tool_choice="add")
    response = events[-1].response
    call = response.tool_calls[0]
    assert (call.name, call.arguments) == ("add", dict(zip("ab", seen[0])))
    assert call.result == ToolResult(str(sum(seen[0])))
    kinds = [event.type for event in events]
    assert kinds.index("tool_call") < kinds.index("tool_result") < kinds.index("done")
    assert [message.role for message in agent.messages[:3]] == ["user", "assistant", "tool"]
    assert agent.messages[2].tool_call_id == agent.messages[1].tool_calls[0].id
    assert agent.messages[-1].role == "assistant"
    assert response.usage.turns == 1 + sum(message.role == "tool" for message in agent.messages)


def test_a_call_waits_for_an_approval(api, agent_of):
    seen = []
    agent, again = (agent_of(max_tokens=128, parallel_tool_calls=False) for _ in range(2))
    for each in (agent, again):
        each.add_tool(Tool(adder(seen), requires_approval=True))
    with pytest.raises(ApprovalRequiredError):
        api.text(agent, "What is 5 + 3?", tool_choice="add")
    again.set_history(json.loads(json.dumps(agent.get_history())))
    response = api.resume(again, {again.pending[0].id: "not today"}, tool_choice="none")
    assert not seen
    assert response.tool_calls[0].result.is_error
    assert "not today" in response.tool_calls[0].result.content
    assert again.messages[-1].role == "assistant"


def test_turns_are_bounded(api, agent_of):
    agent = agent_of(max_tokens=128, parallel_tool_calls=False, max_turns=1, tools=[adder([])])
    with pytest.raises(MaxTurnsError):
        api.text(agent, "What is 5 + 3?", tool_choice="add")
    assert agent.get_history() == []


def test_a_typed_result(api, agent_of):
    agent = agent_of(max_tokens=64)
    events = api.events(agent, "Describe the capital of France.", output_type=Place)
    output = events[-1].response.output
    assert isinstance(output, Place)
    assert [event.output for event in events if event.type == "partial"][-1] == output
    assert Place.model_validate_json(agent.messages[-1].content) == output
    assert isinstance(api.text(agent, "And of Italy?", output_type=Place), Place)


# ---------------------------------------------------------------------------------------------------------------------
# Cancelling, and failures
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["", None])
def test_nothing_to_answer_is_refused(api, agent_of, message):
    agent = agent_of("You are helpful.")
    with pytest.raises(InvalidParamError):
        api.text(agent, message)
    assert "Paris" in api.text(agent, CAPITAL)


@pytest.mark.parametrize("message", [b"bytes", 5, [5]])
def test_a_message_must_be_text_or_parts(api, agent_of, message):
    with pytest.raises(InvalidParamError, match=r"message(\[0\])? must be a str,"):
        api.text(agent_of(), message)


def test_a_timeout_leaves_the_history(api, agent_of):
    agent = agent_of(max_tokens=2000)
    with pytest.raises(RunTimeoutError) as caught:
        api.text(agent, STORY, timeout=0.7)
    assert isinstance(caught.value, TimeoutError)
    assert agent.get_history() == []
    assert "Paris" in api.text(agent, CAPITAL, max_tokens=24)


def test_a_timeout_of_nothing_passes_at_once_and_can_be_lifted(api, agent_of):
    agent = agent_of(timeout=0)
    with pytest.raises(RunTimeoutError):
        api.text(agent, CAPITAL)
    assert "Paris" in api.text(agent, CAPITAL, timeout=None)


def test_a_stream_left_half_way_changes_nothing(api, agent_of):
    agent = agent_of("You are helpful.", max_tokens=500)
    api.text(agent, CAPITAL)
    before = agent.get_history()
    assert api.first_piece(agent, STORY)
    assert api.first_event(agent, STORY).type in ("progress", "text")
    assert agent.get_history() == before
    assert api.text(agent, CAPITAL)


def test_a_busy_agent_says_so(api, agent_of):
    agent = agent_of(max_tokens=500)
    stream = agent.generate_stream(STORY)
    next(stream)
    for refused in (
        lambda: api.text(agent, CAPITAL),
        lambda: api.pieces(agent, CAPITAL),
        lambda: api.response(agent, CAPITAL),
        lambda: api.events(agent, CAPITAL),
        lambda: agent.add_message("user", "Hi"),
        lambda: agent.clear_history(),
        lambda: agent.set_history([]),
    ):
        with pytest.raises(BusyError):
            refused()
    stream.close()
    assert "Paris" in api.text(agent, CAPITAL)


def test_a_closed_agent_says_so(api, agent_of):
    agent = agent_of()
    agent.close()
    agent.close()
    for refused in (api.text, api.pieces, api.response, api.events):
        with pytest.raises(ClosedError):
            refused(agent, CAPITAL)


def test_what_a_tool_raises_ends_the_run_if_it_is_to(api, agent_of):
    class Broken(Exception):
        pass

    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        raise Broken

    agent = agent_of(max_tokens=128, parallel_tool_calls=False)
    agent.add_tool(Tool(add, on_error="raise"))
    with pytest.raises(Broken):
        api.text(agent, "What is 5 + 3?", tool_choice="add")
    assert agent.get_history() == []
    assert "Paris" in api.text(agent, CAPITAL, tool_choice="none", max_tokens=24)


def test_many_at_once(api, agent_of):
    answers = api.texts([(agent_of(), CAPITAL) for _ in range(8)])
    assert not [answer for answer in answers if isinstance(answer, LuupError)]
    assert all("Paris" in answer for answer in answers)
