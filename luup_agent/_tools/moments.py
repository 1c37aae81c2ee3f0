"""Regular expressions of the dates with times on one side of a bound, where each text may name an offset from UTC.

A text is compared as pydantic does: by its moment if it and the bound name an offset, else by its local time.
Near the bound a text may name the bound's own offset or one of a few others; any other must be right in every zone.
"""

from __future__ import annotations

import datetime
import os.path
from typing import List, Mapping, Optional

from luup_agent._tools import patterns

_MINUTE = datetime.timedelta(minutes=1)
_DAY = datetime.timedelta(days=1)  # no offset is larger
# Near the bound a text may name one of these offsets, in minutes: America, UTC, Europe, East Asia. The automaton of all
# 27 whole hours would be too large.
_OFFSETS = [hours * 60 for hours in (-8, -5, -4, 0, 1, 2, 8, 9)]
_REST = "([0-9-]*[Tt _])?[0-9:.]*"  # of the date and the time


def bounded(key: str, bound: datetime.datetime) -> List[str]:
    """Return the patterns of the texts that a bound allows.

    Args:
        key: "ge", "gt", "le" or "lt".
        bound: The bound.
    """
    if bound.tzinfo is None:
        return _on_clock(key, bound)
    clock = bound.replace(tzinfo=None)
    offset = bound.utcoffset() or datetime.timedelta(0)
    return _with_offsets(key, clock, offset, clock)


def since_now(is_past: bool) -> List[str]:
    """Return the patterns of the past, or of the future from tomorrow on: a schema may be used for some time."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    zone = datetime.timedelta(0)
    if is_past:  # without an offset it is a time of this machine's zone
        return _with_offsets("le", now, zone, now - _DAY)
    return _with_offsets("ge", now + _DAY, zone, now + 2 * _DAY)


def on_one_clock(key: str, text: str, has_fraction: bool) -> List[str]:
    """Return the patterns of the texts before or after another one of the form `…hh:mm:ss`.

    Args:
        key: "ge", "gt", "le" or "lt".
        text: The bound, without its fraction of a second.
        has_fraction: Whether the bound has one.
    """
    if key in ("ge", "gt"):
        return patterns.moments(text, key == "gt" or has_fraction, None, False)
    return patterns.moments(None, False, text, key == "lt")


def _on_clock(key: str, bound: datetime.datetime) -> List[str]:
    return on_one_clock(key, bound.isoformat("T", "seconds"), bound.microsecond > 0)


def _with_offsets(
    key: str, clock: datetime.datetime, offset: datetime.timedelta, without: datetime.datetime
) -> List[str]:
    """Return the pattern of a bound that names an offset.

    Args:
        key: "ge", "gt", "le" or "lt".
        clock: The date and the time of the bound in its own zone.
        offset: The offset of the bound.
        without: The bound of texts that name no offset.
    """
    far = _moved(clock, (_DAY if key in ("ge", "gt") else -_DAY) - offset)
    safe = [_on_clock(key, far)[0]] if far is not None else []
    bounds = {_REST: without}
    for minutes in sorted({offset // _MINUTE, *_OFFSETS}) if offset % _MINUTE == datetime.timedelta(0) else _OFFSETS:
        local = _moved(clock, minutes * _MINUTE - offset)
        if local is not None:
            bounds[_REST + _written(minutes)] = local
    return ["|".join([*safe, _near(key, bounds)])]


def _near(key: str, bounds: Mapping[str, datetime.datetime]) -> str:
    """Return the pattern of the texts on one side of a bound, which depends on how they end: on their offset."""
    texts = {rest: bound.isoformat("T", "seconds") for rest, bound in bounds.items()}
    common = os.path.commonprefix([text[:-3] for text in texts.values()])  # noqa: RUF071  # characters are meant
    is_low = key in ("ge", "gt")
    far = patterns.beside(common, is_low)
    ends = "|".join(rest[len(_REST) :] for rest in texts)
    choices = [f"({'|'.join(far)}){_REST}({ends})"] if far else []  # what each of the bounds allows
    for rest, text in texts.items():
        inner = text[len(common) :]
        offset = rest[len(_REST) :]
        is_equal = key == "ge" and bounds[rest].microsecond == 0
        if is_equal and inner.endswith(":00"):
            inner = inner[:-3]
        begin = patterns.nested(inner, is_low, is_equal)
        if begin:
            choices.append(f"{common}{begin}{rest}")
        if not is_low:
            choices += [f"{common}{each}{offset}" for each in patterns.earlier(inner, key == "lt")[1]]
    return f"^({'|'.join(choices)})$"


def _moved(moment: datetime.datetime, by: datetime.timedelta) -> Optional[datetime.datetime]:
    try:
        return moment + by
    except OverflowError:  # before the year 1 or after 9999
        return None


def _written(minutes: int) -> str:
    if minutes == 0:
        return "([Zz]|[+-]00:?00)"
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '[+]'}{hours:02}:?{rest:02}"
