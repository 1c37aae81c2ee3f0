"""Schema and signature agree: what the schema of a function allows arrives as its parameters' types."""

import datetime
import decimal
import enum
import inspect
import json
import uuid
from typing import Dict, List, Optional, Union

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import Annotated, Literal, TypedDict

from luup_agent import Tool


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Point(BaseModel):
    x: int
    y: float = 0.0


class Options(TypedDict):
    deep: bool


LEAVES = [
    int,
    float,
    bool,
    str,
    Color,
    Point,
    Options,
    datetime.date,
    datetime.datetime,
    datetime.time,
    decimal.Decimal,
    uuid.UUID,
    Literal["a", "b", 3],
    Annotated[int, Field(ge=-3, le=12)],
    Annotated[str, Field(min_length=1, max_length=5)],
]
types = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        inner.map(lambda type_: List[type_])
        | inner.map(lambda type_: Dict[str, type_])
        | inner.map(lambda type_: Optional[type_])
        | st.tuples(inner, inner).map(lambda pair: Union[pair])
    ),
    max_leaves=3,
)
names = st.sampled_from(["a", "b_c", "_x", "json", "title", "type", "default", "schema", "ü"])


@st.composite
def functions(draw):
    """Generate a function with random parameters that returns its arguments."""
    parameters = []
    for name in draw(st.lists(names, unique=True, max_size=5)):
        kind = draw(st.sampled_from([inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY]))
        parameters.append(inspect.Parameter(name, kind, annotation=draw(types)))
    parameters.sort(key=lambda parameter: parameter.kind)

    def take(*args, **kwargs):
        return inspect.Signature(parameters).bind(*args, **kwargs).arguments

    take.__signature__ = inspect.Signature(parameters)
    return take


def values(schema, definitions):
    """Return a hypothesis strategy for the instances of a schema that pydantic makes of the types above."""
    if "$ref" in schema:
        return values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return st.one_of([values(part, definitions) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    kind = schema["type"]
    if kind == "array":
        return st.lists(values(schema["items"], definitions), max_size=3)
    if kind == "object" and "properties" not in schema:
        return st.dictionaries(st.text(max_size=5), values(schema["additionalProperties"], definitions), max_size=3)
    if kind == "object":
        return objects(schema, definitions)
    return scalar(kind, schema)


def objects(schema, definitions):
    parts = {name: values(part, definitions) for name, part in schema["properties"].items()}
    required = {name: parts.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=parts).flatmap(
        lambda value: st.permutations(list(value.items())).map(dict)  # in any order of keys
    )


FORMATS = {
    "date": st.dates().map(str),
    "date-time": st.datetimes().map(lambda value: value.isoformat() + "Z"),
    "time": st.times().map(str),
    "uuid": st.uuids().map(str),
}


def scalar(kind, schema):
    low, high = schema.get("minimum", -(10**6)), schema.get("maximum", 10**6)
    if kind == "string" and "pattern" in schema:  # a decimal
        return st.decimals(-1000, 1000, places=2).map(str)
    if kind == "string":
        length = (schema.get("minLength", 0), schema.get("maxLength", 20))
        return FORMATS.get(schema.get("format"), st.text(min_size=length[0], max_size=length[1]))
    return {
        "integer": st.integers(low, high),
        "number": st.floats(low, high),
        "boolean": st.booleans(),
        "null": st.none(),
    }[kind]


@given(functions(), st.data())
def test_whatever_the_schema_allows_arrives_as_the_parameters_types(function, data):
    made = Tool(function)
    schema = made.parameters
    assert list(schema["properties"]) == list(function.__signature__.parameters)
    arguments = data.draw(values(schema, schema.get("$defs", {})))
    positional, keywords = made._parse(json.dumps(arguments))
    given_ = function(*positional, **keywords)
    assert set(given_) == set(arguments)
    for name, value in given_.items():
        adapter = TypeAdapter(function.__signature__.parameters[name].annotation)
        assert value == adapter.validate_json(json.dumps(arguments[name]))
        adapter.validate_python(value)
