"""`Agent[Deps]`: tools and system prompts are checked against the type of an agent's dependencies."""

import re

BEGIN = """
from typing import Any, Iterable, List, Literal, Mapping, Optional, Union
from pydantic import BaseModel
from luup_agent import Agent, AgentOptions, Model, RunContext, RunOptions, SQLiteSessions, Tool, tool

class User(BaseModel):
    name: str

class Movie(BaseModel):
    title: str

def greet(ctx: RunContext[User]) -> str: return ctx.deps.name
async def greet_later(ctx: RunContext[User]) -> str: return ctx.deps.name
def count(ctx: RunContext[int]) -> str: return str(ctx.deps)
def any_context(ctx: RunContext, a: int) -> str: return ""
def any_deps(ctx: RunContext[object], a: int) -> str: return ""
def either(ctx: RunContext[Union[User, int]], a: int) -> str: return ""

def use(
    model: Model, agent: Agent[User], plain: Agent, user: User, options: AgentOptions, run: RunOptions,
    store: SQLiteSessions,
) -> None:
"""

REVEALED = {
    "Agent(model)": "Agent[Any, str]",
    "Agent[User](model)": "Agent[User, str]",
    "Agent[User](model, greet, temperature=0)": "Agent[User, str]",
    "Agent[User, Movie](model, output_type=Movie)": "Agent[User, Movie]",
    "Agent(model, greet)": "Agent[User, str]",
    "Agent(model, greet_later)": "Agent[User, str]",
    "Agent(model, deps=user)": "Agent[User, str]",
    "Agent(model, deps=user, output_type=Movie)": "Agent[User, Movie]",
    "Agent(model, **options)": "Agent[Any, str]",
    "store.open('ada', agent)": "Session[User, str]",
    "store.open('ada', agent).run('x', deps=user).output": "str",
    "store.open('ada', agent).agent": "Agent[User, str]",
    "store.open('ada', plain)": "Session[Any, str]",
    "agent": "Agent[User, str]",
    "agent.fork()": "Agent[User, str]",
    "plain": "Agent[Any, str]",
    'Agent[User, Movie](model, output_type=Movie).run("x", deps=user).output': "Movie",
    "agent.tool(greet)": "Tool[(ctx: RunContext[User]), str]",
    "agent.tool(any_context)": "Tool[(ctx: RunContext[Any], a: int), str]",
    "agent.tool(any_deps)": "Tool[(ctx: RunContext[object], a: int), str]",
    "agent.tool(either)": "Tool[(ctx: RunContext[User | int], a: int), str]",
    "agent.tool(timeout=5)(greet)": "Tool[(ctx: RunContext[User]), str]",
    "plain.tool(greet)": "Tool[(ctx: RunContext[User]), str]",
    "plain.tool(count)": "Tool[(ctx: RunContext[int]), str]",
    "agent.tool(Tool(count))": "Tool[(ctx: RunContext[int]), str]",
}


def shown(text):
    return re.sub(r"\[\[(.*)\], ", r"[(\1), ", text).replace("Union[User, int]", "User | int")


def test_agents_know_the_type_of_their_dependencies(revealed):
    source = BEGIN + "".join(f"    reveal_type({expression})\n" for expression in REVEALED)
    assert dict(zip(REVEALED, map(shown, revealed(source)))) == REVEALED


PARAMETERS = {
    "a: int, b: str": "a: int, b: str",
    "a: Any, b: int": "a: Any, b: int",
    "a: object": "a: object",
    "a: Iterable[int], b: int": "a: Iterable[int], b: int",
    "a: Mapping[str, Any]": "a: Mapping[str, Any]",
    "a: Optional[int]": "a: int | None",
    "a: Movie, b: int": "a: Movie, b: int",
    "*a: int, **b: str": "*a: int, **b: str",
    "a: int, *, b: str": "a: int, *, b: str",
    "": "",
}


def test_plain_functions_keep_their_types(revealed):
    functions = [f"    def f{i}({text}) -> bool: return True\n" for i, text in enumerate(PARAMETERS)]
    ways = ("agent.tool", "agent.tool(timeout=5)", "plain.tool")
    calls = [f"    reveal_type({way}(f{i}))\n" for way in ways for i in range(len(PARAMETERS))]
    found = [
        shown(text).replace("Union[int, None]", "int | None") for text in revealed(BEGIN + "".join(functions + calls))
    ]
    assert found == [f"Tool[({text}), bool]" for text in PARAMETERS.values()] * len(ways)


RIGHT = """
    agent.system_prompt = greet
    agent.system_prompt = lambda: "Be brief."
    agent.system_prompt = None
    agent.run("x", deps=user)
    agent.run("x", **run)
    plain.run("x", deps=5)
    as_plain: Agent = agent
    @agent.tool
    async def later(ctx: RunContext[User], a: int) -> str:
        return ctx.deps.name
    @agent.tool(retries=2)
    @tool
    def named(*, a: int) -> str:
        return ""
    reveal_type(later)
    class Mine(Agent[User, Movie]):
        pass
"""


def test_a_right_program_is_right(problems):
    assert problems(BEGIN + RIGHT) == []


WRONG = (
    "agent.tool(count)",
    "agent.tool(timeout=5)(count)",
    "Agent[User](model).tool(count)",
    "Agent(model, deps=user).tool(count)",
    "Agent[User](model, count)",
    "Agent[User](model, deps=5)",
    "agent.system_prompt = count",
    'agent.run("x", deps=5)',
    'agent.generate("x", deps=5)',
    'agent.generate_stream("x", deps=5)',
    'agent.stream_events("x", deps=5)',
    'agent.map(["x"], deps=5)',
    "agent.tool(greet)(5)",
)


def test_mypy_finds_dependencies_of_another_type(problems):
    found = problems(BEGIN + "".join(f"    {line}\n" for line in WRONG))
    lines = {int(re.match(r"program\.py:(\d+)", problem)[1]) for problem in found}
    begin = len(BEGIN.splitlines()) + 1
    assert lines == {begin + index for index in range(len(WRONG))}, found


def test_pyright_finds_dependencies_of_another_type(pyright_problems):
    found = set(pyright_problems(BEGIN + "".join(f"    {line}\n" for line in WRONG)))
    begin = len(BEGIN.splitlines())
    assert found == {begin + index for index in range(len(WRONG))}


def test_a_right_program_is_right_for_pyright(pyright_problems):
    assert pyright_problems(BEGIN + RIGHT) == []
