"""Typed results, decoded by the real model; the same for the synchronous and the asynchronous API."""

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from typing import Dict, List, Optional, Union

import pytest
from pydantic import Base64Str, BaseModel, Field, ValidationError, field_validator
from typing_extensions import Annotated, Literal, TypedDict

from luup_agent import (
    Agent,
    InvalidOutputError,
    InvalidParamError,
    InvalidSchemaError,
    ModelRetry,
    ToolResult,
)

ABOUT = "Tell me about the film Alien, which Ridley Scott made in 1979."


class Genre(enum.Enum):
    HORROR = "horror"
    COMEDY = "comedy"


class Movie(BaseModel):
    title: str = Field(max_length=20)
    year: int = Field(ge=1880, le=2030)
    genre: Genre
    good: bool


@dataclasses.dataclass
class Box:
    size: Annotated[int, Field(ge=0, le=9)]
    label: Literal["small", "large"]


class Options(TypedDict):
    deep: bool


class Node(BaseModel):
    name: str = Field(max_length=5)
    children: List["Node"] = Field(default=[], max_length=2)


TYPES = [
    Movie,
    Box,
    Options,
    Genre,
    bool,
    Annotated[int, Field(ge=0, le=99)],
    float,
    decimal.Decimal,
    datetime.date,
    datetime.datetime,
    uuid.UUID,
    Base64Str,
    Literal["yes", "no"],
    Optional[bool],
    Union[Movie, Box],
    [Movie, Box],
    Annotated[List[Genre], Field(max_length=3)],
    Annotated[Dict[str, bool], Field(max_length=2)],
    Annotated[str, Field(max_length=10)],
]


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_a_result_is_of_its_type(greedy, type_):
    from luup_agent._run.typed_output import output_spec

    spec = output_spec(type_)
    agent = greedy(temperature=1.0, max_tokens=512, enable_history=False)  # a float may have 369 digits
    for seed in range(3):
        response = agent.run(ABOUT, output_type=type_, seed=seed)
        assert response.output == spec.validate(response.text)
        assert json.loads(response.text) is not ...
        assert response.text == response.text.strip()
        assert response.usage.turns == 1  # nothing had to be asked for again


def test_every_method_gives_it(api, greedy):
    agent = greedy(max_tokens=64, enable_history=False)
    movie = api.text(agent, ABOUT, output_type=Movie)
    assert type(movie) is Movie
    assert api.response(agent, ABOUT, output_type=Movie).output == movie
    assert "".join(api.pieces(agent, ABOUT, output_type=Movie)) == api.response(agent, ABOUT, output_type=Movie).text


def test_the_history_has_the_text(api, greedy):
    agent = greedy(max_tokens=64)
    response = api.response(agent, ABOUT, output_type=Box)
    assert agent.messages == response.messages
    assert json.loads(agent.messages[-1].content) == dataclasses.asdict(response.output)


def test_text_is_asked_for_as_such(api, greedy):
    assert api.text(greedy(), "Hi", output_type=str) == greedy().generate("Hi")


def test_partial_values_come_while_the_text_grows(api, greedy):
    events = api.events(greedy(max_tokens=64), ABOUT, output_type=Movie)
    partials = [event.output for event in events if event.type == "partial"]
    assert [set(partial.model_fields_set) for partial in partials] == [
        {"title"},
        {"title", "year"},
        {"title", "year", "genre"},
        {"title", "year", "genre", "good"},
    ]
    done = events[-1]
    assert partials[-1] == done.response.output
    for partial in partials:
        for name in partial.model_fields_set:
            assert getattr(partial, name) == getattr(partials[-1], name)
    assert "".join(event.text for event in events if event.type == "text") == done.response.text


def test_what_validators_want_is_told_to_the_model(api, greedy):
    seen = []

    class Picky(BaseModel):
        n: Literal[1, 2, 3]

        @field_validator("n")
        @classmethod
        def second_time_lucky(cls, n):
            seen.append(n)
            if len(seen) == 1:
                raise ValueError("not the first one")
            return n

    agent = greedy(max_tokens=32)
    events = api.events(agent, "Give me a number.", output_type=Picky)
    retry = next(event for event in events if event.type == "retry")
    assert "not the first one" in retry.reason
    assert events[-1].response.output.n == seen[-1]
    assert json.loads(events[-1].response.text) == {"n": seen[-1]}
    assert events[-1].response.usage.turns == 2
    assert len(seen) == 2


@pytest.mark.parametrize("error", [ValueError, AssertionError, ModelRetry])
def test_what_is_still_wrong_after_the_retries_is_an_error(api, greedy, error):
    seen = []

    class Never(BaseModel):
        n: Literal[1, 2]

        @field_validator("n")
        @classmethod
        def never(cls, n):
            seen.append(n)
            raise error("never good")

    agent = greedy(max_tokens=32)
    for retries in (0, 2):
        seen.clear()
        with pytest.raises(InvalidOutputError, match="never good") as caught:
            api.text(agent, "Give me a number.", output_type=Never, retries=retries)
        assert len(seen) == retries + 1
        assert json.loads(caught.value.partial_text) == {"n": seen[-1]}
        assert isinstance(caught.value.__cause__, ModelRetry if error is ModelRetry else ValidationError)
        assert agent.get_history() == []


def test_an_exception_of_a_validator_ends_the_run(api, greedy):
    class Broken(BaseModel):
        n: Literal[1]

        @field_validator("n")
        @classmethod
        def fail(cls, n):
            raise LookupError("a bug")

    agent = greedy(max_tokens=32)
    with pytest.raises(LookupError, match="a bug"):
        api.text(agent, "Give me a number.", output_type=Broken)
    assert agent.get_history() == []


def test_a_result_that_is_cut_off_is_an_error_with_its_text(api, greedy):
    agent = greedy()
    with pytest.raises(InvalidOutputError, match="max_tokens") as caught:
        api.text(agent, ABOUT, output_type=Movie, max_tokens=4)
    assert caught.value.partial_text.startswith('{"title"')
    assert isinstance(caught.value, ValueError)
    assert agent.get_history() == []


@pytest.mark.parametrize("type_", [object(), [], type("Odd", (), {})])
def test_what_is_no_type_is_refused(api, greedy, type_):
    with pytest.raises((InvalidSchemaError, InvalidParamError), match="output_type"):
        api.text(greedy(), "Hi", output_type=type_)


def test_the_model_says_how_sure_it_is(api, greedy):
    agent = greedy(max_tokens=96, enable_history=False)
    confidence = api.response(agent, ABOUT, output_type=Movie).confidence
    assert set(confidence) == {"genre", "good"}
    assert all(0 < value <= 1 for value in confidence.values())
    assert set(api.response(agent, "Is it good?", output_type=bool).confidence) == {""}
    assert api.response(agent, "Hi", max_tokens=1).confidence == {}

    class Pair(BaseModel):
        items: List[Box] = Field(min_length=2, max_length=2)

    assert set(api.response(agent, "Two boxes.", output_type=Pair).confidence) == {"items.0.label", "items.1.label"}


def test_recursive_models(greedy):
    tree = Node(name="root", children=[Node(name="leaf")])
    assert greedy(max_tokens=256).generate(f"Copy this JSON: {tree.model_dump_json()}", output_type=Node) == tree


def test_a_model_that_nests_without_end_gets_an_error(greedy):
    with pytest.raises(InvalidOutputError, match=r"without end: it opened more than 128") as error:
        greedy(max_tokens=3000).generate("A tree of files.", output_type=Node)
    assert error.value.partial_text.count("[") > 60


def test_results_and_tools_in_one_run(api, greedy):
    seen = []

    def look_up(film: Literal["Alien"]) -> str:
        """Looks up a film."""
        seen.append(film)
        return "Alien, a good horror film, 1979"

    agent = greedy(tools=[look_up], max_tokens=96)
    response = api.response(agent, ABOUT, output_type=Movie, tool_choice="look_up", max_turns=6)
    assert type(response.output) is Movie
    assert seen
    assert response.tool_calls[0].result == ToolResult("Alien, a good horror film, 1979")
    assert response.output == Movie.model_validate_json(response.text)


# ---------------------------------------------------------------------------------------------------------------------
# Labels
# ---------------------------------------------------------------------------------------------------------------------


class Mood(enum.Enum):
    GOOD = "positive"
    BAD = "negative"


@pytest.mark.parametrize("labels", [Mood, Literal["positive", "negative"], ["positive", "negative"]], ids=str)
def test_a_text_is_classified(api, greedy, labels):
    agent = greedy()
    agent.add_message("user", "Hi")
    before = agent.get_history()
    good = api.classify(agent, "I love it, it is wonderful!", labels)
    bad = api.classify(agent, "I hate it, it is awful!", labels)
    assert list(good.probabilities) == list(Mood) if labels is Mood else ["positive", "negative"]
    first = next(iter(good.probabilities))
    assert good.probabilities[first] > bad.probabilities[first]
    for found in (good, bad):
        assert sum(found.probabilities.values()) == pytest.approx(1)
        assert found.probabilities[found.label] == max(found.probabilities.values())
    assert agent.get_history() == before


def test_calibration_divides_out_what_labels_get_anyway(api, greedy):
    agent = greedy()
    labels = ["positive", "negative", "zebra crossing"]
    empty = api.classify(agent, "N/A", labels)
    # Both texts are the same: each label gets a third, but for what a batch's shape does to a label of several tokens.
    assert list(empty.probabilities.values()) == pytest.approx([1 / 3] * 3, abs=0.2)
    raw = api.classify(agent, "N/A", labels, calibrate=False)
    assert max(raw.probabilities.values()) > 0.4


def test_labels_that_begin_alike_are_told_apart(api, greedy):
    found = api.classify(greedy(), "The sky is blue.", ["yes", "yes and no"], instructions="Is it true?")
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert all(0 < value < 1 for value in found.probabilities.values())


def test_the_order_of_the_labels_is_theirs(api, greedy):
    found = api.classify(greedy(), "It is so.", bool, instructions="Is it so?", calibrate=False)
    assert list(found.probabilities) == [True, False]


@pytest.mark.parametrize(("text", "labels"), [("", ["a", "b"]), (" \n", ["a", "b"]), ("x", ["a"]), ("a\0", ["a", "b"])])
def test_what_can_not_be_classified_is_refused(api, greedy, text, labels):
    with pytest.raises(InvalidParamError, match="text|labels"):
        api.classify(greedy(), text, labels)


def test_a_closed_agent_classifies_nothing(api, model):
    agent = Agent(model)
    agent.close()
    with pytest.raises(Exception, match="closed"):
        api.classify(agent, "x", ["a", "b"])
