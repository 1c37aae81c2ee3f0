"""A decorated function is a `Tool`: it can be called, looks like the function, and never loses its options."""

import asyncio
import functools
import inspect
import sys

import pytest

from luup_agent import Agent, ApprovalRequiredError, InvalidParamError, RunContext, Tool, tool
from luup_agent.testing import ScriptedModel, tool_call


def agent_that_calls(name, *tools, **arguments):
    return Agent(ScriptedModel([tool_call(name, **arguments), "Done."] * 2), tools=tools)


@pytest.fixture
def owner():
    """An agent without runs."""
    return Agent(ScriptedModel([]))


def declare(owner, seen):
    @owner.tool(name="remove", timeout=5, retries=3, requires_approval=True, on_error="raise", max_result_chars=100)
    def delete(path: str, force: bool = False) -> str:
        """Deletes a file.

        Args:
            path: The file.
        """
        seen.append(path)
        return f"{path} is gone"

    return delete


def test_the_decorator_returns_the_tool_of_the_agent(owner):
    delete = declare(owner, [])
    assert owner.tools["remove"] is delete
    assert isinstance(delete, Tool)

    @owner.tool
    def plain(a: int) -> int:
        return a + 1

    assert owner.tools["plain"] is plain
    assert plain(1) == 2


def test_it_looks_like_the_function(owner):
    seen = []
    delete = declare(owner, seen)
    assert delete("a.txt", force=True) == "a.txt is gone"
    assert delete.__name__ == "delete"
    assert delete.__qualname__.endswith("declare.<locals>.delete")
    assert delete.__doc__.startswith("Deletes a file.")
    assert delete.__module__ == __name__
    assert delete.__wrapped__ is delete.function
    assert str(inspect.signature(delete)) == "(path: str, force: bool = False) -> str"
    assert inspect.getdoc(delete).startswith("Deletes")


def test_an_asynchronous_function_stays_one(owner):
    @owner.tool(timeout=5)
    async def fetch(url: str) -> str:
        """Fetches."""
        await asyncio.sleep(0)
        return url.upper()

    async def use():
        return await fetch("x")

    assert asyncio.run(use()) == "X"
    assert fetch.is_async
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(fetch)


def test_a_callable_without_a_name_gets_that_of_the_tool():
    class Adder:
        def __call__(self, a: int) -> int:
            return a + 1

    made = Tool(Adder(), name="adder")
    assert (made.__name__, made(1)) == ("adder", 2)
    assert list(inspect.signature(made).parameters) == ["a"]


def doubled(made):
    @functools.wraps(made)
    def wrapper(*args, **kwargs):
        return made(*args, **kwargs)

    return wrapper


WAYS = {
    "tools": lambda made, other: other.add_tool(made),
    "decorated": lambda made, other: other.tool(made),
    "decorated with options": lambda made, other: other.tool(max_result_chars=50)(made),
    "Tool of a Tool": lambda made, other: other.add_tool(Tool(made)),
    "tool of a Tool": lambda made, other: other.add_tool(tool(made)),
    "partial": lambda made, other: other.add_tool(functools.partial(made, force=True)),
    "partial of a partial": lambda made, other: other.add_tool(
        functools.partial(functools.partial(made, force=True), force=False)
    ),
    "wraps": lambda made, other: other.add_tool(doubled(made)),
    "wraps twice": lambda made, other: other.tool(doubled(doubled(made))),
    "partial of wraps": lambda made, other: other.tool(timeout=5)(functools.partial(doubled(made), force=True)),
    "wraps of a partial": lambda made, other: other.add_tool(doubled(functools.partial(made, force=True))),
    "a fork": lambda made, other: other.add_tool(Agent(other.model, tools=[made]).fork().tools["remove"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_given_to_another_agent_it_keeps_everything(api, owner, way):
    seen = []
    other = agent_that_calls("remove", path="a.txt")
    WAYS[way](declare(owner, seen), other)
    with pytest.raises(ApprovalRequiredError):
        api.text(other, "Delete a.txt.")
    assert seen == []  # it was not approved
    made = other.tools["remove"]
    assert (made.timeout, made.retries, made.requires_approval, made.on_error) == (5, 3, True, "raise")
    assert made.description == "Deletes a file."
    assert api.resume(other, {other.pending[0].id: True}).text == "Done."
    assert seen == ["a.txt"]


def test_given_to_one_run_it_keeps_everything(api, owner):
    seen = []
    delete = declare(owner, seen)
    other = agent_that_calls("remove", path="a.txt")
    assert [call.name for call in api.response(other, "Delete it.", tools=[delete]).pending] == ["remove"]
    assert seen == []


def test_options_that_are_given_replace_those_of_the_tool(owner):
    delete = declare(owner, [])
    again = Tool(delete, name="erase", description="Erases.", timeout=1, retries=0, max_result_chars=7)
    assert (again.name, again.description, again.timeout, again.retries) == ("erase", "Erases.", 1, 0)
    assert (again.max_result_chars, again.requires_approval, again.on_error) == (7, True, "raise")
    assert Tool(delete.function).requires_approval is False  # the function itself is free


def test_a_given_schema_is_kept_too():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    @tool(parameters=schema)
    def weather(**values):
        return values

    assert Tool(weather).parameters == schema
    assert Tool(doubled(weather)).parameters == schema


def test_the_context_is_found_through_a_decorator(api):
    @tool
    def order(ctx: RunContext[str], item: str) -> str:
        return f"{ctx.deps}: {item}"

    for made in (Tool(order), Tool(doubled(order)), Tool(functools.partial(order))):
        response = api.response(agent_that_calls("order", made, item="tea"), "Tea!", deps="Ann")
        assert response.tool_calls[0].result.content == "Ann: tea"


def test_an_object_that_wraps_itself_is_refused():
    def strange(a: int) -> int:
        return a

    strange.__wrapped__ = strange
    with pytest.raises(ValueError, match="decorated"):
        Tool(strange)


class Anything:
    """An object that can be called."""

    def __call__(self, x: int) -> str:
        return str(x)


def _raise(*_):
    raise KeyError("lost")


@pytest.mark.parametrize("name", ["__doc__", "__name__", "__signature__", "__wrapped__", "__module__", "__getattr__"])
@pytest.mark.parametrize("given", [{}, {"name": "lookup", "description": "Look it up."}], ids=["plain", "named"])
def test_an_attribute_that_raises_names_the_tool(name, given):
    kind = type("Odd", (Anything,), {name: _raise if name == "__getattr__" else property(_raise)})
    with pytest.raises(InvalidParamError, match="Odd can't be a tool.*KeyError"):
        Tool(kind(), **given)


def test_a_doc_that_raises_is_refused():
    kind = type("Odd", (Anything,), {"__doc__": property(_raise), "__name__": "odd"})
    with pytest.raises(InvalidParamError, match="Odd can't be a tool.*KeyError: 'lost'; wrap it in a function"):
        Tool(kind())
