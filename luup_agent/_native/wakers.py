"""`NativeWaker`, the handle of a ``luup_waker``, which wakes an event loop for the events of many runs."""

from __future__ import annotations

from typing import Any, List

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check
from luup_agent._native.handles import Owner

_CAPACITY = 256  # tags that one call takes


class NativeWaker:
    """A ``luup_waker``: it writes a byte to a socket, and keeps the tags of the runs that have events."""

    __slots__ = ("_count", "_owner", "_tags")

    def __init__(self, descriptor: int, owner: object) -> None:
        """Let the library write to `descriptor`; `owner` keeps it open as long as the waker lives."""
        self._owner = Owner("waker", lib.luup_waker_destroy, [owner])
        self._tags: Any = ffi.new("uint64_t[]", _CAPACITY)
        self._count: Any = ffi.new("size_t *")
        check(lib.luup_waker_create(descriptor, self._owner.cell))

    @property
    def pointer(self) -> Any:
        """The handle."""
        return self._owner.pointer

    def take(self) -> List[int]:
        """Return the tags of the runs that have had events since the last call.

        If there is one, text alone wakes no loop until the next call, which has to come within milliseconds.
        """
        taken: List[int] = []
        while True:
            check(lib.luup_waker_take(self._owner.pointer, self._tags, _CAPACITY, self._count))
            count = self._count[0]
            taken += ffi.unpack(self._tags, count) if count else ()
            if count < _CAPACITY:
                return taken
