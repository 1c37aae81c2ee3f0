"""A run that may use so much and no more, with its sub-agent; and a model that repeats itself.

python examples/limits.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys

from luup_agent import Agent, LuupError, Model, ToolLoopError, UsageLimitError, UsageLimits, catalog
from luup_agent.testing import ScriptedModel, tool_call


def read(path: str) -> str:
    """Read a file."""
    return "Error: there is no such file"


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            poet = Agent(model, "You are a poet.", temperature=0, max_tokens=200)
            try:
                poet.generate("Write a very long poem about the sea.", usage_limits=UsageLimits(output_tokens_limit=30))
            except UsageLimitError as error:
                print(f"{error.limit}: {error.partial_text!r} and no more")

            # The lead's model is scripted here; any model does. The poet's tokens count as the lead's.
            asking = [tool_call("ask_poet", message=f"Write a long poem about the {what}.") for what in ("sun", "moon")]
            lead = Agent(ScriptedModel([*asking, "Done."]), tools=[poet.as_tool("ask_poet", "Writes poems.")])
            try:
                lead.run("Get me some poems.", usage_limits=UsageLimits(output_tokens_limit=60))
            except UsageLimitError as error:
                print(f"turns of both: {error.usage.turns}, tool calls: {len(error.tool_calls)}")

        reader = Agent(ScriptedModel([tool_call("read", path="notes.txt")] * 9), tools=[read])
        try:
            reader.run("What is in my notes?")
        except ToolLoopError as error:
            print(f"{error.call.name if error.call else ''} was called {error.count} times, for nothing")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
