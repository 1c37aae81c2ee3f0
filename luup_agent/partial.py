"""The value of a typed result while its JSON text still grows.

`JsonPrefix` finds, for any beginning of a JSON text, the largest document that its complete values make: open
containers are closed, what is being written (a string, a number, a key without its value) is left out. `PartialReader`
makes values of the result's type from that.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type, Union

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from typing_extensions import Annotated, get_args, get_origin, get_type_hints, is_typeddict


class _Nothing:
    """The type of `NOTHING`, which is no value of any result."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()
_WANTS_VALUES = "default_factory_takes_validated_data"


class JsonPrefix:
    """Follows a JSON text that comes in pieces, cut anywhere.

    Example:
        >>> prefix = JsonPrefix()
        >>> prefix.feed('{"title": "Alien", "year": 19'), prefix.document()
        (True, '{"title": "Alien"}')
        >>> prefix.feed('79')  # may go on
        False
        >>> prefix.feed('}'), prefix.document()
        (True, '{"title": "Alien", "year": 1979}')
    """

    def __init__(self) -> None:
        self._text = ""
        self._at = 0  # characters taken in
        self._closers: List[str] = []  # of the containers that are open
        self._in_string = self._escaped = self._in_scalar = self._is_key = False
        self._cut = 0  # where the last complete value ends
        self._tail = ""  # what closes the containers that were open there

    def feed(self, piece: str) -> bool:
        """Takes in more text, and tells whether more values are complete."""
        before = self._cut
        self._text += piece
        for index in range(self._at, len(self._text)):
            self._take(index, self._text[index])
        self._at = len(self._text)
        return self._cut != before

    def document(self) -> str:
        """The complete values as a JSON text of its own; "" while there are none."""
        return self._text[: self._cut] + self._tail

    @property
    def depth(self) -> int:
        """How many containers `document` had to close."""
        return len(self._tail)

    def _take(self, index: int, char: str) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif char == "\\":
                self._escaped = True
            elif char == '"':
                self._in_string = False
                if not self._is_key:
                    self._complete(index + 1)
            return
        if self._in_scalar:
            if char not in ",]} \t\r\n":
                return
            self._in_scalar = False
            self._complete(index)
        if char == '"':
            self._in_string = True
        elif char in "{[":
            self._closers.append("}" if char == "{" else "]")
            self._is_key = char == "{"
        elif char in "}]":
            if self._closers:
                self._closers.pop()
            self._complete(index + 1)
        elif char == ",":
            self._is_key = self._closers[-1:] == ["}"]
        elif char == ":":
            self._is_key = False
        elif char not in " \t\r\n":
            self._in_scalar = True

    def _complete(self, end: int) -> None:
        self._cut = end
        self._tail = "".join(reversed(self._closers))


class PartialReader:
    """Makes values of a type from the beginnings of a JSON text.

    Example:
        >>> reader = PartialTypes(Movie).reader()
        >>> reader.feed('{"title": "Alien", "year": 19')[0].title
        'Alien'
        >>> reader.feed('79')  # no more is complete than before
        []
    """

    def __init__(self, types: PartialTypes) -> None:
        self._types = types
        self._prefix = JsonPrefix()
        self._last: Any = NOTHING

    def feed(self, piece: str) -> List[Any]:
        """Takes in more text; gives the value of what is complete now in a list of one.

        The list is empty if that is no more than before, and at the end of the text, as `OutputSpec.validate` has the
        last word.
        """
        if not self._prefix.feed(piece) or not self._prefix.depth:
            return []
        value = self._types.make(json.loads(self._prefix.document()), self._prefix.depth)
        if value is NOTHING or value == self._last:
            return []
        self._last = value
        return [value]


class _Object(NamedTuple):
    """A type whose JSON is an object: the types of its fields by key, and what makes an instance of some of them."""

    fields: Dict[str, Tuple[str, Any]]
    make: Callable[[Dict[str, Any]], Any]


class PartialTypes:
    """Makes partial values of a type and the types in it; keeps what it found out about them."""

    def __init__(self, output_type: Any) -> None:
        self._type = output_type
        self._adapters: Dict[int, Tuple[Any, TypeAdapter[Any]]] = {}  # by the identity of the type, which is kept
        self._objects: Dict[int, Tuple[Any, Optional[_Object]]] = {}

    def reader(self) -> PartialReader:
        """Begins a text."""
        return PartialReader(self)

    def make(self, value: Any, depth: int) -> Any:
        """The value of the type for the JSON `value` whose last `depth` containers, one in another, were still open.

        `NOTHING` if a complete part is not valid, or nothing can be made of the parts yet.
        """
        return self._part(self._type, value, depth)

    def _part(self, annotation: Any, value: Any, depth: int) -> Any:
        if depth == 0:
            return self._whole(annotation, value)
        origin = get_origin(annotation)
        if origin is Annotated:
            return self._part(get_args(annotation)[0], value, depth)
        if origin is Union or type(annotation).__name__ == "UnionType":
            return self._first(get_args(annotation), value, depth)
        if isinstance(value, list):
            return self._list(annotation, value, depth) if (origin or annotation) is list else NOTHING
        return self._object(annotation, value, depth)

    def _whole(self, annotation: Any, value: Any) -> Any:
        kept = self._adapters.get(id(annotation))
        if kept is None:
            kept = (annotation, TypeAdapter(annotation))
            self._adapters[id(annotation)] = kept
        try:
            return kept[1].validate_json(json.dumps(value))  # as JSON: a str may be a date there
        except ValidationError:
            return NOTHING

    def _first(self, annotations: Tuple[Any, ...], value: Any, depth: int) -> Any:
        """Of a union the first type that knows all the keys and finds nothing wrong."""
        for annotation in annotations:
            known = self._object_of(annotation) if isinstance(value, dict) else None
            if known is None or set(value) <= set(known.fields):
                found = self._part(annotation, value, depth)
                if found is not NOTHING:
                    return found
        return NOTHING

    def _list(self, annotation: Any, value: List[Any], depth: int) -> Any:
        item_type = (get_args(annotation) or (Any,))[0]
        items = [self._whole(item_type, item) for item in (value if depth == 1 else value[:-1])]
        return items if items and all(item is not NOTHING for item in items) else NOTHING

    def _object(self, annotation: Any, values: Dict[str, Any], depth: int) -> Any:
        known = self._object_of(annotation)
        if known is None:
            return NOTHING
        found: Dict[str, Any] = {}
        for index, (key, value) in enumerate(values.items(), 1):
            if key not in known.fields:
                continue
            name, field_type = known.fields[key]
            is_open = depth > 1 and index == len(values)
            part = self._part(field_type, value, depth - 1 if is_open else 0)
            if part is not NOTHING:
                found[name] = part
            elif not is_open:
                return NOTHING
        return known.make(found)

    def _object_of(self, annotation: Any) -> Optional[_Object]:
        kept = self._objects.get(id(annotation))
        if kept is None:
            kept = (annotation, _describe(annotation))
            self._objects[id(annotation)] = kept
        return kept[1]


def _describe(cls: Any) -> Optional[_Object]:
    if not isinstance(cls, type):
        return None
    try:
        return _describe_class(cls)
    except (NameError, TypeError):  # its annotations can't be read from here
        return None


def _describe_class(cls: Any) -> Optional[_Object]:
    if issubclass(cls, BaseModel):
        return None if issubclass(cls, RootModel) else _Object(_model_fields(cls), _model_maker(cls))
    if dataclasses.is_dataclass(cls):
        hints = get_type_hints(cls, include_extras=True)
        names = [field.name for field in dataclasses.fields(cls) if field.init]
        return _Object({name: (name, hints[name]) for name in names}, _dataclass_maker(cls))
    if is_typeddict(cls):
        return _Object({name: (name, hint) for name, hint in get_type_hints(cls, include_extras=True).items()}, dict)
    return None


def _model_fields(cls: Type[BaseModel]) -> Dict[str, Tuple[str, Any]]:
    fields: Dict[str, Tuple[str, Any]] = {}
    for name, field in cls.model_fields.items():
        alias = field.validation_alias if isinstance(field.validation_alias, str) else field.alias
        metadata = tuple(field.metadata)
        fields[alias or name] = (name, Annotated[(field.annotation, *metadata)] if metadata else field.annotation)
    return fields


def _model_maker(cls: Type[BaseModel]) -> Callable[[Dict[str, Any]], Any]:
    def make(found: Dict[str, Any]) -> Any:
        value = cls.__new__(cls)
        state = {name: field.get_default(call_default_factory=True) for name, field in optional if name not in found}
        object.__setattr__(value, "__dict__", {**state, **found})
        object.__setattr__(value, "__pydantic_fields_set__", set(found))
        object.__setattr__(value, "__pydantic_extra__", {} if cls.model_config.get("extra") == "allow" else None)
        object.__setattr__(value, "__pydantic_private__", None)
        return value

    fields = cls.model_fields.items()  # a factory that wants the other fields' values has to wait for the whole
    optional = [(n, f) for n, f in fields if not f.is_required() and not getattr(f, _WANTS_VALUES, False)]
    return make


def _dataclass_maker(cls: Any) -> Callable[[Dict[str, Any]], Any]:
    def make(found: Dict[str, Any]) -> Any:
        value = object.__new__(cls)
        for field in dataclasses.fields(cls):
            object.__setattr__(value, field.name, found[field.name] if field.name in found else _default_of(field))
        return value

    return make


def _default_of(field: Any) -> Any:
    """The default of a dataclass's field; None if it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if isinstance(field.default, FieldInfo):
        return field.default.get_default(call_default_factory=True)
    return None if field.default is dataclasses.MISSING else field.default
