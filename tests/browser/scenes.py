"""Answers with everything that the page can show, and the steps that lead to each state of it."""

import asyncio
import re

from luup_agent import Agent
from luup_agent.testing import FunctionModel, Reply, tool_call

CODE = """Here is a **breadth-first search** in Python:

```python
from collections import deque

def shortest_path(graph: dict, start: str, goal: str) -> list:
    \"\"\"Return the shortest path, or an empty list.\"\"\"
    queue = deque([[start]])  # of paths
    seen = {start}
    while queue:
        path = queue.popleft()
        if path[-1] == goal:
            return path
        for neighbour in graph.get(path[-1], ()):
            if neighbour not in seen:
                seen.add(neighbour)
                queue.append([*path, neighbour])
    return [] if start != goal else [start]  # a long line with a comment, which has to scroll and break nothing
```

1. It takes `O(V + E)` time.
2. It needs a set:
   - so that no node is visited twice,
   - so that it ends on graphs with cycles.

> Breadth-first search finds the path with the fewest edges.

See [the page about it](https://en.wikipedia.org/wiki/Breadth-first_search).
"""

TABLE = """## Cities by the sea

| City | Country | People | Known for | Best month | How to get there | Price of a night | Rating |
|:-----|:--------|-------:|:----------|:----------:|:-----------------|-----------------:|-------:|
| Lisbon | Portugal | 545,923 | Trams, custard tarts and the light | May | By plane or by the night train | 96 € | 4.7 |
| Trieste | Italy | 198,668 | Coffee houses and the wind | September | By train from Venice | 84 € | 4.5 |
| Bergen | Norway | 291,940 | Fjords, rain and wooden houses | June | By the railway from Oslo | 132 € | 4.6 |

### Notes

Prices are for two people.
"""

MATH = """The roots of \\(ax^2 + bx + c = 0\\) are

\\[ x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a} \\]

and for $a = 1$, $b = 0$ this is

$$
x_{1,2} = \\pm \\sqrt{-c}
$$
"""

RIGHT_TO_LEFT = """# شكرا على سؤالك

باريس هي **عاصمة** فرنسا، وفيها:

- برج إيفل
- متحف اللوفر

| المدينة | السكان |
|---|---|
| باريس | 2102650 |

```python
print("مرحبا")
```
"""

TYPED = """{"title": "Gardening in small places", "page_count": 320, "in_print": false, "publisher": null,
"tags": ["garden", "tools"], "author": {"name": "Ann", "born": 1950},
"editions": [{"year": 1990, "copies": 1200}, {"year": 2001, "copies": 800}]}"""

TEXTS = {"code": CODE, "table": TABLE, "math": MATH, "rtl": RIGHT_TO_LEFT, "typed": TYPED}


async def _waits(request):
    await asyncio.sleep(3600)
    yield "never"


async def _streams(request):
    for word in re.findall(r"\S+", "The first words of an answer that goes on for a long time, in"):
        yield word + " "
        await asyncio.sleep(0.01)
    await asyncio.sleep(3600)


async def _fails(request):
    yield "The beginning of "
    raise ValueError("a bug in the model")


def _writes(request):
    return TEXTS.get(request.prompt, f"You wrote: {request.prompt}")


def _thinks(request):
    thoughts = "France is a country in Europe.\n\nIts capital is Paris, so that is the answer."
    return Reply("The capital of France is **Paris**.", reasoning=thoughts)


def _keeps_books(request):
    results = [message for message in request.messages if message.role == "tool"]
    if not results:
        return ["I look for a room.", tool_call("find", day="Friday", people=4), tool_call("weather", city="Oslo")]
    if len(results) == 2:
        return [tool_call("book", day="Friday", room={"name": "Blue", "floor": 2})]
    if len(results) == 3 and request.prompt == "slow":
        return [tool_call("wait", seconds=3600)]
    return "The blue room is booked for **Friday**."


def servables():
    """Return what the server of the scenes has: models for texts, thoughts and failures, and an agent with tools."""
    clerk = Agent(FunctionModel(_keeps_books), "You book rooms.")

    @clerk.tool
    def find(day: str, people: int) -> str:
        """Find a free room."""
        return f"The blue room is free on {day} for {people} people."

    @clerk.tool
    def weather(city: str) -> str:
        """Tell the weather."""
        raise ValueError(f"no station in {city}")

    @clerk.tool(requires_approval=True)
    def book(day: str, room: dict) -> str:
        """Book a room."""
        return f"booked {room['name']} for {day}"

    @clerk.tool
    async def wait(seconds: int) -> str:
        """Wait."""
        await asyncio.sleep(seconds)
        return "waited"

    kinds = {
        "writer": _writes,
        "thinker": _thinks,
        "waiting": _waits,
        "streaming": _streams,
        "failing": _fails,
    }
    return {**{name: FunctionModel(kind) for name, kind in kinds.items()}, "clerk": clerk}
