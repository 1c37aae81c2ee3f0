"""A forced tool is called every time, whatever the model would rather say, and never with wrong arguments."""

import asyncio
import dataclasses
import datetime
import enum
import uuid
from typing import Dict, List, Optional, Union

import pytest
from pydantic import BaseModel, Field
from typing_extensions import Annotated, Literal

from luup_agent import Tool


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: Annotated[int, Field(ge=-100, le=100)]
    y: Annotated[float, Field(gt=0, lt=1)]


@dataclasses.dataclass
class Box:
    size: Annotated[int, Field(multiple_of=5, ge=0, le=1000)]
    label: Annotated[str, Field(min_length=2, max_length=8)]


def nothing(): ...
def scalars(a: int, b: float, c: bool, d: Annotated[str, Field(max_length=20)]): ...
def optional(a: Optional[int] = None, b: Union[int, bool] = 5): ...
def choices(color: Color, mode: Literal["fast", "slow", 3]): ...
def nested(point: Point, box: Box): ...
def lists(points: Annotated[List[Point], Field(min_length=1, max_length=2)]): ...
def tables(ages: Annotated[Dict[str, Annotated[int, Field(ge=0, le=150)]], Field(max_length=2)]): ...
def times(day: datetime.date, at: datetime.datetime, id: uuid.UUID): ...  # noqa: A002
def patterns(plate: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{3,4}$")]): ...
def sets(colors: Annotated[List[Color], Field(max_length=2, json_schema_extra={"uniqueItems": True})]): ...


FUNCTIONS = [nothing, scalars, optional, choices, nested, lists, tables, times, patterns, sets]


class Enough(Exception):
    """Ends a run after its first call."""


@pytest.mark.slow
@pytest.mark.gate
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
async def test_twenty_forced_calls_have_valid_arguments(greedy, function):
    seen = []

    def record(*arguments, **keywords):
        seen.append((arguments, keywords))
        raise Enough

    made = Tool(function, on_error="raise")
    made.function = record
    other = Tool(print, name="other", description="Does something else.", parameters={"type": "object"})
    agent = greedy(tools=[other, made], temperature=1.0, max_tokens=400, enable_history=False)
    runs = [agent.run_async("Tell me a story.", tool_choice=made.name, seed=seed) for seed in range(20)]
    ends = await asyncio.gather(*runs, return_exceptions=True)
    assert [end for end in ends if type(end) is not Enough] == []
    assert len(seen) == 20  # what came through is what pydantic accepts
