"""The tools that a server lists, as tools of an agent."""

from __future__ import annotations

import re
from typing import Any, Callable, Collection, Dict, List, NamedTuple, Set, Tuple, Union

from luup_agent._logging import logger
from luup_agent._mcp.link import Link
from luup_agent._tools.context import RunContext
from luup_agent.errors import InvalidParamError, InvalidSchemaError
from luup_agent.messages import ToolResult
from luup_agent.tools import AnyTool, Tool
from luup_agent.toolsets import plain_name

_OTHER = re.compile(r"[^A-Za-z0-9_-]")


Asking = Union[bool, Collection[str], Callable[[Any], bool]]


class ToolOptions(NamedTuple):
    """The user's options for the tools of a server.

    Attributes:
        prefix: Written before their names.
        requires_approval: Whether calls wait for an approval: all, none, those of the tools with these names, or those
            of the tools for which a function of the SDK's ``Tool`` returns True.
        max_result_chars: The model gets the beginning and the end of a longer result.
    """

    prefix: str
    requires_approval: Asking
    max_result_chars: int


class Listing(NamedTuple):
    """The tools of a server.

    Attributes:
        source: The list that they were made of.
        tools: Those that can be used.
        unavailable: Why others can't, by their names.
    """

    source: List[Any]
    tools: Tuple[AnyTool, ...]
    unavailable: Dict[str, str]


def read_listing(link: Link, source: List[Any], options: ToolOptions) -> Listing:
    """Make tools of a server's list. One that can't be used is left out, with a warning in the log."""
    made: Dict[str, AnyTool] = {}
    plain: Set[str] = set()
    unavailable: Dict[str, str] = {}
    for listed in source:
        name = options.prefix + _OTHER.sub("_", listed.name)
        try:
            if plain_name(name) in plain:
                raise InvalidParamError(f"the server has another tool of the name {name!r}, or nearly so")
            made[name] = _make_tool(link, listed, name, options)
            plain.add(plain_name(name))
        except (InvalidParamError, InvalidSchemaError) as error:
            reason = unavailable[listed.name] = str(error)  # the error itself would keep the link alive in a log
            label = link.place.label
            logger.warning("the tool %r of the MCP server %s is not available: %s", listed.name, label, reason)
    if isinstance(options.requires_approval, Collection):
        known = {listed.name for listed in source} | set(made)
        unknown = sorted(set(options.requires_approval) - known)
        if unknown:
            raise InvalidParamError(
                f"requires_approval names {unknown[0]!r}, but the MCP server {link.place.label} has no such tool; "
                f"it has {', '.join(listed.name for listed in source) or 'none'}"
            )
    return Listing(source, tuple(made.values()), unavailable)


def _make_tool(link: Link, listed: Any, name: str, options: ToolOptions) -> AnyTool:
    original = listed.name
    schema = {"type": "object", **listed.input_schema}
    if schema["type"] != "object":
        raise InvalidSchemaError(f"its arguments must be an object, not {schema['type']!r}")

    async def call(run_context: RunContext[Any], /, **arguments: Any) -> ToolResult:
        return await link.wait_async(lambda: link.call(original, arguments, run_context))

    return Tool(
        call,
        name=name,
        description=listed.description or listed.title or "",
        parameters=schema,
        requires_approval=_asks(listed, name, options.requires_approval),
        max_result_chars=options.max_result_chars,
    )


def _asks(listed: Any, name: str, asking: Asking) -> bool:
    if isinstance(asking, bool):
        return asking
    return listed.name in asking or name in asking if isinstance(asking, Collection) else bool(asking(listed))
