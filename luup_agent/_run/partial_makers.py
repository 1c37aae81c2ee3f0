"""Instances of classes whose fields are not all there yet, made without the validators of the class."""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import Any, Callable, Dict, List

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

Maker = Callable[[Dict[str, Any], Dict[str, Any]], Any]  # of the values of fields, and of other keys

_WANTS_VALUES = "default_factory_takes_validated_data"  # such a factory waits for the whole


def class_validators(cls: Any) -> List[Any]:
    """Return the validators that a class declares for its fields: they wait for the whole."""
    decorators = getattr(cls, "__pydantic_decorators__", None)
    if decorators is None:
        return []
    kinds = (decorators.field_validators, decorators.validators)
    return [getattr(each, "func", None) for kind in kinds for each in kind.values()]


def model_maker(cls: Any) -> Maker:
    """Return a function that makes models: fields without value and default are missing."""
    fields = dict(cls.model_fields)
    allows_extra = cls.model_config.get("extra") == "allow"
    made_of = _with_computed(cls)

    def make(found: Dict[str, Any], extra: Dict[str, Any]) -> Any:
        values: Dict[str, Any] = {}
        for name, field in fields.items():
            if name in found:
                values[name] = found[name]
            elif not field.is_required() and not getattr(field, _WANTS_VALUES, False):
                values[name] = field.get_default(call_default_factory=True)
        return _new_model(made_of, values, set(found), extra if allows_extra else None)

    return make


def root_maker(cls: Any) -> Callable[[Any], Any]:
    """Return a function that makes a `RootModel` of its root."""
    return lambda root: _new_model(_with_computed(cls), {"root": root}, {"root"}, None)


def _new_model(cls: Any, values: Dict[str, Any], given: Any, extra: Any) -> Any:
    value = cls.__new__(cls)
    object.__setattr__(value, "__dict__", values)
    object.__setattr__(value, "__pydantic_fields_set__", given)
    object.__setattr__(value, "__pydantic_extra__", extra)
    private = {name: each.get_default() for name, each in cls.__private_attributes__.items()}
    defined = {name: each for name, each in private.items() if each is not PydanticUndefined}
    object.__setattr__(value, "__pydantic_private__", defined if private else None)
    return value


@functools.lru_cache(maxsize=256)
def _with_computed(cls: Any) -> Any:
    """Return a class whose computed fields are None while they can't be computed; `cls` if it has none.

    It passes for `cls` itself.
    """
    names = list(cls.__pydantic_decorators__.computed_fields)
    if not names:
        return cls
    body: Dict[str, Any] = {name: _patient(getattr(cls, name, None), name, cls) for name in names}
    body.update({"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__})
    body["__class__"] = property(lambda self: cls)
    return abc.ABCMeta.__new__(type(cls), cls.__name__, (cls,), body)  # not a model of its own for pydantic


def _patient(_original: Any, name: str, cls: Any) -> property:
    def get(self: Any) -> Any:
        try:
            return getattr(super(own(), self), name)
        except Exception:
            return None

    def own() -> Any:
        return _with_computed(cls)

    return property(get, doc=getattr(_original, "__doc__", None))


def dataclass_maker(cls: Any) -> Maker:
    """Return a function that makes instances of a dataclass: fields without value and default are None."""

    def make(found: Dict[str, Any], extra: Dict[str, Any]) -> Any:
        value = object.__new__(cls)
        for field in dataclasses.fields(cls):
            object.__setattr__(value, field.name, found[field.name] if field.name in found else _default_of(field))
        for name, each in extra.items():
            object.__setattr__(value, name, each)
        return value

    return make


def _default_of(field: Any) -> Any:
    """Return the default of a dataclass's field; None if it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if isinstance(field.default, FieldInfo):
        default = field.default.get_default(call_default_factory=True)
        return None if default is PydanticUndefined else default
    return None if field.default is dataclasses.MISSING else field.default


def dict_maker(_cls: Any) -> Maker:
    """Return a function that makes the dict of a `TypedDict`."""
    return lambda found, extra: {**found, **extra}
