"""Thoughts of a model: bounded, switched off, watched as they come, and ended early.

python examples/thoughts.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …

A model that thinks shows the most, such as qwen3.5-2b. One that does not think answers at once with every setting.
"""

import asyncio
import sys

from luup_agent import Agent, LuupError, Model, catalog

QUESTION = "What is the capital of France?"
PATIENCE = 8  # pieces of thoughts


async def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path, context_size=4096) as model:
            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=32, enable_history=False)
            for reasoning in (False, 40, "low"):
                usage = agent.run(QUESTION, reasoning=reasoning).usage
                answered = usage.completion_tokens - usage.reasoning_tokens
                print(f"{reasoning}: {usage.reasoning_tokens} tokens of thoughts, {answered} of the answer")

            # The arguments of the chat template itself, for what `reasoning` does not say.
            plain = agent.run(QUESTION, template_options={"enable_thinking": False})
            print("by the template:", plain.usage.reasoning_tokens)

            pieces = 0
            stream = agent.stream_events_async(QUESTION, reasoning=1000)
            async for event in stream:
                if event.type == "reasoning":
                    pieces += 1
                    if pieces == PATIENCE:
                        stream.stop_thinking()  # any thread may call it
                elif event.type == "done":
                    print(f"ended after {event.response.usage.reasoning_tokens} tokens of thoughts")
                    print("answer:", " ".join(event.response.text.split()))
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
