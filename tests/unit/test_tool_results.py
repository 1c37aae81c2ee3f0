"""Whatever a tool returns becomes bounded text that the core takes."""

import dataclasses
import datetime
import decimal
import enum
import itertools
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from luup_agent import Agent
from luup_agent._tools.results import clean, shorten, to_text
from luup_agent.testing import ScriptedModel, tool_call


class Color(enum.Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    day: datetime.date = datetime.date(2026, 1, 2)


@dataclasses.dataclass
class Box:
    size: float
    point: Point


class Plain:
    def __str__(self):
        return "plain"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (10**50, "1" + "0" * 50),
        (0.5, "0.5"),
        ([1, "a", None], '[1,"a",null]'),
        ((1, 2), "[1,2]"),
        ({1}, "[1]"),
        ({"ä": 1}, '{"ä":1}'),
        ({1: 2, None: 3, Color.RED: 4}, '{"1":2,"None":3,"red":4}'),
        (Color.RED, '"red"'),
        (Point(x=1), '{"x":1,"day":"2026-01-02"}'),
        (Box(1.5, Point(x=1)), '{"size":1.5,"point":{"x":1,"day":"2026-01-02"}}'),
        (datetime.datetime(2026, 1, 2, 3, 4), '"2026-01-02T03:04:00"'),
        (datetime.timedelta(days=1), '"P1D"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (b"text", "text"),
        (bytearray(b"text"), "text"),
        (b"\xff\xfe", '"__4="'),
        ([b"text"], '["text"]'),
        ([b"\xff\xfe", 1.5], '["__4=",1.5]'),
        (Plain(), '"plain"'),
        ([Plain()], '["plain"]'),
        (float("nan"), '"NaN"'),
        ([float("inf"), -float("inf")], '["Infinity","-Infinity"]'),
        ({"\ud800": 1, "a": [{"\udfff": b"\xff"}]}, '{"\ufffd":1,"a":[{"\ufffd":"_w=="}]}'),
        ({"a": "\ud800", "b": float("inf")}, '{"a":"\ufffd","b":"Infinity"}'),
        ("a\0b\ud800c", "a\ufffdb\ufffdc"),
        ("\ud83d\ude00", "\U0001f600"),
        (["a\0b"], '["a\\u0000b"]'),
    ],
)
def test_values_become_text(value, text):
    if text is None:
        with pytest.raises(ValueError, match="can't be written as JSON"):
            to_text(value)
    else:
        assert to_text(value) == text


def test_what_holds_itself_is_an_error():
    cycle = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="(?i)circular"):
        to_text(cycle)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="depth|nested|recursion"):
        to_text(deep)


def test_an_object_that_can_not_be_written_raises_its_own_error():
    class Bad:
        def __str__(self):
            raise KeyError("no")

    with pytest.raises(KeyError):
        to_text([Bad()])


@pytest.mark.slow
def test_long_texts_keep_their_beginning_and_end():
    text = "".join(str(i % 10) for i in range(10_000_000))
    short = to_text(text)
    assert len(short) < 16_100
    head, line, tail = short.split("\n")
    assert line == "[9,984,000 characters left out]"
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + len(tail) == 16_000
    assert len(to_text(["x" * 1_000_000], 100)) < 150
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 1) == "a\n[3 characters left out]\n"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.dates() | st.binary(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
    max_leaves=20,
)


@given(json_values)
def test_any_value_gives_text_that_the_core_takes(value):
    text = to_text(value)
    text.encode("utf-8")
    assert "\0" not in text
    if not isinstance(value, (str, bytes)):
        json.loads(text, parse_constant=pytest.fail)


@given(st.text(st.characters(), max_size=50), st.integers(1, 30))
def test_any_text_is_cleaned_and_bounded(text, limit):
    clean(text).encode("utf-8")
    assert clean(clean(text)) == clean(text)
    assert len(shorten(text, limit)) <= max(limit, limit + 40)


def test_an_iterator_is_read_as_far_as_it_may_be():
    assert to_text(number * 2 for number in range(3)) == "[0,2,4]"
    assert to_text({"parts": iter("ab")}) == '{"parts":["a","b"]}'
    with pytest.raises(ValueError, match="an iterator of more than 100,000 items"):
        to_text(iter(int, 1))


def test_a_tool_that_returns_an_endless_iterator_has_failed():
    agent = Agent(ScriptedModel([tool_call("count"), "done"]))

    @agent.tool
    def count():
        """Counts."""
        return itertools.count()

    result = agent.run("Go").tool_calls[0].result
    assert result.is_error
    assert "ValueError" in result.content
