"""An MCP server made with the official SDK: `make()` in this process, `python mcp_server.py stdio|http` in another."""

import json
import os
import sys
import time
from typing import Annotated, Any

from mcp.server.mcpserver import Context, Elicit, Image, MCPServer, Resolve, Sample
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    CallToolResult,
    CreateMessageResult,
    EmbeddedResource,
    ResourceLink,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field


class Guests(BaseModel):
    number: int


async def ask_number(city: str) -> Elicit[Guests]:
    return Elicit(f"How many guests come to {city}?", Guests)


async def ask_model(topic: str) -> Sample:
    content = TextContent(text=f"Write about {topic}.")
    return Sample([SamplingMessage(role="user", content=content)], max_tokens=20)


def make():
    server = MCPServer("demo", version="1")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @server.tool()
    def environment(name: str) -> str:
        """Returns a variable."""
        return os.environ.get(name, "unset")

    @server.tool()
    def folder() -> str:
        """Returns the working directory."""
        return os.getcwd()

    @server.tool()
    def header(name: str, ctx: Context) -> str:
        """Returns a header of the request."""
        return (ctx.headers or {}).get(name, "unset")

    @server.tool()
    def process() -> int:
        """Returns the id of the server's process."""
        return os.getpid()

    @server.tool()
    async def slow(seconds: float) -> str:
        """Waits."""
        import anyio

        await anyio.sleep(seconds)
        return "done"

    @server.tool()
    def die() -> str:
        """Ends the server."""
        print("the last words", file=sys.stderr, flush=True)
        os._exit(3)

    @server.tool()
    def fail(reason: str) -> str:
        """Fails."""
        raise ToolError(reason)

    @server.tool()
    def weather(city: str) -> dict[str, Any]:
        """Returns an object."""
        return {"city": city, "degrees": 21}

    @server.tool()
    def cities() -> list[str]:
        """Returns a list."""
        return ["Paris", "Rome"]

    @server.tool()
    def summary() -> CallToolResult:
        """Returns a text and an object that it doesn't say."""
        return CallToolResult(content=[TextContent(text="Two cities.")], structured_content={"cities": 2})

    @server.tool()
    def shopping() -> CallToolResult:
        """Returns a text, and an object of one field with the same, as the reference servers for files do."""
        return CallToolResult(content=[TextContent(text="Buy milk.")], structured_content={"content": "Buy milk."})

    @server.tool()
    def people() -> CallToolResult:
        """Returns a list as JSON, and an object of one field with the same."""
        people = [{"name": "Ada"}]
        return CallToolResult(content=[TextContent(text=json.dumps(people))], structured_content={"people": people})

    @server.tool()
    def picture() -> Image:
        """Returns an image."""
        return Image(data=b"\x89PNG....", format="png")

    @server.tool()
    def documents() -> list[Any]:
        """Returns a text, a link and a resource."""
        contents = TextResourceContents(uri="note://1", text="Buy milk.", mime_type="text/plain")
        link = ResourceLink(name="guide", uri="https://example.org/guide", mime_type="text/html")
        return [TextContent(text="Here:"), link, EmbeddedResource(resource=contents)]

    @server.tool()
    def odd(url: Annotated[str, Field(json_schema_extra={"not": {"format": "uri"}})]) -> str:
        """Has a schema that no grammar expresses."""
        return url

    @server.tool(name="shop.buy item")
    def buy(item: str) -> str:
        """Has a name that tools of agents can't have."""
        return f"bought {item}"

    @server.tool()
    async def grow(name: str, ctx: Context) -> str:
        """Adds a tool."""

        def grown() -> str:
            """Was added."""
            return f"I am {name}"

        server.add_tool(grown, name=name)
        await ctx.notify_tools_changed()
        return "grown"

    @server.tool()
    def book(city: str, guests: Annotated[Guests, Resolve(ask_number)]) -> str:
        """Asks the user how many guests come."""
        return f"{guests.number} guests in {city}"

    @server.tool()
    def write(topic: str, answer: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
        """Asks for a text of a model."""
        return f"It wrote: {answer.content.text}"

    @server.resource("note://{number}")
    def note(number: str) -> str:
        """A note."""
        return f"The note {number}"

    @server.resource("readme://it")
    def readme() -> str:
        """The readme."""
        return "Read me."

    @server.prompt()
    def review(file: str) -> str:
        """Asks for a review."""
        return f"Please review {file}."

    return server


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        make().run()
    elif sys.argv[1] == "http":
        make().run("streamable-http", port=int(sys.argv[2]))
    elif sys.argv[1] == "sse":
        make().run("sse", port=int(sys.argv[2]))
    elif sys.argv[1] == "stubborn":  # does not end when its input does
        import threading

        threading.Thread(target=time.sleep, args=(600,)).start()
        make().run()
    elif sys.argv[1] == "parent":  # starts the server as a child, as uvx does
        import subprocess

        sys.exit(subprocess.run([sys.executable, __file__, "stubborn"]).returncode)
    elif sys.argv[1] == "silent":
        time.sleep(600)
    elif sys.argv[1] == "broken":
        print("there is no token", file=sys.stderr)
        sys.exit(2)
