"""The real model calls tools of a real MCP server, and of an agent."""

import sys
from pathlib import Path

import pytest

from luup_agent import Agent, ToolResult

SERVER = [sys.executable, str(Path(__file__).resolve().parents[1] / "support" / "mcp_server.py"), "stdio"]


def test_the_model_calls_a_tool_of_a_server(model, api):
    pytest.importorskip("mcp")
    from luup_agent import MCP

    with MCP(SERVER, prefix="demo_") as mcp:
        agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=256, toolsets=[mcp])
        response = api.response(agent, "What is 5 + 3?", tool_choice="demo_add", max_turns=2)
        call = response.tool_calls[0]
        assert call.name == "demo_add"
        assert set(call.arguments) == {"a", "b"}
        assert call.result == ToolResult(str(call.arguments["a"] + call.arguments["b"]))
        few = agent.fork()
        response = api.response(few, "How is the weather in Paris?", tool_choice="demo_weather", max_turns=2)
        assert '"degrees": 21' in response.tool_calls[0].result.content


def test_the_model_asks_another_agent(greedy, api):
    geographer = greedy("You are a helpful assistant.")
    lead = greedy(max_tokens=64, tools=[geographer.as_tool("ask_geographer", "Answers questions about countries.")])
    response = api.response(lead, "What is the capital of France?", tool_choice="ask_geographer", max_turns=2)
    (call,) = response.tool_calls
    assert call.result.content == geographer.generate(call.arguments["message"])
    assert response.usage.turns == 3
    assert response.usage.total_tokens > response.timings.prefill_tokens
