"""Constrained and strict types."""

import datetime
import decimal
import warnings
from typing import Any, Dict, FrozenSet, List, Optional, Sequence, Set, Tuple

import annotated_types
from pydantic import (
    AllowInfNan,
    AwareDatetime,
    ConfigDict,
    Field,
    FiniteFloat,
    FutureDate,
    FutureDatetime,
    NaiveDatetime,
    NegativeFloat,
    NegativeInt,
    NonNegativeFloat,
    NonNegativeInt,
    NonPositiveFloat,
    NonPositiveInt,
    PastDate,
    PastDatetime,
    PositiveFloat,
    PositiveInt,
    Strict,
    StrictBool,
    StrictBytes,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    conbytes,
    condate,
    condecimal,
    confloat,
    confrozenset,
    conint,
    conlist,
    conset,
    constr,
    create_model,
)
from typing_extensions import Annotated

from support.zoo.entry import refused, valid

START, END = datetime.date(2024, 1, 1), datetime.date(2024, 12, 31)
ZONE = datetime.timezone(datetime.timedelta(hours=2))
MORNING, NIGHT = datetime.datetime(2024, 1, 1, 8), datetime.datetime(2024, 1, 2, 8)


def _numbers(kind, title, values):
    bounds = [{"gt": values[0]}, {"ge": values[0]}, {"lt": values[1]}, {"le": values[1]}]
    bounds += [{"gt": values[0], "lt": values[1]}, {"ge": values[0], "le": values[1]}]
    if kind is not decimal.Decimal:  # of which pydantic refuses to divide numbers of more than 28 digits
        bounds += [{"multiple_of": values[2]}]
    bounds += [{"ge": values[0], "le": values[1], "multiple_of": values[2]}]
    return [
        valid(
            f"{title} with " + ", ".join(f"{key}={bound}" for key, bound in each.items()),
            Annotated[kind, Field(**each)],
        )
        for each in bounds
    ]


def _lengths(title, kind, kind_name="Field"):
    del kind_name
    return [
        valid(f"{title} with min_length=2", Annotated[kind, Field(min_length=2)]),
        valid(f"{title} with max_length=2", Annotated[kind, Field(max_length=2)]),
        valid(f"{title} with min_length=1, max_length=3", Annotated[kind, Field(min_length=1, max_length=3)]),
    ]


_PATTERNS = [
    r"^[a-z]+$",
    r"^\d{3}-\d{4}$",
    r"[0-9]",
    r"^(foo|bar)$",
    r"^\w+@\w+\.com$",
    r"^[^\s]{1,10}$",
    r"^(?P<year>\d{4})$",
    r"^#[0-9a-fA-F]{6}$",
]


def _matching(pattern: str) -> Any:
    return Annotated[str, Field(pattern=pattern)]


def _python_re(pattern: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own about such a class
        return create_model("PythonRe", __config__=ConfigDict(regex_engine="python-re"), a=(_matching(pattern), ...))


CONSTRAINTS = [
    *_numbers(int, "int", (-5, 100, 5)),
    *_numbers(float, "float", (-1.5, 2.5, 0.5)),
    *_numbers(decimal.Decimal, "Decimal", (decimal.Decimal("0.5"), decimal.Decimal("99.5"), decimal.Decimal("0.25"))),
    valid("Decimal with max_digits=5", Annotated[decimal.Decimal, Field(max_digits=5)]),
    valid("Decimal with decimal_places=2", Annotated[decimal.Decimal, Field(decimal_places=2)]),
    valid(
        "Decimal with max_digits=5, decimal_places=2", Annotated[decimal.Decimal, Field(max_digits=5, decimal_places=2)]
    ),
    *[
        valid(
            f"Decimal with max_digits=2, decimal_places={places}",
            Annotated[decimal.Decimal, Field(max_digits=2, decimal_places=places)],
        )
        for places in (2, 4)
    ],
    valid(
        "Decimal with max_digits=3, decimal_places=3, gt=0",
        Annotated[decimal.Decimal, Field(max_digits=3, decimal_places=3, gt=0)],
    ),
    valid("Decimal with gt=0, decimal_places=2", Annotated[decimal.Decimal, Field(gt=0, decimal_places=2)]),
    *_lengths("str", str),
    *_lengths("bytes", bytes),
    *_lengths("List[int]", List[int]),
    *_lengths("Set[bool]", Set[int]),
    *_lengths("FrozenSet[int]", FrozenSet[int]),
    *_lengths("Tuple[int, ...]", Tuple[int, ...]),
    *_lengths("Dict[str, int]", Dict[str, int]),
    *_lengths("Sequence[int]", Sequence[int]),
    *[valid(f"str with pattern {each}", Annotated[str, Field(pattern=each)]) for each in _PATTERNS],
    refused(
        r"str with pattern (?<=a)b", Annotated[str, Field(pattern=r"(?<=a)b", json_schema_extra={})], "look-around"
    ),
    refused("str with pattern ^[a-z&&[^aeiou]]+$", _matching("^[a-z&&[^aeiou]]+$"), "classes within a class"),
    refused("str with pattern ^[a-f[0-9]]+$", _matching("^[a-f[0-9]]+$"), "classes within a class"),
    refused("str with pattern ^[+--]+$", _matching("^[+--]+$"), "classes within a class"),
    valid(r"str with pattern ^[\[&\]-]+$", _matching(r"^[\[&\]-]+$")),
    valid("str with pattern ^[[:alpha:][:digit:]]{2}$", _matching("^[[:alpha:][:digit:]]{2}$")),
    refused("python-re's pattern ^[[:alpha:]]{2}$", _python_re("^[[:alpha:]]{2}$"), "a POSIX class"),
    refused("python-re's pattern ^[]a]+$", _python_re("^[]a]+$"), "has to be escaped"),
    valid("PositiveInt", PositiveInt),
    valid("NegativeInt", NegativeInt),
    valid("NonNegativeInt", NonNegativeInt),
    valid("NonPositiveInt", NonPositiveInt),
    valid("PositiveFloat", PositiveFloat),
    valid("NegativeFloat", NegativeFloat),
    valid("NonNegativeFloat", NonNegativeFloat),
    valid("NonPositiveFloat", NonPositiveFloat),
    valid("FiniteFloat", FiniteFloat),
    valid("float with AllowInfNan(False)", Annotated[float, AllowInfNan(False)]),
    valid("StrictBool", StrictBool),
    valid("StrictInt", StrictInt),
    valid("StrictFloat", StrictFloat),
    valid("StrictStr", StrictStr),
    valid("StrictBytes", StrictBytes),
    valid("strict datetime.date", Annotated[datetime.date, Strict()]),
    valid("strict datetime.datetime", Annotated[datetime.datetime, Strict()]),
    valid("strict datetime.time", Annotated[datetime.time, Strict()]),
    valid("strict datetime.timedelta", Annotated[datetime.timedelta, Strict()]),
    valid("strict Decimal", Annotated[decimal.Decimal, Strict()]),
    valid("strict Set[int]", Annotated[Set[int], Strict()]),
    valid("strict Tuple[int, str]", Annotated[Tuple[int, str], Strict()]),
    valid("List of strict floats", List[StrictFloat]),
    valid("conint(gt=1, lt=10)", conint(gt=1, lt=10)),
    valid("conint(strict=True, multiple_of=3)", conint(strict=True, multiple_of=3)),
    valid("confloat(ge=0, le=1)", confloat(ge=0, le=1)),
    valid("condecimal(max_digits=6, decimal_places=2)", condecimal(max_digits=6, decimal_places=2)),
    valid("constr(to_lower=True)", constr(to_lower=True, max_length=10)),
    valid("constr(to_upper=True, pattern)", constr(to_upper=True, pattern="^[A-Z]{3}$")),
    valid("constr(strip_whitespace=True, pattern)", constr(strip_whitespace=True, pattern="^[a-c ]*$")),
    refused(
        "constr(strip_whitespace=True, pattern) with a space at the beginning",
        constr(strip_whitespace=True, pattern="^ a$"),
        "no value can be valid",
    ),
    valid("constr(strip_whitespace=True, min_length=3)", constr(strip_whitespace=True, min_length=3, max_length=8)),
    valid("conbytes(min_length=2, max_length=6)", conbytes(min_length=2, max_length=6)),
    valid("conlist(int, min_length=2, max_length=3)", conlist(int, min_length=2, max_length=3)),
    valid("conset(int, min_length=2, max_length=3)", conset(int, min_length=2, max_length=3)),
    valid("confrozenset(int, min_length=1, max_length=2)", confrozenset(int, min_length=1, max_length=2)),
    valid("condate(ge, le)", condate(ge=START, le=END)),
    valid("date with gt", Annotated[datetime.date, Field(gt=START)]),
    valid("date with lt", Annotated[datetime.date, Field(lt=START)]),
    valid("date with gt, lt", Annotated[datetime.date, Field(gt=START, lt=END)]),
    valid("datetime with ge, le", Annotated[datetime.datetime, Field(ge=MORNING, le=NIGHT)]),
    valid("time with ge, lt", Annotated[datetime.time, Field(ge=datetime.time(8), lt=datetime.time(18))]),
    valid(
        "timedelta with ge, le",
        Annotated[datetime.timedelta, Field(ge=datetime.timedelta(0), le=datetime.timedelta(days=1))],
    ),
    valid("PastDate", PastDate),
    valid("FutureDate", FutureDate),
    valid("PastDatetime", PastDatetime),
    valid("FutureDatetime", FutureDatetime),
    valid("AwareDatetime", AwareDatetime),
    valid(
        "AwareDatetime with ge, lt",
        Annotated[
            AwareDatetime, Field(ge=MORNING.replace(tzinfo=ZONE), lt=NIGHT.replace(tzinfo=datetime.timezone.utc))
        ],
    ),
    valid("datetime with an aware gt", Annotated[datetime.datetime, Field(gt=MORNING.replace(tzinfo=ZONE))]),
    valid("NaiveDatetime", NaiveDatetime),
    valid("datetime with Timezone(None)", Annotated[datetime.datetime, annotated_types.Timezone(None)]),
    valid("datetime with Timezone(...)", Annotated[datetime.datetime, annotated_types.Timezone(...)]),
    valid("annotated_types.Gt and Lt", Annotated[int, annotated_types.Gt(3), annotated_types.Lt(9)]),
    valid("annotated_types.Interval", Annotated[float, annotated_types.Interval(ge=0, lt=1)]),
    valid("annotated_types.Len", Annotated[List[int], annotated_types.Len(1, 2)]),
    valid("annotated_types.MinLen and MaxLen", Annotated[str, annotated_types.MinLen(1), annotated_types.MaxLen(4)]),
    valid("annotated_types.MultipleOf", Annotated[int, annotated_types.MultipleOf(7)]),
    valid(
        "StringConstraints with all",
        Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=2, max_length=9)],
    ),
    valid("StringConstraints with a pattern", Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}\d$")]),
    valid("List of constrained ints", List[Annotated[int, Field(ge=1, le=6)]]),
    valid("Optional constrained str", Optional[Annotated[str, Field(max_length=3)]]),
    valid("Dict with constrained int keys", Dict[Annotated[int, Field(ge=1, le=12)], bool]),
    valid("Dict with patterns for keys", Dict[Annotated[str, Field(pattern="^[a-z]{2}$")], bool]),
    valid("Dict with constrained str keys", Dict[Annotated[str, Field(min_length=2, max_length=4)], bool]),
    valid("Tuple with constrained items", Tuple[Annotated[int, Field(gt=0)], Annotated[str, Field(max_length=2)]]),
]
