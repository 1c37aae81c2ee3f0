"""`MapResult`, the result of one item, and `MapResults`, those of all."""

from __future__ import annotations

import dataclasses
import html
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Generic, Iterable, List, Mapping, Optional

from pydantic import BaseModel
from typing_extensions import TypeVar

from luup_agent._agent.classify import Classification
from luup_agent._shown import table
from luup_agent.errors import UnsupportedError
from luup_agent.messages import Usage

if TYPE_CHECKING:
    from luup_agent.messages import FinishReason

T = TypeVar("T", default=str)
_ROWS = 20  # of a table in a notebook
_SHOWN = 60  # characters of a value in a repr


class MapResult(Generic[T]):
    """The result of one item of `Agent.map`.

    Attributes:
        index: The place of the item, from 0.
        item: The item.
        value: The answer, or the label; None if the item failed.
        error: The exception of an item that failed; None if it succeeded.
        usage: The token counts; None if no run began. Zero for a result that was read from a file.
        seconds: The time from the start of the item's run to its end.
        finish_reason: "stop", or "length" if `max_tokens` cut the answer; None for an item that failed.

    Example:
        >>> result = agent.map(["France", "Italy"], "What is the capital of {item}?").all()[0]
        >>> result.index, result.item, result.ok
        (0, 'France', True)
    """

    __module__ = "luup_agent"
    __slots__ = ("error", "finish_reason", "index", "item", "seconds", "usage", "value")

    def __init__(
        self,
        index: int,
        item: Any,
        value: Optional[T] = None,
        error: Optional[Exception] = None,
        usage: Optional[Usage] = None,
        seconds: float = 0.0,
        finish_reason: Optional[FinishReason] = None,
    ) -> None:
        self.index = index
        self.item = item
        self.value = value
        self.error = error
        self.usage = usage
        self.seconds = seconds
        self.finish_reason = finish_reason

    @property
    def ok(self) -> bool:
        """Whether the item succeeded."""
        return self.error is None

    def unwrap(self) -> T:
        """Return the value, or raise the error of an item that failed.

        Raises:
            Exception: That of `error`.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]

    def row(self) -> Dict[str, Any]:
        """Return the result as a flat dict: the fields of dicts and models as ``item.name`` and ``value.name``."""
        usage = self.usage
        return {
            "index": self.index,
            **_columns("item", self.item),
            **_columns("value", self.value),
            "error": None if self.error is None else f"{type(self.error).__name__}: {self.error}",
            "finish_reason": self.finish_reason,
            "prompt_tokens": None if usage is None else usage.prompt_tokens,
            "completion_tokens": None if usage is None else usage.completion_tokens,
            "seconds": self.seconds,
        }

    def __repr__(self) -> str:
        """Return, for example, ``MapResult(0, 'Paris', 0.12 s)``."""
        shown = repr(self.value) if self.error is None else f"{type(self.error).__name__}: {self.error}"
        shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
        return f"MapResult({self.index}, {shown}, {self.seconds:.2f} s)"


class MapResults(List[MapResult[T]]):
    """The results of all items: a list, which becomes a table by `rows`, `to_pandas` or `to_polars`.

    Example:
        >>> results = agent.map(["France", "Italy"], "What is the capital of {item}?").all()
        >>> [row["item"] for row in results.rows()]
        ['France', 'Italy']
    """

    __module__ = "luup_agent"

    @property
    def values(self) -> List[Optional[T]]:
        """The values; None where an item failed."""
        return [result.value for result in self]

    @property
    def errors(self) -> List[MapResult[T]]:
        """The results of the items that failed."""
        return [result for result in self if result.error is not None]

    @property
    def usage(self) -> Usage:
        """The token counts of all runs together."""
        counts = [result.usage for result in self if result.usage is not None]
        turns = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0, total_tokens=0, turns=0)
        return sum(counts, turns)

    def rows(self) -> List[Dict[str, Any]]:
        """Return a dict for each result, all with the same keys; missing values are None."""
        rows = [result.row() for result in self]
        names = _merged([list(row) for row in rows])
        return [{name: row.get(name) for name in names} for row in rows]

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame of the rows.

        Raises:
            UnsupportedError: pandas is not installed.
        """
        try:
            pandas: Any = import_module("pandas")
        except ImportError:
            raise UnsupportedError("to_pandas needs the package pandas: pip install pandas") from None
        return pandas.DataFrame(self.rows())

    def to_polars(self) -> Any:
        """Return a polars DataFrame of the rows.

        Raises:
            UnsupportedError: polars is not installed.
        """
        try:
            polars: Any = import_module("polars")
        except ImportError:
            raise UnsupportedError("to_polars needs the package polars: pip install polars") from None
        return polars.DataFrame(self.rows(), infer_schema_length=None)

    def __repr__(self) -> str:
        """Return, for example, ``<MapResults: 200 items, 3 failed, 4,100 tokens>``."""
        failed = len(self.errors)
        return "<MapResults: {:,} items{}, {:,} tokens>".format(
            len(self), f", {failed:,} failed" if failed else "", self.usage.total_tokens
        )

    def _repr_html_(self) -> str:
        """Return the first rows as a table, for a notebook."""
        rows = MapResults(self[:_ROWS]).rows()
        return f"<p>{html.escape(repr(self))}</p>{table(rows, _ROWS, len(self))}"


def _columns(name: str, value: Any) -> Dict[str, Any]:
    if isinstance(value, BaseModel):
        fields: Mapping[Any, Any] = value.model_dump()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.asdict(value)
    elif isinstance(value, Mapping):
        fields = value
    elif isinstance(value, Classification):
        fields = {"label": value.label, "probability": value.probabilities[value.label]}
    else:
        return {name: _plain(value)}
    return {f"{name}.{field}": _plain(part) for field, part in fields.items()}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _merged(lists: Iterable[List[str]]) -> List[str]:
    """Return the names of all lists in an order that is that of each; a plain ``value`` beside fields comes first."""
    names: List[str] = []
    for each in lists:
        at = 0
        for name in each:
            if name in names:
                at = names.index(name) + 1
            else:
                names.insert(at, name)
                at += 1
    return names
