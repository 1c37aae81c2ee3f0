"""What the library hands over: handles, strings and arrays.

A handle is held in a cell, a pointer which the C function fills in place: an exception that strikes at any point
(`KeyboardInterrupt`) leaves the cell either empty or owned, so nothing leaks. The cell's finalizer destroys what is in
it; in the child of a fork the library makes that a no-op.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check
from luup_agent._native.values import to_text


def new_cell(type_name: str, destroy: Any, keep: Optional[List[object]] = None) -> Any:
    """An empty cell for a handle; `destroy` gets what is in it when the cell is released or collected.

    What is in `keep` lives at least until then.
    """

    def finalize(cell: Any, _keep: object = keep) -> None:
        destroy(cell[0])

    return ffi.gc(ffi.new(type_name + " **"), finalize)


def take_string(call: Callable[[Any], int]) -> str:
    """The string that `call` leaves in its ``char **``."""
    text = ffi.new("char **")
    check(call(text))
    try:
        return to_text(text[0])
    finally:
        lib.luup_string_free(text[0])


def take_tokens(call: Callable[[Any, int, Any], int], guess: int) -> List[int]:
    """The tokens that `call(buffer, capacity, n_tokens)` gives, however many."""
    n_tokens = ffi.new("size_t *")
    capacity = guess
    while True:
        buffer = ffi.new("int32_t[]", capacity)
        check(call(buffer, capacity, n_tokens))
        if n_tokens[0] <= capacity:
            return list(ffi.unpack(buffer, n_tokens[0])) if n_tokens[0] else []
        capacity = n_tokens[0]
