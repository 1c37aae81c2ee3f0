"""Keys and other secrets of remote models: hidden in every repr, and removed from every text that a server sends back.

A key is wrapped in a `Secret` where it enters the package, so that no local variable of a frame, which tracebacks and
error reporters show, holds its text.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping, Optional, Set
from urllib.parse import quote

_SHORTEST = 8  # characters; shorter keys are placeholders, and could occur in any text


class Secret:
    """A value whose repr hides it."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> Any:
        raise TypeError("a key can't be pickled")


def hide(value: Any) -> Optional[Secret]:
    """Wrap a value that may be a secret; None stays None."""
    return value if value is None or isinstance(value, Secret) else Secret(value)


def hide_values(headers: object) -> object:
    """Wrap the values of headers; anything but a dict is returned as it is, for a check to refuse it."""
    return {name: Secret(value) for name, value in headers.items()} if isinstance(headers, Mapping) else headers


class Redactor:
    """Replaces secrets in texts by ``***``, also where they are escaped as in JSON, a repr or an address."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        found: Set[str] = set()
        for secret in secrets:
            for part in _parts_of(str(secret.reveal())):
                if len(part) >= _SHORTEST:
                    found.update((part, json.dumps(part)[1:-1], repr(part)[1:-1], quote(part, safe="")))
        self._forms = [Secret(form) for form in sorted(found, key=len, reverse=True)]

    def __call__(self, text: str) -> str:
        """Return `text` without the secrets."""
        for form in self._forms:
            text = text.replace(form.reveal(), "***")
        return text


def _parts_of(value: str) -> Iterable[str]:
    """Yield the value of a header, and the part of it behind a word such as "Bearer"."""
    yield value.strip()
    yield value.strip().partition(" ")[2].strip()
