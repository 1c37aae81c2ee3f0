"""pydantic-ai's agents on a model in this process: typed results, a tool, a stream, and many agents at once.

pip install "luup-agent[pydantic-ai]"
python examples/with_pydantic_ai.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import asyncio
import sys
from typing import Literal

from pydantic import BaseModel
from pydantic_ai import Agent

from luup_agent import LuupError, Model, catalog
from luup_agent.integrations.pydantic_ai import LuupModel


class City(BaseModel):
    name: Literal["Paris", "Rome", "Berlin"]
    country: Literal["France", "Italy", "Germany"]


class Question(BaseModel):
    city: Literal["Paris", "Rome", "Berlin"]


def weather(question: Question) -> str:
    """Returns the weather of a city."""
    print(f"weather is called for {question.city}")
    return f"It is sunny in {question.city}."


async def ask(model: LuupModel) -> None:
    agent = Agent(model, instructions="You are a helpful assistant.")
    result = await agent.run("Which city is the capital of France?", output_type=City)
    print(f"typed: {result.output}, {result.usage.output_tokens} tokens")

    result = await agent.run("What is the weather in Paris?", output_type=weather)  # ends with a call of the function
    print(f"answer: {result.output}")

    async with agent.run_stream("What is the capital of France?") as stream:
        async for piece in stream.stream_text(delta=True, debounce_by=None):
            print(piece, end="", flush=True)
    print()

    before = model.model.stats().batches
    questions = [f"Tell me about the number {number}." for number in range(16)]
    results = await asyncio.gather(*[agent.run(question) for question in questions])
    tokens = sum(each.usage.output_tokens for each in results)
    print(f"16 agents: {tokens} tokens in {model.model.stats().batches - before} batches")


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            asyncio.run(ask(LuupModel(model, settings={"temperature": 0, "max_tokens": 48})))
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
