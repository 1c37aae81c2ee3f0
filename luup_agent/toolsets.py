"""Toolsets: tools that an agent asks for in each run, from a server, a list or a function.

`Agent(toolsets=[…])` takes several. `luup_agent.mcp.MCP` has the tools of an MCP server; `FunctionToolset` those of a
list of functions; `DynamicToolset`, or a function in its place, chooses tools for each run.

Example:
    >>> def for_admins(ctx: RunContext[User]) -> list:
    ...     return [delete_account] if ctx.deps.is_admin else []
    >>> git = MCP("uvx mcp-server-git")
    >>> agent = Agent(model, toolsets=[git.filtered(["git_status", "git_diff"]), for_admins])
"""

from __future__ import annotations

import inspect
from types import TracebackType
from typing import (
    Any,
    Awaitable,
    Callable,
    Collection,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
)

from luup_agent._loops import wait_for
from luup_agent._tools.context import RunContext
from luup_agent.errors import InvalidParamError, InvalidSchemaError
from luup_agent.tools import AnyTool, Tool, ToolLike, as_tool

__all__ = ["DynamicToolset", "FunctionToolset", "Toolset"]

_Self = TypeVar("_Self", bound="Toolset")
Which = Union[Collection[str], Callable[[AnyTool], bool]]


class Toolset:
    """Tools that an agent asks for in each run. Agents may share one.

    A subclass has `list_tools`, and `list_tools_async` if that waits for something. It is called when a run begins,
    so tools that come and go are those of the next run.

    Example:
        >>> class Shop(Toolset):
        ...     def list_tools(self, context):
        ...         return [Tool(self.buy, name=f"buy_{item}") for item in self.stock()]
    """

    @property
    def label(self) -> str:
        """The name of the toolset in errors."""
        return type(self).__name__

    def list_tools(self, context: RunContext[Any]) -> Sequence[Union[ToolLike, Toolset]]:
        """Return the tools of a run that begins now.

        Args:
            context: The run's; no tool has been called.

        Returns:
            Tools, functions to make tools of, and other toolsets.

        Raises:
            ToolsetError: A server can't be reached.
        """
        raise NotImplementedError(f"{type(self).__name__} has no list_tools")

    async def list_tools_async(self, context: RunContext[Any]) -> Sequence[Union[ToolLike, Toolset]]:
        """Do the same as `list_tools`, for an asynchronous run."""
        return self.list_tools(context)

    def open(self) -> None:
        """Connect to what the tools need. Not necessary: the first run does it."""

    async def open_async(self) -> None:
        """Do the same as `open`, under asyncio."""
        self.open()

    def close(self) -> None:
        """Release what the tools need. The next use opens it again. Agents do not close their toolsets."""

    async def close_async(self) -> None:
        """Do the same as `close`, under asyncio."""
        self.close()

    def __enter__(self: _Self) -> _Self:
        """Open the toolset and return it."""
        self.open()
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close the toolset."""
        self.close()

    async def __aenter__(self: _Self) -> _Self:
        """Open the toolset and return it."""
        await self.open_async()
        return self

    async def __aexit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close the toolset."""
        await self.close_async()

    def filtered(self, which: Which) -> Toolset:
        """Return a toolset with some of the tools.

        Args:
            which: The names of the tools to keep, or a function of a `Tool` that returns whether to keep it. A name
                that no tool has is an error when a run begins.

        Example:
            >>> math = FunctionToolset([add, subtract])
            >>> math.filtered(["add"]).list_tools(None)
            [<Tool add(a, b)>]
        """
        return _Filtered(self, which)

    def prefixed(self, prefix: str) -> Toolset:
        """Return a toolset whose tools have `prefix` before their names.

        Example:
            >>> FunctionToolset([add]).prefixed("math_").list_tools(None)
            [<Tool math_add(a, b)>]
        """
        return _Renamed(self, lambda names: {name: prefix + name for name in names}, f"prefixed {prefix!r}")

    def renamed(self, names: Mapping[str, str]) -> Toolset:
        """Return a toolset some of whose tools have other names.

        Args:
            names: The new names by the old ones. A name that no tool has is an error when a run begins.

        Example:
            >>> FunctionToolset([add]).renamed({"add": "plus"}).list_tools(None)
            [<Tool plus(a, b)>]
        """
        return _Renamed(self, lambda _: names, "renamed")

    def __repr__(self) -> str:
        """Return, for example, ``<FunctionToolset add, subtract>``."""
        return f"<{self.label}>"


class FunctionToolset(Toolset):
    """Tools of functions, to be filtered, prefixed or renamed together.

    Example:
        >>> math = FunctionToolset([add, subtract])
        >>> agent = Agent(model, toolsets=[math.prefixed("math_")])
    """

    def __init__(self, tools: Sequence[ToolLike], name: Optional[str] = None) -> None:
        """Make the tools.

        Args:
            tools: Functions that the model may call, and `Tool` objects.
            name: The toolset's name in errors.

        Raises:
            InvalidParamError: A function can't be a tool, or two have the same name.
            InvalidSchemaError: A parameter's type has no JSON schema, or one that can't be enforced.
        """
        self._tools = tuple(read_tools(tools))
        self._name = name

    @property
    def label(self) -> str:
        """The name of the toolset in errors."""
        return f"FunctionToolset {', '.join(tool.name for tool in self._tools)}" if self._name is None else self._name

    def list_tools(self, context: RunContext[Any]) -> Sequence[Union[ToolLike, Toolset]]:
        """Return the tools."""
        return self._tools


Chosen = Sequence[Union[ToolLike, Toolset]]
Choose = Callable[[RunContext[Any]], Union[Chosen, Awaitable[Chosen]]]
ToolsetLike = Union[Toolset, Choose]


class DynamicToolset(Toolset):
    """Tools that a function chooses for each run.

    `Agent(toolsets=[function])` is the same as ``Agent(toolsets=[DynamicToolset(function)])``.

    Example:
        >>> def for_admins(ctx: RunContext[User]) -> list:
        ...     return [delete_account] if ctx.deps.is_admin else []
        >>> agent = Agent(model, toolsets=[DynamicToolset(for_admins).prefixed("admin_")])
    """

    def __init__(self, function: Choose) -> None:
        """Keep the function.

        Args:
            function: Called with the `RunContext` when a run begins; returns tools, functions and toolsets, and may be
                asynchronous. What it raises ends the run.

        Raises:
            InvalidParamError: It is not callable.
        """
        if not callable(function):
            raise InvalidParamError(f"a dynamic toolset needs a function, not {type(function).__name__}")
        self._function = function

    @property
    def label(self) -> str:
        """The name of the toolset in errors."""
        return getattr(self._function, "__name__", type(self._function).__name__)

    def list_tools(self, context: RunContext[Any]) -> Sequence[Union[ToolLike, Toolset]]:
        """Call the function; an asynchronous one in an event loop of its own."""
        chosen = self._function(context)
        return self._check(wait_for(chosen) if inspect.isawaitable(chosen) else chosen)

    async def list_tools_async(self, context: RunContext[Any]) -> Sequence[Union[ToolLike, Toolset]]:
        """Call the function."""
        chosen = self._function(context)
        return self._check(await chosen if inspect.isawaitable(chosen) else chosen)

    def _check(self, chosen: Any) -> Chosen:
        if isinstance(chosen, (list, tuple)):
            return chosen
        raise InvalidParamError(f"{self.label} must return a list of tools, not {type(chosen).__name__}")


class _Derived(Toolset):
    """The tools of another toolset, changed."""

    def __init__(self, source: Toolset) -> None:
        self._source = source

    @property
    def label(self) -> str:
        """The name of the toolset in errors."""
        return self._source.label

    def list_tools(self, context: RunContext[Any]) -> Sequence[Union[ToolLike, Toolset]]:
        """Return the changed tools."""
        return self._change([tool for tool, _ in gather([self._source], context)])

    async def list_tools_async(self, context: RunContext[Any]) -> Sequence[Union[ToolLike, Toolset]]:
        """Return the changed tools."""
        return self._change([tool for tool, _ in await gather_async([self._source], context)])

    def open(self) -> None:
        """Open the other toolset."""
        self._source.open()

    async def open_async(self) -> None:
        """Open the other toolset."""
        await self._source.open_async()

    def close(self) -> None:
        """Close the other toolset."""
        self._source.close()

    async def close_async(self) -> None:
        """Close the other toolset."""
        await self._source.close_async()

    def _change(self, tools: Sequence[AnyTool]) -> Sequence[AnyTool]:
        raise NotImplementedError

    def _check_names(self, what: str, names: Collection[str], tools: Sequence[AnyTool]) -> None:
        there = [tool.name for tool in tools]
        unknown = sorted(name for name in names if name not in there)
        if unknown:
            raise InvalidParamError(
                f"{what}: the toolset {self.label} has no tool {unknown[0]!r}; it has {', '.join(there) or 'none'}"
            )


class _Filtered(_Derived):
    def __init__(self, source: Toolset, which: Which) -> None:
        super().__init__(source)
        if isinstance(which, str) or not (callable(which) or isinstance(which, Collection)):
            raise InvalidParamError(
                f"filtered needs the names of tools as a list, or a function of a Tool, not {which!r}"
            )
        self._which = which

    def _change(self, tools: Sequence[AnyTool]) -> Sequence[AnyTool]:
        which = self._which
        if not isinstance(which, Collection):
            return [tool for tool in tools if which(tool)]
        self._check_names("filtered", which, tools)
        return [tool for tool in tools if tool.name in which]


class _Renamed(_Derived):
    def __init__(self, source: Toolset, new: Callable[[Sequence[str]], Mapping[str, str]], how: str) -> None:
        super().__init__(source)
        self._new = new
        self._how = how

    def _change(self, tools: Sequence[AnyTool]) -> Sequence[AnyTool]:
        names = self._new([tool.name for tool in tools])
        if not isinstance(names, Mapping):
            raise InvalidParamError(f"renamed needs the new names by the old ones, not {type(names).__name__}")
        self._check_names(self._how, names, tools)
        return [tool._renamed(names[tool.name]) if tool.name in names else tool for tool in tools]


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------

Found = Tuple[AnyTool, str]  # a tool and the label of its toolset


def gather(toolsets: Sequence[Toolset], context: RunContext[Any]) -> List[Found]:
    """Return the tools of toolsets, each with the label of its toolset."""
    found: List[Found] = []
    for toolset in toolsets:
        for each in toolset.list_tools(context):
            if isinstance(each, Toolset):
                found += gather([each], context)
            else:
                found.append((_as_tool(toolset, each), toolset.label))
    return found


async def gather_async(toolsets: Sequence[Toolset], context: RunContext[Any]) -> List[Found]:
    """Return the tools of toolsets, each with the label of its toolset; those of all servers at the same time."""
    import asyncio

    async def one(toolset: Toolset) -> List[Found]:
        found: List[Found] = []
        for each in await toolset.list_tools_async(context):
            if isinstance(each, Toolset):
                found += await one(each)
            else:
                found.append((_as_tool(toolset, each), toolset.label))
        return found

    if len(toolsets) == 1:
        return await one(toolsets[0])
    tasks = [asyncio.ensure_future(one(toolset)) for toolset in toolsets]
    try:
        parts = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return [each for part in parts for each in part]


def _as_tool(toolset: Toolset, value: ToolLike) -> AnyTool:
    try:
        return as_tool(value)
    except (InvalidParamError, InvalidSchemaError) as error:
        raise type(error)(f"the toolset {toolset.label}: {error}") from error.__cause__


_AGENT, _BUILTIN = "the agent", "the built-in tools"


def unite(
    tools: Mapping[str, AnyTool], found: Sequence[Found], builtin: Collection[str] = (), replaced: Collection[str] = ()
) -> Dict[str, AnyTool]:
    """Return the agent's tools and those of its toolsets by name.

    Args:
        tools: The agent's.
        found: The tools of the toolsets.
        builtin: The names of the built-in tools.
        replaced: Names that the run has tools of its own for.

    Raises:
        InvalidParamError: The names of two are the same, or differ only in "_" and "-"; the message names their owners.
    """
    united = dict(tools)
    owners: Dict[str, Tuple[str, str]] = {}
    for name in tools:
        owners[plain_name(name)] = name, _AGENT
    for name in builtin:
        owners[plain_name(name)] = name, _BUILTIN
    for tool, label in found:
        if tool.name in replaced:
            continue
        other, owner = owners.setdefault(plain_name(tool.name), (tool.name, label))
        if (other, owner) != (tool.name, label) or tool.name in united:
            both = (
                f"a tool {tool.name!r}"
                if other == tool.name
                else f"tools of nearly one name, {other!r} and {tool.name!r}"
            )
            raise InvalidParamError(
                f"{_owner(owner)} and {_owner(label)} both have {both}; give one of them "
                "other names, for example with MCP(…, prefix='a_') or toolset.prefixed('a_')"
            )
        united[tool.name] = tool
    return united


def plain_name(name: str) -> str:
    """Return the name of a tool as models see no difference in it: they confuse "_" and "-"."""
    return name.replace("-", "_")


def _owner(label: str) -> str:
    return label if label in (_AGENT, _BUILTIN) else f"the toolset {label}"


# ---------------------------------------------------------------------------------------------------------------------
# Arguments
# ---------------------------------------------------------------------------------------------------------------------


def read_tools(tools: object) -> Tuple[AnyTool, ...]:
    """Return the tools in a sequence of tools and functions.

    Raises:
        InvalidParamError: It is not a sequence, an item can't be a tool, or two have the same name.
    """
    if not isinstance(tools, Sequence) or isinstance(tools, (str, bytes)):
        raise InvalidParamError(f"tools must be a list of tools and functions, not {type(tools).__name__}")
    found: Dict[str, AnyTool] = {}
    for index, value in enumerate(tools):
        if isinstance(value, Toolset):
            raise InvalidParamError(f"tools[{index}] is a toolset; give it in toolsets=")
        try:
            tool = as_tool(value)
        except (InvalidParamError, InvalidSchemaError) as error:
            raise type(error)(f"tools[{index}]: {error}") from error.__cause__
        if tool.name in found:
            raise InvalidParamError(f"tools[{index}] has the same name as an earlier tool: {tool.name!r}")
        found[tool.name] = tool
    return tuple(found.values())


def read_toolsets(toolsets: object) -> Tuple[Toolset, ...]:
    """Return the toolsets in a sequence of toolsets and functions.

    Raises:
        InvalidParamError: It is not a sequence, or an item is something else.
    """
    if not isinstance(toolsets, Sequence) or isinstance(toolsets, (str, bytes)):
        raise InvalidParamError(f"toolsets must be a list of toolsets, not {type(toolsets).__name__}")
    found: List[Toolset] = []
    for index, value in enumerate(toolsets):
        if isinstance(value, Toolset):
            found.append(value)
        elif isinstance(value, Tool) or not callable(value):
            hint = "give tools in tools=" if isinstance(value, Tool) else "for a server, MCP(…)"
            raise InvalidParamError(
                f"toolsets[{index}] must be a Toolset or a function that returns tools, not {type(value).__name__}; "
                + hint
            )
        else:
            found.append(DynamicToolset(cast(Choose, value)))
    return tuple(found)
