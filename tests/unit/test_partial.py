"""A typed result is there in parts while its text still grows, however the text is cut."""

import dataclasses
import datetime
import json
from typing import Any, Dict, List, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import Annotated, Literal, TypedDict

from luup_agent.partial import NOTHING, JsonPrefix, PartialTypes

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(), parts, max_size=4),
    max_leaves=20,
)


class Person(BaseModel):
    name: str
    born: datetime.date


class Movie(BaseModel):
    title: str
    year: int = Field(ge=1880)
    director: Person
    tags: List[str] = []
    cast: Annotated[List[Person], Field(min_length=1)]


MOVIE = {
    "title": 'Al"i\\en',
    "year": 1979,
    "director": {"name": "Ridley Scott", "born": "1937-11-30"},
    "tags": ["space", "fear"],
    "cast": [{"name": "Sigourney Weaver", "born": "1949-10-08"}, {"name": "Ian Holm", "born": "1931-09-12"}],
}


def partials(type_, text, sizes=None):
    """The values that a reader gives for `text` in pieces of `sizes`, one character each by default."""
    reader = PartialTypes(type_).reader()
    found, start = [], 0
    for size in sizes or [1] * len(text):
        found += reader.feed(text[start : start + size])
        start += size
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The text
# ---------------------------------------------------------------------------------------------------------------------


@given(json_values, st.sampled_from([None, 1]), st.booleans(), st.data())
def test_every_prefix_has_a_valid_document_and_any_split_gives_the_same(value, indent, ascii_, data):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    end = data.draw(st.integers(0, len(text)))
    whole = JsonPrefix()
    whole.feed(text[:end])
    split = JsonPrefix()
    start = 0
    while start < end:
        size = data.draw(st.integers(1, end - start))
        split.feed(text[start : start + size])
        start += size
    assert split.document() == whole.document()
    assert split.depth == whole.depth
    if whole.document():
        json.loads(whole.document())


@given(json_values)
def test_the_whole_text_gives_the_whole_document(value):
    text = json.dumps(value)
    prefix = JsonPrefix()
    prefix.feed(text + "\n")
    assert json.loads(prefix.document()) == value
    assert prefix.depth == 0


def test_only_complete_values_are_there():
    prefix = JsonPrefix()
    steps = {}
    for char in '{"a": {"b": tru':
        prefix.feed(char)
    assert prefix.document() == ""
    for char in 'e, "c": [1, 23, "x\\"y"], "d"':
        steps[char] = prefix.feed(char) and prefix.document()
    assert prefix.document() == '{"a": {"b": true, "c": [1, 23, "x\\"y"]}}'
    assert prefix.depth == 2
    assert steps["]"] == '{"a": {"b": true, "c": [1, 23, "x\\"y"]}}'


# ---------------------------------------------------------------------------------------------------------------------
# The values
# ---------------------------------------------------------------------------------------------------------------------


def test_fields_come_as_they_are_complete():
    given = partials(Movie, json.dumps(MOVIE))
    assert all(type(value) is Movie for value in given)
    sets = [value.model_fields_set for value in given]
    assert sets[:3] == [{"title"}, {"title", "year"}, {"title", "year", "director"}]
    assert given[0].title == 'Al"i\\en'
    assert given[0].tags == []  # the default
    assert not hasattr(given[0], "year")
    assert given[2].director.name == "Ridley Scott"
    assert not hasattr(given[2].director, "born")
    assert given[3].director.born == datetime.date(1937, 11, 30)
    tags = [value.tags for value in given if "tags" in value.model_fields_set]
    assert tags[0] == ["space"]
    casts = [[person.name for person in value.cast] for value in given if "cast" in value.model_fields_set]
    assert casts == [["Sigourney Weaver"], ["Sigourney Weaver", "Ian Holm"]]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_any_split_gives_the_values_of_the_prefixes(sizes):
    text = json.dumps(MOVIE)
    types = PartialTypes(Movie)
    reader, last, start = types.reader(), [], 0
    for size in sizes:
        last = reader.feed(text[start : start + size]) or last
        start += size
        if start < len(text):
            assert last == types.reader().feed(text[:start])


@pytest.mark.parametrize(
    ("type_", "text", "expected"),
    [
        (List[int], "[1, 22, 3", [[1], [1, 22]]),
        (list, '["a", {"b": 1}, 2', [["a"], ["a", {"b": 1}]]),
        (
            List[Person],
            '[{"name": "Ada", "born": "1815-12-10"}, {"name": "B',
            [[Person(name="Ada", born="1815-12-10")]],
        ),
        (Optional[List[int]], "[1, 2", [[1]]),
        (Dict[str, int], '{"a": 1, "b', []),
        (int, "12", []),
        (str, '"abc', []),
        (Any, '{"a": 1, "b', []),
        (Literal["a", "b"], '"a', []),
    ],
)
def test_lists_come_item_by_item_and_other_values_whole(type_, text, expected):
    assert partials(type_, text) == expected


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str
    tricks: List[str] = []


@pytest.mark.parametrize("type_", [Union[Cat, Dog], Annotated[Union[Cat, Dog], Field(discriminator="kind")]])
def test_a_union_shows_the_member_that_fits(type_):
    (first, *_, last) = partials(type_, '{"kind": "dog", "name": "Rex", "tri')
    assert type(first) is Dog
    assert (last.kind, last.name, last.tricks) == ("dog", "Rex", [])


def test_an_optional_model():
    (value,) = partials(Optional[Person], '{"name": "Ada", ')
    assert value.name == "Ada"


@dataclasses.dataclass(frozen=True)
class Box:
    size: int
    label: str
    parts: List[int] = dataclasses.field(default_factory=list)


@pydantic_dataclass
class Crate:
    size: int
    label: str = Field(default="crate", max_length=10)


class Options(TypedDict):
    deep: bool
    level: int


def test_dataclasses_and_typed_dicts():
    (box,) = partials(Box, '{"size": 3, "la')
    assert (box.size, box.label, box.parts) == (3, None, [])
    (crate,) = partials(Crate, '{"size": 3, "la')
    assert (crate.size, crate.label) == (3, "crate")
    (options,) = partials(Options, '{"deep": true, "l')
    assert options == {"deep": True}


class Strict(BaseModel):
    n: int = Field(alias="number")
    m: int = 0

    @field_validator("m")
    @classmethod
    def is_small(cls, value):
        assert value < 10
        return value


def test_keys_are_the_aliases_and_validators_of_the_class_wait_for_the_whole():
    first, second = partials(Strict, '{"number": 3, "m": 50, ')
    assert (first.n, first.m) == (3, 0)
    assert (second.n, second.m) == (3, 50)


def test_nothing_comes_of_what_is_not_valid():
    assert partials(Movie, '{"title": "Alien", "year": 12, "director": ')[1:] == []
    assert repr(NOTHING) == "NOTHING"
