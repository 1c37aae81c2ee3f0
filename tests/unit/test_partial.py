"""Partial typed results while the text grows, however it is cut."""

import copy
import dataclasses
import datetime
import json
from decimal import Decimal
from typing import Any, Dict, Generic, List, Optional, TypeVar, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    WrapValidator,
    field_validator,
    with_config,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from support.zoo.classes import Computed
from typing_extensions import Annotated, Literal, NotRequired, Self, TypedDict

from luup_agent._run.partial_output import NOTHING, JsonPrefix, PartialTypes

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
    """Return the partial values for `text` in pieces of `sizes`, one character each by default."""
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


class Partly(TypedDict):
    a: int
    b: NotRequired[str]


T = TypeVar("T")


class Linked(BaseModel, Generic[T]):
    value: T
    following: Optional["Linked[T]"] = None


class Chain(BaseModel):
    value: int
    following: Optional[Self] = None


class Python(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")
    word: str = Field(pattern=r"^(?!foo)[a-z]{3}$")
    last: int


class Private(BaseModel):
    shown: int
    last: int
    _count: int = PrivateAttr(default=3)
    _later: int

    def model_post_init(self, context):
        self._later = self.shown + self.last


class Configured(BaseModel):
    model_config = ConfigDict(val_json_bytes="base64", str_to_lower=True, extra="allow", populate_by_name=True)
    raw: bytes = Field(alias="Raw")
    text: str
    last: int


class Retried(BaseModel):
    a: Annotated[int, AfterValidator({}.__getitem__)]  # raises KeyError
    b: int


class Wrapped(BaseModel):
    checked: Annotated[List[int], WrapValidator(lambda value, handler: tuple(handler(value)))]
    last: int


@with_config(ConfigDict(extra="allow", str_to_upper=True))
class Upper(TypedDict):
    a: str


class Ints(RootModel[List[int]]):
    pass


class Deferred(BaseModel):
    model_config = ConfigDict(defer_build=True)
    a: int
    b: Optional["Deferred"] = None


@pytest.mark.parametrize(
    ("type_", "text", "shown"),
    [
        (Partly, '{"a": 1, "b": "x"}', [{"a": 1}, {"a": 1, "b": "x"}]),
        (Chain, '{"value": 1, "following": {"value": 2}}', ["value=1 following=None"]),
        (Linked[int], '{"value": 1, "following": {"value": 2}}', ["value=1 following=None"]),
        (Python, '{"word": "bar", "last": 1}', ["word='bar'"]),
        (Computed, '{"width": 2, "height": 3 , "x": 1}', ["width=2 area=None", "width=2 height=3 area=6"]),
        (Private, '{"shown": 1, "last": 2}', ["shown=1"]),
        (Configured, '{"Raw": "aGk=", "text": "AB", "last": 1}', ["raw=b'hi'", "raw=b'hi' text='ab'"]),
        (Configured, '{"raw": "aGk=", "more": [1], "last": 1}', ["raw=b'hi'", "raw=b'hi' more=[1]"]),
        (Upper, '{"a": "x", "b": "y"}', [{"a": "X"}, {"a": "X", "b": "y"}]),
        (Wrapped, '{"checked": [3, 4], "last": 1}', ["checked=(3,)", "checked=(3, 4)"]),
        (Ints, "[1, 2]", ["root=[1]"]),
        (Deferred, '{"a": 1, "b": {"a": 2}}', ["a=1 b=None"]),
        (Retried, '{"a": 1, "b": 2}', []),
        (List[Decimal], "[1.10, 12345678901234567890.5, 3]", [[Decimal("1.10")]]),
        (Dict[str, Any], '{"a": ' + "[" * 100_000, []),
        (List[Any], "[" + "1" * 10_000 + ", 2]", []),
        (Movie, '{"title": [1], "title": {"x": 1}, "title": "y", "director": [2', []),
        (Cat, '{"lives": 1, "kind": {"a": 2', ["lives=1"]),
        (Annotated[Union[Cat, Dog], Field(discriminator="kind")], '{"kind": ["cat", 2], "x": 1', []),
    ],
    ids=str,
)
def test_every_type_has_partial_values_that_can_be_shown(type_, text, shown):
    found = partials(type_, text)
    assert [str(value) if isinstance(value, BaseModel) else value for value in found][: len(shown)] == shown
    for value in found:
        assert repr(value)
        assert copy.copy(value) == value


def test_a_partial_value_of_a_class_passes_for_it():
    first = partials(Computed, '{"width": 2, "h')[0]
    assert isinstance(first, Computed)
    assert first.__class__ is Computed
    assert (first.width, first.area, hasattr(first, "height")) == (2, None, False)
    private = partials(Private, '{"shown": 2, "l')[0]
    assert private._count == 3
    assert not hasattr(private, "_later")


def test_nothing_comes_of_what_is_not_valid():
    assert partials(Movie, '{"title": "Alien", "year": 12, "director": ')[1:] == []
    assert repr(NOTHING) == "NOTHING"
