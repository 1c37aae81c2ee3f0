"""Types for typed results, made by hypothesis: always the same ones, with every kind of field that users have."""

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from typing import Dict, List, Literal, Optional, Set, Tuple, Union

import hypothesis
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, create_model
from typing_extensions import Annotated, TypedDict

WORDS = (
    "name", "title", "year", "kind", "score", "tags", "owner", "note", "size", "colour", "from", "class",
    "when", "parts", "id", "label", "first name", "größe",
)  # fmt: skip
PATTERNS = (r"^[A-Z]{3}-\d{4}$", r"^(red|green|blue)$", r"^[a-z0-9_]{1,12}$", r"^\+?[0-9]{5,9}$", r"^v\d+(\.\d+){2}$")

names = st.sampled_from(WORDS)


class Colour(enum.Enum):
    """An enum of texts."""

    RED = "red"
    GREEN = "green"
    NEARLY_BLUE = 'nearly "blue"'


class Level(enum.IntEnum):
    """An enum of numbers."""

    LOW = -1
    HIGH = 10


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    y: float = 0.5
    label: Optional[str] = None


class Size(TypedDict):
    """A TypedDict."""

    width: int
    unit: Literal["mm", "cm"]


class Tree(BaseModel):
    """A model that has itself in it."""

    value: int = Field(ge=0, le=9)
    children: List["Tree"] = []


class Node(BaseModel):
    """A model that has itself in it, behind an Optional."""

    label: Literal["a", "b"]
    following: Optional["Node"] = Field(None, alias="next")


class Cat(BaseModel):
    """One of a discriminated union."""

    kind: Literal["cat"]
    lives: int = Field(9, ge=1, le=9)


class Dog(BaseModel):
    """The other one."""

    kind: Literal["dog"]
    name: str


Pet = Annotated[Union[Cat, Dog], Field(discriminator="kind")]


def between(low, high):
    """Two numbers of a range, the lower one first."""
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)


bounded_ints = st.one_of(
    between(-(10**6), 10**6).map(lambda b: Annotated[int, Field(ge=b[0], le=b[1])]),
    between(-100, 100).map(lambda b: Annotated[int, Field(gt=b[0] - 1, lt=b[1] + 2)]),
    st.integers(2, 50).map(lambda n: Annotated[int, Field(multiple_of=n, ge=-1000, le=1000)]),
)
bounded_floats = st.one_of(
    between(-1000, 1000).map(lambda b: Annotated[float, Field(ge=b[0] / 8, le=b[1] / 8)]),
    st.integers(-5, 5).map(lambda n: Annotated[float, Field(gt=n)]),
)
texts = st.one_of(
    st.just(str),
    between(0, 12).map(lambda b: Annotated[str, Field(min_length=b[0], max_length=b[1])]),
    st.sampled_from(PATTERNS).map(lambda pattern: Annotated[str, Field(pattern=pattern)]),
)
basic_types = (
    int, float, bool, decimal.Decimal, uuid.UUID, datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
)  # fmt: skip
named_types = (Colour, Level, Point, Size, Tree, Node, Pet)
choices = ("yes", "no", "it's", 'say "hi"', "a b", "", 0, 7, -3, True, False, None)
literals = st.lists(
    st.sampled_from(choices), min_size=1, max_size=4, unique_by=lambda choice: (type(choice), choice)
).map(lambda chosen: Literal[tuple(chosen)])
leaves = st.one_of(st.sampled_from(basic_types), bounded_ints, bounded_floats, texts, literals)
types_with_names = st.sampled_from(named_types)
keys = st.one_of(st.just(int), bounded_ints, texts, st.sampled_from([Colour, datetime.date, uuid.UUID]))


def container_kinds(inner):
    """Each kind of type that has `inner` ones in it."""
    return (
        inner.map(lambda t: Optional[t]),
        st.tuples(inner, inner).map(lambda t: Union[t]),
        inner.map(lambda t: List[t]),
        st.tuples(inner, between(0, 4)).map(
            lambda v: Annotated[List[v[0]], Field(min_length=v[1][0], max_length=v[1][1])]
        ),
        inner.map(lambda t: Dict[str, t]),
        keys.map(lambda t: Set[t]),
        st.tuples(inner, inner).map(lambda t: Tuple[t]),
        inner.map(lambda t: Tuple[t, ...]),
    )


def containers(inner):
    """Types that have `inner` ones in them."""
    return st.one_of(*container_kinds(inner))


@st.composite
def models(draw, inner, certain=None):
    """A model with one to five fields, some with an alias, a default or a description; the first is a `certain` one."""
    fields = {}
    for index, title in enumerate(draw(st.lists(names, min_size=1, max_size=5, unique=True))):
        kind = draw(certain if certain is not None and index == 0 else inner)
        optional = draw(st.booleans())
        default = None if optional else ...
        description = draw(st.sampled_from([None, f"The {title} of it"]))
        fields[f"field_{index}"] = (
            Optional[kind] if optional else kind,
            Field(default, alias=title, description=description),
        )
    return create_model(f"Model{draw(st.integers(0, 99))}", **fields)


values = st.one_of(leaves, types_with_names)
everything = st.one_of(values, containers(values), models(values), containers(containers(values)))
kinds = [st.just(kind) for kind in (*basic_types, *named_types)]
kinds += [
    bounded_ints,
    bounded_floats,
    texts,
    literals,
    models(values),
    *container_kinds(values),
    *container_kinds(containers(values)),
]


def one(kind, seed, unwanted):
    """Return a model whose first field has that kind and whose schema is not in `unwanted`, and the schema."""
    made = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=12,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(models(everything, kind))
    def collect(model):
        made.append((json.dumps(TypeAdapter(model).json_schema(), sort_keys=True), model))

    collect()
    return next(one for one in reversed(made) if one[0] not in unwanted)  # the first ones are small


def make(count):
    """`count` of them, the kinds of their first fields in turn, no two with the same schema."""
    found = {}
    for index in range(count):
        schema, model = one(kinds[index % len(kinds)], index, found)
        found[schema] = model
    return list(found.values())
