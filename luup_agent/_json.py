"""JSON that others wrote, or that is made of their values: errors are typed, also for values nested too deeply."""

from __future__ import annotations

import decimal
import json
import re
from typing import Any, List, Tuple, Type, Union

from luup_agent.errors import InvalidParamError, InvalidSchemaError, JSONParseError, LuupError

__all__ = [
    "MAX_DEPTH",
    "check_depth",
    "check_numbers",
    "is_nested_too_deeply",
    "quote_long_numbers",
    "read_json",
    "write_json",
]

MAX_DEPTH = 192  # brackets inside each other that the core reads; see csrc/base/json.h

_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_STRINGS_AND_NUMBERS = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL)
_LONG_INTEGER = re.compile(r"[0-9]{19}")
_LEAST, _MOST = -(2**63), 2**64 - 1
_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_FLOAT_DIGITS = 15  # that every float keeps


def is_nested_too_deeply(text: str) -> bool:
    """Return whether a text has more than `MAX_DEPTH` brackets inside each other."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        token = match.group()
        if token in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token in "]}" and depth:
            depth -= 1
    return False


def check_depth(value: object) -> None:
    """Check dicts, lists and tuples without recursion, which would overflow the small stack of a thread.

    Raises:
        RecursionError: They are nested more deeply than `MAX_DEPTH` levels, or contain themselves.
    """
    todo: List[Tuple[object, int]] = [(value, 0)]
    while todo:
        part, depth = todo.pop()
        if isinstance(part, (dict, list, tuple)):
            if depth == MAX_DEPTH:
                raise RecursionError(f"it is nested more deeply than {MAX_DEPTH} levels, or contains itself")
            todo.extend((each, depth + 1) for each in (part.values() if isinstance(part, dict) else part))


def quote_long_numbers(text: str) -> str:
    """Return a JSON text in which numbers that lose digits as a float are strings, which pydantic reads as decimals.

    Example:
        >>> quote_long_numbers('[0.1234567890123456789, 0.5, 12345678901234567890]')
        '["0.1234567890123456789", 0.5, 12345678901234567890]'
    """
    return _STRINGS_AND_NUMBERS.sub(_quote_if_long, text)


def _quote_if_long(match: re.Match[str]) -> str:
    token = match.group()
    if token[0] == '"' or token.lstrip("-").isdigit() or (len(token) <= _FLOAT_DIGITS and "e" not in token.lower()):
        return token
    return token if decimal.Decimal(repr(float(token))) == decimal.Decimal(token) else f'"{token}"'


def check_numbers(schema: str) -> None:
    """Check the constants in the text of a JSON schema: the core writes those beyond 64 bits in another form.

    Raises:
        InvalidSchemaError: A ``const`` or ``enum`` has such an integer; the message has the JSON pointer.
    """
    if _LONG_INTEGER.search(schema) is None or is_nested_too_deeply(schema):
        return
    try:
        todo: List[Tuple[str, Any, bool]] = [("", json.loads(schema), False)]
    except ValueError:  # an error of the next reader; or an integer of thousands of digits
        return
    while todo:
        place, part, constant = todo.pop()
        if isinstance(part, dict):
            schemas = not constant and place.rpartition("/")[2] in _MAPS_OF_SCHEMAS
            for key, value in part.items():
                todo.append((f"{place}/{key}", value, constant or (not schemas and key in ("const", "enum"))))
        elif isinstance(part, list):
            todo.extend((f"{place}/{index}", value, constant) for index, value in enumerate(part))
        elif constant and isinstance(part, int) and not _LEAST <= part <= _MOST:
            raise InvalidSchemaError(
                f"{place}: {part} is beyond 64 bits; use a text, or the type integer with a minimum and a maximum"
            )


def read_json(name: str, text: Union[str, bytes, bytearray]) -> Any:
    """Return the value of a JSON text, which errors call `name`.

    Raises:
        JSONParseError: The text is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        if not is_nested_too_deeply(decoded):
            return json.loads(decoded)
    except RecursionError:
        pass
    except ValueError as error:
        raise JSONParseError(f"{name} is not valid JSON: {error}") from None
    raise JSONParseError(f"{name} is nested too deeply: at most {MAX_DEPTH} levels are allowed")


def write_json(name: str, value: object, error: Type[LuupError] = InvalidParamError) -> str:
    """Return the JSON text of a value, which errors call `name`.

    Raises:
        InvalidParamError: The value has parts that are not JSON, contains itself, or is nested too deeply; another
            class if `error` names one.
    """
    try:
        check_depth(value)
        return json.dumps(value)
    except RecursionError:
        raise error(f"{name} is nested too deeply: at most {MAX_DEPTH} levels are allowed") from None
    except (TypeError, ValueError) as problem:
        raise error(f"{name} must contain only JSON values: {problem}") from None
