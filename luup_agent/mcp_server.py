"""Agents and tools as an MCP server, for programs that speak MCP: editors, other agents.

On the command line: ``luup-agent mcp app.py:agent``. It needs the official SDK, ``pip install "luup-agent[mcp]"``, and
Python 3.10 or newer.

Example:
    >>> server = make_server({"geographer": agent})
    >>> asyncio.run(Client(server).call_tool("geographer", {"message": "What is the capital of France?"}))
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import itertools
import json
import os
import sys
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union, cast

from luup_agent._logging import logger
from luup_agent._mcp import sdk
from luup_agent._run.async_calls import perform_in_loop
from luup_agent._run.perform import Job
from luup_agent._run.tool_calls import deadline_of
from luup_agent._tools.context import RunContext
from luup_agent.agent import Agent
from luup_agent.errors import InvalidParamError
from luup_agent.messages import ToolCall
from luup_agent.tools import AnyTool, Tool, ToolLike
from luup_agent.toolsets import gather_async, unite

__all__ = ["load_served", "make_server", "serve"]

Served = Union["Agent[Any, Any]", ToolLike]


def make_server(served: Mapping[str, Served], name: str = "luup-agent") -> Any:
    """Return a ``Server`` object of the SDK, to be run over any transport.

    An agent is served as a tool of its name, which answers a message, each time in a conversation of its own; its tools
    and those of its toolsets are tools too. Tools that require an approval are not served. A function or a `Tool` is
    served as it is: serve ``agent.as_tool(name, description)`` for an agent without its tools.

    Args:
        served: Agents, tools and functions by their names; the names of tools are their own.
        name: The server's name.

    Raises:
        InvalidParamError: A value is something else.
        UnsupportedError: The package mcp is not installed.
    """
    types, server_class = sdk.load("mcp_types"), sdk.load("mcp.server").Server
    shelf = _Shelf(served)

    async def list_tools(context: Any, params: Any) -> Any:
        tools = await shelf.tools()
        return types.ListToolsResult(
            tools=[
                types.Tool(name=each.name, description=each.description, input_schema=each.parameters)
                for each, _ in tools.values()
            ]
        )

    async def call_tool(context: Any, params: Any) -> Any:
        found = (await shelf.tools()).get(params.name)
        if found is None:
            raise sdk.load().MCPError(types.INVALID_PARAMS, f"there is no tool {params.name!r}")
        text, is_error = await shelf.call(*found, params.arguments or {})
        return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)

    from luup_agent import __version__

    return server_class(name, version=__version__, on_list_tools=list_tools, on_call_tool=call_tool)


class _Shelf:
    """The agents and tools that are served."""

    def __init__(self, served: Mapping[str, Served]) -> None:
        if not isinstance(served, Mapping):
            raise InvalidParamError(f"served must be a dict of agents and tools, not {type(served).__name__}")
        self._agents: List[Agent[Any, Any]] = []
        self._own: Dict[str, AnyTool] = {}
        for name, value in served.items():
            if isinstance(value, Agent):
                self._agents.append(value)
                made = value.as_tool(name, f"Answers a message; an AI agent named {name}.")
            elif callable(value):
                made = value if isinstance(value, Tool) else Tool(value)
            else:
                raise InvalidParamError(f"{name} must be an Agent, a Tool or a function, not {type(value).__name__}")
            self._own = unite(self._own, [(made, name)])
        self._numbers = itertools.count(1)
        self._warned: List[str] = []

    async def tools(self) -> Dict[str, Tuple[AnyTool, RunContext[Any]]]:
        """Return the tools that are served now, each with the context of its calls."""
        contexts: Dict[str, RunContext[Any]] = {}
        tools = self._own
        for agent in self._agents:
            context = self._context(agent, "")
            own = [(each, repr(agent)) for each in agent.tools.values()]
            found = [*own, *await gather_async(agent.toolsets, context)] if agent.toolsets else own
            contexts.update({each.name: context for each, _ in found})
            tools = unite(tools, found)
        asking = sorted(name for name, each in tools.items() if each.requires_approval)
        for name in asking:
            if name not in self._warned:
                self._warned.append(name)
                logger.warning("the tool %r is not served: it requires an approval", name)
        return {
            name: (each, contexts.get(name) or self._context(None, name))
            for name, each in tools.items()
            if not each.requires_approval
        }

    def _context(self, agent: Any, name: str) -> RunContext[Any]:
        deps = None if agent is None else agent._parts.settings.deps
        owner = cast("Agent[Any, Any]", agent)  # None for a function that is served without an agent
        return RunContext(deps, owner, name, f"mcp_{next(self._numbers)}", 0, list)

    async def call(self, tool: AnyTool, context: RunContext[Any], arguments: Dict[str, Any]) -> Tuple[str, bool]:
        """Call a tool; return its result, and whether that is an error."""
        jsonschema = sdk.load("jsonschema")
        problems = jsonschema.Draft202012Validator(tool.parameters).iter_errors(arguments)
        problem = jsonschema.exceptions.best_match(problems)
        if problem is not None:
            where = "".join(f"/{part}" for part in problem.absolute_path)
            return f"Error: the arguments are not valid: {where or '/'}: {problem.message}", True
        mine = self._context(context.agent, tool.name)
        call = ToolCall.from_json(mine.call_id, tool.name, json.dumps(arguments))
        outcome = await perform_in_loop(Job(call, tool, mine, deadline_of(tool)))
        return outcome.content, outcome.is_error


def load_served(specs: Sequence[str]) -> Dict[str, Served]:
    """Return the agents and tools that texts such as ``app.py:agent`` or ``package.module:agent`` name.

    What the modules print while they are imported goes to stderr.

    Raises:
        InvalidParamError: There is no such module or object, or two have the same name.
    """
    found: Dict[str, Served] = {}
    with contextlib.redirect_stdout(sys.stderr):
        for spec in specs:
            module, _, name = spec.rpartition(":")
            if not module or not name.isidentifier():
                raise InvalidParamError(f"{spec!r} must be like app.py:agent or package.module:agent")
            if name in found:
                raise InvalidParamError(f"{spec!r}: there is another object of the name {name!r}")
            loaded = _import(module)
            if not hasattr(loaded, name):
                raise InvalidParamError(f"{spec!r}: {module} has no {name!r}")
            found[name] = getattr(loaded, name)
    return found


def _import(module: str) -> Any:
    if not module.endswith(".py"):
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
                raise InvalidParamError(f"there is no module {module!r}") from None
            raise
    path = os.path.abspath(module)
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise InvalidParamError(f"there is no file {module!r}")
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == path:
        return sys.modules[name]
    loader: Any = spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(path))
    sys.modules[name] = loaded  # annotations and dataclasses look it up there
    loader.exec_module(loaded)
    return loaded


def serve(specs: Sequence[str]) -> None:
    """Serve the agents and tools that `load_served` finds over stdin and stdout, until stdin ends."""
    import asyncio

    stdio_server = sdk.load("mcp.server.stdio").stdio_server
    server = make_server(load_served(specs))

    async def run() -> None:
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())

    asyncio.run(run())
