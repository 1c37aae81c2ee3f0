"""What a type checker tells a user of the package."""

import subprocess
import sys

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


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """The messages of `mypy --strict` for a program."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("typing")

    def check(source):
        (folder / "program.py").write_text(source)
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "mypy",
                "--strict",
                "--config-file=",
                f"--cache-dir={folder / 'cache'}",
                "program.py",
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
        return [line for line in result.stdout.splitlines() if ": error:" in line]

    return check


def test_a_right_program_is_right(problems):
    assert problems(RIGHT) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('Agent("model.gguf")', "expected .Model"),
        ('agent.generate("Hi", temprature=1)', "temprature"),
        ('agent.generate("Hi", temperature="hot")', "expected .float"),
        ("agent.generate(5)", "expected .str"),
        ('number: int = agent.generate("Hi")', "expression has type .str"),
        ('agent.run("Hi").txt', "has no attribute .txt"),
        ('Model.from_local("m", context_size="8192")', "expected .int"),
    ],
)
def test_a_wrong_line_is_found(problems, line, problem):
    import re

    source = f"from luup_agent import Agent, Model\ndef use(agent: Agent) -> None:\n    {line}\n"
    (found,) = problems(source)
    assert re.search(problem, found)
