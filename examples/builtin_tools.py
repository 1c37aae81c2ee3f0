"""A to-do list and notes that the model and the program share, kept in files; and a summarized conversation.

python examples/builtin_tools.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys
import tempfile
from pathlib import Path

from luup_agent import Agent, LuupError, Model, catalog


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with tempfile.TemporaryDirectory() as folder, Model.from_local(path) as model:
            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=256, max_turns=2)
            agent.enable_builtin_todo(Path(folder, "todo.json"))  # without a path: in memory
            agent.enable_builtin_notes(Path(folder, "notes.json"))

            agent.todos.add("Buy milk")  # by the program
            for event in agent.stream_events("What is on my list?", tool_choice="todo_list"):  # by the model
                if event.type == "tool_result":
                    print(f"{event.name} returned: {event.content}")
                    break
            agent.todos.complete(1)
            agent.notes.create("The key is under the mat.", tags=["home"])

            other = Agent(model)  # another agent, or another process
            other.enable_builtin_todo(Path(folder, "todo.json"))
            other.enable_builtin_notes(Path(folder, "notes.json"))
            print(f"done: {[todo.text for todo in other.todos.list() if todo.done]}")
            print(f"found: {[note.content for note in other.notes.search('KEY')]}")

            agent.add_message("user", "My cat is called Tom.")
            agent.add_message("assistant", "That is a nice name.")
            agent.summarization.trigger()  # by default only when three quarters of the context are full
            response = agent.run("Thank you!")
            print(f"summarized: {response.summary is not None}")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
