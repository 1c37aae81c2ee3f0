"""The value of a typed result whose JSON text is not complete yet.

`PartialReader` makes values of the result's type from the complete parts of the text. The type is read as pydantic
compiled it, not by its annotations: forward references, generics, configurations and fields that need not be there
mean the same for a partial value as for the whole one.
"""

from __future__ import annotations

import contextlib
import enum
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

from luup_agent._json import quote_long_numbers
from luup_agent._run.json_prefix import NOTHING, JsonPrefix, read_json, write_json
from luup_agent._run.partial_makers import Maker, class_validators, dataclass_maker, dict_maker, model_maker, root_maker
from luup_agent._tools.scalar_schema import has_decimals

__all__ = ["NOTHING", "JsonPrefix", "PartialReader", "PartialTypes"]

Schema = Mapping[str, Any]  # of pydantic's core
Config = Optional[Mapping[str, Any]]

_FUNCTIONS = ("function-before", "function-after", "function-wrap")
_WRAPPERS = ("default", "nullable", "model-field", "typed-dict-field", "dataclass-field", *_FUNCTIONS)
_OBJECTS = ("model", "dataclass", "typed-dict")


class PartialReader:
    """Makes values of a type from an incomplete JSON text.

    Example:
        >>> reader = PartialTypes(Movie).reader()
        >>> reader.feed('{"title": "Alien", "year": 19')[0].title
        'Alien'
        >>> reader.feed('79')  # no more values are complete
        []
    """

    def __init__(self, types: PartialTypes) -> None:
        self._types = types
        self._prefix = JsonPrefix()
        self._last: Any = NOTHING

    def feed(self, piece: str) -> List[Any]:
        """Read more text; return a list with the value of the complete parts.

        The list is empty if no more parts are complete than before, and at the end of the text, whose value
        `OutputSpec.validate` makes.
        """
        if not self._prefix.feed(piece) or not self._prefix.depth:
            return []
        document = read_json(self._prefix.document())
        value = NOTHING if document is NOTHING else self._types.make(document, self._prefix.depth)
        if value is NOTHING or _same(value, self._last):
            return []
        self._last = value
        return [value]


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal; a comparison that fails is one of different values."""
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:
        return False


class _Field(NamedTuple):
    name: str
    schema: Schema


class _Object(NamedTuple):
    """A type whose JSON is an object.

    Attributes:
        fields: The fields by their keys.
        make: Makes an instance of the values of fields and of other keys.
        config: The configuration of the fields.
        extra: The schema of the values of other keys; None if they are dropped.
    """

    fields: Dict[str, _Field]
    make: Maker
    config: Config
    extra: Optional[Schema]


class _Shape(NamedTuple):
    """A schema without the validators and defaults around it."""

    schema: Schema
    config: Config


class PartialTypes:
    """Makes partial values of a type, and caches what it needs to know of the types in it."""

    def __init__(self, output_type: Any, adapter: Optional[TypeAdapter[Any]] = None) -> None:
        self._definitions: Dict[str, Schema] = {}
        self._made: List[Schema] = []  # kept alive: the caches are by identity
        self._validators: Dict[Tuple[int, int], Optional[SchemaValidator]] = {}
        self._objects: Dict[int, Optional[_Object]] = {}
        self._schema = _core_schema(TypeAdapter(output_type) if adapter is None else adapter)
        self._exact = has_decimals(self._schema)

    def reader(self) -> PartialReader:
        """Return a reader for a new text."""
        return PartialReader(self)

    def make(self, value: Any, depth: int) -> Any:
        """Return the value of the type for a JSON `value` whose last `depth` nested containers were still open.

        `NOTHING` if a complete part is not valid, or the parts do not make a value yet.
        """
        return self._part(self._schema, None, value, depth)

    def _part(self, schema: Schema, config: Config, value: Any, depth: int) -> Any:
        if depth == 0:
            return self._whole(schema, config, value)
        shape = self._shape(schema, config)
        kind = shape.schema["type"]
        if kind == "union":
            return self._first(shape, value, depth)
        if kind == "tagged-union":
            return self._tagged(shape, value, depth)
        if kind == "model" and shape.schema.get("root_model"):
            root = self._part(shape.schema["schema"], shape.schema.get("config"), value, depth)
            return root if root is NOTHING else root_maker(shape.schema["cls"])(root)
        if isinstance(value, list):
            return self._list(schema, config, value, depth) if kind == "list" else NOTHING
        return self._object(shape, value, depth) if kind in _OBJECTS else NOTHING

    def _whole(self, schema: Schema, config: Config, value: Any) -> Any:
        """Return the value of a complete part; `NOTHING` if a validator rejects it, as it will the whole."""
        key = (id(schema), id(config))
        if key not in self._validators:
            self._validators[key] = self._validator(schema, config)
        validator = self._validators[key]
        if validator is None:
            return NOTHING
        try:
            return validator.validate_json(self._json_of(value))  # as JSON: a str may be a date there
        except Exception:  # also what a user's validator raises
            return NOTHING

    def _json_of(self, value: Any) -> str:
        text = write_json(value)
        return quote_long_numbers(text) if self._exact else text

    def _validator(self, schema: Schema, config: Config) -> Optional[SchemaValidator]:
        definitions = list(self._definitions.values())
        whole: Any = {"type": "definitions", "schema": schema, "definitions": definitions} if definitions else schema
        try:
            return SchemaValidator(whole, None if config is None else dict(config))  # type: ignore[arg-type]
        except Exception:  # a part that means something in its place only
            return None

    def _shape(self, schema: Schema, config: Config) -> _Shape:
        while True:
            kind = schema["type"]
            if kind == "definitions":
                for definition in schema["definitions"]:
                    self._definitions[definition["ref"]] = definition
                schema = schema["schema"]
            elif kind == "definition-ref":
                schema = self._definitions[schema["schema_ref"]]
            elif kind in _WRAPPERS:
                schema = schema["schema"]
            elif kind == "lax-or-strict":
                strict = schema.get("strict") or (config or {}).get("strict")
                schema = schema["strict_schema" if strict else "lax_schema"]
            elif kind == "json-or-python":
                schema = schema["json_schema"]
            else:
                return _Shape(schema, config)

    def _first(self, union: _Shape, value: Any, depth: int) -> Any:
        """Return the value of the first type of a union that has all the keys and accepts the parts."""
        for choice in union.schema["choices"]:
            schema = choice[0] if isinstance(choice, tuple) else choice
            if self._has_keys(schema, union.config, value):
                found = self._part(schema, union.config, value, depth)
                if found is not NOTHING:
                    return found
        return NOTHING

    def _has_keys(self, schema: Schema, config: Config, value: Any) -> bool:
        shape = self._shape(schema, config)
        if not isinstance(value, dict) or shape.schema["type"] not in _OBJECTS:
            return True
        known = self._object_of(shape)
        return known is None or set(value) <= set(known.fields)

    def _tagged(self, union: _Shape, value: Any, depth: int) -> Any:
        """Return the value of the type of a union that the discriminator names; `NOTHING` before it is complete."""
        if not isinstance(value, dict):
            return NOTHING
        discriminator = union.schema["discriminator"]
        try:
            tags = [discriminator(value)] if callable(discriminator) else list(_tags(discriminator, value))
        except Exception:  # it needs more of the value
            return NOTHING
        for tag in tags:
            for key, schema in union.schema["choices"].items():
                if key == tag or (isinstance(key, enum.Enum) and key.value == tag):
                    return self._part(schema, union.config, value, depth)
        return NOTHING

    def _list(self, schema: Schema, config: Config, value: List[Any], depth: int) -> Any:
        """Return the list of the complete items, made by the type's own validators, but of any length."""
        items = value if depth == 1 else value[:-1]
        if not items:
            return NOTHING
        key = (id(schema), -id(config))
        if key not in self._validators:
            loose = _without_length(schema, self._definitions)
            self._made.append(loose)
            self._validators[key] = self._validator(loose, config)
        validator = self._validators[key]
        try:
            return NOTHING if validator is None else validator.validate_json(self._json_of(items))
        except Exception:
            return NOTHING

    def _object(self, shape: _Shape, values: Any, depth: int) -> Any:
        known = self._object_of(shape) if isinstance(values, dict) else None
        if known is None:
            return NOTHING
        found: Dict[str, Any] = {}
        extra: Dict[str, Any] = {}
        for index, (key, value) in enumerate(values.items(), 1):
            field = known.fields.get(key)
            is_open = depth > 1 and index == len(values)
            if field is not None:
                part = self._part(field.schema, known.config, value, depth - 1 if is_open else 0)
            elif known.extra is None or is_open:
                continue
            else:
                part = self._whole(known.extra, known.config, value)
            if part is not NOTHING:
                (extra if field is None else found)[key if field is None else field.name] = part
            elif not is_open:
                return NOTHING
        try:
            return known.make(found, extra)
        except Exception:  # a default's factory that needs more, or a class with rules of its own
            return NOTHING

    def _object_of(self, shape: _Shape) -> Optional[_Object]:
        key = id(shape.schema)
        if key not in self._objects:
            self._objects[key] = self._describe(shape)
        return self._objects[key]

    def _describe(self, shape: _Shape) -> Optional[_Object]:
        schema, kind = shape.schema, shape.schema["type"]
        config: Config = schema.get("config")
        make: Callable[..., Maker] = {"model": model_maker, "dataclass": dataclass_maker, "typed-dict": dict_maker}[
            kind
        ]
        if kind == "typed-dict":
            inner: Schema = schema
            config = {**(shape.config or {}), **(config or {})} or None
        else:
            inner = self._shape(schema["schema"], config).schema
        if "fields" not in inner:
            return None
        fields = inner["fields"]
        named = list(fields.items()) if isinstance(fields, dict) else [(each["name"], each) for each in fields]
        skipped = class_validators(schema.get("cls"))
        known: Dict[str, _Field] = {}
        for name, each in named:
            bare = _without_validators(each["schema"], skipped)
            self._made.append(bare)
            for key in _keys(name, each, config or {}):
                known.setdefault(key, _Field(name, bare))
        return _Object(known, make(schema.get("cls")), config, _extra_of(inner, config or {}))


def _core_schema(adapter: TypeAdapter[Any]) -> Schema:
    """Return the schema that pydantic compiled, which it may put off until it is first needed."""
    with contextlib.suppress(ValueError):
        adapter.validate_json("")
    schema: Any = adapter.core_schema
    if isinstance(schema, dict):
        return schema
    schema["type"]  # a stand-in, which makes the schema when it is asked for something
    return dict(schema)


def _keys(name: str, field: Schema, config: Mapping[str, Any]) -> List[str]:
    """Return the keys of a field in JSON: its aliases, and its name where they need not be used."""
    alias = field.get("validation_alias")
    if alias is None:
        return [name]
    paths: List[Any] = [alias] if isinstance(alias, str) else alias
    paths = [paths] if paths and not isinstance(alias, str) and isinstance(paths[-1], int) else paths
    keys = [path if isinstance(path, str) else path[0] for path in paths if isinstance(path, str) or len(path) == 1]
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    return [*keys, name] if by_name else keys


def _tags(discriminator: Any, value: Dict[str, Any]) -> List[Any]:
    paths = [[discriminator]] if isinstance(discriminator, str) else discriminator
    return [value[path[0]] for path in paths if len(path) == 1 and path[0] in value]


def _extra_of(schema: Schema, config: Mapping[str, Any]) -> Optional[Schema]:
    behavior = schema.get("extra_behavior") or config.get("extra_fields_behavior")
    return schema.get("extras_schema") or {"type": "any"} if behavior == "allow" else None


def _without_validators(schema: Schema, functions: Any) -> Schema:
    """Return the schema of a field without the validators that its class declares for it."""
    kind = schema["type"]
    if kind in _FUNCTIONS and _is_one_of(schema["function"]["function"], functions):
        return _without_validators(schema["schema"], functions)
    if kind in _WRAPPERS and functions:
        return {**schema, "schema": _without_validators(schema["schema"], functions)}
    return schema


def _is_one_of(function: Any, functions: Any) -> bool:
    return any(function is each or function == each for each in functions)


def _without_length(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return the schema of a list without its least length."""
    kind = schema["type"]
    if kind == "definition-ref":
        target = definitions[schema["schema_ref"]]
        return _without_length({key: part for key, part in target.items() if key != "ref"}, definitions)
    if kind in _WRAPPERS or kind == "definitions":
        return {**schema, "schema": _without_length(schema["schema"], definitions)}
    if kind == "lax-or-strict":
        return {**schema, **{key: _without_length(schema[key], definitions) for key in ("lax_schema", "strict_schema")}}
    if kind == "json-or-python":
        return {**schema, "json_schema": _without_length(schema["json_schema"], definitions)}
    return {key: part for key, part in schema.items() if key != "min_length"} if kind == "list" else schema
