"""The tools of an agent, and those of one of its runs."""

from __future__ import annotations

import json
import threading
from types import MappingProxyType
from typing import Dict, Mapping, Optional, Sequence, Tuple

from luup_agent._agent.handle import Handle
from luup_agent.errors import InvalidParamError, InvalidSchemaError, ToolNotFoundError
from luup_agent.tools import AnyTool, ToolLike, as_tool


class Toolbox:
    """The tools of an agent, here and in the core.

    Attributes:
        lock: Held while a tool is added or removed.
    """

    def __init__(self, handle: Handle, tools: Mapping[str, AnyTool]) -> None:
        """Keep the tools that the core's agent has already."""
        self._handle = handle
        self._tools: Dict[str, AnyTool] = dict(tools)
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

    def for_run(self, extra: Sequence[AnyTool], enabled: bool) -> Tuple[Mapping[str, AnyTool], Optional[str]]:
        """Return the tools of a run that begins now, and their definitions; None if the core has them already.

        Args:
            extra: Tools of this run alone; they replace the agent's of the same name.
            enabled: Whether the run may use tools.
        """
        if not enabled:
            if extra:
                raise InvalidParamError("tools were given, but enable_tool_calling is False")
            return {}, "[]"
        if not extra:
            return self.tools(), None
        tools = {**self.tools(), **{tool.name: tool for tool in extra}}
        return tools, "[" + ",".join([*(tool._definition for tool in tools.values()), '{"type":"builtin"}']) + "]"


def read_tools(tools: object) -> Tuple[AnyTool, ...]:
    """Return the tools in a sequence of tools and functions.

    Raises:
        InvalidParamError: It is not a sequence, an item can't be a tool, or two have the same name.
    """
    if not isinstance(tools, Sequence) or isinstance(tools, (str, bytes)):
        raise InvalidParamError(f"tools must be a list of tools and functions, not {type(tools).__name__}")
    found: Dict[str, AnyTool] = {}
    for index, value in enumerate(tools):
        try:
            tool = as_tool(value)
        except (InvalidParamError, InvalidSchemaError) as error:
            raise type(error)(f"tools[{index}]: {error}") from error.__cause__
        if tool.name in found:
            raise InvalidParamError(f"tools[{index}] has the same name as an earlier tool: {tool.name!r}")
        found[tool.name] = tool
    return tuple(found.values())
