"""Messages, events and responses are plain values."""

import pickle
from typing import get_args

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
    ProgressEvent,
    ReasoningEvent,
    TextEvent,
    Timings,
    Usage,
)

messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.text(),
    reasoning=st.none() | st.text(),
)


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


def test_a_message_without_reasoning_has_no_such_key():
    assert Message(role="user", content="Hi").to_dict() == {"role": "user", "content": "Hi"}


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
        DoneEvent(finish_reason="stop", response=RESPONSE),
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
    assert types == {"text", "reasoning", "progress", "done"}


def test_a_response_is_generic():
    assert isinstance(RESPONSE, AgentResponse)
    with pytest.raises(ValidationError):
        AgentResponse[int](**{**RESPONSE.model_dump(), "output": "not a number"})
