"""The tools of an agent: declaring them, and what one run may use of them."""

from __future__ import annotations

import json
import threading
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, TypeVar, Union, overload

from luup_agent.agent_base import AgentBase
from luup_agent.errors import InvalidParamError, InvalidSchemaError, ToolNotFoundError
from luup_agent.tool_results import MAX_RESULT_CHARS
from luup_agent.tools import AnyTool, OnError, Tool, ToolLike, as_tool

F = TypeVar("F", bound=Callable[..., Any])


class Toolbox(AgentBase):
    """The part of `Agent` that keeps the tools."""

    enable_tool_calling: bool
    _tools: Dict[str, AnyTool]
    _tools_lock: threading.Lock

    @overload
    def tool(self, function: F) -> F: ...
    @overload
    def tool(
        self,
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        parameters: Optional[Mapping[str, Any]] = None,
        timeout: Optional[float] = None,
        retries: Optional[int] = None,
        requires_approval: bool = False,
        on_error: OnError = "model",
        max_result_chars: int = MAX_RESULT_CHARS,
    ) -> Callable[[F], F]: ...
    def tool(self, function: Optional[F] = None, **options: Any) -> Union[F, Callable[[F], F]]:
        """Gives the agent a tool; a decorator, bare or with the keywords of `Tool`. The function stays as it is.

        Raises:
            InvalidParamError: The function can't be a tool, or the agent has one of that name; names the parameter.
            InvalidSchemaError: A parameter's type has no JSON schema, or one that can't be enforced.

        Example:
            >>> @agent.tool
            ... def add(a: int, b: int) -> int:
            ...     '''Adds two numbers.'''
            ...     return a + b
            >>> @agent.tool(timeout=5, requires_approval=True)
            ... def delete(path: str) -> None:
            ...     '''Deletes a file.'''
            >>> sorted(agent.tools)
            ['add', 'delete']
        """

        def declare(function: F) -> F:
            self.add_tool(Tool(function, **options))
            return function

        return declare if function is None else declare(function)

    def add_tool(self, tool: ToolLike) -> None:
        """Gives the agent a tool for its later runs.

        Args:
            tool: A `Tool`, or a function to make one of.

        Raises:
            InvalidParamError: It can't be a tool, or the agent has one of that name; names the parameter.
            InvalidSchemaError: A parameter's type has no JSON schema, or one that can't be enforced.

        Example:
            >>> def total(*numbers: int) -> int:
            ...     '''Adds numbers.'''
            ...     return sum(numbers)
            >>> agent.add_tool(total)
            Traceback (most recent call last):
            luup_agent.InvalidParamError: tool 'total', parameter 'numbers': ...
        """
        added = as_tool(tool)
        with self._tools_lock:
            if added.name in self._tools:
                raise InvalidParamError(f"the agent has a tool {added.name!r} already; remove_tool takes it away")
            self._native_agent.register_tool(added.name, added.description, json.dumps(added.parameters))
            self._tools[added.name] = added

    def remove_tool(self, name: str) -> None:
        """Takes a tool away from the agent's later runs.

        Raises:
            ToolNotFoundError: The agent has no tool of that name.

        Example:
            >>> agent.add_tool(Tool(print, name="say", parameters={"type": "object"}))
            >>> agent.remove_tool("say")
            >>> list(agent.tools)
            []
        """
        with self._tools_lock:
            if name not in self._tools:
                raise ToolNotFoundError(f"the agent has no tool {name!r}")
            self._native_agent.unregister_tool(name)
            del self._tools[name]

    @property
    def tools(self) -> Mapping[str, AnyTool]:
        """The agent's tools by name; a copy."""
        with self._tools_lock:
            return MappingProxyType(dict(self._tools))

    def _tools_for_run(self, extra: Sequence[AnyTool]) -> Tuple[Mapping[str, AnyTool], Optional[str]]:
        """The tools of a run that begins now, and their definitions; None if the core has them already."""
        if not self.enable_tool_calling:
            if extra:
                raise InvalidParamError("tools were given, but enable_tool_calling is False")
            return {}, "[]"
        with self._tools_lock:
            tools = dict(self._tools)
        if not extra:
            return tools, None
        tools.update((tool.name, tool) for tool in extra)
        return tools, "[" + ",".join([*(tool._definition for tool in tools.values()), '{"type":"builtin"}']) + "]"


def read_tools(tools: object) -> Tuple[AnyTool, ...]:
    """The tools in a sequence of tools and functions.

    Raises:
        InvalidParamError: It is no sequence, a part can't be a tool, or two have the same name.
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
            raise InvalidParamError(f"tools[{index}] has the name of another one: {tool.name!r}")
        found[tool.name] = tool
    return tuple(found.values())
