"""Conversations that end with tool calls without results, so that a run begins by performing them."""

import asyncio
import json

QUESTION = {"role": "user", "content": "Do it."}


def calling(agent, *calls):
    """Let the history of `agent` end with pending calls, (name, arguments) each; return the agent."""
    written = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(calls)
    ]
    agent.set_history([QUESTION, {"role": "assistant", "content": "", "tool_calls": written}])
    return agent


def results(response):
    """Return the results of the tool calls of a response."""
    return [call.result for call in response.tool_calls]


def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


async def add_later(a: int, b: int = 1) -> int:
    """Adds two numbers, after a while."""
    await asyncio.sleep(0.01)
    return a + b
