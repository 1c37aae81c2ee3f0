"""Conversion of values between Python and C: strings, numbers, structures."""

from __future__ import annotations

import math
import operator
import os
from numbers import Real
from typing import Any, Dict, List, NamedTuple, Tuple

from luup_agent._luup_cffi import ffi
from luup_agent.errors import InvalidParamError, StorageError

INT32_MAX = 2**31 - 1


def to_text(value: Any) -> str:
    """Return the Python string of a ``const char *``; "" for NULL."""
    return "" if value == ffi.NULL else str(ffi.string(value).decode("utf-8", "replace"))


def encode_text(name: str, value: object) -> bytes:
    """Return `value` as UTF-8.

    Raises:
        InvalidParamError: It is not a `str`, or contains a NUL or a lone surrogate; the message has `name` and index.
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
    """Return a path as UTF-8, with ``~`` expanded."""
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidParamError(f"{name} must be a str or os.PathLike, not {type(value).__name__}")
    return encode_text(name, os.path.expanduser(os.fsdecode(value)))


def encode_absolute_path(name: str, value: object) -> bytes:
    """Return an absolute path as UTF-8, which stays valid when the program changes its working directory."""
    path = encode_path(name, value)
    if not path:
        raise InvalidParamError(f"{name} must not be empty")
    try:
        return os.path.abspath(path)
    except OSError as error:
        raise StorageError(f"{name} is relative, but there is no current folder: {error.strerror}") from error


def encode_int(name: str, value: object, low: int = -INT32_MAX - 1, high: int = INT32_MAX) -> int:
    """Return `value` as an int from `low` to `high`; refuse a bool or a float."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidParamError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= number <= high:
        raise InvalidParamError(f"{name} must be between {low} and {high}, got {number}")
    return number


def encode_float(name: str, value: object) -> float:
    """Return `value` as a float; refuse a bool or a str. The library checks the range."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidParamError(f"{name} must be a float, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def encode_bool(name: str, value: object) -> bool:
    """Return `value` if it is a bool, else raise InvalidParamError."""
    if not isinstance(value, bool):
        raise InvalidParamError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def encode_timeout(timeout: object, name: str = "timeout") -> int:
    """Return seconds as whole milliseconds, rounded up; -1 for None or infinity."""
    if timeout is None:
        return -1
    seconds = encode_float(name, timeout)
    if math.isnan(seconds) or seconds < 0:
        raise InvalidParamError(f"{name} must be at least 0 seconds, or None for no limit, got {timeout}")
    milliseconds = seconds * 1000
    return -1 if milliseconds >= 2**62 else math.ceil(milliseconds)


def encode_items(name: str, values: object) -> List[Tuple[str, object]]:
    """Return the items of a list or tuple, each after its name for errors; [] for None."""
    if values is None:
        return []
    if not isinstance(values, (list, tuple)):
        raise InvalidParamError(f"{name} must be a list or a tuple, not {type(values).__name__}")
    if not values:
        raise InvalidParamError(f"{name} must not be empty; pass None to let the library choose")
    return [(f"{name}[{index}]", value) for index, value in enumerate(values)]


def encode_texts(name: str, values: object) -> Tuple[List[Any], Any]:
    """Return the texts of a list or tuple as C strings, and the array of pointers to them."""
    texts = [ffi.new("char[]", encode_text(*item)) for item in encode_items(name, values)]
    return texts, ffi.new("const char *[]", texts)


def encode_optional_path(path: object) -> Any:
    """Return a path as a C string, or NULL for None."""
    if path is None:
        return ffi.NULL
    text = encode_path("path", path)
    if not text:
        raise InvalidParamError("path must not be empty; None keeps the entries in memory")
    return ffi.new("char[]", text)


class Struct(NamedTuple):
    """A C structure, and the objects that its pointers point to."""

    pointer: Any
    keep: Tuple[Any, ...]


def new_output(type_name: str) -> Any:
    """Return a zeroed structure for the library to fill, with its `size` set."""
    struct = ffi.new(type_name + " *")
    struct.size = ffi.sizeof(type_name)
    return struct


def to_dict(struct: Any) -> Dict[str, Any]:
    """Return the fields of a C structure without `size`, its strings decoded."""
    values: Dict[str, Any] = {}
    for name, field in ffi.typeof(struct).item.fields:
        if name != "size":
            value = getattr(struct, name)
            values[name] = to_text(value) if field.type.kind == "pointer" else value
    return values
