"""The types that a user of the package gets from a type checker."""

import re

import pytest

RIGHT = """
from typing import AsyncIterator, Iterator
from array import array
from typing import List
from luup_agent import Agent, AgentResponse, Embedder, Model, RunOptions, Usage

async def use(model: Model) -> None:
    agent = Agent(model, "You are helpful.", temperature=0, stop=["a", "b"], timeout=None)
    text: str = agent.generate("Hi", temperature=0.5, max_tokens=None)
    options: RunOptions = {"seed": 5, "stop": "x"}
    pieces: Iterator[str] = agent.generate_stream("Hi", **options)
    whole: str = await agent.generate_async("Hi")
    stream: AsyncIterator[str] = agent.generate_async("Hi")
    response: AgentResponse[str] = await agent.run_async("Hi")
    usage: Usage = agent.run("Hi").usage
    for event in agent.stream_events("Hi"):
        if event.type == "text":
            text += event.text
        elif event.type == "done":
            text += event.response.output
        elif event.type == "progress":
            share: float = event.done / event.total
    async for other in agent.stream_events_async("Hi"):
        if other.type == "reasoning":
            text += other.text
    thinking = Agent(model, reasoning="low", template_options={"enable_thinking": True})
    pieces = thinking.generate_stream("Hi", reasoning=200)
    events = thinking.stream_events("Hi", reasoning=False)
    events.stop_thinking()
    thinking.generate_async("Hi", reasoning=True).stop_thinking()
    count: int = thinking.run("Hi", reasoning=None, template_options={}).usage.reasoning_tokens
    biased = Agent(model, presence_penalty=1, frequency_penalty=0.5, logit_bias={" a": 1, 5: -100.0}, logprobs=True)
    shares = [token.probability for token in biased.run("Hi", top_logprobs=5).logprobs]
    later: Model = await Model.from_local_async("model.gguf", keep_alive=None, threads=1)
    hub: Model = await Model.from_hub_async("owner/repo", "Q4_K_M", keep_alive=5)
    vectors_of: Embedder = await Embedder.from_local_async("minilm.gguf", threads=1)
    present: bool = later.loaded
    later.unload()
    with Model.from_local("model.gguf", context_size=512, keep_alive=1.5) as loaded:
        size: int = loaded.get_info().context_size
    with Embedder.from_local("minilm.gguf", pooling="mean") as embedder:
        vectors = embedder.embed(["a", "b"], truncate=True)
        first: array[float] = (await embedder.embed_async(["a"]))[0]
        number: float = vectors[0][1] + sum(first)
        lists: List[List[float]] = vectors[:1].tolist()
        document: str = embedder.rerank("a", ["b"], top=1)[0].document
"""


TOOLSETS = """
from typing import Any, Callable, List
from luup_agent import MCP, Agent, AgentOptions, DynamicToolset, FunctionToolset, Model, RunContext, Toolset, Usage

def add(a: int) -> int:
    return a

def choose(ctx: RunContext[str]) -> List[Callable[..., Any]]:
    return [add] if ctx.deps else []

async def later(ctx: RunContext[int]) -> List[Toolset]:
    return [FunctionToolset([add])]

def use(model: Model) -> None:
    math = FunctionToolset([add]).filtered(["add"]).prefixed("m_").renamed({"m_add": "plus"})
    agent = Agent(model, toolsets=[MCP("x"), choose, later, math, DynamicToolset(choose), lambda ctx: [add]])
    text: str = agent.generate("Hi", toolsets=[MCP("x").filtered(lambda tool: tool.name == "add")])
    servers: List[MCP] = MCP.from_config("mcp.json", timeout=5)
    options: AgentOptions = {"toolsets": servers}
    second = Agent(model, **options)
    lead = Agent(model, tools=[second.as_tool("ask", "Asks.", timeout=5)])
    usage: Usage = lead.run("Hi").usage + agent.run("Hi").usage
    with MCP("x", requires_approval=lambda tool: True) as server:
        names = [tool.name for tool in server.list_tools()]
"""


def test_a_right_program_is_right(problems):
    assert problems(RIGHT) == []


def test_toolsets_have_types(problems):
    assert problems(TOOLSETS) == []
    assert problems(TOOLSETS.replace('"x"), choose', '"x"), 5'))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('Agent("model.gguf")', "No overload variant"),
        ('Agent(agent.model, temperature="hot")', "No overload variant"),
        ('agent.generate("Hi", logit_bias=[5])', "No overload variant"),
        ('agent.generate_stream("Hi", temprature=1)', "temprature"),
        ('agent.generate_stream("Hi", temperature="hot")', "expected .float"),
        ("agent.generate_stream(5)", "expected .str"),
        ('agent.generate_stream("Hi", reasoning="max")', "reasoning"),
        ('agent.generate_stream("Hi", template_options=5)', "template_options"),
        ('agent.generate("Hi", temperature="hot")', "No overload variant"),
        ("agent.generate(5)", "No overload variant"),
        ('number: int = agent.generate("Hi")', "expression has type .str"),
        ('agent.run("Hi").txt', "has no attribute .txt"),
        ('Model.from_local("m", context_size="8192")', "expected .int"),
        ('Embedder.from_local("m", pooling="max")', "pooling"),
        ('Embedder.from_local("m").embed([5])', "expected .str|List item"),
    ],
)
def test_a_wrong_line_is_found(problems, line, problem):
    source = f"from luup_agent import Agent, Embedder, Model\ndef use(agent: Agent) -> None:\n    {line}\n"
    (found,) = problems(source)
    assert re.search(problem, found)
