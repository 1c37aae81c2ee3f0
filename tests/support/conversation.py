"""A conversation that uses most of what a model can do, to compare two models by."""

import json
import re

from pydantic import BaseModel, Field

from luup_agent import Agent


class Movie(BaseModel):
    title: str = Field(max_length=20)
    year: int


def converse(api, model):
    """Return all that an agent with a tool, history and a typed result gives."""
    agent = Agent(model, "You are terse.", temperature=0, max_tokens=64)
    seen = []

    @agent.tool(requires_approval=True)
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        seen.append((a, b))
        return a + b

    api.response(agent, "What is 5 + 3?", tool_choice="add")
    first = api.resume(agent, {agent.pending[0].id: True}, tool_choice="none")
    agent.remove_tool("add")
    text = "".join(api.pieces(agent, "Thanks! And who are you?"))
    movie = api.text(agent, "A film.", output_type=Movie)
    history = re.sub(r'"(tool_call_)?id": "[^"]+"', "", json.dumps(agent.get_history()))  # made up again in each run
    return seen, first.text, text, movie, first.usage, history
