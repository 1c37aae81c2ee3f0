"""The tools of an agent, and those of one of its runs."""

from __future__ import annotations

import json
import threading
from types import MappingProxyType
from typing import Any, Collection, Dict, Mapping, Sequence, Tuple

from luup_agent._agent.handle import Handle
from luup_agent._run.tool_source import RunTools, ToolSource
from luup_agent._tools.context import RunContext
from luup_agent.errors import InvalidParamError, ToolNotFoundError
from luup_agent.tools import AnyTool, ToolLike, as_tool
from luup_agent.toolsets import Found, Toolset, gather, gather_async, unite


class Toolbox:
    """The tools of an agent, here and in the core, and its toolsets.

    Attributes:
        lock: Held while a tool is added or removed.
        toolsets: Asked for their tools by each run.
    """

    def __init__(self, handle: Handle, tools: Mapping[str, AnyTool], toolsets: Tuple[Toolset, ...] = ()) -> None:
        """Keep the tools that the core's agent has already."""
        self._handle = handle
        self._tools: Dict[str, AnyTool] = dict(tools)
        self.toolsets = toolsets
        self.lock = threading.RLock()

    def add(self, tool: ToolLike) -> None:
        """Add a tool, or the tool made of a function."""
        added = as_tool(tool)
        with self.lock:
            if added.name in self._tools:
                raise InvalidParamError(f"the agent has a tool {added.name!r} already; remove it with remove_tool")
            self._handle.native.register_tool(added.name, added.description, json.dumps(added.parameters))
            self._tools[added.name] = added

    def remove(self, name: str) -> None:
        """Remove a tool."""
        with self.lock:
            if name not in self._tools:
                raise ToolNotFoundError(f"the agent has no tool {name!r}")
            self._handle.native.unregister_tool(name)
            del self._tools[name]

    def tools(self) -> Mapping[str, AnyTool]:
        """Return the tools by name; a copy."""
        with self.lock:
            return MappingProxyType(dict(self._tools))


class ToolsOfRun(ToolSource):
    """The tools of a run: the agent's, those of the toolsets, and the run's own."""

    def __init__(
        self,
        toolbox: Toolbox,
        extra: Sequence[AnyTool],
        toolsets: Tuple[Toolset, ...],
        context: RunContext[Any],
        enabled: bool,
        builtin: Collection[str] = (),
        needed: Collection[str] = (),
    ) -> None:
        """Prepare the tools of a run.

        Args:
            toolbox: The agent's.
            extra: Tools of this run alone; they replace the agent's of the same name.
            toolsets: Toolsets of this run alone.
            context: For the toolsets.
            enabled: Whether the run may use tools.
            builtin: The names of the built-in tools.
            needed: Names of tools without which the run can't go on.
        """
        self._toolbox = toolbox
        self._extra = extra
        self._own = toolsets
        self._context = context
        self._enabled = enabled
        self._builtin = builtin
        self._needed = needed

    def read(self) -> RunTools:
        """Return the tools of a run that begins now."""
        return self._unite(gather(self._toolsets(), self._context))

    async def read_async(self) -> RunTools:
        """Do the same without blocking the event loop."""
        toolsets = self._toolsets()
        return self._unite(await gather_async(toolsets, self._context) if toolsets else ())

    def _toolsets(self) -> Tuple[Toolset, ...]:
        if self._enabled:
            return self._toolbox.toolsets + self._own
        if self._extra or self._own:
            raise InvalidParamError("tools were given, but enable_tool_calling is False")
        return ()

    def _unite(self, found: Sequence[Found]) -> RunTools:
        if not self._enabled:
            return {}, "[]"
        tools: Mapping[str, AnyTool] = self._toolbox.tools()
        own = not self._extra and not found
        if not own:
            extra = {tool.name: tool for tool in self._extra}
            tools = {**unite(tools, found, self._builtin, extra), **extra}
        missing = sorted(name for name in self._needed if name not in tools and name not in self._builtin)
        if missing:
            raise ToolNotFoundError(f"calls wait for tools that this run does not have: {', '.join(missing)}")
        if own:
            return tools, None
        return tools, "[" + ",".join([*(tool._definition for tool in tools.values()), '{"type":"builtin"}']) + "]"
