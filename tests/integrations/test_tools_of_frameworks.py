"""Tools of other frameworks in agents of this package."""

import asyncio

import pytest
from typing_extensions import Annotated, Literal

from luup_agent import Agent, InvalidParamError, Tool
from luup_agent.testing import ScriptedModel, tool_call


def answers(tool, *calls):
    """Return the texts that a model gets for calls of a tool, in a synchronous and in an asynchronous run."""
    found = []
    for asynchronous in (False, True):
        model = ScriptedModel([*calls, "Done."])
        agent = Agent(model, tools=[tool], retries=3)
        if asynchronous:
            assert asyncio.run(agent.run_async("Go.")).text == "Done."
        else:
            assert agent.generate("Go.") == "Done."
        found.append([message.content for message in model.requests[-1].messages if message.role == "tool"])
    assert found[0] == found[1]
    return found[0]


def test_tools_of_langchain():
    pytest.importorskip("langchain_core")
    from langchain_core.tools import InjectedToolArg, ToolException, tool

    @tool
    def weather(city: Literal["Paris", "Rome"]) -> str:
        """Returns the weather of a city."""
        return f"It is sunny in {city}."

    @tool
    async def later(seconds: int) -> dict:
        """Waits."""
        if seconds > 9:
            raise ToolException("9 seconds at most")
        return {"waited": seconds}

    @tool
    def secret(city: str, user: Annotated[str, InjectedToolArg]) -> str:
        """Has an argument that the agent fills in."""
        return user

    made = Tool.from_langchain(weather, timeout=30)
    assert (made.name, made.description, made.timeout) == ("weather", "Returns the weather of a city.", 30)
    assert made.parameters["properties"]["city"]["enum"] == ["Paris", "Rome"]
    assert answers(made, tool_call("weather", city="Rome")) == ["It is sunny in Rome."]
    assert answers(Tool.from_langchain(later), tool_call("later", seconds=10), tool_call("later", seconds=2)) == [
        "Error: 9 seconds at most",
        '{"waited":2}',
    ]
    with pytest.raises(InvalidParamError, match="its agent fills in user"):
        Tool.from_langchain(secret)
    with pytest.raises(InvalidParamError, match="must be a tool of LangChain, not function"):
        Tool.from_langchain(answers)


def test_tools_of_pydantic_ai():
    pytest.importorskip("pydantic_ai")
    import pydantic_ai

    def add(numbers: Annotated[list[int], "The numbers"], *, twice: bool = False) -> int:
        """Adds numbers."""
        if not numbers:
            raise pydantic_ai.ModelRetry("Give some numbers.")
        return sum(numbers) * (1 + twice)

    def needs(ctx: pydantic_ai.RunContext) -> str:
        return ""

    made = Tool.from_pydantic_ai(pydantic_ai.Tool(add, max_retries=2, requires_approval=False))
    assert (made.name, made.description, made.retries) == ("add", "Adds numbers.", 2)
    assert answers(made, tool_call("add", numbers=[]), tool_call("add", numbers=[1, 2], twice=True)) == [
        "Error: Give some numbers.",
        "6",
    ]
    plain = pydantic_ai.Tool.from_schema(
        lambda **arguments: pydantic_ai.ToolReturn(f"got {arguments}"),
        name="plain",
        description="Plain.",
        json_schema={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    )
    assert answers(Tool.from_pydantic_ai(plain), tool_call("plain", a=1)) == ["got {'a': 1}"]
    assert Tool.from_pydantic_ai(pydantic_ai.Tool(add, requires_approval=True)).requires_approval
    with pytest.raises(InvalidParamError, match="takes the RunContext"):
        Tool.from_pydantic_ai(pydantic_ai.Tool(needs))
    with pytest.raises(InvalidParamError, match="must be a tool of pydantic-ai, not function"):
        Tool.from_pydantic_ai(answers)


def test_the_function_of_a_tool_of_llm():
    llm = pytest.importorskip("llm")

    def add(a: int, b: int) -> int:
        return a + b

    assert answers(Tool(llm.Tool.function(add).implementation), tool_call("add", a=1, b=2)) == ["3"]


def test_a_function_that_calls_a_tool_of_smolagents():
    pytest.importorskip("smolagents")
    from smolagents import tool

    @tool
    def theirs(city: str) -> str:
        """Returns the weather of a city.

        Args:
            city: The city.
        """
        return f"It is sunny in {city}."

    def weather(city: str) -> str:
        return theirs(city)

    assert answers(Tool(weather), tool_call("weather", city="Rome")) == ["It is sunny in Rome."]
