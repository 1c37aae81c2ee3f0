"""The MCP SDK, imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Iterator, List

from luup_agent._threads import first_use
from luup_agent.errors import UnsupportedError

_SHOWN = 1000  # characters of a server's text in an error


def load(name: str = "mcp") -> Any:
    """Import a module of the SDK.

    Raises:
        UnsupportedError: The SDK is not installed, or too old.
    """
    try:
        with first_use:
            import_module("mcp_types")  # the packages before 2.0 have no such module
            return import_module(name)
    except ImportError as error:
        raise UnsupportedError(
            f"MCP servers need the package mcp, version 2.3 or newer, and Python 3.10 or newer ({error}); "
            'run `pip install "luup-agent[mcp]"`'
        ) from None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in groups of errors, as anyio raises them; `error` itself if it is not a group."""
    parts: List[BaseException] = list(getattr(error, "exceptions", ()))
    if not parts:
        yield error
    for part in parts:
        yield from causes(part)


def reason(error: BaseException) -> str:
    """Return the error as one line: the class and the text of the first error in a group, of bounded length."""
    first = next(causes(error))
    text = shortened(str(first))
    name = type(first).__name__
    if not text:
        return name
    return text if name == "MCPError" else f"{name}: {text}"


def shortened(text: str) -> str:
    """Return a server's text as a line for an error: of one that is longer than some sentences, the beginning."""
    beginning = " ".join(text[: 2 * _SHOWN].split())
    return beginning if len(text) <= _SHOWN else f"{beginning[:_SHOWN]} ... ({len(text):,} characters)"
