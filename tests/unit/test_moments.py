"""Bounds of dates with times: what a schema allows is what pydantic accepts, whatever offset a text names."""

import datetime
import json
import random
import re

import pytest
from pydantic import AwareDatetime, Field, NaiveDatetime, TypeAdapter
from typing_extensions import Annotated

from luup_agent._run.typed_output import OutputSpec

OFFSETS = ["", "Z", "z", "+00:00", "-00:00", *(f"{sign}{hour:02}:00" for sign in "+-" for hour in range(1, 15))]
ODD_OFFSETS = ["+05:30", "+0545", "-03:30", "+14:00", "-12:00", "-23:59", "+23:59", "+12:45"]
STEPS = [0, 1, 59, 60, 3600, 7200, 43200, 86399, 86400, 90000, 172800, 31536000]


def zone(minutes):
    return datetime.timezone(datetime.timedelta(minutes=minutes))


def patterns_of(schema):
    found = [schema["pattern"]] if "pattern" in schema else []
    return found + [part["pattern"] for part in schema.get("allOf", [])]


def texts_near(bound, offsets, rng, count):
    """Yield texts of moments and of clocks near a bound, in any zone."""
    for _ in range(count):
        moment = bound.replace(tzinfo=None)
        moved = datetime.timedelta(seconds=rng.choice((-1, 1)) * rng.choice(STEPS), microseconds=rng.choice((0, 0, 1)))
        offset = rng.choice(offsets)
        if rng.random() < 0.5 and len(offset) > 1:
            sign = -1 if offset[0] == "-" else 1
            moved += sign * datetime.timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
            moved -= bound.utcoffset() or datetime.timedelta(0)
        try:
            yield (moment + moved).isoformat(rng.choice("Tt ")) + offset
        except OverflowError:
            continue


BOUNDS = [
    datetime.datetime(2024, 5, 17, 10, 30, 45),
    datetime.datetime(2024, 5, 17, 10, 30, 45, 500000),
    datetime.datetime(2024, 5, 17, 10, 30, 45, tzinfo=zone(0)),
    datetime.datetime(2024, 2, 29, 0, 0, 0, tzinfo=zone(330)),
    datetime.datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=zone(-720)),
    datetime.datetime(2000, 1, 1, tzinfo=zone(840)),
    datetime.datetime(2030, 6, 1, 12, 0, tzinfo=zone(-210)),
    datetime.datetime.min.replace(tzinfo=zone(0)),
    datetime.datetime.max.replace(tzinfo=zone(-60)),
]


@pytest.mark.parametrize("base", [datetime.datetime, AwareDatetime, NaiveDatetime], ids=str)
@pytest.mark.parametrize("key", ["ge", "gt", "le", "lt"])
def test_what_the_bounds_allow_is_valid(base, key):
    rng = random.Random(key)
    offsets = [""] if base is NaiveDatetime else OFFSETS + ODD_OFFSETS
    allowed = 0
    for bound in BOUNDS:
        if base is NaiveDatetime and bound.tzinfo is not None:
            continue
        kind = Annotated[base, Field(**{key: bound})]
        found = [re.compile(pattern) for pattern in patterns_of(json.loads(OutputSpec(kind).schema))]
        for text in texts_near(bound, offsets, rng, 400):
            if all(pattern.search(text) for pattern in found):
                allowed += 1
                TypeAdapter(kind).validate_json(f'"{text}"')
    assert allowed > 200
