"""The limits of a run, `UsageLimits`, and the guard against calls that repeat themselves, `LoopGuard`."""

from __future__ import annotations

import math
from typing import Any, Dict, NoReturn, Optional, Tuple

from luup_agent.errors import InvalidParamError

__all__ = ["LoopGuard", "UsageLimits"]

_MOST = 2**53  # JSON holds whole numbers up to here exactly


class _Frozen:
    """Values that do not change, compared and shown by their fields."""

    __slots__: Tuple[str, ...] = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} can't be changed: make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} can't be changed: make another one")

    def _fill(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _values(self) -> Dict[str, Any]:
        """Return the fields by name, as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __eq__(self, other: object) -> bool:
        """Compare the fields."""
        return type(other) is type(self) and other._values() == self._values()

    def __hash__(self) -> int:
        """Return the hash of the fields."""
        return hash((type(self), *self._values().values()))

    def __repr__(self) -> str:
        """Return the call that makes these values, for example ``UsageLimits(turns_limit=5)``."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._values().items() if v is not None)})"

    def __reduce__(self) -> Tuple[Any, ...]:
        return _make, (type(self), self._values())


def _make(kind: Any, values: Dict[str, Any]) -> Any:
    return kind(**values)


class UsageLimits(_Frozen):
    """How much a run may use, together with the agents that its tools run. None sets no limit.

    A run is checked before each turn and before the calls of a turn begin, and an answer ends when it has used up the
    output tokens. Then the run ends with `UsageLimitError`, which has all that the run did. An answer that is complete
    is returned, also if it went beyond a limit.

    Attributes:
        turns_limit: Answers of the model, those that call tools included.
        tool_calls_limit: Calls of tools that ran. A turn whose calls would exceed it runs none of them.
        input_tokens_limit: Tokens of the prompts of all turns, the cached ones included (`Usage.prompt_tokens`).
        output_tokens_limit: Tokens of all answers, thoughts included (`Usage.completion_tokens`).
        total_tokens_limit: Both together.
        seconds_limit: Seconds from the start of the run, with waiting and tools.

    Example:
        >>> limits = UsageLimits(turns_limit=8, total_tokens_limit=20_000, seconds_limit=60)
        >>> agent.generate("Plan a day in Rome.", usage_limits=limits)
        'Begin at the Colosseum.'
    """

    __slots__ = (
        "input_tokens_limit",
        "output_tokens_limit",
        "seconds_limit",
        "tool_calls_limit",
        "total_tokens_limit",
        "turns_limit",
    )

    turns_limit: Optional[int]
    tool_calls_limit: Optional[int]
    input_tokens_limit: Optional[int]
    output_tokens_limit: Optional[int]
    total_tokens_limit: Optional[int]
    seconds_limit: Optional[float]

    def __init__(
        self,
        *,
        turns_limit: Optional[int] = None,
        tool_calls_limit: Optional[int] = None,
        input_tokens_limit: Optional[int] = None,
        output_tokens_limit: Optional[int] = None,
        total_tokens_limit: Optional[int] = None,
        seconds_limit: Optional[float] = None,
    ) -> None:
        """Set limits.

        Raises:
            InvalidParamError: A limit is not a number, or is below its least value: 1, for calls and seconds 0.
        """
        self._fill(
            turns_limit=_whole("turns_limit", turns_limit, 1),
            tool_calls_limit=_whole("tool_calls_limit", tool_calls_limit, 0),
            input_tokens_limit=_whole("input_tokens_limit", input_tokens_limit, 1),
            output_tokens_limit=_whole("output_tokens_limit", output_tokens_limit, 1),
            total_tokens_limit=_whole("total_tokens_limit", total_tokens_limit, 1),
            seconds_limit=_seconds("seconds_limit", seconds_limit),
        )


class LoopGuard(_Frozen):
    """The reaction to a run that makes the same call with the same result again and again.

    Arguments are compared as JSON values. The same calls in one turn count once, because the model had not read the
    first result when it wrote the second call. A call whose results differ, such as one that polls, never counts.

    Attributes:
        hint: From this time on the result has a sentence for the model which says that it repeats itself; None for no
            hint.
        end: This time ends the run with `ToolLoopError`; None goes on.

    Example:
        >>> agent = Agent(model, tools=[search], loop_guard=LoopGuard(hint=2, end=4))
        >>> agent = Agent(model, tools=[press_button], loop_guard=None)  # repeating is what it is for
    """

    __slots__ = ("end", "hint")

    hint: Optional[int]
    end: Optional[int]

    def __init__(self, *, hint: Optional[int] = 3, end: Optional[int] = 6) -> None:
        """Set the numbers.

        Raises:
            InvalidParamError: A number is not an int of 2 or more, or `end` is not greater than `hint`.
        """
        self._fill(hint=_whole("hint", hint, 2), end=_whole("end", end, 2))
        if hint is not None and end is not None and end <= hint:
            raise InvalidParamError(f"end must be greater than hint, got hint={hint} and end={end}; None for no hint")


def _whole(name: str, value: object, least: int) -> Optional[int]:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidParamError(f"{name} must be an int or None, not {type(value).__name__}")
    if not least <= value <= _MOST:
        raise InvalidParamError(f"{name} must be between {least} and {_MOST}, got {value}; None for no limit")
    return value


def _seconds(name: str, value: object) -> Optional[float]:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InvalidParamError(f"{name} must be a number of seconds or None, not {type(value).__name__}")
    if not 0 <= value < math.inf:
        raise InvalidParamError(f"{name} must be 0 or more seconds, got {value!r}; None for no limit")
    return value


def check_limits(usage_limits: object, loop_guard: object) -> None:
    """Check the two settings of an agent or a run.

    Raises:
        InvalidParamError: One has another type.
    """
    if usage_limits is not None and not isinstance(usage_limits, UsageLimits):
        raise InvalidParamError(
            f"usage_limits must be a UsageLimits or None, not {type(usage_limits).__name__}; "
            "for example UsageLimits(turns_limit=8)"
        )
    if loop_guard is not None and not isinstance(loop_guard, LoopGuard):
        raise InvalidParamError(
            f"loop_guard must be a LoopGuard or None, not {type(loop_guard).__name__}; "
            "for example LoopGuard(hint=3, end=6)"
        )
