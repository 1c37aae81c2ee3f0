"""Agents as tools of another agent; all share one model, which decodes concurrent answers in one batch.

python examples/multi_agent.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import asyncio
import sys
from typing import Literal

from luup_agent import Agent, LuupError, Model, catalog


async def work(model: Model) -> None:
    geographer = Agent(model, "You answer questions on countries in one sentence.", temperature=0, max_tokens=48)
    poet = Agent(model, "You write one short line of poetry.", temperature=0, max_tokens=48)
    lead = Agent(model, "You ask the experts.", temperature=0, max_tokens=256, max_turns=2)

    @lead.tool
    async def ask_geographer(country: Literal["France", "Japan", "Egypt"]) -> str:
        """Ask an expert for the capital of a country."""
        return await geographer.fork().generate_async(f"What is the capital of {country}?")

    async for event in lead.stream_events_async("What is the capital of France?", tool_choice="ask_geographer"):
        if event.type == "tool_call":
            print(f"the lead asks with {event.call.arguments}")
        elif event.type == "tool_result":
            print(f"the geographer says: {event.content}")
            break

    lines = await asyncio.gather(*(poet.fork().generate_async(f"Write about {city}.") for city in ("Paris", "Rome")))
    for line in lines:
        print(f"the poet says: {line}")


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            asyncio.run(work(model))
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
