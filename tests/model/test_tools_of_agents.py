"""The tools of an agent: added, removed, saved in its history, used by many agents at once."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.tool_calls import QUESTION, add, add_later, calling, results

from luup_agent import (
    Agent,
    InvalidParamError,
    InvalidSchemaError,
    Message,
    Tool,
    ToolNotFoundError,
    ToolResult,
)


def test_tools_come_and_go(greedy):
    agent = greedy("You are helpful.")
    assert dict(agent.tools) == {}
    empty = agent.context

    @agent.tool
    def plus(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @agent.tool(name="minus", description="Subtracts.")
    def subtract(a: int, b: int) -> int:
        return a - b

    assert (plus(1, 2), subtract(3, 2)) == (3, 1)  # the functions themselves
    assert list(agent.tools) == ["plus", "minus"]
    assert agent.tools["minus"].description == "Subtracts."
    full = agent.context
    assert full.tools > 20
    assert full.system + full.tools + full.history + full.free == full.total
    with pytest.raises(InvalidParamError, match="'plus' already"):
        agent.add_tool(plus)
    agent.remove_tool("plus")
    agent.remove_tool("minus")
    with pytest.raises(ToolNotFoundError, match="no tool 'plus'"):
        agent.remove_tool("plus")
    assert agent.context == empty


def test_tools_of_a_call_come_to_those_of_the_agent(api, tooled):
    agent = tooled([add, Tool(lambda: "theirs", name="who")], ("who", {}), ("add", {"a": 1}), ("new", {}))
    mine = [Tool(lambda: "mine", name="who"), Tool(lambda: "new", name="new")]
    assert results(api.response(agent, None, tools=mine)) == [ToolResult("mine"), ToolResult("2"), ToolResult("new")]
    assert list(agent.tools) == ["add", "who"]
    calling(agent, ("who", {}))
    assert results(api.response(agent, None)) == [ToolResult("theirs")]


def test_a_tool_that_can_not_be_enforced_is_refused_by_the_agent_too(greedy):
    def take(n: int, word: str): ...

    with pytest.raises(InvalidSchemaError):
        greedy(tools=[Tool(take, parameters={"type": "object", "properties": {"w": {"pattern": "(?<=a)b"}}})])


@pytest.mark.slow
def test_sixteen_agents_use_tools_at_once(api, model):
    agents = [Agent(model, temperature=0, max_tokens=4, tool_choice="none") for _ in range(16)]
    for n, agent in enumerate(agents):

        def who(n: int = n) -> str:
            return f"agent {n}"

        agent.add_tool(Tool(who, name="who", parameters={"type": "object"}))
        agent.add_tool(add_later)
        calling(agent, ("who", {}), ("add_later", {"a": n}))
    if hasattr(api, "do"):

        async def gather():
            return await asyncio.gather(*(agent.run_async(None) for agent in agents))

        responses = api.do(gather())
    else:
        with ThreadPoolExecutor(16) as pool:
            responses = list(pool.map(lambda agent: agent.run(None), agents))
    for n, response in enumerate(responses):
        assert results(response) == [ToolResult(f"agent {n}"), ToolResult(str(n + 1))]


def test_history_with_calls_survives(greedy):
    agent = calling(greedy(tools=[add]), ("add", {"a": 1}), ("add", {"a": 2}))
    other = greedy(tools=[add])
    other.set_history(json.loads(json.dumps(agent.get_history())))
    assert other.messages == agent.messages
    assert [call.arguments for call in other.pending] == [{"a": 1}, {"a": 2}]
    third = greedy(tools=[add])
    third.set_history(agent.messages)
    assert third.get_history() == agent.get_history()
    assert isinstance(third.messages[-1], Message)


@pytest.mark.parametrize("text", ["a\0b", "\udfff"])
def test_calls_that_the_core_could_not_take_are_refused(greedy, text):
    agent = greedy(tools=[add])
    call = {"id": text, "type": "function", "function": {"name": "add", "arguments": "{}"}}
    with pytest.raises(InvalidParamError, match=r"messages\[1\]\.tool_calls\[0\]\.id"):
        agent.set_history([QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]}])
