"""Tools of an MCP server, which runs in a child process, and another agent as a tool.

It needs `pip install "luup-agent[mcp]"` and Python 3.10 or newer.

python examples/mcp_tools.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys
from typing import Literal

from luup_agent import MCP, Agent, LuupError, Model, RunContext, catalog


def serve() -> None:
    """Be the server; any other program may be one, such as "uvx mcp-server-git"."""
    from mcp.server import MCPServer

    server = MCPServer("weather")

    @server.tool()
    def weather(city: Literal["Oslo", "Rome", "Cairo"]) -> str:
        """Get the weather in a city."""
        return f"It is sunny in {city}."

    @server.tool()
    def delete_city(city: str) -> str:
        """Delete a city."""
        return f"{city} is gone."

    server.run()


def for_everybody(ctx: RunContext[str]) -> list:
    """Choose the tools of a run."""
    print(f"choosing tools for {ctx.deps}")
    return [server.filtered(["weather"])]


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model, server:
            agent = Agent(model, "You are a helpful assistant.", temperature=0, toolsets=[for_everybody], deps="Ada")
            for event in agent.stream_events("How is the weather in Oslo?", tool_choice="weather"):
                if event.type == "tool_call":
                    print(f"{event.call.name} is called with {event.call.arguments}")
                elif event.type == "tool_result":
                    print(f"{event.name} returned: {event.content}")
                    break  # enough for this example; without this line the model goes on to answer

            expert = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=32)
            tool = expert.as_tool("ask_expert", "Answers questions about countries.")
            lead = Agent(model, temperature=0, max_tokens=64, max_turns=2, tools=[tool])
            response = lead.run("What is the capital of France?", tool_choice="ask_expert")
            print(f"the expert answered: {response.tool_calls[0].result.content}")
            print(f"turns of both: {response.usage.turns}")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
        sys.exit()
    try:
        server = MCP([sys.executable, __file__, "serve"], name="weather")
    except LuupError as error:
        sys.exit(str(error))
    sys.exit(main())
