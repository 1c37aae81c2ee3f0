"""The types of typed results and tools, by mypy and pyright alike."""

import re

import pytest

BEGIN = """
import enum
from typing import List, Literal, Union
from pydantic import BaseModel
from luup_agent import Agent, AgentResponse, Choice, Event, Grammar, JSONSchema, Regex, RunContext, Tool, ToolCall, tool

class Movie(BaseModel):
    title: str

class Color(enum.Enum):
    RED = "red"

async def use(agent: Agent, event: Event, response: AgentResponse) -> None:
"""

REVEALED = {
    'agent.generate("x")': "str",
    'agent.generate("x", output_type=None)': "str",
    'agent.generate("x", output_type=Movie)': "Movie",
    'agent.generate("x", output_type=int, temperature=0)': "int",
    'agent.generate("x", output_type=Color)': "Color",
    'agent.generate("x", output_type=Union[int, Movie])': "int | Movie",
    'agent.generate("x", output_type=Literal["a", "b"])': "Literal['a', 'b']",
    'agent.generate("x", output_type=[Movie, Color])': "Any",
    'await agent.generate_async("x")': "str",
    'await agent.generate_async("x", output_type=Movie)': "Movie",
    'agent.run("x")': "AgentResponse[str]",
    'agent.run("x", output_type=Movie, max_turns=3)': "AgentResponse[Movie]",
    'agent.run("x", output_type=Movie).output.title': "str",
    'await agent.run_async("x", output_type=Movie)': "AgentResponse[Movie]",
    'agent.resume({"call_1": True})': "AgentResponse[str]",
    'await agent.resume_async({"call_1": "no"}, output_type=Movie)': "AgentResponse[Movie]",
    'agent.classify("x", Color)': "Classification[Color]",
    'agent.classify("x", bool).label': "bool",
    'agent.classify("x", ["a", "b"])': "Classification[str]",
    'agent.classify("x", Literal["a", "b"])': "Classification[Literal['a', 'b']]",
    '(await agent.classify_async("x", Color)).label': "Color",
    'agent.generate("x", output_type=Choice(["a", "b"]))': "str",
    'agent.run("x", output_type=Regex("a"))': "AgentResponse[str]",
    'await agent.generate_async("x", output_type=Grammar("root ::= a"))': "str",
    'agent.generate("x", output_type=JSONSchema({}))': "Any",
    'agent.generate("x", output_type={"type": "object"})': "Any",
    "Agent(agent.model)": "Agent[Any, str]",
    "Agent(agent.model, output_type=Movie)": "Agent[Any, Movie]",
    'Agent(agent.model, "Be brief.", output_type=Choice(["a"]), temperature=0)': "Agent[Any, str]",
    "Agent(agent.model, output_type=Union[int, Movie])": "Agent[Any, int | Movie]",
    'Agent(agent.model, output_type=Movie).generate("x")': "Movie",
    'Agent(agent.model, output_type=Movie).generate("x", output_type=int)': "int",
    'Agent(agent.model, output_type=Movie).generate("x", output_type=str)': "str",
    'Agent(agent.model, output_type=Movie).fork().run("x").output': "Movie",
    'await Agent(agent.model, output_type=Movie).run_async("x")': "AgentResponse[Movie]",
    'Agent.load("x", agent.model)': "Agent[Any, str]",
    'Agent.load("x", agent.model, output_type=Movie)': "Agent[Any, Movie]",
    'agent.run("x", top_logprobs=3).logprobs[0].top[0].probability': "float",
    "response.output": "str",
    "agent.pending[0]": "ToolCall",
}


def test_results_have_the_type_that_was_asked_for(revealed):
    source = BEGIN + "".join(f"    reveal_type({expression})\n" for expression in REVEALED)
    found = [text.replace("Literal['a'] | Literal['b']", "Literal['a', 'b']") for text in revealed(source)]
    assert dict(zip(REVEALED, found)) == REVEALED


def test_the_list_type_is_seen(revealed):
    (found,) = revealed(BEGIN + '    reveal_type(agent.generate("x", output_type=List[int]))\n')
    assert found.lower() == "list[int]"


EVENTS = """
    for item in agent.stream_events("x", output_type=Movie):
        if item.type == "partial":
            reveal_type(item.output)
        elif item.type == "done":
            reveal_type(item.response)
        elif item.type == "tool_call":
            reveal_type(item.call)
        elif item.type == "tool_result":
            reveal_type(item.content)
    async for other in agent.stream_events_async("x"):
        if other.type == "done":
            reveal_type(other.response)
    if event.type == "done":
        reveal_type(event.response.output)
"""


def test_events_know_the_type(revealed):
    assert revealed(BEGIN + EVENTS) == ["Movie", "AgentResponse[Movie]", "ToolCall", "str", "AgentResponse[str]", "str"]


DECORATED = """
    @agent.tool
    def plain(a: int) -> str: return ""
    reveal_type(plain(1))
    @agent.tool(timeout=3, requires_approval=True)
    def with_context(ctx: RunContext[Movie], a: int) -> bool:
        reveal_type(ctx.deps)
        return True
    reveal_type(with_context)
    reveal_type(with_context.requires_approval)
    @agent.tool(timeout=3)
    async def later(a: int) -> str: return ""
    reveal_type(await later(1))
    Agent(agent.model, tools=[with_context, later]).add_tool(plain)
    @tool
    def double(n: int) -> int: return 2 * n
    reveal_type(double(2))
    reveal_type(double.name)
"""


def test_decorated_functions_keep_their_type(revealed):
    types = [re.sub(r"\[\[(.*)\], ", r"[(\1), ", text) for text in revealed(BEGIN + DECORATED)]
    made = "Tool[(ctx: RunContext[Movie], a: int), bool]"
    assert types == ["str", "Movie", made, "bool", "str", "int", "str"]


RIGHT = """
    async def ask(call: ToolCall) -> bool: return call.name == "add"
    def add(a: int, b: int) -> int: return a + b
    agent.add_tool(add)
    agent.run("x", tools=[add, Tool(add, name="plus")], approve=ask, tool_choice="add", deps=5, retries=2)
    agent.run("x", approve=lambda call: True)
    Agent(agent.model, tools=[add], tool_choice="required", parallel_tool_calls=False, max_turns=2, approve=ask)
"""


def test_a_right_program_is_right(problems):
    assert problems(BEGIN + RIGHT) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('text: str = agent.generate("x", output_type=Movie)', "expression has type .Movie"),
        ('agent.run("x", output_type=Movie).output.year', "has no attribute .year"),
        ('agent.generate_stream("x", tools=5)', "expected .Sequence"),
        ('agent.generate_stream("x", max_turns="3")', "expected .int"),
        ('agent.run("x", max_turns="3")', "No overload variant"),
        ('agent.resume("call_1")', "No overload variant"),
        ("agent.tool(timeout='3')", "No overload variant"),
        ("Tool(len)('a', 'b')", "Too many arguments"),
        ("agent.tool(len)('a', 'b')", "Too many arguments"),
        ("agent.tool(timeout=3)(len)(5)", "incompatible type"),
    ],
)
def test_a_wrong_line_is_found(problems, line, problem):
    found = problems(BEGIN + f"    {line}\n")
    assert found
    assert re.search(problem, " ".join(found))
