"""Bounds of durations: the patterns accept what is within them, in several notations, and nothing else."""

import datetime
import json
import re

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import Annotated

from luup_agent._run.typed_output import OutputSpec, output_spec
from luup_agent._tools.durations import durations

TICK = datetime.timedelta(microseconds=1)
ZERO = datetime.timedelta(0)
LIMIT = datetime.timedelta(days=10000)  # pydantic refuses a number of seconds beyond 2^32
UNITS = [TICK * 10**n for n in range(12)]
SPANS = st.one_of(
    st.timedeltas(),
    st.timedeltas(-datetime.timedelta(days=2), datetime.timedelta(days=2)),
    st.builds(lambda unit, count: unit * count, st.sampled_from(UNITS), st.integers(-99, 99)),
    st.builds(
        lambda days, hours, minutes, seconds: datetime.timedelta(days, seconds, 0, 0, minutes, hours),
        st.integers(-2, 2), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59),
    ),
)  # fmt: skip


def texts_of(span):
    """Return the ways to write a duration."""
    sign, ticks = ("-" if span < ZERO else ""), abs(span) // TICK
    whole, fraction = divmod(ticks, 10**6)
    point = f".{fraction:06}" if fraction else ""
    days, rest = divmod(whole, 86400)
    hours, minutes, seconds = rest // 3600, rest // 60 % 60, rest % 60
    texts = [f"{sign}PT{whole}{point}S", f"{sign}P{days}DT{hours}H{minutes}M{seconds}{point}S"]
    if point:
        texts.append(f"{sign}PT{whole}{point.rstrip('0')}S")
    else:
        texts += [f"{sign}PT{whole // size}{unit}" for unit, size in [("H", 3600), ("M", 60)] if whole % size == 0]
        texts += [f"{sign}P{whole // size}{unit}" for unit, size in [("D", 86400), ("W", 604800)] if whole % size == 0]
    parts = [
        f"{hours}H" if hours else "",
        f"{minutes}M" if minutes else "",
        f"{seconds}{point}S" if seconds or point else "",
    ]
    short = (f"{days}D" if days else "") + ("T" + "".join(parts) if any(parts) else "")
    return [*texts, f"{sign}P{short}"] if short else texts


def within(text, patterns):
    return all(re.search(pattern, text) for pattern in patterns)


@given(SPANS, SPANS)
@example(ZERO, ZERO)
@example(datetime.timedelta(hours=1), datetime.timedelta(minutes=59, seconds=59, microseconds=999999))
@example(datetime.timedelta(days=-1), datetime.timedelta(days=-1, microseconds=1))
def test_patterns_of_durations_hold_their_bounds(bound, value):
    for text in texts_of(value):
        assert within(text, durations(bound, None)) == (value >= bound), text
        assert within(text, durations(None, bound)) == (value <= bound), text


@given(SPANS)
def test_what_is_next_to_a_bound_is_told_apart(bound):
    for distance in (-1, 0, 1):
        try:
            value = bound + distance * TICK
        except OverflowError:
            continue
        for text in texts_of(value):
            assert within(text, durations(bound, bound)) == (distance == 0), text


@given(SPANS, SPANS)
@example(ZERO, ZERO)
def test_pydantic_obeys_the_same_bounds(bound, value):
    bound, value = bound % LIMIT * (1 if bound > ZERO else -1), value % LIMIT
    for key, patterns in [("ge", durations(bound, None)), ("le", durations(None, bound))]:
        adapter = TypeAdapter(Annotated[datetime.timedelta, Field(**{key: bound})])
        for text in [sign + text for text in texts_of(value) for sign in ("", "-")]:
            try:
                adapter.validate_python(text)
                accepted = True
            except ValidationError:
                accepted = False
            assert within(text, patterns) == accepted, (key, text)


@given(SPANS)
def test_pydantic_reads_the_texts(span):
    span %= LIMIT
    for text in texts_of(span):
        assert TypeAdapter(datetime.timedelta).validate_python(text) == span


def test_the_schema_of_a_bounded_duration():
    day = Annotated[datetime.timedelta, Field(gt=ZERO, le=datetime.timedelta(days=1))]
    spec = output_spec(day)
    schema = json.loads(spec.schema)
    assert spec.validate('"PT90M"') == datetime.timedelta(minutes=90)
    patterns = [schema["pattern"], *(part["pattern"] for part in schema["allOf"])]
    for text, fits in [("PT0S", False), ("PT0.000001S", True), ("P1D", True), ("P1DT1S", False), ("-PT1S", False)]:
        assert within(text, patterns) == fits, text


def test_a_duration_that_is_written_as_a_number_has_its_bounds():
    class Wait(BaseModel):
        model_config = ConfigDict(ser_json_timedelta="float")
        span: Annotated[datetime.timedelta, Field(ge=ZERO, lt=datetime.timedelta(minutes=2))]

    schema = json.loads(OutputSpec(Wait).schema)["properties"]["span"]
    if schema["type"] == "number":  # of older pydantics; newer ones read a text
        assert (schema["minimum"], schema["exclusiveMaximum"]) == (0.0, 120.0)
    else:
        assert within("PT1M59S", [schema["pattern"]])
        assert not within("PT2M", [schema["allOf"][0]["pattern"]])
