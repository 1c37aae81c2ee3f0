"""The complete values of a JSON text that is not complete yet."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

from luup_agent._json import MAX_DEPTH


class _Nothing:
    """The type of `NOTHING`, a value that no result has."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()
_SAFE_DIGITS = 15  # of an integer that a double holds exactly


class JsonPrefix:
    """Reads a JSON text that comes in pieces, cut anywhere.

    Example:
        >>> prefix = JsonPrefix()
        >>> prefix.feed('{"title": "Alien", "year": 19'), prefix.document()
        (True, '{"title": "Alien"}')
        >>> prefix.feed('79')  # may go on
        False
        >>> prefix.feed('}'), prefix.document()
        (True, '{"title": "Alien", "year": 1979}')
    """

    def __init__(self) -> None:
        self._text = ""
        self._at = 0  # characters read
        self._closers: List[str] = []  # the brackets that close the open containers
        self._in_string = self._escaped = self._in_scalar = self._is_key = self._is_too_deep = False
        self._cut = 0  # where the last complete value ends
        self._tail = ""  # the brackets that close the containers open there

    def feed(self, piece: str) -> bool:
        """Read more text; return whether more values are complete: never, if the text is nested too deeply."""
        before = self._cut
        self._text += piece
        for index in range(self._at, len(self._text)):
            self._take(index, self._text[index])
        self._at = len(self._text)
        return self._cut != before and not self._is_too_deep

    def document(self) -> str:
        """Return the complete values as a JSON text; "" before the first is complete."""
        return self._text[: self._cut] + self._tail

    @property
    def depth(self) -> int:
        """The number of containers that `document` closes."""
        return len(self._tail)

    def _take(self, index: int, char: str) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif char == "\\":
                self._escaped = True
            elif char == '"':
                self._in_string = False
                if not self._is_key:
                    self._complete(index + 1)
            return
        if self._in_scalar:
            if char not in ",]} \t\r\n":
                return
            self._in_scalar = False
            self._complete(index)
        if char == '"':
            self._in_string = True
        elif char in "{[":
            self._closers.append("}" if char == "{" else "]")
            self._is_key = char == "{"
            self._is_too_deep = self._is_too_deep or len(self._closers) > MAX_DEPTH
        elif char in "}]":
            if self._closers:
                self._closers.pop()
            self._complete(index + 1)
        elif char == ",":
            self._is_key = self._closers[-1:] == ["}"]
        elif char == ":":
            self._is_key = False
        elif char not in " \t\r\n":
            self._in_scalar = True

    def _complete(self, end: int) -> None:
        self._cut = end
        self._tail = "".join(reversed(self._closers))


class JsonReader:
    """Makes the JSON values of the complete parts of a text that comes in pieces.

    Example:
        >>> reader = JsonReader()
        >>> reader.feed('{"title": "Alien", "year": 19')
        [{'title': 'Alien'}]
    """

    def __init__(self) -> None:
        self._prefix = JsonPrefix()
        self._last: Any = NOTHING

    def feed(self, piece: str) -> List[Any]:
        """Read more text; return a list with the value of the complete parts.

        The list is empty if no more parts are complete than before, and at the end of the text.
        """
        if not self._prefix.feed(piece) or not self._prefix.depth:
            return []
        try:
            value = json.loads(self._prefix.document())
        except (ValueError, RecursionError):
            return []
        if value == self._last:
            return []
        self._last = value
        return [value]


class ExactNumber(float):
    """A number whose text says more than a float does: `Decimal("1.10")` and long integers keep their digits."""

    text: str


def read_json(text: str) -> Any:
    """Return the value of a JSON text; `NOTHING` if it is nested too deeply or not JSON."""
    try:
        return json.loads(text, parse_float=_number, parse_int=_integer, object_pairs_hook=_in_order)
    except (ValueError, RecursionError):
        return NOTHING


def write_json(value: Any) -> str:
    """Return the JSON text of a value that `read_json` returned."""
    if isinstance(value, ExactNumber):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{write_json(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write_json, value)) + "]"
    return json.dumps(value)


def _in_order(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for key, value in pairs:
        found.pop(key, None)  # of equal keys the last one counts, and it may be the one that is still open
        found[key] = value
    return found


def _integer(text: str) -> Any:
    return int(text) if len(text) <= _SAFE_DIGITS else _exact(text)  # int() refuses more than 4,300 digits


def _number(text: str) -> Any:
    value = float(text)
    return value if repr(value) == text else _exact(text)


def _exact(text: str) -> ExactNumber:
    number = ExactNumber(text)
    number.text = text
    return number
