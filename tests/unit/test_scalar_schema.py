"""Decimals, dates, times and keys of dicts: the schema accepts what pydantic accepts, and nothing else."""

import datetime
import enum
import json
import re
from decimal import Decimal
from typing import Dict, List, Optional, Tuple, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FutureDate,
    FutureDatetime,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import SchemaError
from typing_extensions import Annotated, Literal

from luup_agent import Agent, InvalidOutputError, InvalidSchemaError, Tool
from luup_agent._run.typed_output import OutputSpec, output_spec
from luup_agent._tools import patterns
from luup_agent.testing import ScriptedModel, tool_call


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Price(BaseModel):
    amount: Decimal
    rate: float


class Size(str, enum.Enum):
    S = "s"
    M = "m"


class Plain(enum.Enum):
    ONE = 1


NEW_YEAR = datetime.datetime(2024, 1, 1, 9, 30)
CASES = [  # type, accepted, refused
    (Annotated[Decimal, Field(max_digits=8)], ["19.99", '"19.99"', '"0.001"', "-5.25"], ['"123456789"', "123456789"]),
    (Decimal, ['"19.99"', "19.99", '"12345678901234567890.5"'], ['"x"', "true"]),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2, gt=0)], ["19.99", "999.99"], ["0.00", "1000.00"]),
    (Annotated[Decimal, Field(ge=0, decimal_places=2)], ["19.99", '"19.99"', '"0.5"'], ["-1.00", '"-1"', '"1.999"']),
    (Annotated[Decimal, Field(multiple_of=Decimal("0.25"))], ["1.25"], ["1.3"]),
    (datetime.datetime, ['"2024-05-01T10:00:00"', '"2024-05-01T10:00"', '"2024-05-01T10:00:00Z"'], ['"10:00"']),
    (datetime.time, ['"10:30"', '"10:30:00"', '"10:30:00+02:00"'], ['"24:00"', '"10"']),
    (datetime.timedelta, ['"PT0.5S"', '"-P1DT2H"', '"P1Y2M10DT2H30M"'], ['"P"', '"2 hours"']),
    (
        NaiveDatetime,
        ['"2024-05-01T10:00:00"', '"2024-05-01T10:00"'],
        ['"2024-05-01T10:00Z"', '"2024-05-01T10:00+02:00"'],
    ),
    (AwareDatetime, ['"2024-05-01T10:00:00Z"', '"2024-05-01T10:00-05:00"'], ['"2024-05-01T10:00"']),
    (PastDate, ['"2024-05-01"', '"1815-12-10"'], ['"2999-01-01"']),
    (FutureDate, ['"2999-05-01"'], ['"1999-01-01"']),
    (PastDatetime, ['"2024-05-01T10:00"'], ['"2999-01-01T10:00"']),
    (FutureDatetime, ['"2999-05-01T10:00"'], ['"2000-01-01T10:00"']),
    (
        Annotated[datetime.datetime, Field(ge=NEW_YEAR, lt=datetime.datetime(2025, 1, 1))],
        ['"2024-01-01T09:30"', '"2024-12-31T23:59:59"'],
        ['"2024-01-01T09:29:59"', '"2025-01-01T00:00"'],
    ),
    (
        Annotated[datetime.date, Field(gt=datetime.date(2024, 1, 31), le=datetime.date(2024, 3, 1))],
        ['"2024-02-29"', '"2024-03-01"'],
        ['"2024-01-31"', '"2024-03-02"'],
    ),
    (
        Annotated[datetime.time, Field(ge=datetime.time(9), le=datetime.time(17, 30))],
        ['"09:00"', '"17:30"', '"10:15:20"'],
        ['"08:59"', '"17:30:01"', '"17:31"'],
    ),
    (Annotated[datetime.timedelta, Field(ge=datetime.timedelta(0))], ['"PT30M"'], ['"-PT30M"']),
    (Annotated[str, Field(pattern=re.compile("^[ab]+$", re.IGNORECASE))], ['"aB"'], ['"c"']),
    (Dict[Level, int], ['{"1": 2}'], ['{"3": 2}', '{"a": 2}']),
    (Dict[Size, int], ['{"s": 2}'], ['{"x": 2}']),
    (Dict[Literal["a", "b"], int], ['{"a": 1}'], ['{"c": 1}']),
    (Dict[Annotated[int, Field(ge=0)], int], ['{"0": 1, "123456789012345678901": 1}'], ['{"-1": 1}', '{"x": 1}']),
    (Dict[Annotated[int, Field(gt=-6, le=12)], int], ['{"-5": 1, "12": 1}'], ['{"-6": 1}', '{"13": 1}']),
    (Dict[PastDate, int], ['{"2024-01-01": 1}'], ['{"2999-01-01": 1}']),
    (Dict[Union[int, bool], int], ['{"1": 1, "true": 2}'], ['{"x": 1}']),
    (Dict[Annotated[Decimal, Field(max_digits=3)], int], ['{"1.25": 1}'], ['{"1234": 1}']),
    (Dict[Optional[int], int], ['{"1": 1}'], ['{"x": 1}']),
]


@pytest.mark.parametrize(("type_", "accepted", "refused"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_schema_accepts_what_its_type_accepts(type_, accepted, refused):
    spec = output_spec(type_)
    for text in accepted:
        assert Agent(ScriptedModel([text]), retries=0).generate("?", output_type=type_) == spec.validate(text)
    for text in refused:
        with pytest.raises(InvalidOutputError, match="still wrong") as caught:
            Agent(ScriptedModel([text]), retries=0).generate("?", output_type=type_)
        assert not isinstance(caught.value.__cause__, ValidationError)  # the schema refused it already


@pytest.mark.parametrize(
    "key",
    [
        Tuple[int, int],
        None,
        Literal[1, 2],
        Plain,
        Annotated[int, Field(multiple_of=5)],
        Annotated[float, Field(gt=0)],
    ],
    ids=str,
)
def test_keys_that_no_text_can_become_are_refused(key):
    with pytest.raises(InvalidSchemaError, match="key"):
        output_spec(Dict[key, int])

    def take(value):
        return value

    take.__annotations__["value"] = Dict[key, int]
    with pytest.raises(InvalidSchemaError, match="'take', parameter 'value': .*key"):
        Agent(ScriptedModel(["done"]), tools=[take])


def test_a_pattern_with_other_flags_is_refused():
    with pytest.raises(InvalidSchemaError, match="has flags; only re.IGNORECASE"):
        output_spec(Annotated[str, Field(pattern=re.compile("^ [ab]+ $", re.VERBOSE))])


@pytest.mark.parametrize(("given_", "expected"), [("12.50", "12.50"), (12.5, "12.5"), (1999, "1999")])
def test_a_tool_takes_decimals_as_texts_and_numbers(given_, expected):
    got: List[Decimal] = []

    def pay(amount: Decimal) -> str:
        got.append(amount)
        return "paid"

    Agent(ScriptedModel([tool_call("pay", amount=given_), "done"]), tools=[pay]).run("Pay.")
    assert got == [Decimal(expected)]


@given(st.one_of(st.none(), st.integers()), st.one_of(st.none(), st.integers()), st.integers())
def test_patterns_of_whole_numbers_hold_their_bounds(low, high, value):
    pattern = patterns.whole_numbers(low, high)
    inside = (low is None or value >= low) and (high is None or value <= high)
    assert (pattern is not None and re.search(pattern, str(value)) is not None) == inside


@given(st.datetimes(), st.timedeltas(), st.booleans())
def test_patterns_of_moments_hold_their_bounds(bound, distance, strict):
    bound = bound.replace(microsecond=0)
    try:
        value = (bound + distance).replace(microsecond=0)
    except OverflowError:
        return
    (low,) = patterns.moments(bound.isoformat(), strict, None, False)
    (high,) = patterns.moments(None, False, bound.isoformat(), strict)
    texts = [(value, value.isoformat())]
    texts.append((value.replace(second=0), value.isoformat("T", "minutes")))
    for moment, text in texts:
        assert (re.search(low, text) is not None) == (moment > bound if strict else moment >= bound)
        assert (re.search(high, text) is not None) == (moment < bound if strict else moment <= bound)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))
def test_patterns_of_decimals_hold_their_digits(value):
    text = format(value.normalize(), "f")
    digits = len(text.lstrip("-").replace(".", "").lstrip("0")) or 1
    places = len(text.partition(".")[2])
    digits = max(digits, places)
    assert re.search(patterns.decimals(digits, None), text)
    assert re.search(patterns.decimals(digits, places), text)
    assert digits == 1 or not re.search(patterns.decimals(digits - 1, None), text)


@pytest.mark.parametrize(
    "digits", ["0.1234567890123456789", "12345678901234567890.25", "-1e400", "19.99", "100", "0.1"]
)
def test_a_decimal_keeps_the_digits_of_a_number(digits):
    spec, rate = output_spec(Price), digits if "400" not in digits else "1"
    price_text = f'{{"amount": {digits}, "rate": {rate}}}'
    price = spec.validate(price_text)
    assert (price.amount, price.rate) == (Decimal(digits), float(rate))
    reader = spec.partial_reader()
    assert [part.amount for char in price_text for part in reader.feed(char)][-1] == price.amount

    def pay(amount: Decimal, note: str = "") -> None:
        """Pay."""

    _, arguments = Tool(pay)._parse(f'{{"amount": {digits}, "note": "{digits}"}}')
    assert arguments == {"amount": Decimal(digits), "note": digits}


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_decimal_is_read_exactly(value):
    text = format(value, "f")
    assert output_spec(List[Decimal]).validate(f'[{text}, "{text}"]') == [value, value]


def test_a_field_whose_default_is_not_valid_is_required():
    class Checked(BaseModel):
        model_config = ConfigDict(validate_default=True)
        wrong: int = "no"
        right: int = 3

    class Fields(BaseModel):
        low: Annotated[int, Field(validate_default=True, ge=5)] = 1
        unchecked: Annotated[int, Field(ge=5)] = 1
        name: str = "a"

    assert json.loads(OutputSpec(Checked).schema)["required"] == ["wrong"]
    assert json.loads(OutputSpec(Fields).schema)["required"] == ["low"]


def test_a_multiple_of_a_duration_is_asked_for_again():
    """It has no pattern: pydantic's words go to the model."""
    steps = Annotated[datetime.timedelta, Field(multiple_of=datetime.timedelta(minutes=5))]
    try:
        TypeAdapter(steps)
    except SchemaError:
        pytest.skip("this pydantic has no multiples of durations")
    agent = Agent(ScriptedModel(['"PT7M"', '"PT10M"']))
    assert agent.run("How long?", output_type=steps, retries=1).output == datetime.timedelta(minutes=10)
    with pytest.raises(InvalidOutputError, match="multiple of 5 minutes"):
        Agent(ScriptedModel(['"PT7M"'])).run("How long?", output_type=steps, retries=0)
