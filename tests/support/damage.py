"""Damage to files: bytes that are flipped, replaced and cut off, and other JSON values in the place of right ones."""

import copy
import json
import random

from luup_agent import LuupError

VALUES = (
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\0",
    "\ud800",
    "2024-02-30T00:00:00Z",
    "9" * 5000,
    [],
    [None],
    [[]],
    {},
    {"": {}},
    "x" * 100_000,
)


def other_values(value, count=None, seed=0):
    """Yield copies of a JSON value in which one part, at any depth, is missing, twice there or another value.

    They are all possible ones, or `count` of them, chosen at random.
    """
    changes = []
    for place in _places(value):
        changes += [(place, lambda parent, key, other=other: parent.__setitem__(key, other)) for other in VALUES]
        if place:
            changes += [(place, lambda parent, key: parent.__delitem__(key)), (place, _repeat)]
    if count is not None and count < len(changes):
        changes = random.Random(seed).sample(changes, count)
    for place, change in changes:
        yield _changed(value, place, change)


def damaged_bytes(content, seed=0, count=400):
    """Yield copies of bytes with some flipped, replaced, inserted or missing."""
    rng = random.Random(seed)
    for length in {0, 1, len(content) // 2, len(content) - 1}:
        yield content[:length]
    for _ in range(count):
        at, byte = rng.randrange(len(content)), rng.randrange(256)
        yield content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        yield content[:at] + bytes([byte]) + content[at + rng.randrange(3) :]


def dumped(value):
    """Return JSON text; NaN and Infinity are written as Python writes them, and lone surrogates as escapes."""
    return json.dumps(value)


def _places(value, before=()):
    yield before
    if isinstance(value, dict):
        for key in value:
            yield from _places(value[key], (*before, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _places(part, (*before, index))


def _changed(value, place, change):
    holder = [copy.deepcopy(value)]
    parent, key = holder, 0
    for step in place:
        parent, key = parent[key], step
    change(parent, key)
    return holder[0]


def _repeat(parent, key):
    if isinstance(parent, dict):
        parent[f"{key}_"] = parent[key]
    else:
        parent.append(parent[key])


def try_uses(sessions, uses, damage):
    """Call each of `uses`, functions by name, on damaged sessions. Every error has to be one of this package."""
    for name, use in uses.items():
        try:
            use(sessions)
        except LuupError:
            pass
        except Exception as error:
            raise AssertionError(f"{name}, {damage}") from error
