"""Regular expressions of the texts within bounds: of whole numbers, decimals, dates and times."""

from __future__ import annotations

import datetime
from typing import List, Optional, Tuple

_MAX_DIGITS = 28  # more digits make no difference between places: the pattern grows with their number


def whole_numbers(low: Optional[int], high: Optional[int]) -> Optional[str]:
    """Return the pattern of the whole numbers from `low` to `high`, None if there is none."""
    if low is not None and high is not None and low > high:
        return None
    parts: List[str] = []
    if high is None or high >= 0:
        parts += magnitudes(max(low or 0, 0), high)
    if low is None or low < 0:
        least = 1 if high is None or high >= 0 else -high
        parts += ["-" + part for part in magnitudes(least, None if low is None else -low)]
    return f"^({'|'.join(parts)})$"


def magnitudes(low: int, high: Optional[int]) -> List[str]:
    """Return the patterns of the whole numbers from `low`, which is not negative, to `high`."""
    parts: List[str] = []
    if low == 0:
        parts.append("0")
        if high == 0:
            return parts
        low = 1
    digits = len(str(low))
    last = digits if high is None else len(str(high))
    for size in range(digits, last + 1):
        first = max(low, 10 ** (size - 1))
        end = 10**size - 1 if high is None else min(high, 10**size - 1)
        parts.append(_same_size(str(first), str(end)))
    if high is None:
        parts.append(f"[1-9][0-9]{{{digits},}}")
    return parts


def _same_size(low: str, high: str) -> str:
    """Return the pattern of the digits between two of the same length."""
    rest = len(low) - 1
    if rest < 0:
        return ""
    if set(low) == {"0"} and set(high) == {"9"}:
        return _any(len(low))
    if low[0] == high[0]:
        return low[0] + _same_size(low[1:], high[1:])
    whole_low, whole_high = set(low[1:]) <= {"0"}, set(high[1:]) <= {"9"}
    first, last = int(low[0]) + (not whole_low), int(high[0]) - (not whole_high)
    parts = [] if whole_low else [low[0] + _same_size(low[1:], "9" * rest)]
    if first <= last:
        parts.append(digit_span(first, last) + _any(rest))
    if not whole_high:
        parts.append(high[0] + _same_size("0" * rest, high[1:]))
    return parts[0] if len(parts) == 1 else f"({'|'.join(parts)})"


def _any(digits: int) -> str:
    return "" if digits == 0 else "[0-9]" if digits == 1 else f"[0-9]{{{digits}}}"


def digit_span(first: int, last: int) -> str:
    """Return the pattern of a digit from `first` to `last`."""
    return str(first) if first == last else f"[{first}-{last}]"


def decimals(digits: Optional[int], places: Optional[int], sign: str = "-?") -> str:
    """Return the pattern of decimals with at most `digits` digits, `places` of them behind the point."""
    if digits is None or digits > _MAX_DIGITS:
        fraction = "" if places == 0 else r"(\.[0-9]+)?" if places is None else rf"(\.[0-9]{{1,{places}}})?"
        return f"^{sign}(0|[1-9][0-9]*){fraction}$"
    behind = digits if places is None else min(places, digits)
    before = digits if places is None else digits - behind
    if before == 0 and places is not None:  # pydantic counts the 0 before the point, but only in 0 itself
        tails = [rf"{'0' * zeros}[1-9][0-9]{{0,{behind - zeros - 1}}}" for zeros in range(behind)]
        return rf"^{sign}0\.({'|'.join(tails)})$"
    parts = ["0" + _fraction(behind)]
    if places is None:
        parts += [f"[1-9]{_any(size - 1)}{_fraction(digits - size)}" for size in range(1, before + 1)]
    elif before > 0:
        parts.append(f"[1-9][0-9]{{0,{before - 1}}}{_fraction(behind)}")
    return f"^{sign}({'|'.join(parts)})$"


def _fraction(places: int) -> str:
    return rf"(\.[0-9]{{1,{places}}})?" if places > 0 else ""


def dates(low: Optional[datetime.date], high: Optional[datetime.date]) -> List[str]:
    """Return the patterns of the dates from `low` to `high`."""
    found: List[str] = []
    if low is not None:
        found.append(f"^({'|'.join([low.isoformat(), *_beside(low.isoformat(), 1)])})")
    if high is not None:
        found.append(f"^({'|'.join([high.isoformat(), *_beside(high.isoformat(), -1)])})")
    return found


def moments(low: Optional[str], above: bool, high: Optional[str], below: bool) -> List[str]:
    """Return the patterns of the times, or dates with times, between two of the form `…hh:mm:ss`.

    Args:
        low: The least one, or None.
        above: Whether `low` itself is too early.
        high: The greatest one, or None.
        below: Whether `high` itself is too late.
    """
    found: List[str] = []
    end = "([Zz+-]|$)"  # no more seconds or fractions
    if low is not None:
        found.append(f"^({'|'.join(later(low, above))})")
    if high is not None:
        parts, whole = earlier(high, below)
        found.append(f"^({'|'.join([*parts, *(text + end for text in whole)])})")
    return found


def later(low: str, above: bool) -> List[str]:
    """Return the beginnings of the times from `low` on; see `moments`."""
    parts = _beside(low, 1)
    if not above:
        parts.append(low[:-3] if low.endswith(":00") else low)
    return parts


def earlier(high: str, below: bool) -> Tuple[List[str], List[str]]:
    """Return the beginnings of the times up to `high`, and whole times, which only an offset follows; see `moments`."""
    whole = []
    if not high.endswith(":00") or not below:
        whole.append(high[:-3])
    if not below:
        whole.append(high)
    return _beside(high, -1), whole


def beside(text: str, is_later: bool) -> List[str]:
    """Return the beginnings of the texts of the same form that are later, or earlier."""
    return _beside(text, 1 if is_later else -1)


def nested(text: str, is_later: bool, is_equal: bool) -> str:
    """Return the same as one short pattern, with `text` itself if `is_equal`; "" if there is no such text."""
    found = "" if is_equal else None
    for char in reversed(text):
        span = ""
        if char.isdigit() and char != ("9" if is_later else "0"):
            span = digit_span(int(char) + 1, 9) if is_later else digit_span(0, int(char) - 1)
        same = None if found is None else char + found
        found = f"({span}|{same})" if span and same is not None else span or same
    return found or ""


def _beside(text: str, direction: int) -> List[str]:
    """Return the beginnings of the texts of the same form that are greater (1) or less (-1)."""
    parts: List[str] = []
    for index, char in enumerate(text):
        if char.isdigit() and char != ("9" if direction > 0 else "0"):
            span = digit_span(int(char) + 1, 9) if direction > 0 else digit_span(0, int(char) - 1)
            parts.append(text[:index] + span)
    return parts
