"""Penalties, biases and reported probabilities, checked against the model's own logits."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import Literal

from luup_agent import Agent, InvalidParamError, Regex, tool

STORY = "Write a list of animals, one a line."


def adjusted(logprob, count, presence, frequency, bias=0.0):
    """Return the logit of a token by OpenAI's formula, up to a number that all tokens share."""
    return logprob - count * frequency - (count > 0) * presence + bias


def check_greedy(response, presence=0.0, frequency=0.0, biases=None):
    """Check that every token is the best one by the model's own probabilities and the formula."""
    counts = Counter()
    for token in response.logprobs:
        known = {each.id: each.logprob for each in [*token.top, token]}
        scores = {
            each: adjusted(logprob, counts[each], presence, frequency, (biases or {}).get(each, 0.0))
            for each, logprob in known.items()
        }
        assert scores[token.id] >= max(scores.values()) - 1e-3, (token, scores)
        counts[token.id] += 1
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(("presence", "frequency"), [(2, 0), (0, 0.5), (1.5, 1.5), (-1, -0.5)])
def test_penalties_follow_the_formula(api, greedy, presence, frequency):
    agent = greedy(max_tokens=48, top_logprobs=20)
    plain = api.response(agent, STORY)
    response = api.response(
        greedy(max_tokens=48, top_logprobs=20), STORY, presence_penalty=presence, frequency_penalty=frequency
    )
    assert len(response.logprobs) > 20
    check_greedy(response, presence, frequency)
    check_greedy(plain)
    assert response.text != plain.text


@pytest.mark.slow
@settings(max_examples=12)
@given(st.floats(-2, 2, width=16), st.floats(-2, 2, width=16))
def test_any_penalties_follow_the_formula(model, presence, frequency):
    agent = Agent(model, temperature=0, max_tokens=16, top_logprobs=20, enable_history=False)
    check_greedy(
        agent.run("Say it again.", presence_penalty=presence, frequency_penalty=frequency), presence, frequency
    )


def test_only_tokens_of_this_answer_are_penalized(api, greedy):
    agent = greedy(max_tokens=24, top_logprobs=20, presence_penalty=2)
    for _ in range(2):  # the second answer has the first one in its prompt
        check_greedy(api.response(agent, "Name three fruits."), 2)


def test_a_bias_follows_the_formula(api, greedy, model):
    plain = api.response(greedy(top_logprobs=5, max_tokens=8), "What is the capital of France?")
    first = plain.logprobs[0]
    second = first.top[1] if first.top[0].id == first.id else first.top[0]
    lead = first.logprob - second.logprob
    for bias, winner in [(lead + 0.05, second), (lead - 0.05, first)]:
        biases = {second.id: bias}
        response = api.response(
            greedy(top_logprobs=5, max_tokens=8), "What is the capital of France?", logit_bias=biases
        )
        assert response.logprobs[0].id == winner.id
        check_greedy(response, biases=biases)


def test_a_text_is_banned(api, greedy):
    assert "Paris" in api.text(greedy(), "What is the capital of France?")
    text = api.text(greedy(), "What is the capital of France?", logit_bias={" Paris": -100, "Paris": -100})
    assert " Paris" not in text


def test_a_bias_chooses_among_what_a_grammar_allows(api, greedy):
    for wanted, other in [("yes", "no"), ("no", "yes")]:
        answer = api.text(greedy(), "?", output_type=Literal["yes", "no"], logit_bias={wanted: 100, other: -100})
        assert answer == wanted


@pytest.mark.parametrize(
    ("biases", "message"),
    [
        (
            {" Paris in France": 1},
            r"the text \" Paris in France\" is not one token of this model but 3, \d+ \(\" Paris\"\)",
        ),
        ({999999: 1}, "there is no token 999999; this model has the tokens 0 to 49151"),
    ],
)
def test_a_wrong_bias_is_explained(api, model, greedy, biases, message):
    with pytest.raises(InvalidParamError, match=message):
        Agent(model, logit_bias=biases)
    agent = greedy()
    with pytest.raises(InvalidParamError, match=message):
        api.text(agent, "Hi", logit_bias=biases)
    assert "Paris" in api.text(agent, "What is the capital of France?")


@pytest.mark.parametrize("options", [{"presence_penalty": 1.0, "frequency_penalty": 0.5}, {"logit_bias": {",": -3}}])
def test_drafts_and_jumps_change_nothing(greedy, options):
    class Animal(BaseModel):
        name: str = Field(max_length=12)
        legs: int = Field(ge=0, le=8)
        kind: Literal["wild", "tame"]

    text = "Repeat this: the cat and the dog, the cat and the dog, the cat and the dog."
    plain, drafted = (greedy(max_tokens=60, prompt_lookup=lookup).generate(text, **options) for lookup in (False, True))
    assert plain == drafted
    typed = [
        greedy(max_tokens=80, jump_forward=jump).generate("Describe a cat.", output_type=Animal, **options)
        for jump in (True, False)
    ]
    assert typed[0] == typed[1]


# ---------------------------------------------------------------------------------------------------------------------
# Reported probabilities
# ---------------------------------------------------------------------------------------------------------------------


def check_texts(events):
    """Check that the tokens make up the text, piece by piece, and return the response."""
    response = events[-1].response
    assert b"".join(bytes(token.bytes) for token in response.logprobs).decode() == response.text
    pieces = [event for event in events if event.type == "text"]
    assert [token for piece in pieces for token in piece.logprobs] == response.logprobs
    for token in response.logprobs:
        assert token.logprob <= 1e-6
        assert [each.logprob for each in token.top] == sorted((each.logprob for each in token.top), reverse=True)
        assert sum(each.probability for each in token.top) <= 1 + 1e-6
        assert all(each.logprob == token.logprob for each in token.top if each.id == token.id)
    return response


@pytest.mark.parametrize("top", [0, 1, 20])
def test_tokens_make_up_the_text(api, greedy, model, top):
    response = check_texts(
        api.events(greedy(max_tokens=40, logprobs=True, top_logprobs=top), "Repeat this: Grüße, 🦊!")
    )
    assert {len(token.top) for token in response.logprobs} == {top}
    assert [token.id for token in response.logprobs[:8]] == [model.tokenize(response.text)[n] for n in range(8)]
    assert len(response.logprobs) in (response.usage.completion_tokens, response.usage.completion_tokens - 1)


def test_nothing_is_reported_unasked(api, greedy):
    events = api.events(greedy(max_tokens=8), "Hi")
    assert events[-1].response.logprobs == []
    assert all(event.logprobs == [] for event in events if event.type == "text")


def test_they_are_the_models_own(api, greedy):
    """The same at another temperature, under penalties, biases and a grammar, with and without drafts."""
    question = "What is the capital of France?"
    first = api.response(greedy(top_logprobs=5, max_tokens=8), question).logprobs[0]
    for options in (
        {"temperature": 0.5, "seed": 3},
        {"logit_bias": {first.id: 20.0}, "presence_penalty": 1.0},
        {"prompt_lookup": False},
        {"output_type": str, "repeat_penalty": 1.5},
    ):
        other = api.response(greedy(top_logprobs=5, max_tokens=8), question, **options).logprobs[0]
        assert [each.id for each in other.top] == [each.id for each in first.top]
        assert [each.logprob for each in other.top] == pytest.approx([each.logprob for each in first.top], abs=0.02)


def test_a_typed_result_has_them(api, greedy):
    class City(BaseModel):
        name: str = Field(max_length=12)
        big: bool

    for output_type in (City, Regex("The capital is [A-Z][a-z]{2,8}\\.")):
        events = api.events(
            greedy(max_tokens=60, top_logprobs=3), "What is the capital of France?", output_type=output_type
        )
        response = check_texts(events)
        assert min(token.logprob for token in response.logprobs) < math.log(
            0.5
        )  # what the grammar dictates is rated too


def test_a_stop_text_is_left_out(api, greedy):
    response = api.response(greedy(logprobs=True, stop=["Paris"]), "What is the capital of France?")
    assert "Paris" not in response.text
    told = "".join(token.text for token in response.logprobs)
    assert told.startswith(response.text)  # with the whole token that it cuts
    assert told.rstrip() in (response.text.rstrip(), response.text.rstrip() + " Paris")


def test_calls_have_none(api, greedy):
    @tool
    def capital(country: str) -> str:
        """Return the capital of a country."""
        return "Paris"

    agent = greedy(max_tokens=60, logprobs=True, tools=[capital], tool_choice="capital")
    response = check_texts(api.events(agent, "What is the capital of France?"))
    assert response.tool_calls
