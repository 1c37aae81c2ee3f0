"""JSON schemas of Python types, as models are held to them. Imported by need: pydantic's part of it is large."""

from __future__ import annotations

from typing import Any, Dict, Mapping, cast

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import DecimalSchema, DictSchema

Schema = Dict[str, Any]

_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_INSTANCES = ("default", "const", "enum", "examples")
_KEYS: Mapping[str, Schema] = {  # a key of JSON is a text
    "int": {"pattern": "^(0|-?[1-9][0-9]{0,17})$"},
    "float": {"pattern": r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$"},
    "decimal": {"pattern": r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$"},
    "bool": {"enum": ["true", "false"]},
}
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of")


class QuietSchema(GenerateJsonSchema):
    """Makes JSON schemas without warnings: a default that is not JSON is left out.

    A `decimal.Decimal` is a number, or where its digits are limited a text of so many: pydantic's own schema allows any
    text, which would be generated and then refused. Likewise the keys of a dict are texts of what they are to become,
    and none but those of a pattern.
    """

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # as in the base

    def decimal_schema(self, schema: DecimalSchema) -> Schema:
        """The JSON schema of a decimal."""
        values: Dict[str, Any] = dict(schema)
        digits, places = values.get("max_digits"), values.get("decimal_places")
        bounds = {key: float(values[key]) for key in _BOUNDS if values.get(key) is not None}
        if bounds or (digits is None and places is None):
            return self.float_schema(cast(Any, {**bounds, "type": "float"}))
        whole = (digits or 15 + (places or 0)) - (places or 0)
        fraction = rf"(\.[0-9]{{1,{places}}})?" if places else ""
        return {"type": "string", "pattern": f"^-?{f'[0-9]{{1,{whole}}}' if whole > 0 else '0'}{fraction}$"}

    def dict_schema(self, schema: DictSchema) -> Schema:
        """The JSON schema of a dict."""
        made = super().dict_schema(schema)
        keys: Mapping[str, Any] = cast(Any, schema).get("keys_schema") or {}
        if keys.get("type") in _KEYS:
            made["propertyNames"] = _KEYS[keys["type"]]
        elif "patternProperties" in made:
            made["additionalProperties"] = False
        return made


def drop_titles(schema: Any) -> Any:
    """`schema` without the titles that pydantic makes of names: they only cost tokens."""
    if isinstance(schema, list):
        return [drop_titles(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept: Schema = {}
    for key, value in schema.items():
        if key in _MAPS_OF_SCHEMAS and isinstance(value, dict):
            kept[key] = {name: drop_titles(part) for name, part in value.items()}
        elif key in _INSTANCES:
            kept[key] = value
        elif key != "title":
            kept[key] = drop_titles(value)
    return kept
