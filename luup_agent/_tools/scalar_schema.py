"""JSON schemas of decimals, dates, times and the keys of dicts, with the limits that pydantic checks but leaves out."""

from __future__ import annotations

import copy
import datetime
import enum
import re
from typing import Any, Dict, List, Mapping, Optional, cast

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaError, SchemaValidator, ValidationError
from pydantic_core.core_schema import (
    DateSchema,
    DatetimeSchema,
    DecimalSchema,
    DefinitionsSchema,
    DictSchema,
    StringSchema,
    TimedeltaSchema,
    TimeSchema,
)

from luup_agent._tools import moments, patterns
from luup_agent._tools.durations import durations

Schema = Dict[str, Any]

_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_WRAPPERS = {  # where the schema is that a key has to match, by the type of the one around it
    "function-after": "schema",
    "function-before": "schema",
    "function-wrap": "schema",
    "default": "schema",
    "nullable": "schema",
    "lax-or-strict": "lax_schema",
    "json-or-python": "json_schema",
}
_NEVER_KEYS = {
    "none", "tuple", "list", "set", "frozenset", "dict", "model", "model-fields", "dataclass", "typed-dict", "complex",
}  # fmt: skip
_OFFSET = "([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
_NO_OFFSET = "^[0-9-]+([Tt _][0-9:.]+)?$"
_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


class ScalarSchema(GenerateJsonSchema):
    """Generates schemas that accept what pydantic accepts.

    - A `decimal.Decimal` is a number, or a text: both with its digits and places.
    - Dates and times have their bounds, and an offset from UTC where the type requires or forbids one.
    - The keys of a dict are texts that its key type accepts. A key type that never accepts a text is refused.
    """

    _core_definitions: Mapping[str, Any] = {}  # replaced, never changed

    def definitions_schema(self, schema: DefinitionsSchema) -> Schema:
        """Return the JSON schema of a schema with definitions."""
        known = {str(part.get("ref")): part for part in cast(Any, schema["definitions"])}
        self._core_definitions = {**self._core_definitions, **known}
        return super().definitions_schema(schema)

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Return whether a value must have a field: also where the default is invalid and pydantic checks it."""
        if super().field_is_required(field, total):
            return True
        inner = cast(Mapping[str, Any], field.get("schema", {}))
        if inner.get("type") != "default" or "default" not in inner:
            return False
        checks = inner.get("validate_default")
        if checks is None:
            checks = getattr(getattr(self, "_config", None), "validate_default", False)
        return bool(checks) and _is_invalid(inner["schema"], inner["default"])

    def str_schema(self, schema: StringSchema) -> Schema:
        """Return the JSON schema of a text: with the flags of its pattern, which pydantic leaves out."""
        made = super().str_schema(schema)
        pattern: Any = schema.get("pattern")
        if isinstance(pattern, re.Pattern):
            flags = pattern.flags & ~(re.UNICODE | re.ASCII)
            if flags & ~re.IGNORECASE:
                raise PydanticInvalidForJsonSchema(
                    f"the pattern {pattern.pattern!r} has flags; only re.IGNORECASE is supported"
                )
            if flags and not str(pattern.pattern).startswith("(?i)"):
                made["pattern"] = f"(?i){pattern.pattern}"
        return made

    def decimal_schema(self, schema: DecimalSchema) -> Schema:
        """Return the JSON schema of a decimal."""
        values: Dict[str, Any] = dict(schema)
        digits, places = values.get("max_digits"), values.get("decimal_places")
        bounds = {name: float(values[key]) for key, name in _BOUNDS.items() if values.get(key) is not None}
        step = values.get("multiple_of")
        if step is not None:
            return {"type": "number", **bounds, "multipleOf": float(step)}
        numbers = [{"type": "number", **bounds, **limits} for limits in _number_limits(digits, places, bounds)]
        text = _decimal_text(digits, places, bounds)
        return {"anyOf": [*numbers, {"type": "string", "pattern": text}]} if text else _one_of(numbers)

    def date_schema(self, schema: DateSchema) -> Schema:
        """Return the JSON schema of a date."""
        values: Dict[str, Any] = dict(schema)
        day = datetime.timedelta(days=1)
        low = [values[key] + (day if key == "gt" else 0 * day) for key in ("ge", "gt") if values.get(key)]
        high = [values[key] - (day if key == "lt" else 0 * day) for key in ("le", "lt") if values.get(key)]
        if values.get("now_op") == "past":
            high.append(datetime.date.today() - day)
        elif values.get("now_op") == "future":
            low.append(datetime.date.today() + day)
        found = patterns.dates(max(low) if low else None, min(high) if high else None)
        return _with_patterns(super().date_schema(schema), found)

    def datetime_schema(self, schema: DatetimeSchema) -> Schema:
        """Return the JSON schema of a date with a time."""
        values: Dict[str, Any] = dict(schema)
        found = _zone(values.get("tz_constraint"))
        for key in ("ge", "gt", "le", "lt"):
            bound = values.get(key)
            if bound is not None:
                found += moments.bounded(key, bound)
        if values.get("now_op"):
            found += moments.since_now(values["now_op"] == "past")
        return _with_patterns(super().datetime_schema(schema), found)

    def time_schema(self, schema: TimeSchema) -> Schema:
        """Return the JSON schema of a time."""
        values: Dict[str, Any] = dict(schema)
        found: List[str] = []
        if values.get("tz_constraint") is not None:
            found.append("^[0-9:.]+$" if values["tz_constraint"] == "naive" else _OFFSET)
        for key in ("ge", "gt", "le", "lt"):
            bound = values.get(key)
            if bound is not None and bound.tzinfo is None:
                found += moments.on_one_clock(key, bound.isoformat("seconds"), bound.microsecond > 0)
        return _with_patterns(super().time_schema(schema), found)

    def timedelta_schema(self, schema: TimedeltaSchema) -> Schema:
        """Return the JSON schema of a duration: a text, also where it is written as a number of seconds."""
        values: Dict[str, Any] = dict(schema)
        made: Schema = {"type": "string", "format": "duration"}
        tick = datetime.timedelta(microseconds=1)
        low = [values[key] + tick * (key == "gt") for key in ("ge", "gt") if values.get(key) is not None]
        high = [values[key] - tick * (key == "lt") for key in ("le", "lt") if values.get(key) is not None]
        return _with_patterns(made, durations(max(low) if low else None, min(high) if high else None))

    def dict_schema(self, schema: DictSchema) -> Schema:
        """Return the JSON schema of a dict."""
        made = super().dict_schema(schema)
        keys = self._key_schema(cast(Any, schema).get("keys_schema") or {})
        if keys is not None:
            made["propertyNames"] = keys
        elif "patternProperties" in made:
            made["additionalProperties"] = False
        return made

    def _key_schema(self, core: Mapping[str, Any]) -> Optional[Schema]:
        """Return the schema of a dict's keys, None where pydantic's own is right."""
        kind = core.get("type")
        if kind == "definition-ref":
            return self._key_schema(self._core_definitions.get(core["schema_ref"], {}))
        if kind in _WRAPPERS:
            return self._key_schema(core[_WRAPPERS[str(kind)]])
        if kind == "union":
            choices = [choice[0] if isinstance(choice, tuple) else choice for choice in core["choices"]]
            parts = [self._key_schema(choice) for choice in choices]
            return None if None in parts else {"anyOf": parts}
        if kind == "bool":
            return {"enum": ["true", "false"]}
        if kind in ("int", "float", "decimal"):
            return _number_keys(core)
        if kind in ("literal", "enum"):
            return {"enum": _key_texts(core)}
        if kind in _NEVER_KEYS:
            raise PydanticInvalidForJsonSchema(f"a key of a JSON object is a text, which a {kind} can't be made of")
        return None


def _is_invalid(core: Any, value: Any) -> bool:
    """Return whether a core schema surely refuses a value; one that refers to others is not tried."""
    try:
        validator = SchemaValidator(core)
    except SchemaError:
        return False
    try:
        validator.validate_python(copy.deepcopy(value))
    except ValidationError:
        return True
    except Exception:  # of a validator of the user's, which the model's own value meets too
        return False
    return False


def has_decimals(core: Any) -> bool:
    """Return whether a core schema contains a decimal."""
    todo, seen = [core], set()
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Mapping):
            if part.get("type") == "decimal":
                return True
            todo.extend(part.values())
        elif isinstance(part, (list, tuple)):
            todo.extend(part)
    return False


def _one_of(schemas: List[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _number_limits(digits: Optional[int], places: Optional[int], bounds: Mapping[str, float]) -> List[Schema]:
    """Return the limits of a number by digits and places: for several places where only the digits are limited."""
    if digits is None:
        return [{"multipleOf": float(f"1e-{places}")} if places else {"multipleOf": 1}] if places is not None else [{}]
    found = []
    for behind in [min(places, digits)] if places is not None else sorted({0, min(2, digits), digits // 2, digits}):
        most = float(f"{'9' * (digits - behind) or '0'}.{'9' * behind or '0'}")
        step = float(f"1e-{behind}") if behind else 1
        ranges = [(-most, most)]
        if places is not None and behind == digits:  # pydantic counts the 0 before the point, but only in 0 itself
            ranges = [(step, most), (-most, -step)]
        for low, high in ranges:
            limits: Schema = {"multipleOf": step}
            above = bounds.get("minimum", bounds.get("exclusiveMinimum", low - 1))
            below = bounds.get("maximum", bounds.get("exclusiveMaximum", high + 1))
            if above > high or below < low:
                continue
            if below > high:
                limits["maximum"] = high
            if above < low:
                limits["minimum"] = low
            found.append(limits)
    return found or [{"not": {}}]


def _decimal_text(digits: Optional[int], places: Optional[int], bounds: Mapping[str, float]) -> Optional[str]:
    """Return the pattern of a decimal's text; None where the bounds would make it too long."""
    if not bounds:
        return patterns.decimals(digits, places)
    if bounds == {"minimum": 0}:
        return patterns.decimals(digits, places, "")
    return None


def _with_patterns(schema: Schema, found: List[str]) -> Schema:
    """Return a schema of texts that match all patterns."""
    if found:
        schema["pattern"] = found[0]
    if len(found) > 1:
        schema["allOf"] = [{"pattern": pattern} for pattern in found[1:]]
    return schema


def _zone(constraint: Any) -> List[str]:
    """Return the patterns of the offset from UTC that a type requires: "naive", "aware", or seconds."""
    if constraint is None:
        return []
    if constraint == "naive":
        return [_NO_OFFSET]
    if constraint == "aware":
        return [_OFFSET]
    if constraint == 0:
        return ["([Zz]|[+-]00:?00)$"]
    hours, minutes = divmod(abs(constraint) // 60, 60)
    return [rf"{'-' if constraint < 0 else r'[+]'}{hours:02}:?{minutes:02}$"]


def _number_keys(core: Mapping[str, Any]) -> Schema:
    kind = core["type"]
    limits = {key: core[key] for key in ("gt", "ge", "lt", "le", "multiple_of") if core.get(key) is not None}
    if kind != "int":
        if limits:
            raise PydanticInvalidForJsonSchema(f"the keys of a dict can't be limited by the bounds of a {kind}")
        return {"pattern": patterns.decimals(core.get("max_digits"), core.get("decimal_places"))}
    if "multiple_of" in limits:
        raise PydanticInvalidForJsonSchema("the keys of a dict can't be limited to multiples of a number")
    low = max([limits[key] + (key == "gt") for key in ("ge", "gt") if key in limits], default=None)
    high = min([limits[key] - (key == "lt") for key in ("le", "lt") if key in limits], default=None)
    pattern = patterns.whole_numbers(low, high)
    if pattern is None:
        raise PydanticInvalidForJsonSchema(f"no key of the dict can be at least {low} and at most {high}")
    return {"pattern": pattern}


def _key_texts(core: Mapping[str, Any]) -> List[str]:
    """Return the keys that an enum or a literal accepts: pydantic reads numbers from texts only for an `IntEnum`."""
    if core["type"] == "literal":
        values: List[Any] = [value for value in core["expected"] if not isinstance(value, enum.Enum)]
        values += [value.value for value in core["expected"] if isinstance(value, enum.Enum)]
    else:
        values = [member.value for member in core["members"]]
    texts = [value for value in values if isinstance(value, str)]
    if core.get("sub_type") in ("int", "float"):
        texts = [str(value) for value in values]
    if not texts:
        shown = ", ".join(repr(value) for value in values[:4])
        raise PydanticInvalidForJsonSchema(f"a key of a JSON object is a text, which is never one of {shown}")
    return texts
