"""An agent for the terminal: `luup-agent chat examples/chat_agent.py:agent` offers its tools and asks before a note.

Run by itself it answers one message: python examples/chat_agent.py [model]
"""

import datetime
import sys

from luup_agent import Agent, LuupError, Model, Tool, catalog


def today() -> str:
    """Returns today's date."""
    return datetime.date.today().isoformat()


def write_note(text: str) -> str:
    """Writes a note into the file notes.txt."""
    with open("notes.txt", "a", encoding="utf-8") as file:
        file.write(text + "\n")
    return "written"


is_program = __name__ == "__main__"
try:
    model = Model.from_local(catalog.resolve(sys.argv[1] if is_program and len(sys.argv) > 1 else "smollm2"))
except LuupError as error:
    sys.exit(str(error))
tools = [today, Tool(write_note, requires_approval=True)]
agent = Agent(model, "You are a helpful assistant.", temperature=0, tools=tools)

if is_program:
    response = agent.run("What day is it today?", tool_choice="today", max_tokens=48)
    print("today returned:", response.tool_calls[0].result.content)
    print("answer:", response.text)
