"""The order of runs that wait for the engine, and the limit of the queue."""

import pytest

from luup_agent import Agent, BusyError, InvalidParamError, Model


@pytest.fixture
def narrow(tiny_path):
    """One run at a time."""
    with Model.from_local(tiny_path, threads=1, context_size=2048, max_sequences=1, max_waiting=3) as model:
        yield model


def story(model, priority=0):
    """Start a run that, within these tests, ends only when it is closed."""
    return Agent(model, max_tokens=1500, temperature=1.0, priority=priority).generate_stream("Tell me a story.")


def test_the_higher_priority_goes_first(narrow):
    busy = story(narrow)
    next(busy)
    low, normal, high = (story(narrow, priority) for priority in (-5, 0, 7))
    assert narrow.stats().runs_waiting == 3
    for before, runs, still_waiting in ((busy, high, 2), (high, normal, 1), (normal, low, 0)):
        before.close()
        next(runs)
        assert narrow.stats().runs_waiting == still_waiting
    low.close()


def test_one_more_than_may_wait_is_refused_at_once(narrow):
    busy = story(narrow)
    next(busy)
    waiting = [Agent(narrow, max_tokens=1).generate_stream("Hello") for _ in range(3)]
    refused = Agent(narrow, max_tokens=1)
    with pytest.raises(BusyError, match="3 wait already"):
        refused.generate("Hello")
    assert refused.messages == []
    busy.close()
    for stream in waiting:
        list(stream)
    assert refused.run("Hello").usage.completion_tokens == 1


def test_the_later_turns_of_a_run_are_not_refused(tiny_path):
    with Model.from_local(tiny_path, threads=1, context_size=4096, max_sequences=1, max_waiting=0) as model:
        agent = Agent(model, max_tokens=400, max_turns=3)

        @agent.tool
        def ping() -> str:
            """Pings."""
            return "pong"

        response = agent.run("Ping!", tool_choice="ping")
        assert response.tool_calls[0].result.content == "pong"


@pytest.mark.parametrize("priority", [-1001, 1001, 1.5, True, None])
def test_a_wrong_priority_is_refused(tiny_model, priority):
    with pytest.raises(InvalidParamError, match="priority"):
        Agent(tiny_model, priority=priority).run("Hello")
