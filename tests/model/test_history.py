"""An agent's conversation can be read, replaced, extended and counted."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luup_agent import Agent, BusyError, ContextUsage, InvalidParamError, Message

text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=40)
turns = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), text), max_size=6)


def test_added_messages_are_there(greedy):
    agent = greedy("You are helpful.")
    agent.add_message("user", "My name is Ada.")
    agent.add_message("assistant", "Nice to meet you, Ada.")
    assert agent.messages == [
        Message(role="system", content="You are helpful."),
        Message(role="user", content="My name is Ada."),
        Message(role="assistant", content="Nice to meet you, Ada."),
    ]
    assert "Ada" in agent.generate("What is my name?")


@pytest.mark.parametrize(
    ("role", "content", "problem"),
    [
        ("boss", "Hi", "role|boss"),
        ("system", "Hi", "role|system"),
        ("", "Hi", "role"),
        ("User", "Hi", "role|User"),
        (None, "Hi", "role must be a str"),
        ("user", None, "content must be a str"),
        ("user", b"Hi", "content must be a str"),
        ("user", "a\0b", "content has a NUL"),
        ("user", "a\ud800", "content has a lone surrogate"),
    ],
)
def test_what_is_no_message_is_not_added(greedy, role, content, problem):
    agent = greedy()
    with pytest.raises(InvalidParamError, match=problem):
        agent.add_message(role, content)
    assert agent.get_history() == []


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns)
def test_any_history_survives_being_set(greedy, conversation):
    agent = greedy("You are helpful.")
    for role, content in conversation:
        agent.add_message(role, content)
    other = greedy("You are helpful.")
    other.set_history(agent.get_history())
    assert other.get_history() == agent.get_history()
    again = greedy("You are helpful.")
    again.set_history(agent.messages)
    assert again.messages == agent.messages
    assert again._prompt_tokens("Hi") == agent._prompt_tokens("Hi")


def test_a_copied_conversation_goes_on_the_same(greedy):
    agent, other = greedy("You are helpful."), greedy("You are helpful.")
    agent.generate("My name is Ada.")
    other.set_history(agent.get_history())
    assert other.generate("What is my name?") == agent.generate("What is my name?")


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ("a string", "messages must be a list"),
        ({"role": "user", "content": "Hi"}, "messages must be a list"),
        (5, "messages must be a list"),
        ([5], r"messages\[0\] must be a Message or a dict"),
        ([{"role": "user", "content": "Hi"}, {"role": "user"}], r"messages\[1\].*content"),
        ([{"role": "system", "content": "Another one"}], r"messages\[0\] is a system message"),
        ([{"role": "user", "content": "a\0b"}], r"messages\[0\].content has a NUL"),
        ([{"role": "user", "content": "a\udfff"}], r"messages\[0\].content has a lone surrogate"),
    ],
)
def test_what_is_no_history_is_not_set(greedy, messages, problem):
    agent = greedy("You are helpful.")
    agent.add_message("user", "Hi")
    before = agent.get_history()
    with pytest.raises(InvalidParamError, match=problem):
        agent.set_history(messages)
    assert agent.get_history() == before


def test_an_empty_system_prompt_is_none(greedy):
    assert greedy("").get_history() == []
    assert greedy("").system_prompt is None
    assert greedy("")._prompt_tokens("Hi") == greedy()._prompt_tokens("Hi")


def test_the_context_adds_up(greedy, model):
    agent = greedy("You are helpful.")
    empty = agent.context
    assert isinstance(empty, ContextUsage)
    assert empty.total == model.get_info().context_size
    assert empty.history == 0
    assert 0 < empty.system < 60
    assert empty.free == empty.total - empty.system
    agent.generate("What is the capital city of France? Answer in one sentence.")
    full = agent.context
    assert full.system == empty.system
    assert full.history > 8
    assert full.free == full.total - full.system - full.history
    agent.clear_history()
    assert agent.context == empty


def test_the_history_is_not_changed_while_a_run_goes_on(model):
    agent = Agent(model, max_tokens=500)
    stream = agent.generate_stream("Tell me a long story.")
    next(stream)
    with pytest.raises(BusyError):
        agent.add_message("user", "Hi")
    assert agent.get_history() == []
    stream.close()
    agent.add_message("user", "Hi")


def test_a_failed_run_and_a_cancelled_one_leave_the_history(greedy):
    agent = greedy(max_tokens=500)
    agent.add_message("user", "Hi")
    agent.add_message("assistant", "Hello!")
    before = agent.get_history()
    stream = agent.stream_events("Tell me a long story.")
    for event in stream:
        if event.type == "text":
            break
    stream.close()
    with pytest.raises(TimeoutError):
        agent.generate("Tell me a long story.", timeout=0.05)
    assert agent.get_history() == before
