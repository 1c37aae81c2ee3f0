"""Types of Python's standard library."""

import collections
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import re
import uuid
from typing import (
    Any,
    Callable,
    Counter,
    DefaultDict,
    Deque,
    Dict,
    FrozenSet,
    Generator,
    Hashable,
    Iterable,
    List,
    Mapping,
    MutableMapping,
    NewType,
    Optional,
    OrderedDict,
    Pattern,
    Sequence,
    Set,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from typing_extensions import Annotated, Literal, Never, TypeAliasType

from support.zoo.entry import refused, valid

try:
    import zoneinfo
except ImportError:  # before Python 3.9
    zoneinfo = None

UserId = NewType("UserId", int)
Free = TypeVar("Free")
Bound = TypeVar("Bound", bound=int)
Choice = TypeVar("Choice", int, bool)
Alias = TypeAliasType("Alias", List[int])


class Plain:
    """A class without a schema."""


SCALARS = [
    valid("bool", bool, combines=True),
    valid("int", int, combines=True),
    valid("float", float, combines=True),
    valid("str", str, combines=True),
    valid("bytes", bytes, combines=True),
    refused("bytearray", bytearray, "bytearray"),
    valid("None", type(None)),
    valid("complex", complex, combines=True),
    valid("fractions.Fraction", fractions.Fraction, combines=True),
    valid("decimal.Decimal", decimal.Decimal, combines=True),
    valid("datetime.date", datetime.date, combines=True),
    valid("datetime.datetime", datetime.datetime, combines=True),
    valid("datetime.time", datetime.time, combines=True),
    valid("datetime.timedelta", datetime.timedelta, combines=True),
    valid("uuid.UUID", uuid.UUID, combines=True),
    valid("pathlib.Path", pathlib.Path, combines=True),
    valid("pathlib.PurePath", pathlib.PurePath),
    valid("pathlib.PurePosixPath", pathlib.PurePosixPath),
    valid("pathlib.PureWindowsPath", pathlib.PureWindowsPath),
    valid("zoneinfo.ZoneInfo", None if zoneinfo is None else zoneinfo.ZoneInfo),
    valid("ipaddress.IPv4Address", ipaddress.IPv4Address, combines=True),
    valid("ipaddress.IPv4Interface", ipaddress.IPv4Interface),
    valid("ipaddress.IPv4Network", ipaddress.IPv4Network),
    valid("ipaddress.IPv6Address", ipaddress.IPv6Address, combines=True),
    valid("ipaddress.IPv6Interface", ipaddress.IPv6Interface),
    valid("ipaddress.IPv6Network", ipaddress.IPv6Network),
    valid("re.Pattern", re.Pattern),
    valid("Pattern[str]", Pattern[str], combines=True),
    refused("Pattern[bytes]", Pattern[bytes], "bytes pattern"),
    valid("Any", Any),
    valid("object", object),
    valid("NewType of int", UserId),
    valid("TypeAliasType", Alias),
    valid("TypeVar", Free),
    valid("TypeVar bound to int", Bound),
    valid("TypeVar of int, bool", Choice),
    valid("Hashable", Hashable),
    refused("Callable[[int], int]", Callable[[int], int], "a callable"),
    refused("Type[int]", Type[int], "a class: a subclass of int"),
    refused("Type[Any]", Type[Any], "IsInstance"),
    refused("type", type, "IsInstance"),
    refused("Never", Never, "Never"),
    refused("an arbitrary class", Plain, "Plain"),
    refused("an object in place of a type", 5, "5"),
    refused("a name that is not defined", "NoSuchType", "NoSuchType"),
]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Text(str, enum.Enum):
    A = "a"
    B = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 20


class Weight(float, enum.Enum):
    HALF = 0.5
    WHOLE = 1.0


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


class Mode(enum.IntFlag):
    READ = 4
    WRITE = 2


class Day(enum.Enum):
    FIRST = datetime.date(2024, 1, 1)
    LAST = datetime.date(2024, 12, 31)


class Moment(enum.Enum):
    NOON = datetime.datetime(2024, 1, 1, 12)


class Price(enum.Enum):
    LOW = decimal.Decimal("1.50")
    HIGH = decimal.Decimal("99.99")


class Point(enum.Enum):
    ORIGIN = (0, 0)
    UNIT = (1, 1)


class Nested(enum.Enum):
    A = ((1, 2), "x")


class Mixed(enum.Enum):
    NUMBER = 1
    TEXT = "1"
    FLAG = None


class Raw(enum.Enum):
    A = b"a"
    B = b"\x80"


class Odd(enum.Enum):
    A = Plain()


class Ident(enum.Enum):
    A = uuid.UUID("123e4567-e89b-42d3-a456-426614174000")


class Span(enum.Enum):
    HOUR = datetime.timedelta(hours=1)


class Lists(enum.Enum):
    A = [1, 2]  # noqa: RUF012


class Sets(enum.Enum):
    A = frozenset({1})


class Unlisted(enum.Enum):
    A = 1

    @classmethod
    def _missing_(cls, value):
        return cls.A


CHOICES = [
    valid("Enum of texts", Color),
    valid("(str, Enum)", Text),
    valid("IntEnum", Level),
    valid("(float, Enum)", Weight),
    valid("Enum of one int, one text and None", Mixed),
    valid("Enum with _missing_", Unlisted),
    valid("Flag", Permission),
    valid("IntFlag", Mode),
    refused("Enum of dates", Day, "a date of what JSON has"),
    refused("Enum of date-times", Moment, "a datetime of what JSON has"),
    refused("Enum of decimals", Price, "a Decimal of what JSON has"),
    refused("Enum of tuples", Point, "a tuple of what JSON has"),
    refused("Enum of nested tuples", Nested, "a tuple of what JSON has"),
    refused("Enum of bytes", Raw, "a bytes of what JSON has"),
    refused("Enum of UUIDs", Ident, "a UUID of what JSON has"),
    refused("Enum of timedeltas", Span, "a timedelta of what JSON has"),
    valid("Enum of lists", Lists),
    refused("Enum of sets", Sets, "a frozenset of what JSON has"),
    refused("Enum of objects", Odd, "can't be read from JSON"),
    valid('Literal["a"]', Literal["a"]),
    valid('Literal["a", "b"]', Literal["a", "b"]),
    valid("Literal[1, 2]", Literal[1, 2]),
    valid("Literal[2**63 - 1, -(2**63)]", Literal[9223372036854775807, -9223372036854775808]),
    refused("Literal[10**30]", Literal[1000000000000000000000000000000], "beyond 64 bits"),
    valid("Literal[True]", Literal[True]),
    valid("Literal[None]", Literal[None]),
    valid('Literal[1, "1", None, False]', Literal[1, "1", None, False]),
    refused("Literal[Color.RED]", Literal[Color.RED], "Color.RED"),
    valid("Literal[Level.LOW, Level.HIGH]", Literal[Level.LOW, Level.HIGH]),
    refused("Literal[Color.RED, 5]", Literal[Color.RED, 5], "Color.RED"),
    valid("Literal[Text.A]", Literal[Text.A]),
    refused('Literal[b"x"]', Literal[b"x"], "bytes"),
    refused('Literal["x", b"x"]', Literal["x", b"x"], "b'x'"),
    refused("Literal[Day.FIRST]", Literal[Day.FIRST], "Day.FIRST"),
    valid("Literal with quotes, line breaks and emoji", Literal['"\\\n', "\U0001f600", ""]),
    valid("Optional[Literal]", Optional[Literal["a", "b"]]),
    valid("Literal of 5,000 texts", Literal[tuple(f"item {n}" for n in range(5000))]),
]

Box = collections.namedtuple("Box", "a b")

CONTAINERS = [
    valid("list", list),
    valid("List[int]", List[int]),
    valid("List[List[bool]]", List[List[bool]]),
    valid("tuple", tuple),
    valid("Tuple[int, ...]", Tuple[int, ...]),
    valid("Tuple[int, bool, str]", Tuple[int, bool, str]),
    valid("Tuple[()]", Tuple[()]),
    valid("set", set),
    valid("Set[int]", Set[int]),
    valid("Set[Literal]", Set[Literal["a", "b", "c"]]),
    valid("frozenset", frozenset),
    valid("FrozenSet[bool]", FrozenSet[bool]),
    refused("Set[List[int]]", Set[List[int]], "can't be hashed: list"),
    refused("FrozenSet[Dict[str, int]]", FrozenSet[Dict[str, int]], "can't be hashed: dict"),
    refused("Set[Union[int, List[int]]]", Set[Union[int, List[int]]], "can't be hashed: list"),
    valid("Deque[int]", Deque[int]),
    valid("collections.deque", collections.deque),
    valid("Sequence[int]", Sequence[int]),
    valid("Iterable[int]", Iterable[int]),
    valid("Generator[int, None, None]", Generator[int, None, None]),
    valid("dict", dict),
    valid("Dict[str, int]", Dict[str, int]),
    valid("Dict[int, bool]", Dict[int, bool]),
    valid("Dict[float, bool]", Dict[float, bool]),
    valid("Dict[bool, int]", Dict[bool, int]),
    valid("Dict[Decimal, bool]", Dict[decimal.Decimal, bool]),
    valid("Dict[date, bool]", Dict[datetime.date, bool]),
    valid("Dict[datetime, bool]", Dict[datetime.datetime, bool]),
    valid("Dict[UUID, bool]", Dict[uuid.UUID, bool]),
    valid("Dict[Enum, bool]", Dict[Color, bool]),
    valid("Dict[IntEnum, int]", Dict[Level, int]),
    valid("Dict[Literal, int]", Dict[Literal["a", "b"], int]),
    refused("Dict[Literal[1, 2], int]", Dict[Literal[1, 2], int], "a key of a JSON object is a text"),
    valid("Dict[Optional[str], int]", Dict[Optional[str], int]),
    valid("Dict[str, Any]", Dict[str, Any]),
    valid("Dict[str, List[int]]", Dict[str, List[int]]),
    valid("Dict[Path, int]", Dict[pathlib.Path, int]),
    valid("DefaultDict[str, int]", DefaultDict[str, int]),
    valid("DefaultDict[str, List[int]]", DefaultDict[str, List[int]]),
    valid("OrderedDict[str, int]", OrderedDict[str, int]),
    valid("Counter[str]", Counter[str]),
    valid("Mapping[str, int]", Mapping[str, int]),
    valid("MutableMapping[str, int]", MutableMapping[str, int]),
    valid("namedtuple", Box),
    valid("Optional[int]", Optional[int]),
    valid("Union[int, str]", Union[int, str]),
    valid("Union[List[int], Dict[str, int]]", Union[List[int], Dict[str, int]]),
    valid("Annotated[int, a note]", Annotated[int, "a note"]),
]
