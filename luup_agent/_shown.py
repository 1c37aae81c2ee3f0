"""Short texts and HTML of objects, for the prompt of Python and for notebooks."""

from __future__ import annotations

import html
from typing import Any, Iterable, List, Mapping

__all__ = ["Short", "cell", "table"]

_SHOWN = 100  # characters of a text in a repr
_CELL = 300  # characters of a value in a table


class Short:
    """A value whose repr is cut where it is long, with the number of characters that are missing."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        text = repr(self._value[: _SHOWN + 1]) if isinstance(self._value, str) else repr(self._value)
        length = len(self._value) if isinstance(self._value, str) else len(text)
        if length <= _SHOWN:
            return repr(self._value)
        kept = repr(self._value[:_SHOWN]) if isinstance(self._value, str) else text[:_SHOWN]
        return f"{kept}… ({length - _SHOWN:,} more characters)"


def cell(value: object) -> str:
    """Return a value as text of HTML, which is cut where it is long."""
    text = "" if value is None else str(value)
    more = len(text) - _CELL
    return html.escape(text[:_CELL]) + (f"… ({more:,} more characters)" if more > 0 else "")


def table(rows: Iterable[Mapping[str, Any]], limit: int, total: int) -> str:
    """Return the first `limit` of `total` rows as a table of HTML."""
    shown: List[Mapping[str, Any]] = []
    for row in rows:
        if len(shown) == limit:
            break
        shown.append(row)
    names = list(shown[0]) if shown else []
    head = "".join(f"<th>{cell(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{cell(row[name])}</td>" for name in names) + "</tr>" for row in shown)
    more = f"<p>{total - len(shown):,} more rows</p>" if total > len(shown) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
