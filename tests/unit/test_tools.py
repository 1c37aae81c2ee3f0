"""Tools made from functions: name, description, schema; and functions that are refused."""

import asyncio
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import uuid
from typing import Any, Dict, List, Optional, Union

import pytest
from pydantic import BaseModel, Field, ValidationError
from typing_extensions import Annotated, Literal, TypedDict

from luup_agent import InvalidParamError, InvalidSchemaError, RunContext, Tool, tool


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """A place on a map."""

    x: int
    y: int = 0


HOME = Point(x=1)


@dataclasses.dataclass
class Box:
    size: int
    label: str = "box"


class Options(TypedDict, total=False):
    deep: bool


def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


def call(made, **arguments):
    """Call the tool with the JSON text of `arguments`, as a run does."""
    positional, keywords = made._parse(json.dumps(arguments))
    return made.function(*positional, **keywords)


# ---------------------------------------------------------------------------------------------------------------------
# The schema
# ---------------------------------------------------------------------------------------------------------------------


def test_a_definition_is_openais():
    assert Tool(add).definition == {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
                "required": ["a"],
                "additionalProperties": False,
            },
        },
    }


def test_a_function_without_parameters_takes_an_empty_object():
    def now():
        return "now"

    assert Tool(now).parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert call(Tool(now)) == "now"


TYPES = [
    (int, 5, 5),
    (str, "a", "a"),
    (Optional[int], None, None),
    (Union[int, str], "x", "x"),
    (Literal["a", "b"], "b", "b"),
    (Color, "red", Color.RED),
    (Point, {"x": 1}, Point(x=1)),
    (List[Point], [{"x": 1}, {"x": 2, "y": 3}], [Point(x=1), Point(x=2, y=3)]),
    (Dict[str, Point], {"home": {"x": 1}}, {"home": Point(x=1)}),
    (Annotated[int, Field(ge=3)], 3, 3),
    (Box, {"size": 2}, Box(2)),
    (Options, {"deep": True}, {"deep": True}),
    (datetime.date, "2026-02-03", datetime.date(2026, 2, 3)),
    (datetime.datetime, "2026-02-03T04:05:06", datetime.datetime(2026, 2, 3, 4, 5, 6)),
    (datetime.timedelta, "PT90S", datetime.timedelta(seconds=90)),
    (decimal.Decimal, "1.50", decimal.Decimal("1.50")),
    (uuid.UUID, str(uuid.UUID(int=7)), uuid.UUID(int=7)),
    (bytes, "abc", b"abc"),
    (set, [1], {1}),
    (Any, {"any": ["thing"]}, {"any": ["thing"]}),
]


@pytest.mark.parametrize(("type_", "given", "expected"), TYPES, ids=[str(row[0]) for row in TYPES])
def test_arguments_arrive_as_python_objects(type_, given, expected):
    def take(value):
        return value

    take.__annotations__["value"] = type_
    got = call(Tool(take), value=given)
    assert got == expected
    assert type(got) is type(expected)


def test_a_parameter_without_annotation_takes_anything():
    def take(value):
        return value

    assert Tool(take).parameters["properties"] == {"value": {}}
    assert call(Tool(take), value=[1, "a"]) == [1, "a"]


def test_arguments_that_were_left_out_keep_the_functions_own_default():
    default = object()

    def take(a: int = 5, b: Any = default):
        return a, b

    assert call(Tool(take)) == (5, default)
    assert "default" not in Tool(take).parameters["properties"]["b"]


def test_arguments_come_in_any_order():
    def take(a: int, b: str, c: bool):
        return a, b, c

    assert call(Tool(take), c=True, a=1, b="x") == (1, "x", True)


def test_positional_only_parameters():
    def take(a, b: int = 2, c: int = 3, /, d: int = 4, *, e: int = 5):
        return a, b, c, d, e

    assert call(Tool(take), a=1) == (1, 2, 3, 4, 5)
    assert call(Tool(take), a=1, c=30, e=50) == (1, 2, 30, 4, 50)


@pytest.mark.parametrize(
    "name", ["_private", "json", "copy", "schema", "model_config", "model_fields", "title", "self_"]
)
def test_any_name_of_a_parameter_will_do(name):
    scope = {}
    exec(f"def take({name}: int):\n    return {name}", scope)
    assert list(Tool(scope["take"]).parameters["properties"]) == [name]
    assert call(Tool(scope["take"]), **{name: 5}) == 5


def test_an_alias_is_the_name_for_the_model():
    def send(from_: Annotated[str, Field(alias="from")]):
        return from_

    assert list(Tool(send).parameters["properties"]) == ["from"]
    assert call(Tool(send), **{"from": "Ada"}) == "Ada"


def test_a_field_as_default():
    def take(n: int = Field(3, ge=0, description="How many."), m: int = Field(ge=1)):
        return n, m

    properties = Tool(take).parameters["properties"]
    assert properties["n"] == {"type": "integer", "default": 3, "minimum": 0, "description": "How many."}
    assert Tool(take).parameters["required"] == ["m"]
    assert call(Tool(take), n=4, m=1) == (4, 1)
    assert call(Tool(take), m=1)[0] == 3


def test_titles_of_the_schema_are_dropped_but_not_parameters_of_that_name():
    class Book(BaseModel):
        title: str = Field(title="The title")
        pages: Dict[str, int] = Field(default={"title": 1})

    def read(title: str, book: Book):
        return title

    text = json.dumps(Tool(read).parameters)
    assert '"title": "' not in text
    assert list(Tool(read).parameters["properties"]) == ["title", "book"]
    assert list(Tool(read).parameters["$defs"]["Book"]["properties"]) == ["title", "pages"]
    assert Tool(read).parameters["$defs"]["Book"]["properties"]["pages"]["default"] == {"title": 1}


@pytest.mark.parametrize("given", ['{"a": "x"}', "{}", '{"a": 1, "c": 2}', '{"a": 1.5}', "[]", "{"])
def test_wrong_arguments_are_a_validation_error(given):
    with pytest.raises(ValidationError):
        Tool(add)._parse(given)


# ---------------------------------------------------------------------------------------------------------------------
# Callables
# ---------------------------------------------------------------------------------------------------------------------


class Shop:
    def __init__(self, owner):
        self.owner = owner

    def buy(self, item: str, n: int = 1) -> str:
        """Buys something."""
        return f"{self.owner} buys {n} {item}"

    @classmethod
    def open(cls, name: str):
        return cls(name).owner

    @staticmethod
    def price(item: str) -> int:
        return len(item)

    def __call__(self, item: str) -> str:
        """Asks for something."""
        return f"{self.owner} has {item}"


def test_methods():
    made = Tool(Shop("Ada").buy)
    assert (made.name, made.description, list(made.parameters["properties"])) == (
        "buy",
        "Buys something.",
        ["item", "n"],
    )
    assert call(made, item="tea") == "Ada buys 1 tea"
    assert call(Tool(Shop.open), name="Bob") == "Bob"
    assert call(Tool(Shop.price), item="tea") == 3


def test_an_object_that_can_be_called():
    made = Tool(Shop("Ada"), name="ask")
    assert (made.description, list(made.parameters["properties"])) == ("Asks for something.", ["item"])
    assert call(made, item="tea") == "Ada has tea"


def test_a_partial_hides_what_it_has_fixed():
    def query(db: object, table: str, limit: int = 10, *, secret: str):
        """Asks the database."""
        return db, table, limit, secret

    made = Tool(functools.partial(query, "db", secret="s"))
    assert (made.name, made.description) == ("query", "Asks the database.")
    assert list(made.parameters["properties"]) == ["table", "limit"]
    assert call(made, table="t") == ("db", "t", 10, "s")
    again = Tool(functools.partial(functools.partial(query, "db", secret="s"), limit=5))
    assert call(again, table="t") == ("db", "t", 5, "s")


def test_coroutine_functions_are_known():
    async def wait(n: int):
        return n

    class Waiter:
        async def __call__(self, n: int):
            return n

    assert Tool(wait).is_async
    assert Tool(functools.partial(wait, 1)).is_async
    assert Tool(Waiter(), name="wait").is_async
    assert not Tool(add).is_async
    assert asyncio.run(call(Tool(wait), n=3)) == 3


def test_wrapped_functions_are_what_they_wrap():
    def log(function):
        @functools.wraps(function)
        def logged(*args, **kwargs):
            return function(*args, **kwargs)

        return logged

    assert Tool(log(add)).definition == Tool(add).definition


def test_the_decorator_makes_a_tool_that_can_still_be_called():
    @tool
    def double(n: int) -> int:
        """Doubles."""
        return 2 * n

    @tool(name="half", timeout=3, retries=2, requires_approval=True, on_error="raise")
    def halve(n: int) -> float:
        return n / 2

    assert (double(4), double.name) == (8, "double")
    assert (halve(4), halve.name, halve.timeout, halve.retries) == (2, "half", 3, 2)
    assert (halve.requires_approval, halve.on_error) == (True, "raise")
    assert repr(double) == "<Tool double(n)>"


def test_an_explicit_schema_gives_keywords():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def weather(**arguments):
        return arguments

    made = Tool(weather, description="Tells the weather.", parameters=schema)
    assert made.parameters == schema
    assert call(made, city="Oslo") == {"city": "Oslo"}
    schema["properties"].clear()
    assert made.parameters["properties"]  # a copy

    def known(ctx: RunContext, **arguments):
        return arguments

    assert Tool(known, parameters=schema).takes_context
    assert not Tool(print, name="say", parameters=schema).takes_context


# ---------------------------------------------------------------------------------------------------------------------
# The context
# ---------------------------------------------------------------------------------------------------------------------


def test_the_context_is_not_in_the_schema():
    def plain(ctx: RunContext, n: int): ...
    def of_type(ctx: RunContext[Shop], n: int): ...
    def of_text(ctx: "RunContext[Shop]", n: int): ...
    def of_unknown(ctx: "RunContext[OnlyForTypeCheckers]", n: int): ...  # noqa: F821
    def qualified(ctx: "luup_agent.RunContext[X]", n: int): ...  # noqa: F821

    for function in (plain, of_type, of_text, of_unknown, qualified):
        made = Tool(function)
        assert made.takes_context, function
        assert list(made.parameters["properties"]) == ["n"]
    assert not Tool(add).takes_context


def test_the_context_comes_first():
    def late(n: int, ctx: RunContext): ...

    with pytest.raises(InvalidParamError, match="tool 'late', parameter 'ctx': only the first"):
        Tool(late)


# ---------------------------------------------------------------------------------------------------------------------
# Annotations as text
# ---------------------------------------------------------------------------------------------------------------------


def test_annotations_as_text_know_the_names_of_their_place():
    class Local(BaseModel):
        n: int

    def take(value: "Local", many: "List[Local]", point: "Point"):
        return value, many, point

    given = call(Tool(take), value={"n": 1}, many=[{"n": 2}], point={"x": 3})
    assert given == (Local(n=1), [Local(n=2)], Point(x=3))


def test_an_annotation_that_means_nothing_is_named():
    def take(n: int, value: "NoSuchType"): ...  # noqa: F821

    with pytest.raises(InvalidParamError, match="tool 'take', parameter 'value'.*NoSuchType"):
        Tool(take)


def test_an_annotation_of_the_result_does_not_matter():
    def take(n: int) -> "NoSuchType":  # noqa: F821
        return n

    assert call(Tool(take), n=1) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Descriptions
# ---------------------------------------------------------------------------------------------------------------------

GOOGLE = """Sends a letter.

    It goes by post.

    Args:
        to: Who gets it,
            by name.
        text (str): What it says.

    Returns:
        Nothing.
    """
NUMPY = """Sends a letter.

    It goes by post.

    Parameters
    ----------
    to : str
        Who gets it,
        by name.
    text : str
        What it says.

    Returns
    -------
    None
    """
SPHINX = """Sends a letter.

    It goes by post.

    :param to: Who gets it,
        by name.
    :param str text: What it says.
    :returns: Nothing.
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_docstrings_describe_functions_and_parameters(docstring):
    def send(to: str, text: str, point: Point = HOME, fast: Annotated[bool, Field(description="Now.")] = False): ...

    send.__doc__ = docstring
    made = Tool(send)
    assert made.description == "Sends a letter.\n\nIt goes by post."
    properties = made.parameters["properties"]
    assert properties["to"]["description"] == "Who gets it, by name."
    assert properties["text"]["description"] == "What it says."
    assert properties["fast"]["description"] == "Now."
    assert "description" not in properties["point"]


def test_a_field_knows_better_than_a_docstring():
    def send(to: Annotated[str, Field(description="The name.")]):
        """Sends.

        Args:
            to: Somebody.
        """

    assert Tool(send).parameters["properties"]["to"]["description"] == "The name."


@pytest.mark.parametrize("docstring", [None, "", "One line.", "Args:", "A\n\n:param", "x\n---\ny"])
def test_odd_docstrings_do_no_harm(docstring):
    def take(n: int): ...

    take.__doc__ = docstring
    assert isinstance(Tool(take).description, str)
    assert Tool(take, description="Mine.").description == "Mine."


# ---------------------------------------------------------------------------------------------------------------------
# Refusals
# ---------------------------------------------------------------------------------------------------------------------


def stars(*args: int): ...
def keywords(n: int, **rest: int): ...
def unknown(n: int, value: object): ...
def generator(n: int):
    yield n


async def async_generator(n: int):
    yield n


def function_type(n: int, value: Shop): ...


unknown.__annotations__["value"] = type("Odd", (), {})

REFUSED = [
    (stars, r"tool 'stars', parameter 'args': a model can't fill in \*args"),
    (keywords, r"tool 'keywords', parameter 'rest': a model can't fill in \*\*rest"),
    (unknown, "tool 'unknown', parameter 'value': .*schema"),
    (function_type, "tool 'function_type', parameter 'value': .*schema"),
    (Shop.buy, "tool 'buy', parameter 'self': give the bound method"),
    (generator, "tool 'generator' is a generator function"),
    (async_generator, "tool 'async_generator' is a generator function"),
    (lambda n: n, "the name of a tool must be .*<lambda>.*give a name"),
    (5, "a tool must be callable, not int"),
    ("add", "a tool must be callable, not str"),
    (dict, "tool 'dict'"),
]


@pytest.mark.parametrize(
    ("function", "problem"), REFUSED, ids=[getattr(row[0], "__qualname__", str(row[0])) for row in REFUSED]
)
def test_what_can_be_no_tool_is_refused(function, problem):
    with pytest.raises((InvalidParamError, InvalidSchemaError), match=problem):
        Tool(function)


@pytest.mark.parametrize("name", ["", "a b", "ä", "a" * 65, "a\n", 5, "auto", "none", "required"])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(InvalidParamError, match="tool"):
        Tool(add, name=name)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"retries": 1.5}, "retries"),
        ({"requires_approval": 1}, "requires_approval"),
        ({"on_error": "ignore"}, "on_error"),
        ({"max_result_chars": 0}, "max_result_chars"),
        ({"description": 5}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"parameters": "{}"}, "parameters"),
    ],
)
def test_a_wrong_option_is_named(options, problem):
    with pytest.raises(InvalidParamError, match=problem):
        Tool(add, **options)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "object", "properties": {"when": {"type": "strin"}}}, "parameter 'when'.*/properties/when"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}, "parameter 'a'"),
        ({"type": "object", "properties": {"a": object()}}, "tool 'add'"),
        ({"type": "object", "not": {}}, "tool 'add'"),
    ],
)
def test_a_schema_that_cant_be_enforced_is_refused_with_its_place(schema, problem):
    with pytest.raises(InvalidSchemaError, match=problem):
        Tool(add, parameters=schema)


def test_a_pattern_that_cant_be_enforced_names_the_parameter():
    def take(n: int, word: Annotated[str, Field(json_schema_extra={"pattern": r"(?<=a)b"})]): ...

    with pytest.raises(InvalidSchemaError, match="tool 'take', parameter 'word'.*/properties/word"):
        Tool(take)
