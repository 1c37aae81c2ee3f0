"""Any conversation survives being read, written as JSON and set again, whatever kinds of messages it has."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luup_agent import Agent, InvalidParamError, Message
from luup_agent.testing import FunctionModel

text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
name = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
arguments = st.dictionaries(text, value, max_size=3)


@st.composite
def histories(draw):
    """Generate OpenAI chat messages in a valid order; the last calls may be pending."""
    messages = []
    numbers = iter(range(1000))
    for last in [False] * draw(st.integers(0, 4)) + [True]:
        kind = draw(st.sampled_from(["user", "assistant", "calls"]))
        message = {"role": "user" if kind == "user" else "assistant", "content": draw(text)}
        messages.append(message)
        if kind == "user":
            continue
        reasoning = draw(st.none() | text)
        if reasoning:
            message["reasoning_content"] = reasoning
        if kind == "calls":
            message["tool_calls"] = [
                {
                    "id": f"call_{next(numbers)}",
                    "type": "function",
                    "function": {
                        "name": draw(name),
                        "arguments": json.dumps(draw(arguments), ensure_ascii=draw(st.booleans())),
                    },
                }
                for _ in range(draw(st.integers(1, 3)))
            ]
            calls = draw(st.permutations(message["tool_calls"]))
            for call in calls[: draw(st.integers(0, len(calls))) if last else None]:
                result = {"role": "tool", "content": draw(text), "tool_call_id": call["id"]}
                messages.append({**result, "name": call["function"]["name"]})
    return messages


def agent():
    return Agent(FunctionModel(lambda request: "ok"), "You are helpful.")


@given(histories())
def test_any_history_survives_the_way_through_json(messages):
    first, second, third = agent(), agent(), agent()
    first.set_history(messages)
    history = first.get_history()
    assert history == [{"role": "system", "content": "You are helpful."}, *messages]
    second.set_history(json.loads(json.dumps(history)))
    assert second.get_history() == history
    assert second.messages == first.messages
    third.set_history([Message.model_validate_json(message.model_dump_json()) for message in first.messages])
    assert third.get_history() == history
    assert third.messages == first.messages
    assert third.pending == first.pending


@given(histories())
def test_a_fork_and_a_saved_agent_have_it_too(tmp_path_factory, messages):
    one = agent()
    one.set_history(messages)
    path = tmp_path_factory.getbasetemp() / "history.agent"
    one.save(path)
    for other in (one.fork(), Agent.load(path, one.model)):
        assert other.get_history() == one.get_history()


def test_fields_of_a_server_may_be_of_any_type():
    agent = Agent(FunctionModel(str))
    details = [{"type": "sealed", "index": 0, "text": None, "score": 0.5, "last": True}]
    agent.set_history([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "", "details": details}])
    assert agent.get_history()[1]["details"] == details


def test_what_openais_own_client_gives_is_read():
    """The `model_dump()` of a message of the package openai 2.x, and a message of text parts."""
    given = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
    }
    one = agent()
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "5 + 3?"}]
    one.set_history([{"role": "user", "content": parts}, given])
    assert [message.content for message in one.messages[1:]] == ["What is 5 + 3?", ""]
    assert one.pending[0].name == "add"
    one.set_history([{**given, "content": "Hi", "tool_calls": None}])
    assert one.messages[1] == Message(role="assistant", content="Hi")


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            r"messages\[0\].*content.*image_url.*data URL",
        ),
        ({"role": "user", "content": [5]}, r"messages\[0\].*content"),
        ({"role": "user", "content": None}, r"messages\[0\].*content"),
        ({"role": "assistant", "content": "Hi", "audio": {"id": "x"}}, r"messages\[0\].*audio"),
    ],
)
def test_what_can_not_be_kept_is_refused_by_name(message, problem):
    with pytest.raises(InvalidParamError, match=problem):
        agent().set_history([message])


@pytest.mark.parametrize("kind", [dict, Message])
@pytest.mark.parametrize(
    ("text", "problem"), [("a\0b", "NUL character at index 1"), ("ab\ud800", "lone surrogate, U\\+D800, at index 2")]
)
def test_a_text_that_is_none_is_named_by_its_place(kind, text, problem):
    """Also in messages that have nothing but a text, which are not read one by one."""
    one = agent()
    first = {"role": "user", "content": "Hi"}
    one.set_history([first])
    with pytest.raises(InvalidParamError, match=rf"messages\[1\]\.content has a {problem}"):
        one.set_history([first, kind(role="assistant", content=text)])
    call = {"id": "a", "type": "function", "function": {"name": text, "arguments": "{}"}}
    with pytest.raises(InvalidParamError, match=rf"messages\[0\]\.tool_calls\[0\]\.function\.name has a {problem}"):
        one.set_history([{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert [message.content for message in one.messages[1:]] == ["Hi"]
