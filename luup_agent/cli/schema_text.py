"""The argument of ``--schema``: short text such as "name str, year int", a JSON schema, or a Python type."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List

from luup_agent._files import read_regular, shorten_path
from luup_agent._json import read_json
from luup_agent.cli import python_values
from luup_agent.errors import InvalidSchemaError, JSONParseError, StorageError

_TYPES = {
    "str": "string",
    "string": "string",
    "int": "integer",
    "integer": "integer",
    "float": "number",
    "number": "number",
    "bool": "boolean",
    "boolean": "boolean",
}
_FIELD = re.compile(r"(?P<name>[A-Za-z_]\w*)(?P<optional>\?)?(?:\s+(?P<type>\S+))?\Z", re.ASCII)
_MAX_FILE = 4 << 20
_SYNTAX = 'write fields such as "name str, year int, tags str[], mood happy|sad, note? str: a short remark"'


def read(text: str) -> Any:
    """Return the `output_type` that the argument describes.

    Raises:
        InvalidSchemaError: The text has another form; the message names the field.
        JSONParseError: The file or the text that begins with "{" is not JSON.
        StorageError: The file can't be read.
        InvalidParamError: The Python type can't be imported.
    """
    if text.lstrip().startswith("{"):
        return _parse("the schema", text)
    if python_values.is_python(text):
        return python_values.import_value(text, "--schema")
    if os.path.isfile(text) or text.endswith(".json"):
        return _read_file(text)
    return from_fields(text)


def _read_file(path: str) -> Any:
    try:
        content = read_regular(path, _MAX_FILE).decode("utf-8")
    except UnicodeDecodeError:
        raise JSONParseError(f"{shorten_path(path)} is not UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"the schema {shorten_path(path)} can't be read: {reason}") from None
    return _parse(shorten_path(path), content)


def _parse(name: str, text: str) -> Any:
    value = read_json(name, text)
    if not isinstance(value, dict):
        raise InvalidSchemaError(f"{name} must be a JSON object, not {type(value).__name__}")
    return value


def from_fields(text: str) -> Dict[str, Any]:
    """Return the JSON schema of an object with these fields.

    Fields are separated by commas, or by lines if there are several. Each is a name, a type (str if there is none) and,
    after a colon, a description. The types are str, int, float, bool, a list of one as in ``str[]``, and words to
    choose from as in ``happy|sad``. A ``?`` after the name makes a field optional.

    Raises:
        InvalidSchemaError: A field has another form, or its name is repeated.

    Example:
        >>> from_fields("name str, year int")["properties"]
        {'name': {'type': 'string'}, 'year': {'type': 'integer'}}
    """
    properties: Dict[str, Any] = {}
    required: List[str] = []
    for field in text.strip().split("\n" if "\n" in text.strip() else ","):
        written, colon, description = field.partition(":")
        match = _FIELD.match(written.strip())
        if match is None:
            raise InvalidSchemaError(f"schema: {field.strip()[:100]!r} is not a field; {_SYNTAX}")
        name = match["name"]
        if name in properties:
            raise InvalidSchemaError(f"schema: there are two fields {name!r}")
        properties[name] = _type(name, match["type"] or "str")
        if colon and description.strip():
            properties[name]["description"] = description.strip()
        if not match["optional"]:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _type(name: str, text: str) -> Dict[str, Any]:
    if text.endswith("[]"):
        return {"type": "array", "items": _type(name, text[:-2])}
    if "|" in text:
        words = text.split("|")
        if not all(words) or len(set(words)) != len(words):
            raise InvalidSchemaError(f"schema: the words of {name!r} must be different and not empty, got {text!r}")
        return {"type": "string", "enum": words}
    if text.lower() not in _TYPES:
        raise InvalidSchemaError(f"schema: {text!r} is not a type for {name!r}; {_SYNTAX}")
    return {"type": _TYPES[text.lower()]}
