"""A model that calls Python functions: one that it must call, and one that needs a person's approval.

python examples/tool_calling.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys
from typing import Literal

from luup_agent import Agent, LuupError, Model, RunContext, ToolCall, catalog

City = Literal["Oslo", "Rome", "Cairo"]


def allow(call: ToolCall) -> bool:
    print(f"{call.name}({call.arguments}) is allowed")
    return True


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=64, max_turns=4)

            @agent.tool
            def weather(ctx: RunContext[str], city: City) -> str:
                """Get the weather in a city.

                Args:
                    city: The city.
                """
                return f"It is sunny in {city}, {ctx.deps}."

            @agent.tool(requires_approval=True, timeout=5)
            async def book_flight(city: City) -> str:
                """Book a flight to a city."""
                return f"The flight to {city} is booked."

            for question, tool in (("How is the weather in Oslo?", weather), ("Book a flight to Rome.", book_flight)):
                for event in agent.stream_events(question, tool_choice=tool.__name__, deps="Ada", approve=allow):
                    if event.type == "tool_call":
                        print(f"{event.call.name} is called with {event.call.arguments}")
                    elif event.type == "tool_result":
                        print(f"{event.name} returned: {event.content}")
                        break  # enough for this example; without this line the model goes on to answer
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
