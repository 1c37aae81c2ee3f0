"""Configurations, dataclasses, typed dicts and named tuples."""

import dataclasses
import datetime
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple, Union

import pydantic
from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, InstanceOf, with_config
from pydantic.alias_generators import to_camel, to_pascal
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import Annotated, Literal, NotRequired, Required, TypedDict

from support.zoo.entry import Entry, valid


def _fields(**more: Any) -> Dict[str, Any]:
    found = {"first_name": (str, ...), "count": (int, 3), "share": (float, ...), "raw": (bytes, ...)}
    return {**found, "span": (datetime.timedelta, ...), "day": (datetime.date, ...), **more}


def _configured(name: str, **config: Any) -> Entry:
    return valid(name, pydantic.create_model("Configured", __config__=ConfigDict(**config), **_fields()))


CONFIGURATIONS = [
    _configured("title", title="A title"),
    _configured("extra='ignore'", extra="ignore"),
    _configured("extra='forbid'", extra="forbid"),
    _configured("extra='allow'", extra="allow"),
    _configured("frozen", frozen=True),
    _configured("populate_by_name", populate_by_name=True, alias_generator=to_camel),
    _configured("alias_generator=to_camel", alias_generator=to_camel),
    _configured("alias_generator=to_pascal", alias_generator=to_pascal),
    _configured(
        "AliasGenerator", alias_generator=AliasGenerator(validation_alias=to_camel, serialization_alias=to_pascal)
    ),
    _configured("str_to_lower", str_to_lower=True),
    _configured("str_to_upper", str_to_upper=True),
    _configured("str_strip_whitespace", str_strip_whitespace=True),
    _configured("str_strip_whitespace, str_min_length", str_strip_whitespace=True, str_min_length=2),
    _configured("str_min_length, str_max_length", str_min_length=1, str_max_length=4),
    _configured("use_enum_values", use_enum_values=True),
    _configured("validate_assignment", validate_assignment=True),
    _configured("validate_default", validate_default=True),
    _configured("arbitrary_types_allowed", arbitrary_types_allowed=True),
    _configured("from_attributes", from_attributes=True),
    _configured("loc_by_alias=False", loc_by_alias=False),
    _configured("allow_inf_nan=False", allow_inf_nan=False),
    _configured("strict", strict=True),
    _configured("strict, extra='forbid'", strict=True, extra="forbid"),
    _configured("revalidate_instances", revalidate_instances="always"),
    _configured("ser_json_timedelta='float'", ser_json_timedelta="float"),
    _configured("ser_json_bytes='base64'", ser_json_bytes="base64"),
    _configured("val_json_bytes='base64'", val_json_bytes="base64"),
    _configured("ser_json_bytes, val_json_bytes='base64'", ser_json_bytes="base64", val_json_bytes="base64"),
    _configured("val_json_bytes='hex'", val_json_bytes="hex"),
    _configured("ser_json_inf_nan='strings'", ser_json_inf_nan="strings"),
    _configured("hide_input_in_errors", hide_input_in_errors=True),
    _configured("defer_build", defer_build=True),
    _configured("coerce_numbers_to_str", coerce_numbers_to_str=True),
    _configured("regex_engine='python-re'", regex_engine="python-re"),
    _configured("protected_namespaces", protected_namespaces=()),
    _configured("use_attribute_docstrings", use_attribute_docstrings=True),
    _configured("cache_strings=False", cache_strings=False),
    _configured("json_schema_extra", json_schema_extra={"examples": [{"count": 1}]}),
    _configured("json_schema_mode_override", json_schema_mode_override="validation"),
    _configured("json_schema_serialization_defaults_required", json_schema_serialization_defaults_required=True),
    _configured("plugin_settings", plugin_settings={}),
]


class Python(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")
    word: str = Field(pattern=r"^(?!foo)[a-z]{3}$")
    last: int


class Attributes(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: Dict[str, int]
    a: int


CONFIGURATIONS += [
    valid("regex_engine='python-re' with a look-ahead", Python),
    valid("extra='allow' with a type", Attributes),
]


@dataclasses.dataclass
class Plain:
    size: int
    label: str = "x"
    parts: List[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Frozen:
    size: int
    day: datetime.date


@dataclasses.dataclass
class Initialised:
    size: int
    double: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.double = 2 * self.size


@dataclasses.dataclass
class Variable:
    size: int
    seed: dataclasses.InitVar[int]

    def __post_init__(self, seed: int) -> None:
        self.size += 0 * seed


@pydantic_dataclass
class Crate:
    size: int = Field(ge=0)
    label: str = Field(default="crate", max_length=10)


@pydantic_dataclass(config=ConfigDict(extra="allow", str_to_upper=True))
class Open:
    label: str


@pydantic_dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class Closed:
    label: str
    of: Optional[Crate] = None


@dataclasses.dataclass
class Sub(Plain):
    more: bool = False


@dataclasses.dataclass
class Ring:
    value: int
    following: Optional["Ring"] = None


class Options(TypedDict):
    deep: bool
    level: int


class Partly(TypedDict):
    a: int
    b: NotRequired[str]


class Total(TypedDict, total=False):
    a: int
    b: Required[bool]


@with_config(ConfigDict(extra="forbid", str_to_lower=True))
class Strictly(TypedDict):
    a: str


@with_config(ConfigDict(extra="allow"))
class Loosely(TypedDict):
    a: str


class Inherited(Options):
    c: Annotated[int, Field(ge=0)]


class Place(NamedTuple):
    x: int
    y: float = 0.5


class Named(NamedTuple):
    name: str
    places: List[Place]


class Typed(BaseModel):
    options: Options
    plain: Plain
    place: Place


OTHERS = [
    valid("dataclass", Plain),
    valid("frozen dataclass", Frozen),
    valid("dataclass with __post_init__", Initialised),
    valid("dataclass with InitVar", Variable),
    valid("derived dataclass", Sub),
    valid("recursive dataclass", Ring),
    valid("pydantic dataclass", Crate),
    valid("pydantic dataclass, extra='allow'", Open),
    valid("pydantic dataclass, extra='forbid', frozen", Closed),
    valid("list of dataclasses", List[Plain]),
    valid("InstanceOf[dataclass]", InstanceOf[Plain]),
    valid("TypedDict", Options),
    valid("TypedDict with NotRequired", Partly),
    valid("TypedDict(total=False) with Required", Total),
    valid("TypedDict with a config, extra='forbid'", Strictly),
    valid("TypedDict with a config, extra='allow'", Loosely),
    valid("derived TypedDict", Inherited),
    valid("NamedTuple", Place),
    valid("NamedTuple in a NamedTuple", Named),
    valid("list of NamedTuples", List[Place]),
    valid("model with a typed dict, a dataclass and a named tuple", Typed),
    valid("Set of NamedTuples", Set[Place]),
    valid("Union of dataclasses", Union[Plain, Frozen]),
    valid("Tuple of dataclasses", Tuple[Plain, Frozen]),
    valid("Dict[Literal, dataclass]", Dict[Literal["a", "b"], Crate]),
]
