"""The prompt of an item: a template with fields in braces, which only names fill."""

from __future__ import annotations

import json
import re
from typing import Any, List, Mapping, Optional

from luup_agent.errors import InvalidParamError

_PARTS = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")
_ITEM = "item"
_SHOWN = 80  # characters of a value in an error


class Template:
    """A prompt with fields such as ``{item}`` or ``{title}``.

    Braces of an item stay text, and a field is a name only: no attribute, index or format of a value can be reached.

    Attributes:
        text: The template as it was written; None if the item itself is the prompt.
        fields: The names of the fields.
    """

    def __init__(self, text: Optional[str]) -> None:
        """Read a template.

        Raises:
            InvalidParamError: It is not a str, has a brace that begins no field, or has no field.
        """
        if text is not None and not isinstance(text, str):
            raise InvalidParamError(f"prompt must be a str or None, not {type(text).__name__}")
        self.text = text
        self.fields: List[str] = []
        self._parts: List[str] = []  # by turns a text and the name of a field
        if text is None:
            return
        part, at = "", 0
        for found in _PARTS.finditer(text):
            part += text[at : found.start()]
            at = found.end()
            if found.group(1):
                self._parts += [part, found.group(1)]
                part = ""
            elif len(found.group()) == 2:
                part += found.group()[0]
            else:
                raise InvalidParamError(
                    f"prompt has {found.group()!r} at character {found.start()} that begins or ends no field: a field "
                    "is a name in braces, such as {item}; write {{ and }} for braces of the text"
                )
        self._parts.append(part + text[at:])
        self.fields = self._parts[1::2]
        if not self.fields:
            raise InvalidParamError(
                "prompt has no field, so every item would get the same one: write {item} where the text of an item "
                "belongs, or the names of fields if the items are dicts"
            )

    def render(self, index: int, item: Any) -> str:
        """Return the prompt of the item with this index.

        Raises:
            InvalidParamError: The item is neither a str nor a dict, or lacks a field; the message names it.
        """
        name = f"items[{index}]"
        if self.text is None:
            if isinstance(item, str):
                return item
            raise InvalidParamError(
                f"{name} must be a str, got {_shown(item)}; pass a prompt with fields, such as "
                '"Summarize {title}: {body}", for items that are dicts'
            )
        values: Mapping[str, Any]
        if isinstance(item, str):
            values = {_ITEM: item}
        elif isinstance(item, Mapping):
            values = item
        else:
            raise InvalidParamError(f"{name} must be a str or a dict, got {_shown(item)}")
        parts = list(self._parts)
        for place, field in enumerate(self.fields):
            if field not in values:
                known = ", ".join(sorted(map(str, values))) or "none"
                raise InvalidParamError(f"{name} has no field {field!r}, which the prompt needs; its fields: {known}")
            parts[2 * place + 1] = _text(f"{name}[{field!r}]", values[field])
        return "".join(parts)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise InvalidParamError(f"{name} is None: fill it, or leave the item out")
    if isinstance(value, (dict, list, tuple)):
        try:
            return json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            raise InvalidParamError(f"{name} has parts that are not JSON: {_shown(value)}") from None
    return str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
