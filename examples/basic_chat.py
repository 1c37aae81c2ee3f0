"""A conversation of two turns: a whole answer, then a streamed one.

python examples/basic_chat.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys

from luup_agent import Agent, LuupError, Model, catalog


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            agent = Agent(model, system_prompt="You are a helpful assistant.", temperature=0, max_tokens=64)

            print(agent.generate("What is the capital of France?"))

            for text in agent.generate_stream("Name one sight there."):  # the agent remembers the first turn
                print(text, end="", flush=True)
            print()

            print(f"{len(agent.messages)} messages, {agent.context.free} of {agent.context.total} tokens free")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
