"""Prompt-lookup drafts and dictated texts: they change how an answer is decoded, not what it says."""

from typing import List, Literal

import pytest
from pydantic import BaseModel

from luup_agent import Agent, InvalidParamError, Model


@pytest.fixture
def fresh(tiny_path):
    """A tiny model whose statistics begin at 0: its greedy answers soon repeat themselves."""
    with Model.from_local(tiny_path, threads=1, context_size=2048) as model:
        yield model


def answers(model, **options):
    texts = []
    for number in range(4):
        agent = Agent(model, f"Number {number}.", max_tokens=150, seed=number, **options)
        texts += [agent.generate("Once upon a time there was a fox."), agent.generate("And then?")]
    return texts


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0, 0.05])
def test_drafts_do_not_change_the_answers(fresh, temperature):
    plain = answers(fresh, temperature=temperature, prompt_lookup=False)
    assert fresh.stats().tokens_drafted == 0
    steps = fresh.stats().batches
    for _ in range(10):  # whether drafts pay is measured: a busy machine may leave them out for a while
        before = fresh.stats()
        assert answers(fresh, temperature=temperature) == plain
        stats = fresh.stats()
        accepted = stats.drafts_accepted - before.drafts_accepted
        assert stats.tokens_drafted >= stats.drafts_accepted
        assert stats.batches - before.batches <= steps - accepted / 2
        if accepted:
            return
    pytest.fail("no draft was accepted")


def test_drafts_leave_nothing_in_the_context(fresh):
    agent = Agent(fresh, temperature=0, max_tokens=150)
    agent.run("Once upon a time there was a fox.")
    while not fresh.stats().tokens_drafted:
        agent.run("And then?")
    stats = fresh.stats()
    assert stats.context_used <= len(agent._prompt_tokens(None)) + 8
    expected = Agent(fresh, temperature=0, max_tokens=20, prompt_lookup=False)
    expected.set_history(agent.get_history())
    assert agent.generate("And in the end?", max_tokens=20) == expected.generate("And in the end?")


def test_a_stop_text_and_max_tokens_hold_within_a_draft(fresh):
    agent = Agent(fresh, temperature=0, enable_history=False)
    whole = agent.run("Once upon a time there was a fox.", max_tokens=150)
    for count in range(60, 75):
        cut = agent.run("Once upon a time there was a fox.", max_tokens=count)
        assert cut.usage.completion_tokens == count
        assert whole.text.startswith(cut.text.rstrip("\ufffd"))
    stop = whole.text[-6:]
    stopped = agent.run("Once upon a time there was a fox.", max_tokens=150, stop=stop)
    assert stopped.text == whole.text[: whole.text.index(stop)]


class Parcel(BaseModel):
    """Many names of fields, and little to choose."""

    destination_country: Literal["France", "Italy", "Spain"]
    express_delivery: bool
    number_of_pieces: Literal[1, 2, 3]
    contents_are_fragile: List[bool]


def test_what_is_dictated_has_the_same_tokens_in_one_batch(fresh):
    options = {"temperature": 0, "max_tokens": 200, "enable_history": False}
    agent = Agent(fresh, prompt_lookup=False, **options)  # drafts save steps too, as many as the machine is slow
    for number in range(4):
        message = f"Describe parcel {number}."
        agent.run(message, output_type=Parcel)  # from now on its prompt is in the context
        steps, answers = {}, {}
        for jump in (True, False):
            before = fresh.stats().batches
            answers[jump] = agent.run(message, output_type=Parcel, jump_forward=jump)
            steps[jump] = fresh.stats().batches - before
        assert answers[True].output == answers[False].output
        assert answers[True].usage.completion_tokens == answers[False].usage.completion_tokens
        assert steps[True] < steps[False] / 2, steps


def test_switches_are_booleans(fresh):
    for name in ("prompt_lookup", "jump_forward"):
        with pytest.raises(InvalidParamError, match=name):
            Agent(fresh, **{name: "no"})
