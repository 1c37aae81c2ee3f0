"""The chat page: files that the server sends as they are."""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Dict


def endpoints() -> Dict[str, Callable[[Any], Awaitable[Any]]]:
    """Return the endpoint of each path of the page."""
    return {}
