"""Notices calls that a run repeats with the same result."""

from __future__ import annotations

import json
import sys
from typing import Dict, List, Optional, Tuple, Union

from luup_agent.errors import ToolLoopError
from luup_agent.limits import LoopGuard
from luup_agent.messages import ToolCall

_Key = Tuple[str, str, bool]  # the tool, the result, whether that is an error
_Cell = List[int]  # how often, and the last turn


class _Repeats:
    """The calls of a tool that had the same result, by their arguments."""

    __slots__ = ("_by_text", "_by_value", "_first")

    def __init__(self, first: ToolCall, turn: int) -> None:
        self._first = first
        self._by_text: Dict[str, _Cell] = {first.arguments_json: [1, turn]}  # equal texts cost nothing
        self._by_value: Dict[str, _Cell] = {}  # in one form for all texts of a value; filled when it is needed

    def find(self, call: ToolCall) -> _Cell:
        """Return the cell of the call's arguments, a new one if they are new."""
        text = call.arguments_json
        cell = self._by_text.get(text)
        if cell is None:
            if not self._by_value:
                self._by_value[_canonical(self._first)] = self._by_text[self._first.arguments_json]
            cell = self._by_text[text] = self._by_value.setdefault(_canonical(call), [0, -1])
        return cell


class RepeatCounter:
    """Counts the calls of one run.

    Attributes:
        least: The number of repetitions from which `hint` or `error` returns something.
    """

    def __init__(self, guard: LoopGuard) -> None:
        """Begin to count."""
        self._guard = guard
        self.least = min([number for number in (guard.hint, guard.end) if number is not None], default=sys.maxsize)
        self._seen: Dict[_Key, Union[_Repeats, Tuple[ToolCall, int]]] = {}  # most come once: the call, its turn

    def count(self, call: ToolCall, content: str, is_error: bool, turn: int) -> int:
        """Count a result, and return in how many turns the call has had it; calls of one turn count once."""
        key = (call.name, content, is_error)
        found = self._seen.get(key)
        if found is None:
            self._seen[key] = (call, turn)
            return 1
        if isinstance(found, tuple):
            found = self._seen[key] = _Repeats(*found)
        cell = found.find(call)
        if cell[1] != turn:
            cell[0] += 1
            cell[1] = turn
        return cell[0]

    def hint(self, count: int) -> str:
        """Return what the result says for a call that had the same one `count` times; "" for nothing."""
        if self._guard.hint is None or count < self._guard.hint:
            return ""
        return (
            f"\n\n[This call has returned the same result {count} times. Do not make it again: "
            "call another tool, use other arguments, or answer with what you know.]"
        )

    def error(self, call: ToolCall, count: int) -> Optional[ToolLoopError]:
        """Return the error that ends the run; None if it goes on."""
        if self._guard.end is None or count < self._guard.end:
            return None
        arguments = call.arguments_json
        if len(arguments) > 200:
            arguments = f"{arguments[:200]}... ({len(arguments)} characters)"
        error = ToolLoopError(
            f"the model has called the tool {call.name!r} in {count} turns with the same arguments and the same "
            f"result: {arguments}; loop_guard=LoopGuard(…) changes how often it may"
        )
        error.call = call
        error.count = count
        return error


def _number(text: str) -> object:
    """Return a number; 2.0 is the value 2."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


_decode = json.JSONDecoder(parse_float=_number).decode
_encode = json.JSONEncoder(sort_keys=True).encode


def _canonical(call: ToolCall) -> str:
    """Return the arguments in the form that all texts of the same JSON value share."""
    text = _encode(call.arguments)
    return _encode(_decode(text)) if "." in text else text
