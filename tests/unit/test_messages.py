"""Messages, events and responses are plain values."""

import json
import pickle
from typing import List, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from luup_agent import (
    AgentResponse,
    DoneEvent,
    Event,
    InvalidParamError,
    Message,
    PartialEvent,
    ProgressEvent,
    ReasoningEvent,
    RetryEvent,
    TextEvent,
    Timings,
    ToolCall,
    ToolCallEvent,
    ToolResult,
    ToolResultEvent,
    Usage,
)

arguments = st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
calls = st.builds(ToolCall.from_json, st.text(), st.text(), arguments.map(json.dumps))
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.text(),
    reasoning=st.none() | st.text(),
    tool_calls=st.lists(calls, max_size=3).map(tuple),
    tool_call_id=st.none() | st.text(),
    name=st.none() | st.text(),
)
CALL = ToolCall.from_json("call_1", "add", '{"a": 5, "b": [3]}')


def timings(**values):
    seconds = ("queue_seconds", "prefill_seconds", "decode_seconds", "time_to_first_token", "total_seconds")
    return Timings(**{**dict.fromkeys(seconds, 0.0), "prefill_tokens": 0, "decode_tokens": 0, **values})


RESPONSE = AgentResponse[str](
    output="Paris.",
    text="Paris.",
    reasoning=None,
    messages=[Message(role="user", content="?"), Message(role="assistant", content="Paris.")],
    usage=Usage(prompt_tokens=10, cached_tokens=4, completion_tokens=3, total_tokens=13),
    timings=timings(prefill_seconds=0.5, prefill_tokens=6, decode_seconds=0.25, decode_tokens=2),
    finish_reason="stop",
)


@given(messages)
def test_a_message_survives_the_way_to_openai_and_back(message):
    assert Message.from_dict("message", message.to_dict()) == message


def test_what_a_message_does_not_have_is_no_key():
    assert Message(role="user", content="Hi").to_dict() == {"role": "user", "content": "Hi"}


def test_calls_are_written_as_openai_does():
    message = Message(role="assistant", content="", tool_calls=(CALL,))
    function = {"name": "add", "arguments": '{"a": 5, "b": [3]}'}
    call = {"id": "call_1", "type": "function", "function": function}
    assert message.to_dict() == {"role": "assistant", "content": "", "tool_calls": [call]}
    assert Message.from_dict("message", {**message.to_dict(), "content": None}) == message
    assert message.tool_calls[0].arguments == {"a": 5, "b": [3]}


@pytest.mark.parametrize(
    "calls",
    [
        "a text",
        [5],
        [{}],
        [{"id": "1", "function": "add"}],
        [{"id": "1", "function": {"name": "add"}}],
        [{"id": None, "function": {"name": "add", "arguments": "{}"}}],
        [{"id": "1", "function": {"name": "add", "arguments": 5}}],
        [{"id": "1", "function": {"name": "add", "arguments": "[]"}}],
        [{"id": "1", "function": {"name": "add", "arguments": "{"}}],
    ],
)
def test_what_is_no_call_is_refused(calls):
    with pytest.raises(InvalidParamError, match=r"message\.tool_calls|call '1'"):
        Message.from_dict("message", {"role": "assistant", "content": "", "tool_calls": calls})


def test_what_other_clients_write_is_read():
    assert Message.from_dict("message", {"role": "developer", "content": "Be brief."}).role == "system"
    refused = {"role": "assistant", "content": None, "refusal": "I can't.", "tool_calls": None}
    assert Message.from_dict("message", refused) == Message(role="assistant", content="I can't.")
    call = {"id": "1", "function": {"name": "add", "arguments": {"a": 5, "b": [3]}}}  # Ollama's, and templates'
    message = Message.from_dict("message", {"role": "assistant", "tool_calls": [call]})
    assert message.tool_calls == (ToolCall.from_json("1", "add", '{"a": 5, "b": [3]}'),)


def test_a_result_is_made_of_its_content():
    assert ToolResult("sunny") == ToolResult(content="sunny", is_error=False)
    assert ToolResult("no", is_error=True).is_error


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"role": "user"}, "content"),
        ({"content": "Hi"}, "role"),
        ({"role": "boss", "content": "Hi"}, "role"),
        ({"role": "user", "content": 5}, "content"),
        ({"role": "user", "content": "Hi", "colour": "red"}, "colour"),
    ],
)
def test_what_is_no_message_is_refused_by_name(values, problem):
    with pytest.raises(InvalidParamError, match=rf"messages\[3\].*{problem}"):
        Message.from_dict("messages[3]", values)


def test_speeds_come_from_what_was_computed():
    assert RESPONSE.timings.prefill_tokens_per_second == 12.0
    assert RESPONSE.timings.decode_tokens_per_second == 8.0


def test_speeds_of_nothing_are_zero():
    assert timings().prefill_tokens_per_second == 0.0
    assert timings().decode_tokens_per_second == 0.0


@pytest.mark.parametrize(
    "value",
    [
        Message(role="user", content="Hi"),
        TextEvent(text="Hi"),
        ReasoningEvent(text="Hm"),
        ProgressEvent(done=1, total=2),
        CALL,
        CALL.model_copy(update={"result": ToolResult("8")}),
        ToolResult("8"),
        ToolCallEvent(call=CALL),
        ToolResultEvent(call_id="call_1", name="add", content="8", is_error=False),
        PartialEvent[List[int]](output=[1, 2]),
        RetryEvent(reason="too long"),
        DoneEvent[str](finish_reason="stop", response=RESPONSE),
        RESPONSE,
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen_and_can_be_pickled_and_written_as_json(value):
    with pytest.raises(ValidationError):
        setattr(value, next(iter(type(value).model_fields)), "else")
    assert pickle.loads(pickle.dumps(value)) == value
    assert type(value).model_validate_json(value.model_dump_json()) == value


def test_events_are_told_apart_by_their_type():
    types = {cls.model_fields["type"].default for cls in get_args(Event)}
    assert types == {"text", "reasoning", "progress", "tool_call", "tool_result", "summary", "partial", "retry", "done"}


def test_a_response_is_generic():
    assert isinstance(RESPONSE, AgentResponse)
    with pytest.raises(ValidationError):
        AgentResponse[int](**{**RESPONSE.model_dump(), "output": "not a number"})
