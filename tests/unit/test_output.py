"""The types that `output_type` accepts, the messages about wrong results, and labels."""

import dataclasses
import datetime
import decimal
import enum
import json
import math
import uuid
from typing import Any, Callable, Dict, List, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator
from typing_extensions import Annotated, Literal, TypedDict

from luup_agent import Classification, InvalidParamError, InvalidSchemaError, ModelRetry
from luup_agent._agent.classify import normalise, read_labels
from luup_agent._run.typed_output import dotted, explain, output_spec


class Movie(BaseModel):
    title: str
    year: int


@dataclasses.dataclass
class Box:
    size: int


class Options(TypedDict):
    deep: bool


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (Movie, '{"title": "Alien", "year": 1979}', Movie(title="Alien", year=1979)),
        (Box, '{"size": 3}', Box(3)),
        (Options, '{"deep": true}', {"deep": True}),
        (Color, '"red"', Color.RED),
        (int, "5", 5),
        (bool, "true", True),
        (List[Movie], '[{"title": "Alien", "year": 1979}]', [Movie(title="Alien", year=1979)]),
        (Literal["a", "b"], '"b"', "b"),
        (Union[Movie, Box], '{"size": 3}', Box(3)),
        ([Movie, Box], '{"size": 3}', Box(3)),
        ((int, str), '"x"', "x"),
        (Optional[int], "null", None),
    ],
)
def test_a_type_is_a_schema_and_a_validator(type_, text, value):
    spec = output_spec(type_)
    assert spec.validate(text) == value
    assert "title" not in {key for key, part in json.loads(spec.schema).items() if key == "title" and part != "title"}
    if not isinstance(type_, (list, tuple)):
        assert output_spec(type_) is spec  # kept


@pytest.mark.parametrize("type_", [None, str])
def test_text_needs_no_schema(type_):
    assert output_spec(type_) is None


def test_equal_types_that_are_not_the_same_are_told_apart():
    assert json.loads(output_spec(Literal[0, 1]).schema)["enum"] == [0, 1]
    assert json.loads(output_spec(Literal[False, True]).schema)["enum"] == [False, True]
    assert output_spec(Literal[False, True]).validate("true") is True


def test_many_types_are_not_kept_for_ever():
    first = output_spec(Movie)
    for n in range(200):
        output_spec(Literal[n])
    assert output_spec(Movie) is not first


@pytest.mark.parametrize("type_", [Callable[[int], int], object(), type("Odd", (), {}), "NoSuchType", 5])
def test_a_type_without_a_schema_is_refused(type_):
    with pytest.raises(InvalidSchemaError, match="output_type"):
        output_spec(type_)


def test_a_schema_that_cant_be_enforced_is_refused_with_its_place():
    class Odd(BaseModel):
        word: str = Field(json_schema_extra={"pattern": r"(?<=a)b"})

    with pytest.raises(InvalidSchemaError, match="output_type: .*/properties/word"):
        output_spec(Odd)


@pytest.mark.parametrize("key", [int, float, decimal.Decimal, bool, Annotated[str, Field(pattern="^[a-z]{2}$")]])
@given(st.data())
def test_keys_that_the_schema_allows_are_keys_of_the_type(key, data):
    spec = output_spec(Dict[key, bool])
    schema = json.loads(spec.schema)
    patterns = schema.get("patternProperties", {})
    names = schema.get("propertyNames") or {"pattern": next(iter(patterns))}
    assert schema["additionalProperties"] == (False if patterns else {"type": "boolean"})
    allowed = st.sampled_from(names["enum"]) if "enum" in names else st.from_regex(names["pattern"], fullmatch=True)
    chosen = data.draw(st.lists(allowed, max_size=3))
    assert len(spec.validate(json.dumps(dict.fromkeys(chosen, True)))) <= len(chosen)


@pytest.mark.parametrize("key", [Color, uuid.UUID, datetime.date, Literal["a", "b"]])
def test_pydantic_says_itself_what_other_keys_are(key):
    assert "propertyNames" in json.loads(output_spec(Dict[key, int]).schema)


class Search(BaseModel):
    kind: Literal["search"] = "search"
    query: str = ""


class Answer(BaseModel):
    kind: Literal["answer"] = "answer"
    text: str


class Loop(BaseModel):
    kind: Literal["loop"] = "loop"
    inner: Optional["Step"] = None


class Plan(TypedDict, total=False):
    kind: Literal["plan"]
    steps: List["Step"]


Step = Annotated[Union[Search, Answer, Loop, Plan], Field(discriminator="kind")]
Loop.model_rebuild()


class Fast(BaseModel):
    kind: Literal["search"] = "search"
    how: Literal["fast"] = Field("fast", alias="How")


class Slow(BaseModel):
    kind: Literal["search"] = "search"
    how: Literal["slow"] = Field("slow", alias="How")


Nested = Annotated[Union[Answer, Annotated[Union[Fast, Slow], Field(discriminator="how")]], Field(discriminator="kind")]


@pytest.mark.parametrize("type_", [Step, List[Step], Dict[str, Step], Optional[Step], Nested, Union[Nested, int]])
def test_the_tags_of_a_discriminated_union_are_required_and_its_mapping_is_not_shown(type_):
    schema = json.loads(output_spec(type_).schema)
    assert "discriminator" not in json.dumps(schema)
    assert "mapping" not in json.dumps(schema)
    for part in schema["$defs"].values():
        for tag in ("kind", "How"):
            assert (tag in part["properties"]) <= (tag in part["required"])


def test_what_only_looks_like_a_discriminator_stays():
    class Odd(BaseModel):
        discriminator: Dict[str, int] = Field(default={"propertyName": 1}, examples=[{"discriminator": {"mapping": 1}}])

    schema = json.loads(output_spec(Odd).schema)["properties"]["discriminator"]
    assert schema["default"] == {"propertyName": 1}
    assert schema["examples"] == [{"discriminator": {"mapping": 1}}]


def test_an_empty_union_is_refused():
    with pytest.raises(InvalidParamError, match="output_type"):
        output_spec([])


class Trip(BaseModel):
    days: int
    stops: List[str]

    @field_validator("stops")
    @classmethod
    def are_known(cls, stops):
        raise ValueError("Atlantis is not a place")


def test_a_mistake_is_explained_by_its_place():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        output_spec(Trip).validate('{"days": "x", "stops": ["Atlantis"]}')
    assert explain(caught.value).splitlines() == [
        "days: Input should be a valid integer, unable to parse string as an integer",
        "stops: Value error, Atlantis is not a place",
    ]
    assert explain(ModelRetry("shorter")) == "shorter"
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        output_spec(List[int]).validate(json.dumps(["x"] * 50))
    assert explain(caught.value).splitlines()[-1] == "and 42 more"


def test_a_validator_may_ask_for_better():
    class Picky(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def is_even(cls, n):
            if n % 2:
                raise ModelRetry("an even number")
            return n

    with pytest.raises(ModelRetry, match="an even number"):
        output_spec(Picky).validate('{"n": 1}')


@pytest.mark.parametrize(
    ("pointer", "path"), [("", ""), ("/a", "a"), ("/items/0/kind", "items.0.kind"), ("/a~1b/c~0d", "a/b.c~d")]
)
def test_pointers_become_paths(pointer, path):
    assert dotted(pointer) == path


# ---------------------------------------------------------------------------------------------------------------------
# Labels
# ---------------------------------------------------------------------------------------------------------------------


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@pytest.mark.parametrize(
    ("labels", "values", "texts"),
    [
        (Color, (Color.RED, Color.BLUE), ("red", "blue")),
        (Level, (Level.LOW, Level.HIGH), ("LOW", "HIGH")),
        (Literal["a", "b"], ("a", "b"), ("a", "b")),
        (Literal[1, None, True], (1, None, True), ("1", "null", "true")),
        (bool, (True, False), ("yes", "no")),
        (["good", "bad"], ("good", "bad"), ("good", "bad")),
        (("good", "bad"), ("good", "bad"), ("good", "bad")),
    ],
)
def test_labels_have_texts(labels, values, texts):
    assert read_labels(labels) == (values, texts)


@pytest.mark.parametrize("labels", [[], ["one"], ["a", "a"], ["a", ""], ["a", 5], "ab", 5, None, int, Literal["a"]])
def test_what_are_no_labels_is_refused(labels):
    with pytest.raises(InvalidParamError, match="labels"):
        read_labels(labels)


scores = st.floats(-200, 0)


@given(st.lists(st.tuples(scores, scores), min_size=2, max_size=20))
def test_probabilities_are_one_together(pairs):
    ours, priors = zip(*pairs)
    for probabilities in (normalise(ours), normalise(ours, priors)):
        assert math.isclose(sum(probabilities), 1.0)
        assert all(0 <= p <= 1 for p in probabilities)
    assert normalise(ours, ours) == pytest.approx([1 / len(ours)] * len(ours))


def test_what_can_not_be_has_no_share():
    assert normalise([-math.inf, -1.0]) == [0.0, 1.0]
    assert normalise([-math.inf, -math.inf]) == [0.5, 0.5]


def test_a_classification_says_its_label():
    found: Any = Classification({"good": 0.75, "bad": 0.25})
    assert found.label == "good"
    assert repr(found) == "Classification('good', 75%)"
    assert found == Classification({"bad": 0.25, "good": 0.75})
    assert found != "good"
