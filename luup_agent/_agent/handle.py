"""The core's agent, shared by the parts of an `Agent`."""

from __future__ import annotations

from typing import Optional

from luup_agent import _native
from luup_agent.errors import ClosedError


class Handle:
    """Holds the core's agent until it is closed."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.NativeAgent) -> None:
        self._native: Optional[_native.NativeAgent] = native

    @property
    def native(self) -> _native.NativeAgent:
        """The core's agent.

        Raises:
            ClosedError: It was closed.
        """
        native = self._native
        if native is None:
            raise ClosedError("the agent was closed")
        return native

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._native is None

    def close(self) -> None:
        """Drop the core's agent; its runs keep it until they end."""
        self._native = None
