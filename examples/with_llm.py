"""The library llm on a model in this process: a typed answer, a forced call, a stream, and many questions at once.

pip install "luup-agent[llm]"
python examples/with_llm.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import asyncio
import sys
from typing import Literal

from pydantic import BaseModel

from luup_agent import LuupError, Model, catalog
from luup_agent.integrations.llm import AsyncLuupModel, LuupModel


class City(BaseModel):
    name: Literal["Paris", "Rome", "Berlin"]
    country: Literal["France", "Italy", "Germany"]


def weather(city: Literal["Paris", "Rome", "Berlin"]) -> str:
    """Returns the weather of a city."""
    return f"It is sunny in {city}."


async def ask_many(model: AsyncLuupModel) -> int:
    async def ask(number: int) -> int:
        response = model.prompt(f"Tell me about the number {number}.", temperature=0, max_tokens=48)
        await response.text()
        return (await response.usage()).output

    return sum(await asyncio.gather(*map(ask, range(16))))


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            luup = LuupModel("mine", model)
            response = luup.prompt("Which city is the capital of France?", schema=City, temperature=0)
            print(f"typed: {response.text()}")

            options = {"tool_choice": "weather", "temperature": 0, "max_tokens": 64}
            response = luup.prompt("What is the weather in Paris?", tools=[weather], **options)
            for call, result in zip(response.tool_calls(), response.execute_tool_calls()):
                print(f"{call.name}({call.arguments}): {result.output}")

            for piece in luup.prompt(
                "What is the capital of France?", system="You are a helpful assistant.", temperature=0, max_tokens=48
            ):
                print(piece, end="", flush=True)
            print()

            before = model.stats().batches
            tokens = asyncio.run(ask_many(AsyncLuupModel("mine", model)))
            print(f"16 questions: {tokens} tokens in {model.stats().batches - before} batches")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
