"""Types of which no JSON value can be read, and why."""

from __future__ import annotations

import enum
import warnings
from typing import Any, Iterator, List, Mapping, Optional, Sequence

from pydantic import ByteSize
from pydantic_core import SchemaValidator, to_json

_NOT_HASHABLE = ("list", "dict", "set", "deque", "typed-dict", "ordered-dict", "counter")
_INNER = (
    "default",
    "nullable",
    "function-before",
    "function-after",
    "function-wrap",
    "lax-or-strict",
    "json-or-python",
)
_PATHS = {
    "PathType.validate_file": "the path of a file that exists",
    "PathType.validate_directory": "the path of a directory that exists",
    "PathType.validate_new": "a path that does not exist yet",
    "PathType.validate_socket": "the path of a socket that exists",
}
_PLAIN = (str, int, bool, type(None))
_LONG = 2**63  # integers from here on are not read beside others


def unreadable(schema: Mapping[str, Any], values: Sequence[Any]) -> Optional[str]:
    """Return why one of the values of an enumeration or a Literal can't be read from JSON; None if all can."""
    bare: Any = {key: part for key, part in schema.items() if key not in ("ref", "metadata", "serialization")}
    validator: Optional[SchemaValidator] = None
    for value in values:
        plain = value.value if isinstance(value, enum.Enum) else value
        if value is plain and type(value) in _PLAIN and not (isinstance(value, int) and abs(value) >= _LONG):
            continue
        if validator is None:
            validator = SchemaValidator(bare)
        try:
            found = validator.validate_json(to_json(plain))
        except Exception:
            found = NotImplemented
        if found is not value and (type(found) is not type(value) or found != value):
            what = "an enumeration member" if bare["type"] == "literal" and plain is not value else _a(plain)
            return (
                f"{value!r} can't be read from JSON, because pydantic does not make {what} of what JSON has; "
                "use texts or numbers"
            )
    return None


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def not_hashable(schema: Optional[Mapping[str, Any]]) -> Optional[str]:
    """Return the kind of the items that a set can't hold; None if it can."""
    while schema is not None and schema["type"] in _INNER:
        schema = schema.get("schema") or schema.get("lax_schema") or schema.get("json_schema")
    if schema is None:
        return None
    if schema["type"] in ("model", "dataclass"):
        cls = schema["cls"]
        return cls.__name__ if cls.__hash__ is None else None
    if schema["type"] == "json":
        content = schema.get("schema")
        return "Json of any value" if content is None or content["type"] == "any" else not_hashable(content)
    if schema["type"] in ("union", "tagged-union"):
        choices = schema["choices"]
        parts = choices.values() if isinstance(choices, Mapping) else choices
        kinds = [not_hashable(part[0] if isinstance(part, tuple) else part) for part in parts]
        return next((kind for kind in kinds if kind is not None), None)
    return str(schema["type"]) if schema["type"] in _NOT_HASHABLE else None


def find_refusal(schema: Any) -> Optional[str]:
    """Return why a type can't be written in JSON, from the functions in pydantic's schema of it; None if it can."""
    for function in _functions(schema):
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if name == "import_string" and str(getattr(function, "__module__", "")).startswith("pydantic."):
            return "an ImportString would import what the model names; use an enumeration or a Literal of the names"
        if name == "pattern_bytes_validator":
            return "pydantic does not make a bytes pattern of what JSON has; use Pattern[str]"
        path = _PATHS.get(getattr(function, "__qualname__", ""))
        if path is not None:
            return f"a model can't know {path}; use a Path and check it"
        if isinstance(owner, type) and owner.__name__ == "PaymentCardNumber" and owner.__module__ == "pydantic.types":
            return "a PaymentCardNumber has a check digit, which a grammar can't compute; use a str and check it"
    return None


def _functions(schema: Any) -> Iterator[Any]:
    open_: List[Any] = [schema]
    seen = set()
    while open_:
        part = open_.pop()
        if isinstance(part, Mapping):
            if id(part) in seen:
                continue
            seen.add(id(part))
            function = part.get("function")
            if isinstance(function, Mapping):
                yield function.get("function")
            open_ += [each for key, each in part.items() if key not in ("metadata", "serialization")]
        elif isinstance(part, (list, tuple)):
            open_ += part


def is_byte_size(pattern: Any) -> bool:
    """Tell whether a pattern is that of `ByteSize`, which allows units that there are not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(pattern == ByteSize.byte_string_pattern)
