"""Ownership of what the library returns: handles, strings and arrays.

An `Owner` holds a handle in a cell, a pointer that the C function fills in place. A `KeyboardInterrupt` at any point
leaves the cell either empty or owned, so nothing leaks. In the child of a fork the library ignores that a handle is
destroyed.
"""

from __future__ import annotations

import weakref
from typing import Any, Callable, List, Optional, Set

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check
from luup_agent._native.values import to_text
from luup_agent.errors import ClosedError


class Owner:
    """Owns a handle and destroys it when nothing refers to the owner any more.

    A thread that calls the library holds a reference to the owner meanwhile, so no other thread destroys the handle
    under it.

    The handle must outlive every ``__del__`` method that may use it. In cyclic garbage and at exit these run in any
    order, together with the finalizers of cffi and the callbacks of weak references, and only then do objects lose
    their references. Therefore the handle ends with `_life`, an object that the garbage collector does not know: it
    goes when the last reference to it goes.

    Attributes:
        cell: A ``handle **`` for the C function that creates the handle.
    """

    __slots__ = ("_kind", "_life", "cell")

    def __init__(self, kind: str, destroy: Callable[[Any], None], keep: Optional[List[object]] = None) -> None:
        """Prepare an empty cell.

        Args:
            kind: "model", "agent" or "run".
            destroy: Called with the handle at its end.
            keep: Objects that must live until then.
        """
        self._kind = kind
        self.cell = ffi.new(f"luup_{kind} **")
        self._life = _until_gone(self.cell, destroy, keep)

    @property
    def pointer(self) -> Any:
        """The handle.

        Raises:
            ClosedError: There is none.
        """
        pointer = self.cell[0]
        if not pointer:
            raise ClosedError(f"the {self._kind} was closed")
        return pointer


_endings: Set[weakref.ref[Any]] = set()  # a weak reference calls its function only while it lives


def _until_gone(cell: Any, destroy: Callable[[Any], None], keep: Optional[List[object]]) -> Any:
    """Return an object at whose end the handle in `cell` is destroyed."""
    life = ffi.new("char *")

    def end(reference: weakref.ref[Any], _keep: Optional[List[object]] = keep) -> None:
        pointer, cell[0] = cell[0], ffi.NULL
        destroy(pointer)
        _endings.discard(reference)

    _endings.add(weakref.ref(life, end))
    return life


def take_string(call: Callable[[Any], int]) -> str:
    """Return the string that `call` stores in its ``char **``, and free the C string."""
    text = ffi.new("char **")
    check(call(text))
    try:
        return to_text(text[0])
    finally:
        lib.luup_string_free(text[0])


def take_tokens(call: Callable[[Any, int, Any], int], guess: int) -> List[int]:
    """Return all tokens that `call(buffer, capacity, n_tokens)` stores; `guess` is the first capacity."""
    n_tokens = ffi.new("size_t *")
    capacity = guess
    while True:
        buffer = ffi.new("int32_t[]", capacity)
        check(call(buffer, capacity, n_tokens))
        if n_tokens[0] <= capacity:
            return list(ffi.unpack(buffer, n_tokens[0])) if n_tokens[0] else []
        capacity = n_tokens[0]
