"""JSON schemas of Python types, for models. Imported only when needed: pydantic's schema generator is large."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence, cast

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core.core_schema import (
    BytesSchema,
    EnumSchema,
    LiteralSchema,
    MultiHostUrlSchema,
    StringSchema,
    UrlSchema,
)

from luup_agent._json import check_depth
from luup_agent._tools.refusals import find_refusal, is_byte_size, not_hashable, unreadable
from luup_agent._tools.scalar_schema import ScalarSchema
from luup_agent._tools.text_forms import (
    BYTE_SIZE,
    COMPLEX,
    TRIMMED,
    Inexpressible,
    bytes_schema,
    check_dialect,
    json_pattern,
    url_pattern,
    with_forms,
)

Schema = Dict[str, Any]

_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_INSTANCES = ("default", "const", "enum", "examples")
_SCALARS = ("string", "integer", "boolean", "null")


class QuietSchema(ScalarSchema):
    """Generates JSON schemas without warnings: a default that is not JSON is left out."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # as in the base

    def generate(self, schema: Any, mode: Any = "validation") -> Schema:
        """Return the JSON schema of a type.

        Raises:
            PydanticInvalidForJsonSchema: No JSON value can be read as the type.
        """
        reason = find_refusal(schema)
        if reason is not None:
            raise PydanticInvalidForJsonSchema(reason)
        made = super().generate(schema, mode)
        _fill_json_texts(made, made.get("$defs", {}))
        return cast(Schema, with_forms(made))

    def generate_inner(self, schema: Any) -> Schema:
        """Return the JSON schema of a part; a type's own may be nested too deeply for the code that reads it."""
        made = super().generate_inner(schema)
        check_depth(made)
        return made

    def str_schema(self, schema: StringSchema) -> Schema:
        """Return the JSON schema of a text: one that is stripped has no white space around it."""
        made = super().str_schema(schema)
        if is_byte_size(schema.get("pattern")):
            return {**made, "pattern": BYTE_SIZE}
        config: Any = self._config
        if "pattern" in made:
            engine: Any = schema.get("regex_engine") or getattr(config, "regex_engine", None)
            check_dialect(made["pattern"], engine)
        strips = schema.get("strip_whitespace", config.str_strip_whitespace)
        if strips and (made.get("minLength") or "pattern" in made):
            pattern = made.pop("pattern", None)
            trimmed = TRIMMED if made.get("minLength") else f"^$|{TRIMMED}"
            made["allOf"] = [{"pattern": trimmed}, *([] if pattern is None else [{"pattern": pattern}])]
        return made

    def bytes_schema(self, schema: BytesSchema) -> Schema:
        """Return the JSON schema of bytes as they are read, with bounds of their number."""
        encoding = getattr(self._config, "val_json_bytes", "utf8")
        return bytes_schema(encoding, schema.get("min_length"), schema.get("max_length"))

    def complex_schema(self, schema: Any) -> Schema:
        """Return the JSON schema of a complex number: a text as Python writes it."""
        return {"type": "string", "pattern": COMPLEX}

    def url_schema(self, schema: UrlSchema) -> Schema:
        """Return the JSON schema of a URL with its scheme."""
        return self._url(super().url_schema(schema), schema, False)

    def multi_host_url_schema(self, schema: MultiHostUrlSchema) -> Schema:
        """Return the JSON schema of a URL that may name several hosts, with its scheme."""
        return self._url(super().multi_host_url_schema(schema), schema, True)

    def _url(self, made: Schema, schema: Any, several_hosts: bool) -> Schema:
        pattern = url_pattern(schema.get("allowed_schemes"), several_hosts)
        if pattern is None:
            return {**made, "format": "uri"}
        del made["format"]
        return {**made, "pattern": pattern}

    def enum_schema(self, schema: EnumSchema) -> Schema:
        """Return the JSON schema of an enumeration, all of whose members can be read."""
        self._check_values(schema, schema["members"])
        return super().enum_schema(schema)

    def literal_schema(self, schema: LiteralSchema) -> Schema:
        """Return the JSON schema of a Literal, all of whose values can be read."""
        self._check_values(schema, schema["expected"])
        return super().literal_schema(schema)

    def _check_values(self, schema: Any, values: Sequence[Any]) -> None:
        reason = unreadable(schema, values)
        if reason is not None:
            raise PydanticInvalidForJsonSchema(reason)

    def callable_schema(self, schema: Any) -> Schema:
        """Refuse callables."""
        return self.handle_invalid_for_json_schema(schema, "a callable")

    def union_schema(self, schema: Any) -> Schema:
        """Return the JSON schema of a union, one of whose types has one."""
        made = super().union_schema(schema)
        if made.get("anyOf") == []:
            return self.handle_invalid_for_json_schema(schema, "any type of a union")
        return made

    def is_subclass_schema(self, schema: Any) -> Schema:
        """Refuse classes as values."""
        return self.handle_invalid_for_json_schema(schema, f"a class: a subclass of {schema['cls'].__name__}")

    def custom_error_schema(self, schema: Any) -> Schema:
        """Return the JSON schema of a type with an error of its own; values that can be hashed are not containers."""
        if schema.get("custom_error_type") == "is_hashable":
            return {"type": list(_SCALARS)}
        return super().custom_error_schema(schema)

    def set_schema(self, schema: Any) -> Schema:
        """Return the JSON schema of a set, whose items can be hashed."""
        return self._set(super().set_schema(schema), schema)

    def frozenset_schema(self, schema: Any) -> Schema:
        """Return the JSON schema of a frozenset, whose items can be hashed."""
        return self._set(super().frozenset_schema(schema), schema)

    def _set(self, made: Schema, schema: Any) -> Schema:
        items = schema.get("items_schema")
        kind = not_hashable(items)
        if kind is not None:
            self.handle_invalid_for_json_schema(schema, f"a set of items that can't be hashed: {kind}")
        return {**made, "items": {"type": list(_SCALARS)}} if made["items"] == {} else made

    def field_is_present(self, field: Any) -> bool:
        """Tell whether a field has a key; one that is read from inside other values has none.

        Raises:
            PydanticInvalidForJsonSchema: Such a field is required.
        """
        alias = field.get("validation_alias")
        if isinstance(alias, list) and alias and not _has_key(alias, self._config):
            if self.field_is_required(field, total=True):
                path = alias[0] if isinstance(alias[0], list) else alias
                raise PydanticInvalidForJsonSchema(
                    f"a required field is read from AliasPath{tuple(path)!r}, which a JSON schema can't say; "
                    "give it a plain alias, or a type for the outer value"
                )
            return False
        return super().field_is_present(field)


def _has_key(paths: Sequence[Any], config: Any) -> bool:
    by_name = getattr(config, "populate_by_name", False) or getattr(config, "validate_by_name", False)
    return by_name or any(isinstance(path, list) and len(path) == 1 for path in paths)


def _fill_json_texts(schema: Any, definitions: Mapping[str, Any]) -> None:
    """Add the patterns of texts that have to be JSON of a schema of their own."""
    if isinstance(schema, list):
        for part in schema:
            _fill_json_texts(part, definitions)
    elif isinstance(schema, dict):
        content = schema.get("contentSchema")
        if schema.get("contentMediaType") == "application/json" and schema.get("type") == "string":
            try:
                schema["pattern"] = json_pattern({} if content is None else content, definitions)
            except Inexpressible as error:
                raise PydanticInvalidForJsonSchema(
                    f"Json of a type that is too rich for a text in a JSON string: {error}; use the type itself"
                ) from None
            schema.pop("contentSchema", None)
        for part in schema.values():
            _fill_json_texts(part, definitions)


def for_models(schema: Schema) -> Schema:
    """Return `schema` as a model should see it: tags of unions are required, titles and mappings left out."""
    _require_tags(schema, schema)
    return cast(Schema, drop_titles(schema))


def _require_tags(schema: Any, root: Schema) -> None:
    """Require the tags of discriminated unions, also those with a default, and drop OpenAPI's `discriminator`.

    A value without its tag is not valid, whatever the default of the tag. A model takes the references in the mapping
    for values of the tag, and the constants in the alternatives say the same.
    """
    if isinstance(schema, list):
        for part in schema:
            _require_tags(part, root)
    elif isinstance(schema, dict):
        union = schema.get("discriminator")
        if isinstance(union, dict) and "propertyName" in union and isinstance(schema.get("oneOf"), list):
            del schema["discriminator"]
            for choice in schema["oneOf"]:
                _require(union["propertyName"], choice, root)
        for key, part in list(schema.items()):  # a recursive schema may change below
            if key in _MAPS_OF_SCHEMAS and isinstance(part, dict):
                _require_tags(list(part.values()), root)
            elif key not in _INSTANCES:
                _require_tags(part, root)


def _require(name: str, choice: Any, root: Schema) -> None:
    """Require the property `name` in an alternative of a union, or in the alternatives of which it consists."""
    reference = choice.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        choice = root.get("$defs", {}).get(reference[len("#/$defs/") :], {})
    for nested in choice.get("oneOf", choice.get("anyOf", ())):
        _require(name, nested, root)
    properties = choice.get("properties", {})
    if name in properties:
        required = {*choice.get("required", ()), name}
        choice["required"] = [key for key in properties if key in required]


def drop_titles(schema: Any) -> Any:
    """Return `schema` without the titles that pydantic makes of names: they only cost tokens."""
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
