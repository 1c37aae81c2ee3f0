"""Values on their way into the library and out of it: strings, numbers, structures."""

from __future__ import annotations

import math
import operator
import os
from numbers import Real
from typing import Any, Dict, List, NamedTuple, Tuple

from luup_agent._luup_cffi import ffi
from luup_agent.errors import InvalidParamError

INT32_MAX = 2**31 - 1


def to_text(value: Any) -> str:
    """A Python string from a ``const char *``; "" for NULL."""
    return "" if value == ffi.NULL else str(ffi.string(value).decode("utf-8", "replace"))


def encode_text(name: str, value: object) -> bytes:
    """`value` as UTF-8.

    Raises:
        InvalidParamError: It is not a `str`, or has a NUL or a lone surrogate; names the argument and the index.
    """
    if not isinstance(value, str):
        raise InvalidParamError(f"{name} must be a str, not {type(value).__name__}")
    nul = value.find("\0")
    if nul >= 0:
        raise InvalidParamError(f"{name} has a NUL character at index {nul}")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidParamError(
            f"{name} has a lone surrogate, U+{ord(value[error.start]):04X}, at index {error.start}"
        ) from None


def encode_path(name: str, value: object) -> bytes:
    """A path as UTF-8, ``~`` expanded."""
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidParamError(f"{name} must be a str or os.PathLike, not {type(value).__name__}")
    return encode_text(name, os.path.expanduser(os.fsdecode(value)))


def encode_int(name: str, value: object, low: int = -INT32_MAX - 1, high: int = INT32_MAX) -> int:
    """`value` as an int of `low` to `high`; a bool or a float is refused."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidParamError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= number <= high:
        raise InvalidParamError(f"{name} is {number}, but must be from {low} to {high}")
    return number


def encode_float(name: str, value: object) -> float:
    """`value` as a float; a bool or a str is refused, the range is the library's to check."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidParamError(f"{name} must be a float, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def encode_bool(name: str, value: object) -> bool:
    """`value` if it is a bool."""
    if not isinstance(value, bool):
        raise InvalidParamError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def encode_timeout(timeout: object) -> int:
    """Seconds as whole milliseconds, rounded up; -1 for None or infinity."""
    if timeout is None:
        return -1
    seconds = encode_float("timeout", timeout)
    if math.isnan(seconds) or seconds < 0:
        raise InvalidParamError(f"timeout is {timeout}, but must be a number of seconds from 0, or None")
    milliseconds = seconds * 1000
    return -1 if milliseconds >= 2**62 else math.ceil(milliseconds)


def encode_items(name: str, values: object) -> List[Tuple[str, object]]:
    """The items of a list or tuple, each with its own name; none for None."""
    if values is None:
        return []
    if not isinstance(values, (list, tuple)):
        raise InvalidParamError(f"{name} must be a list or a tuple, not {type(values).__name__}")
    if not values:
        raise InvalidParamError(f"{name} is empty; leave it out to let the library choose")
    return [(f"{name}[{index}]", value) for index, value in enumerate(values)]


def encode_texts(name: str, values: object) -> Tuple[List[Any], Any]:
    """The texts of a list or tuple, and the array that points to them."""
    texts = [ffi.new("char[]", encode_text(*item)) for item in encode_items(name, values)]
    return texts, ffi.new("const char *[]", texts)


def encode_optional_path(path: object) -> Any:
    """A path as UTF-8, or NULL for None."""
    return ffi.NULL if path is None else ffi.new("char[]", encode_path("path", path))


class Struct(NamedTuple):
    """A C structure with what its pointers point at."""

    pointer: Any
    keep: Tuple[Any, ...]


def new_output(type_name: str) -> Any:
    """A zeroed structure for the library to fill, its `size` set."""
    struct = ffi.new(type_name + " *")
    struct.size = ffi.sizeof(type_name)
    return struct


def to_dict(struct: Any) -> Dict[str, Any]:
    """The fields of a C structure, strings decoded, `size` left out."""
    values: Dict[str, Any] = {}
    for name, field in ffi.typeof(struct).item.fields:
        if name != "size":
            value = getattr(struct, name)
            values[name] = to_text(value) if field.type.kind == "pointer" else value
    return values
