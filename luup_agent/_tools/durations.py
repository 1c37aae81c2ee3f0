"""Regular expressions of the ISO 8601 durations within bounds.

They describe a duration in days, hours, minutes and seconds, such as "P1DT2H30M" or "PT0.5S", and one in a single
unit, such as "P2W" or "PT90M". What else a duration needs, such as a number after its
"T", is up to the schema's format.
"""

from __future__ import annotations

import datetime
from typing import Callable, List, NamedTuple, Optional, Sequence

from luup_agent._tools.patterns import digit_span, magnitudes

_MICROSECOND = datetime.timedelta(microseconds=1)
_SINGLE_UNITS = [("", "W", 7 * 86400), ("", "D", 86400), ("T", "H", 3600), ("T", "M", 60)]
_ANY_FRACTION = r"(\.[0-9]{1,6})?"
_ANY_SECONDS = rf"([1-5]?[0-9]{_ANY_FRACTION}S)?"


class _Part(NamedTuple):
    """A part of a duration: its number, its unit, the greatest number, and all that may follow it."""

    number: int
    unit: str
    most: Optional[int]
    rest: str


def durations(low: Optional[datetime.timedelta], high: Optional[datetime.timedelta]) -> List[str]:
    """Return the patterns of the durations from `low` to `high`, which are included."""
    found = []
    if low is not None:
        if low < datetime.timedelta(0):
            found.append(rf"^(\+?P|-P{_at_most(-low)}$)")
        else:  # pydantic takes "-PT0S" as less than 0
            found.append(rf"^\+?P{_at_least(low)}$" if low else r"^\+?P")
    if high is not None:
        found.append(rf"^-P{_at_least(-high)}$" if high < datetime.timedelta(0) else rf"^(-P|\+?P{_at_most(high)}$)")
    return found


def _at_most(bound: datetime.timedelta) -> str:
    seconds, fraction = divmod(bound // _MICROSECOND, 10**6)
    singles = [f"{time}({'|'.join(magnitudes(0, seconds // size))}){unit}" for time, unit, size in _SINGLE_UNITS]
    singles.append(f"T{_seconds_at_most(seconds, fraction)}S")
    return f"({'|'.join([_from_parts(seconds, fraction, _parts_at_most), *singles])})"


def _at_least(bound: datetime.timedelta) -> str:
    seconds, fraction = divmod(bound // _MICROSECOND, 10**6)
    whole = seconds + (fraction > 0)
    singles = [f"{time}({'|'.join(magnitudes(-(-whole // size), None))}){unit}" for time, unit, size in _SINGLE_UNITS]
    singles.append(f"T{_seconds_at_least(seconds, fraction, None)}S")
    return f"({'|'.join([_from_parts(seconds, fraction, _parts_at_least), *singles])})"


def _from_parts(seconds: int, fraction: int, limited: Callable[[Sequence[_Part], str, bool], str]) -> str:
    """Return the pattern of days, hours, minutes and seconds, each optional."""
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    any_minutes = f"([1-5]?[0-9]M)?{_ANY_SECONDS}"
    any_time = f"(T((1?[0-9]|2[0-3])H)?{any_minutes})?"
    parts = [
        _Part(days, "D", None, any_time),
        _Part(hours, "H", 23, any_minutes),
        _Part(minutes, "M", 59, _ANY_SECONDS),
    ]
    if limited is _parts_at_most:
        last = f"({_seconds_at_most(seconds, fraction)}S)?"
    else:
        last = f"{_seconds_at_least(seconds, fraction, 59)}S"
    return limited(parts, last, seconds == fraction == 0)


def _parts_at_most(parts: Sequence[_Part], last: str, last_is_zero: bool) -> str:
    if not parts:
        return last
    part, *others = parts
    rest = _parts_at_most(others, last, last_is_zero)
    if part.unit == "D":
        rest = f"(T{rest})?"
    if part.number == 0:
        return f"(0{part.unit})?{rest}"
    less = "|".join(magnitudes(0, part.number - 1))
    return f"((({less}){part.unit})?{part.rest}|{part.number}{part.unit}{rest})"


def _parts_at_least(parts: Sequence[_Part], last: str, last_is_zero: bool) -> str:
    if not parts:
        return last
    part, *others = parts
    if last_is_zero and not any(other.number for other in others):
        rest = part.rest  # the rest is at least 0
    else:
        rest = ("T" if part.unit == "D" else "") + _parts_at_least(others, last, last_is_zero)
    choices = [f"{part.number}{part.unit}{rest}" if part.number else f"(0{part.unit})?{rest}"]
    if part.most is None or part.number < part.most:
        more = "|".join(magnitudes(part.number + 1, part.most))
        choices.append(f"({more}){part.unit}{part.rest}")
    return f"({'|'.join(choices)})"


def _seconds_at_most(seconds: int, fraction: int) -> str:
    """Return the pattern of a number of seconds up to a bound."""
    choices = [f"{seconds}{_fraction_at_most(fraction)}"]
    if seconds > 0:
        choices.append(f"({'|'.join(magnitudes(0, seconds - 1))}){_ANY_FRACTION}")
    return f"({'|'.join(choices)})"


def _seconds_at_least(seconds: int, fraction: int, most: Optional[int]) -> str:
    """Return the pattern of a number of seconds from a bound on."""
    choices = [f"{seconds}{_fraction_at_least(fraction)}"]
    if most is None or seconds < most:
        choices.append(f"({'|'.join(magnitudes(seconds + 1, most))}){_ANY_FRACTION}")
    return f"({'|'.join(choices)})"


def _fraction_at_most(microseconds: int) -> str:
    digits = f"{microseconds:06}".rstrip("0")
    if not digits:
        return r"(\.0{1,6})?"
    choices = [
        digits[:at] + digit_span(0, int(digit) - 1) + _more(5 - at) for at, digit in enumerate(digits) if digit != "0"
    ]
    choices += [digits[:size] for size in range(1, len(digits))]
    choices.append(f"{digits}0{{0,{6 - len(digits)}}}")
    return rf"(\.({'|'.join(choices)}))?"


def _fraction_at_least(microseconds: int) -> str:
    digits = f"{microseconds:06}".rstrip("0")
    if not digits:
        return _ANY_FRACTION
    choices = [
        digits[:at] + digit_span(int(digit) + 1, 9) + _more(5 - at) for at, digit in enumerate(digits) if digit != "9"
    ]
    choices.append(digits + _more(6 - len(digits)))
    return rf"\.({'|'.join(choices)})"


def _more(most: int) -> str:
    return f"[0-9]{{0,{most}}}" if most else ""
