"""Three agents that answer concurrently in one thread; the model decodes them together, in one batch.

python examples/async_streaming.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import asyncio
import sys

from luup_agent import Agent, LuupError, Model, catalog

QUESTIONS = {
    "Ann": "What is the capital of France?",
    "Ben": "What is the capital of Japan?",
    "Cleo": "What is the capital of Egypt?",
}


async def answer(model: Model, name: str, question: str) -> None:
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=32)
    pieces = 0
    text = ""
    async for piece in agent.generate_async(question):
        pieces += 1
        text += piece
    print(f"{name} got {pieces} pieces: {text}")


async def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            await asyncio.gather(*(answer(model, name, question) for name, question in QUESTIONS.items()))

            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=32)
            print(await agent.generate_async("What is the capital of Germany?"))  # awaited for the whole answer
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
