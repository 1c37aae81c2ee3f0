"""Patterns for the texts of which pydantic reads values that JSON Schema has no words for."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

from pydantic.errors import PydanticInvalidForJsonSchema

Schema = Dict[str, Any]

_NUMBER = r"(0|[1-9][0-9]*)(\.[0-9]+)?"
COMPLEX = rf"^-?{_NUMBER}([+-]{_NUMBER}j)?$"
BYTE_SIZE = r"^[0-9]{1,30}(\.[0-9]{1,15})? ?([kmgtpKMGTP]i?[bB]|[bB])?$"
TRIMMED = r"^\S([\s\S]*\S)?$"  # what is left when the white space around a text is stripped

_BY_FORMAT: Mapping[str, str] = {
    "fraction": "^-?(0|[1-9][0-9]*)(/[1-9][0-9]*)?$",
    "hex": "^([0-9a-f]{2})*$",
}
# Hosts without "--", which begins names that only IDNA can check. The last label is no number: that is an address.
_LABEL = "[A-Za-z0-9]+([-_][A-Za-z0-9]+)*"
_LAST_LABEL = "[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = rf"\[(({_GROUP}:){{7}}{_GROUP}|({_GROUP}(:{_GROUP}){{0,2}})?::({_GROUP}(:{_GROUP}){{0,3}})?)\]"
_HOST = rf"(({_LABEL}\.)*{_LAST_LABEL}|{_OCTET}(\.{_OCTET}){{3}}|{_IPV6})"
_ESCAPED = "%[0-9A-Fa-f]{2}"
_USER_CHAR = f"([A-Za-z0-9._~!$&'()*+,;=-]|{_ESCAPED})"
_USER = f"({_USER_CHAR}+(:{_USER_CHAR}*)?@)?"
_PORT = "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_PATH_CHAR = f"([A-Za-z0-9._~!$&'()*+,;=:@-]|{_ESCAPED})"
_REST = rf"(/{_PATH_CHAR}*)*(\?({_PATH_CHAR}|[/?])*)?(#({_PATH_CHAR}|[/?])*)?"
_POSIX_CLASS = re.compile(r"\[:\^?[a-z]+:\]")
_WEB = {"http", "https"}
_HOSTS = ["https", "http", "postgresql", "mongodb", "redis", "kafka", "amqp", "nats"]  # for URLs of any scheme


def url_pattern(schemes: Optional[Sequence[str]], several_hosts: bool) -> Optional[str]:
    """Return the pattern of URLs with one of `schemes`; None if JSON Schema's own format will do."""
    if schemes is None and several_hosts:
        schemes = _HOSTS
    if schemes is None or set(schemes) >= _WEB:
        return None
    named = "|".join(re.escape(scheme) for scheme in schemes)
    if set(schemes) == {"file"}:
        return rf"^(file)://(/{_PATH_CHAR}+)+$"
    more = rf"(,{_HOST}{_PORT})*" if several_hosts else ""
    return rf"^({named})://{_USER}{_HOST}{_PORT}{more}{_REST}$"


def check_dialect(pattern: str, engine: Optional[str]) -> None:
    """Check that a pattern means the same to pydantic's engine and to the library's.

    Raises:
        PydanticInvalidForJsonSchema: It has a class that only one of them reads as a set of classes.
    """
    bare = re.sub(r"\\.", "_", pattern, flags=re.DOTALL)  # without escaped characters
    if "[]" in bare or "[^]" in bare:
        raise PydanticInvalidForJsonSchema(f"the pattern {pattern!r} has a ']' in a class, which has to be escaped")
    inside = re.findall(r"\[\^?((?:\[:\^?[a-z]+:\]|[^\]])*)", bare)
    if engine == "python-re":
        if any("[:" in each for each in inside):
            raise PydanticInvalidForJsonSchema(
                f"the pattern {pattern!r} has a POSIX class, which Python reads as single characters; write them out"
            )
        return
    for each in inside:
        wrong = next((sign for sign in ("&&", "--", "~~") if sign in each), None)
        if wrong or "[" in _POSIX_CLASS.sub("", each):
            raise PydanticInvalidForJsonSchema(
                f"the pattern {pattern!r} has classes within a class ({wrong or '['}), which the engine of pydantic "
                "combines; write the characters out, or escape them"
            )


def bytes_schema(encoding: str, least: Optional[int], most: Optional[int]) -> Schema:
    """Return the schema of bytes that are read as "utf8", "base64" or "hex", with bounds of their number."""
    bound = least is not None or most is not None
    least, end = least or 0, "" if most is None else str(most)
    if encoding == "hex":
        return {"type": "string", "pattern": f"^([0-9a-f]{{2}}){{{least},{end}}}$" if bound else _BY_FORMAT["hex"]}
    if encoding == "base64":
        if not bound:
            return {"type": "string", "format": "base64url"}
        whole = f"{-(-least // 3)},{'' if most is None else most // 3}"
        return {"type": "string", "pattern": f"^([A-Za-z0-9_-]{{4}}){{{whole}}}$"}
    if not bound:
        return {"type": "string", "format": "binary"}
    return {"type": "string", "pattern": f"^[ -~]{{{least},{end}}}$"}  # ASCII: a character is a byte


def with_forms(schema: Any) -> Any:
    """Add the patterns and values of formats that JSON Schema does not know, in place."""
    if isinstance(schema, list):
        for part in schema:
            with_forms(part)
    elif isinstance(schema, dict):
        if schema.get("format") == "zoneinfo" and schema.get("type") == "string":
            schema.setdefault("enum", _time_zones())
        pattern = _BY_FORMAT.get(schema["format"]) if isinstance(schema.get("format"), str) else None
        if pattern is not None and schema.get("type") == "string":
            schema.setdefault("pattern", pattern)
        for part in schema.values():
            with_forms(part)
    return schema


def _time_zones() -> List[str]:
    """Return the names that `zoneinfo.ZoneInfo` knows here: those of the system, or of the package tzdata."""
    import zoneinfo

    return sorted(zoneinfo.available_timezones())


# ---------------------------------------------------------------------------------------------------------------------
# JSON in a string
# ---------------------------------------------------------------------------------------------------------------------

_SPACE = " ?"
_STRING = r'"([^"\\\x00-\x1f]|\\["\\/bfnrt])*"'
_INTEGER = "-?(0|[1-9][0-9]*)"
_FLOAT = rf"{_INTEGER}(\.[0-9]+)?"
_SCALAR = f"({_FLOAT}|true|false|null|{_STRING})"
_SIMPLE = {"integer": _INTEGER, "number": _FLOAT, "boolean": "(true|false)", "null": "null", "string": _STRING}
_KEYS = {
    "$ref", "type", "enum", "const", "items", "minItems", "maxItems", "prefixItems", "properties", "required",
    "additionalProperties", "anyOf", "title", "description", "default", "examples", "format", "uniqueItems",
}  # fmt: skip


class Inexpressible(Exception):
    """A schema is too rich for a pattern; the message says why."""


def json_pattern(schema: Any, definitions: Mapping[str, Any]) -> str:
    """Return the pattern of the JSON texts of a schema.

    Raises:
        Inexpressible: Only a grammar can describe it.
    """
    return f"^{_SPACE}{_json(schema, definitions, ())}{_SPACE}$"


def _json(schema: Any, definitions: Mapping[str, Any], above: Sequence[str]) -> str:
    if schema is True or schema == {}:
        return f"({_SCALAR}|{_array(_SCALAR, 0, None)}|{_dict(_SCALAR)})"
    beyond = sorted(set(schema) - _KEYS)
    if beyond:
        raise Inexpressible(f"its part {beyond[0]!r} can't be a pattern")
    if "$ref" in schema:
        name = schema["$ref"]
        if name in above:
            raise Inexpressible("it is recursive")
        return _json(definitions[name.rpartition("/")[2]], definitions, (*above, name))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return "(" + "|".join(re.escape(json.dumps(value, ensure_ascii=False)) for value in values) + ")"
    if "anyOf" in schema:
        return "(" + "|".join(_json(part, definitions, above) for part in schema["anyOf"]) + ")"
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, definitions, above)
    if kind == "array" and "prefixItems" in schema:
        items = [_json(part, definitions, above) for part in schema["prefixItems"]]
        return rf"\[{_SPACE}" + f",{_SPACE}".join(items) + rf"{_SPACE}\]"
    if kind == "array" and not schema.get("uniqueItems"):
        return _array(
            _json(schema.get("items", {}), definitions, above), schema.get("minItems", 0), schema.get("maxItems")
        )
    if kind in _SIMPLE and "format" not in schema:
        return _SIMPLE[kind]
    raise Inexpressible(f"{json.dumps(schema)[:60]} can't be a pattern")


def _array(item: str, least: int, most: Optional[int]) -> str:
    more = f"(,{_SPACE}{item}){{{max(least - 1, 0)},{'' if most is None else most - 1}}}"
    body = "" if most == 0 else f"{item}{more}"
    return rf"\[{_SPACE}({body}){'' if least else '?'}{_SPACE}\]"


def _dict(value: str) -> str:
    """Return the pattern of an object of any keys; keys that are written twice count once."""
    entry = f"{_STRING}{_SPACE}:{_SPACE}{value}"
    return rf"\{{{_SPACE}({entry}(,{_SPACE}{entry})*)?{_SPACE}\}}"


def _object(schema: Schema, definitions: Mapping[str, Any], above: Sequence[str]) -> str:
    properties = schema.get("properties", {})
    if not properties:
        more = schema.get("additionalProperties", True)
        return _dict(_json({} if more is True else more, definitions, above)) if more else rf"\{{{_SPACE}\}}"
    entries: List[str] = []  # all of them, in order: without the optional ones, every combination would be a branch
    for name, part in properties.items():
        key = re.escape(json.dumps(name, ensure_ascii=False))
        entries.append(f"{key}{_SPACE}:{_SPACE}{_json(part, definitions, above)}")
    return rf"\{{{_SPACE}" + f",{_SPACE}".join(entries) + rf"{_SPACE}\}}"
