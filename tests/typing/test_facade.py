"""What a type checker tells a user of the package."""

import re

import pytest

RIGHT = """
from typing import AsyncIterator, Iterator
from luup_agent import Agent, AgentResponse, Model, RunOptions, Usage

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
    with Model.from_local("model.gguf", context_size=512) as loaded:
        size: int = loaded.get_info().context_size
"""


def test_a_right_program_is_right(problems):
    assert problems(RIGHT) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('Agent("model.gguf")', "expected .Model"),
        ('agent.generate_stream("Hi", temprature=1)', "temprature"),
        ('agent.generate_stream("Hi", temperature="hot")', "expected .float"),
        ("agent.generate_stream(5)", "expected .str"),
        ('agent.generate("Hi", temperature="hot")', "No overload variant"),
        ("agent.generate(5)", "No overload variant"),
        ('number: int = agent.generate("Hi")', "expression has type .str"),
        ('agent.run("Hi").txt', "has no attribute .txt"),
        ('Model.from_local("m", context_size="8192")', "expected .int"),
    ],
)
def test_a_wrong_line_is_found(problems, line, problem):
    source = f"from luup_agent import Agent, Model\ndef use(agent: Agent) -> None:\n    {line}\n"
    (found,) = problems(source)
    assert re.search(problem, found)
