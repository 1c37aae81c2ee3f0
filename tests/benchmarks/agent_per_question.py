"""An agent per question: what a new agent with the same 10 tools and the same result type costs before the prefill.

    python tests/benchmarks/agent_per_question.py [--model FILE] [--template FILE] [--agents N] [--distinct N]

Measures the time from `Agent(...)` until the engine has the prompt of the agent's first run. Until then the tools are
registered, their schemas and the result's schema are compiled, the chat template's format for calls becomes a grammar,
and the prompt is rendered. Only the first agent of a model should pay for compiling. The run then ends after one
token.
--template is a chat template with its own format for tools; without it, smollm2 uses the format of the library.

For comparison, --distinct agents with tools of their own take turns: what living agents use stays compiled.
"""

import argparse
import contextlib
import enum
import statistics
import time
from pathlib import Path
from typing import List, Optional

from pydantic import BaseModel, Field

from luup_agent import Agent, InvalidOutputError, Model, Tool, _native, catalog


class Priority(enum.Enum):
    """How urgent a ticket is."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Step(BaseModel):
    """A thing to do."""

    title: str = Field(max_length=80)
    minutes: int = Field(ge=1, le=480)
    owner: Optional[str] = None


class Ticket(BaseModel):
    """A typed answer with an enum, numbers in ranges and a nested list."""

    title: str = Field(max_length=120)
    priority: Priority
    tags: List[str] = Field(max_length=8)
    steps: List[Step] = Field(min_length=1, max_length=6)
    estimate: float = Field(ge=0)


def make_tools(prefix):
    """Ten tools with a few parameters each."""
    parameters = {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "Words to search for."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50},
            "order": {"type": "string", "enum": ["newest", "oldest", "best"]},
            "filters": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        },
        "required": ["query"],
        "additionalProperties": False,
    }
    return [
        Tool(
            lambda **_: "nothing",
            name=f"{prefix}_{number}",
            description=f"Searches the {prefix} number {number} of the house.",
            parameters=parameters,
        )
        for number in range(10)
    ]


class Clock:
    """Notes when the core has taken a run, with its first prompt in the engine's queue."""

    def __init__(self):
        self.ready = 0.0
        start = _native.NativeRun.start

        def timed(run, *arguments):
            start(run, *arguments)
            self.ready = time.perf_counter()

        _native.NativeRun.start = timed


def ask(agent, number):
    with contextlib.suppress(InvalidOutputError):  # one token is not a whole ticket
        agent.run(f"Question {number}: what is to be done?", output_type=Ticket, retries=0)


def measure(model, clock, make_agent, rounds):
    """Milliseconds until the prompt is ready, for each of `rounds` agents."""
    times = []
    for number in range(rounds):
        while model.stats().runs_active:  # the batch of the run before takes the processor
            time.sleep(0.01)
        begun = time.perf_counter()
        ask(make_agent(number), number)
        times.append((clock.ready - begun) * 1e3)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a file or a name of the catalog")
    parser.add_argument("--template", type=Path, help="a Jinja file; the model's own without it")
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--distinct", type=int, default=20)
    options = parser.parse_args()
    template = options.template.read_text(encoding="utf-8") if options.template else None
    clock = Clock()
    with Model.from_local(catalog.resolve(options.model), threads=1, chat_template=template) as model:
        tools = make_tools("shelf")
        settings = {"temperature": 0, "max_tokens": 1, "enable_history": False}
        times = measure(model, clock, lambda _: Agent(model, tools=tools, **settings), options.agents)
        print(f"new agents, same tools and type: 1st {times[0]:.1f} ms, 2nd {times[1]:.1f} ms")
        print(f"the others: median {statistics.median(times[2:]):.2f} ms, at most {max(times[2:]):.2f} ms")
        agents = [Agent(model, tools=make_tools(f"shelf_{n}"), **settings) for n in range(options.distinct)]
        first = measure(model, clock, agents.__getitem__, options.distinct)
        again = measure(model, clock, agents.__getitem__, options.distinct)
        print(f"{options.distinct} agents with their own tools: 1st runs median {statistics.median(first):.1f} ms")
        print(f"their 2nd runs: median {statistics.median(again):.2f} ms")


if __name__ == "__main__":
    main()
