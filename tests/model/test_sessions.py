"""Stored conversations with the real model: what it remembers, and what a turn costs."""

import pytest

from luup_agent import Agent, Model, SQLiteSessions

QUESTIONS = ("My cat is called Tom.", "What is my cat called?")


@pytest.fixture
def sessions(tmp_path):
    with SQLiteSessions(tmp_path / "chats.db") as opened:
        yield opened


def test_the_model_remembers_what_was_stored(sessions, greedy, api):
    plain = greedy("You are a helpful assistant.")
    expected = [plain.generate(message) for message in QUESTIONS]
    agent = greedy("You are a helpful assistant.")
    answers = [api.text(sessions.open("ada", agent), message) for message in QUESTIONS]
    assert answers == expected
    assert "Tom" in answers[1]


def test_a_turn_prefills_its_new_tokens_alone(sessions, greedy):
    session = sessions.open("ada", greedy("You are a helpful assistant."))
    session.generate("Tell me about the sea, in one sentence.")
    usage = session.run("And about the sky.").usage
    assert usage.prompt_tokens - usage.cached_tokens < 20


def test_sessions_of_one_agent_are_independent(sessions, greedy):
    agent = greedy("You are a helpful assistant.")
    ada, bob = sessions.open("ada", agent), sessions.open("bob", agent)
    ada.generate("My cat is called Tom.")
    bob.generate("My cat is called Felix.")
    assert "Tom" in ada.generate("What is my cat called?")
    assert "Felix" in bob.generate("What is my cat called?")
    assert agent.messages[1:] == []


def test_a_summary_of_the_model_is_stored(tmp_path, model_path):
    with Model.from_local(model_path, context_size=512, threads=1) as model:
        agent = Agent(model, temperature=0, max_tokens=48)
        with SQLiteSessions(tmp_path / "chats.db") as sessions:
            session = sessions.open("ada", agent)
            count, summarized = 0, False
            while not summarized:
                count += 1
                assert count < 30
                summarized = session.run(f"Tell me fact number {count} about the sea.").summary is not None
            stored = sessions.open("ada", agent)
            assert stored.messages == session.messages
            assert len(sessions.messages("ada")) == 2 * count > len(stored.messages)
            assert stored.generate("Thank you.")
