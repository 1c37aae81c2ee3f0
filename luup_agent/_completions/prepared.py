"""The JSON text from which a prepared value, such as a model of a script, is read again."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import os
import re
from typing import Any, Dict, List, Mapping

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
)
from pydantic_core import to_json, to_jsonable_python

_CONTAINERS = (list, tuple, set, frozenset)
_TIMES = (datetime.date, datetime.time, datetime.timedelta)
_MARK = "\ue000luup number "  # before the digits of a decimal, which no number of Python has
_MARKED = re.compile(f'"{_MARK}([^"]*)"')


def input_json(value: Any) -> str:
    """Return JSON text that the type of `value` accepts and makes an equal value of.

    The keys are those that pydantic reads, validation aliases among them, in models at any depth. Computed fields are
    left out, fields that are excluded from serialization and secrets are not.

    Raises:
        Exception: The value has no JSON form.
    """
    return _MARKED.sub(r"\1", to_json(_input(value)).decode("utf-8"))


def _input(value: Any) -> Any:
    """Return the JSON value of which pydantic makes `value`."""
    if isinstance(value, BaseModel):
        return _of_model(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _of_dataclass(value)
    return _again(value, to_jsonable_python(value, by_alias=True, fallback=_text))


def _text(value: Any) -> str:
    """Return the text of a value that pydantic reads but does not write.

    Raises:
        TypeError: It is of another type.
    """
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _again(value: Any, dumped: Any) -> Any:
    """Return `dumped`, the JSON form of `value`, with that of the models, dataclasses and secrets in it.

    Times are texts, and decimals numbers with all their digits: a schema has these forms, whatever is configured.
    """
    if isinstance(value, _TIMES) and isinstance(dumped, (int, float)):
        return to_jsonable_python(value)
    if isinstance(value, decimal.Decimal) and isinstance(dumped, str) and value.is_finite():
        return f"{_MARK}{value:f}"
    if isinstance(value, (SecretStr, SecretBytes, Secret)):
        return _input(value.get_secret_value())
    if isinstance(value, RootModel) or (isinstance(dumped, dict) and not isinstance(value, Mapping)):
        return _input(value)  # a model or dataclass, unless it is a Json text
    if isinstance(value, Mapping) and isinstance(dumped, dict) and len(value) == len(dumped):
        return {key: _again(part, each) for (key, each), part in zip(dumped.items(), value.values())}
    if isinstance(value, _CONTAINERS) and isinstance(dumped, list) and len(value) == len(dumped):
        return [_again(part, each) for part, each in zip(value, dumped)]
    return dumped


def _of_model(value: BaseModel) -> Any:
    cls = type(value)
    encoded = _encoded(value.__dict__, cls.model_config)
    dumped = value.model_dump(mode="json", by_alias=False, round_trip=True, warnings=False, exclude=set(encoded))
    if isinstance(value, RootModel):
        return _again(value.root, dumped)
    names = [*cls.model_fields, *(value.model_extra or {})]
    return _of_fields(value, names, cls.model_fields, {**dumped, **encoded})


def _of_dataclass(value: Any) -> Any:
    cls: Any = type(value)
    names = [field.name for field in dataclasses.fields(value) if field.init]
    given = {name: getattr(value, name) for name in names}
    encoded = _encoded(given, getattr(cls, "__pydantic_config__", None) or {})
    dumped = TypeAdapter(cls).dump_python(
        value, mode="json", by_alias=False, round_trip=True, warnings=False, exclude=set(encoded)
    )
    return _of_fields(value, names, getattr(cls, "__pydantic_fields__", {}), {**dumped, **encoded})


def _encoded(parts: Mapping[str, Any], config: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the bytes among the parts as the configuration reads them, where it writes them in another way."""
    read = config.get("val_json_bytes", "utf8")
    if read == config.get("ser_json_bytes", "utf8"):
        return {}
    adapter = TypeAdapter(bytes, config=ConfigDict(ser_json_bytes=read))
    return {name: adapter.dump_python(part, mode="json") for name, part in parts.items() if isinstance(part, bytes)}


def _of_fields(value: Any, names: List[str], fields: Mapping[str, Any], dumped: Mapping[str, Any]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for name in names:
        if not hasattr(value, name):  # of a value that was constructed without validation
            continue
        part = getattr(value, name)
        found[_key(name, fields.get(name))] = _again(part, dumped[name]) if name in dumped else _input(part)
    return found


def _key(name: str, field: Any) -> str:
    """Return the key from which a field is read: the first of its aliases that is one."""
    alias = None if field is None else field.validation_alias or field.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    keys = [choice.path[0] if isinstance(choice, AliasPath) and len(choice.path) == 1 else choice for choice in choices]
    return next((key for key in keys if isinstance(key, str)), name)
