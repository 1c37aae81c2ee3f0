"""The result of a tool as bounded text for the model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

MAX_RESULT_CHARS = 16_000
_MAX_ITEMS = 100_000  # of an iterator, which need not end


def to_text(value: object, limit: int = MAX_RESULT_CHARS) -> str:
    """Return `value` as text of at most about `limit` characters.

    A str stays as it is, None is ``null``, anything else becomes JSON: pydantic models, dataclasses, dates, decimals,
    enums, sets, bytes (as text if they are UTF-8, else as base64); NaN and the infinities become strings, and types
    without a JSON form their ``str()``. NUL and lone surrogates become U+FFFD. Of a longer text the beginning and the
    end are kept, with a line between them that says how many characters were left out.

    Raises:
        ValueError: The value contains itself, is nested too deeply, or is an iterator of more than 100,000 items.

    Example:
        >>> to_text({"date": datetime.date(2026, 1, 2), "ratio": float("nan")})
        '{"date":"2026-01-02","ratio":"NaN"}'
    """
    text = value if isinstance(value, str) else _to_json(value)
    return clean(shorten(text, limit))


def clean(text: str) -> str:
    """Return `text` with U+FFFD in place of NUL and lone surrogates, which the core refuses."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def shorten(text: str, limit: int) -> str:
    """Return a text; its beginning and its end if it is longer than `limit` characters."""
    left_out = len(text) - limit
    if left_out <= 0:
        return text
    head = limit - limit // 4  # the beginning matters more: a title, the keys, the newest entry
    tail = limit // 4
    return f"{text[:head]}\n[{left_out:,} characters left out]\n{text[len(text) - tail :]}"


def _to_json(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass  # base64, as inside a container
    if isinstance(value, Iterator):
        value = list(itertools.islice(value, _MAX_ITEMS + 1))
        if len(value) > _MAX_ITEMS:
            raise ValueError(f"the result is an iterator of more than {_MAX_ITEMS:,} items; return a list of some")
    try:
        return to_json(value, inf_nan_mode="strings", fallback=str).decode("utf-8")
    except PydanticSerializationError:
        return _to_json_again(value)


def _to_json_again(value: object) -> str:
    """Return the JSON text of a value that `to_json` refuses: bytes that are not UTF-8, or lone surrogates."""
    try:
        try:
            plain = _jsonable(value)
        except UnicodeEncodeError:
            plain = _jsonable(_with_clean_keys(value))
        finite = json.loads(json.dumps(plain), parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the result can't be written as JSON: {error}") from None
    return json.dumps(finite, ensure_ascii=False, separators=(",", ":"))


def _jsonable(value: object) -> Any:
    return to_jsonable_python(value, inf_nan_mode="strings", bytes_mode="base64", fallback=str)


def _with_clean_keys(value: Any) -> Any:
    """Return `value` with keys that pydantic accepts: it refuses lone surrogates only there."""
    if isinstance(value, dict):
        return {clean(key) if isinstance(key, str) else key: _with_clean_keys(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_clean_keys(part) for part in value]
    return value
