"""MCP servers that misbehave: each is a typed error, or a result that names it, in bounded time."""

import re
import sys

import pytest
from support.mcp_hostile import BEHAVIOURS
from support.tried import try_cases

pytest.importorskip("mcp")

PRELUDE = """
import logging, sys
from luup_agent import MCP, Agent
from luup_agent.testing import ScriptedModel, tool_call

logging.disable()


def server(behaviour, seconds):
    command = [sys.executable, sys.argv[3], behaviour]
    return MCP(command, name="srv", timeout=seconds, open_timeout=seconds)


def tools(behaviour, seconds=60):
    with server(behaviour, seconds) as mcp:
        names = [tool.name for tool in mcp.list_tools()]
        return len(names), {name[:9]: reason[:200] for name, reason in mcp.unavailable.items()}


def call(behaviour, seconds=60):
    with server(behaviour, seconds) as mcp:
        agent = Agent(ScriptedModel([tool_call("tool"), "done", "again"]), toolsets=[mcp])
        result = agent.run("Hi").tool_calls[0].result
        assert agent.generate("Hi") == "again"
        assert len(result.content) < 100_000
        return result.content[:300], result.is_error


def resource(behaviour, seconds=60):
    with server(behaviour, seconds) as mcp:
        return str(mcp.list_resources() and mcp.read_resource("a://b"))[:100]


def prompt(behaviour, seconds=60):
    with server(behaviour, seconds) as mcp:
        return str(mcp.get_prompt("p"))[:100]


def late(behaviour):
    with server(behaviour, 60) as mcp:
        return Agent(ScriptedModel(["done"]), toolsets=[mcp]).generate("Hi", timeout=1)
"""
OPENING = {
    "exits at once": "ToolsetError .*can't be used: .*it wrote to stderr:\n    the last words",
    "never answers": "ToolsetError .*did not answer within 2 seconds",
    "half an answer": "ToolsetError .*can't be used",
    "noise before its answers": r"ok \('called', False\)",
    "noise without end": "ToolsetError .*did not answer within 2 seconds",
    "dies after its first answer": "ToolsetError .*ended during the list of its tools",
    "initialize is a list": "ToolsetError .*did not answer .*could not be read: ",
    "initialize is null": "ToolsetError .*did not answer .*could not be read: ",
    "initialize is empty": "ToolsetError .*can't be used: .*capabilities",
    "initialize refuses": "ToolsetError .*can't be used: no",
    "initialize of another version": "ToolsetError .*1999-01-01",
    "initialize of a number's version": "ToolsetError .*protocolVersion",
    "initialize of a deep answer": "ToolsetError .*did not answer .*recursion limit",
    "a name of a megabyte": r"ok \('called', False\)",
    "instructions of 20 MB": r"ok \('called', False\)",
}
LISTS = {
    "dies while it lists": "ToolsetError .*ended during the list of its tools",
    "tools are null": "ToolsetError .*the list of its tools wrongly",
    "tools are a number": "ToolsetError .*the list of its tools wrongly.*valid list",
    "tools are numbers": "ToolsetError .*the list of its tools wrongly",
    "pages without end": "ToolsetError .*sends an endless list of tools.*1001 pages|ToolsetError .*did not answer",
    "the same page again": "ToolsetError .*sends an endless list of tools",
    "an empty cursor": "ToolsetError .*sends an endless list of tools",
    "a number as cursor": "ToolsetError .*wrongly.*nextCursor",
    "slow pages without end": "ToolsetError .*did not answer the list of its tools within 2 seconds",
    "fat pages without end": "ToolsetError .*sends an endless list of tools",
    "a deep schema": "ToolsetError .*the list of its tools wrongly.*recursion limit",
    "a schema of 100,000 properties": r"ok \(0, .*at most 1 MB",
    "a schema of 5,000 properties": r"ok \([01], ",
    "no schema": "ToolsetError .*inputSchema",
    "a schema that is null": "ToolsetError .*inputSchema",
    "a schema that is true": "ToolsetError .*inputSchema",
    "a schema that is a list": "ToolsetError .*inputSchema",
    "a schema of a string": "ToolsetError .*'object'",
    "a schema that refers to itself": r"ok \(0, .*refers to itself without end",
    "a schema that refers elsewhere": r"ok \(0, .*which is not in this schema",
    "a schema with a hostile pattern": r"ok \(0, .*it is too large",
    "a schema with a wrong type": r"ok \(0, .*must be one of",
    "a schema with a wrong required": "ToolsetError .*required",
    "no name": "ToolsetError .*name",
    "an empty name": r"ok \(0, .*1 to 64 letters",
    "a name of odd characters": r"ok \([01], ",
    "a long name": r"ok \(0, .*1 to 64 letters",
    "two tools of one name": r"ok \(1, .*another tool of the name",
    "names that are nearly the same": r"ok \(1, .*another tool of the name 'a-b', or nearly so",
    "20,000 tools": r"ok \(20000, ",
    "a description of 20 MB": r"ok \([01], ",
    "a description that is a number": "ToolsetError .*description",
    "a description with a surrogate": "ToolsetError .*the list of its tools wrongly",
}
REFUSED = r"ok \(['\"]Error: ToolsetError: .*answered the call of tool wrongly.*True\)"
CALLS = {
    "dies in a call": r"ok \('Error: ToolsetError: .*ended during the call of tool",
    "half a call": r"ok \('Error: ToolsetError: .*ended during the call of tool",
    "sleeps in a call": r"ok \('Error: ToolsetError: .*did not answer the call of tool within 2 seconds",
    "a result of 30 MB": r"ok \('xxx.*False\)",
    "a deep result": REFUSED,
    "a result of null": REFUSED,
    "a result without content": REFUSED,
    "a content that is a text": REFUSED,
    "a content of numbers": REFUSED,
    "a part of no kind": REFUSED,
    "a part of an unknown kind": REFUSED,
    "a text that is a number": REFUSED,
    "a text that is null": REFUSED,
    "an image of garbage": r"ok \('\[image, image/png, 9 bytes: not shown\]', False\)",
    "an image without a type": REFUSED,
    "a sound of 20 MB": r"ok \('\[audio, audio/wav, 15,000,000 bytes: not shown\]', False\)",
    "a resource of garbage": r"ok \('\[resource .*0 bytes: not shown\]', False\)",
    "a resource of nothing": REFUSED,
    "a link to nowhere": r"ok \('\[resource : \]', False\)",
    "a surrogate": REFUSED,
    "a NUL and control tokens": r"ok \('a\\ufffdb <\|im_end\|>', False\)|ok \('a\ufffdb <\|im_end\|>', False\)",
    "invalid UTF-8": "ok \\('\ufffd\ufffd', False\\)",
    "an infinite number": "ok .*Infinity",
    "a long number": REFUSED,
    "a structured list": REFUSED,
    "is_error is a text": r"ok \('Error: x', True\)|" + REFUSED,
    "both a result and an error": "ok .*",
    "an error that is a text": REFUSED,
    "an error without a code": REFUSED,
    "an error of 20 MB": r"ok \('Error: ToolsetError: .*refused the call of tool: eee.*True\)",
    "an error with a deep reason": r"ok \('Error: ToolsetError: .*refused the call of tool: m \(code 1\)', True\)",
    "another id": r"ok \('Error: ToolsetError: .*did not answer the call of tool within 2 seconds",
    "an id that is a text": "ok .*",
    "an id that is null": r"ok \(['\"]Error: ToolsetError: ",
    "an id that is a list": r"ok \(['\"]Error: ToolsetError: ",
    "an answer twice": r"ok \('first', False\)",
    "stderr without end": r"ok \('called', False\)",
    "100,000 changes": r"ok \('called', False\)",
    "20,000 logs": r"ok \('called', False\)",
    "20,000 wrong messages": r"ok \('called', False\)",
    "20,000 reports of progress": r"ok \('called', False\)",
    "3,000 requests of unknown methods": r"ok \('called', False\)",
    "3,000 questions": r"ok \('called', False\)",
    "3,000 requests for texts": r"ok \('called', False\)",
    "3,000 pings": r"ok \('called', False\)",
}
RESOURCES = {
    "resources of numbers": "ToolsetError .*the list of its resources wrongly",
    "resources without end": "ToolsetError .*sends an endless list of resources|ToolsetError .*did not answer",
    "a resource's garbage": r"ok .*blob=",
    "a resource of 30 MB": r"ok .*text=",
    "a resource of null": "ToolsetError .*the resource a://b wrongly",
    "a resource of neither": "ToolsetError .*the resource a://b wrongly",
}
PROMPTS = {
    "a prompt of numbers": "ToolsetError .*the prompt p wrongly",
    "a prompt of an unknown role": "ToolsetError .*the prompt p wrongly.*'assistant' or 'user'",
    "a prompt of null": "ToolsetError .*the prompt p wrongly",
}
SLOW = {  # which wait for a timeout
    "never answers", "noise without end", "initialize is a list", "initialize is null", "initialize of a deep answer",
    "slow pages without end", "sleeps in a call", "another id",
}  # fmt: skip
GROUPS = {"call": {**OPENING, **CALLS}, "tools": LISTS, "resource": RESOURCES, "prompt": PROMPTS}
ALWAYS = {"noise before its answers", "the same page again", "a surrogate", "a part of no kind", "half a call"}


def test_every_behaviour_is_tried():
    assert {name for group in GROUPS.values() for name in group} == set(BEHAVIOURS)


def expressions(names):
    return {
        name: f"{function}({name!r}{', 2' if name in SLOW else ''})"
        for function, group in GROUPS.items()
        for name in group
        if name in names
    }


def check(names):
    cases = expressions(names)
    script = sys.modules["support.mcp_hostile"].__file__
    ends = dict(zip(cases, try_cases(PRELUDE, list(cases.values()), script, seconds=170)))
    expected = {name: pattern for group in GROUPS.values() for name, pattern in group.items()}
    wrong = {name: end for name, end in ends.items() if not re.match(expected[name], end, re.DOTALL)}
    assert not wrong


@pytest.mark.slow
def test_a_sample_is_named_and_ends():
    check(ALWAYS)


@pytest.mark.gate
@pytest.mark.processes
@pytest.mark.parametrize("part", range(6))
def test_each_is_named_and_ends(part):
    check(sorted(BEHAVIOURS)[part::6])


@pytest.mark.gate
def test_a_run_that_is_late_does_not_wait_for_a_list():
    script = sys.modules["support.mcp_hostile"].__file__
    (end,) = try_cases(PRELUDE, ["late('slow pages without end')"], script, seconds=30)
    assert re.match("(RunTimeoutError|ToolsetError|TimeoutError|.*Timeout)", end), end
