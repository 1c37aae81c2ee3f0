"""One row of the type zoo."""

from typing import Any, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from pydantic import BaseModel, create_model


class Entry(NamedTuple):
    """A type, and whether results of it are generated or refused.

    Attributes:
        title: How the type is written.
        type: The type.
        refused: Words of the error when it is declared; None if what is generated is valid.
        note: A remark in the table.
        combines: Whether it also appears in containers.
    """

    title: str
    type: Any
    refused: Optional[str] = None
    note: str = ""
    combines: bool = False


def valid(title: str, type_: Any, note: str = "", combines: bool = False) -> Entry:
    """Return an entry whose texts are valid."""
    return Entry(title, type_, None, note, combines)


def refused(title: str, type_: Any, reason: str) -> Entry:
    """Return an entry that is refused for `reason`."""
    return Entry(title, type_, reason)


def combined(entries: Sequence[Entry]) -> List[Entry]:
    """Return the entries that combine, in containers and as fields."""
    found = []
    for entry in entries:
        if entry.combines:
            for title, type_ in _around(entry.title, entry.type):
                reason = "can't be hashed" if title == "FrozenSet[Json]" else entry.refused
                found.append(Entry(title, type_, reason))
    return found


def _around(title: str, type_: Any) -> List[Tuple[str, Any]]:
    name = "".join(char for char in title if char.isalnum())
    fields: Dict[str, Any] = {"first": (type_, ...), "second": (Optional[type_], None)}
    hashable: List[Tuple[str, Any]] = [(f"FrozenSet[{title}]", FrozenSet[type_])]
    model: Any = create_model(f"Model{name}", __base__=BaseModel, **fields)
    return [
        (f"List[{title}]", List[type_]),
        (f"Dict[str, {title}]", Dict[str, type_]),
        (f"Tuple[{title}, bool]", Tuple[type_, bool]),
        *hashable,
        (f"a model with fields of {title} and Optional[{title}]", model),
    ]
