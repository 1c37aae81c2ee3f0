"""The answers of a model whose tokens are guessed by another one, or by its own heads, as those of the model alone."""

import asyncio
from typing import Literal

from pydantic import BaseModel

from luup_agent import Agent, Model

QUESTIONS = ("Once upon a time there was a fox.", "And then?")


def load(path, **options):
    return Model.from_local(path, **{"threads": 1, "context_size": 2048, "max_sequences": 8, **options})


def answers(model, numbers=(0, 1), **options):
    texts = []
    for number in numbers:
        agent = Agent(
            model, f"Number {number}.", **{"max_tokens": 48, "seed": number, "prompt_lookup": False, **options}
        )
        texts += [agent.generate(question) for question in QUESTIONS]
    return texts


class Parcel(BaseModel):
    """A parcel."""

    country: Literal["France", "Italy", "Spain"]
    express: bool


def of_each_kind(model):
    """Return a call, a typed result and the texts of several agents at once."""
    agent = Agent(model, temperature=0, max_tokens=60)
    calls = []

    @agent.tool
    def paint(colour: Literal["red", "blue"]) -> str:
        calls.append(colour)
        return "done"

    agent.run("Paint it.", tool_choice="required")
    parcel = agent.generate("A parcel.", output_type=Parcel, tool_choice="none")

    async def several():
        agents = [Agent(model, temperature=0, max_tokens=24) for _ in range(6)]
        return await asyncio.gather(*[each.generate_async(f"Number {n}?") for n, each in enumerate(agents)])

    return calls, parcel, asyncio.run(several())
