"""A program that waits most of the time: the model loads without blocking, and its memory is free between messages.

python examples/idle_model.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import asyncio
import sys

from luup_agent import Agent, LuupError, Model, catalog

QUESTIONS = ["What is the capital of France?", "And of Spain?"]


async def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with await Model.from_local_async(path, keep_alive=0.2) as model:  # seconds
            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=32)
            for question in QUESTIONS:
                print(await agent.generate_async(question))  # loads the model again, if it was unloaded
                await asyncio.sleep(2)
                print(f"in memory: {model.loaded}, messages: {len(agent.get_history())}")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
