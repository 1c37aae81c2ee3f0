"""Calls for scripted models: arguments that are not JSON end in a typed error."""

import pytest

from luup_agent import InvalidParamError
from luup_agent.testing import ScriptedModel, tool_call


def nested(depth, kind):
    value = 1
    for _ in range(depth):
        value = {"a": value} if kind is dict else [value]
    return value


@pytest.mark.parametrize("kind", [dict, list])
@pytest.mark.parametrize("depth", [193, 1000, 5000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_deep_arguments(kind, depth):
    for make in (lambda: tool_call("add", {"a": nested(depth, kind)}), lambda: tool_call("add", a=nested(depth, kind))):
        with pytest.raises(InvalidParamError, match="the argument object of 'add' is nested too deeply"):
            make()
    assert tool_call("add", a=nested(100, kind)).name == "add"


def circle():
    value = {}
    value["a"] = value
    return value


@pytest.mark.parametrize(
    "arguments", [{"a": object()}, {"a": {1, 2}}, {"a": b"x"}, {(1, 2): 3}, circle(), 3, [1], b"{}"]
)
def test_arguments_that_are_not_json(arguments):
    with pytest.raises(InvalidParamError, match="argument"):
        tool_call("add", arguments)


@pytest.mark.parametrize("name", [None, 3, b"add"])
def test_names_that_are_not_texts(name):
    with pytest.raises(InvalidParamError, match="name"):
        tool_call(name, a=1)


@pytest.mark.parametrize("depth", [5000, 100_000])
def test_deep_replies(depth):
    with pytest.raises(InvalidParamError, match="reply|replies"):
        ScriptedModel([nested(depth, list)])
