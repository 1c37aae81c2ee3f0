"""Conversations in a file: continued by another process, branched, searched.

python examples/stored_chats.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys
import tempfile
from pathlib import Path

from luup_agent import Agent, LuupError, Model, SQLiteSessions, catalog


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with tempfile.TemporaryDirectory() as folder, Model.from_local(path) as model:
            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=32)
            file = Path(folder) / "chats.db"

            with SQLiteSessions(file) as sessions:
                print("Ada:", sessions.open("ada", agent).generate("What is the capital of France?"))
                print("Bob:", sessions.open("bob", agent).generate("What is the capital of Japan?"))

            with SQLiteSessions(file) as sessions:  # as another process would
                session = sessions.open("ada", agent)
                print("Ada:", session.generate("Name one sight there."))
                sessions.set_title("ada", "Paris")
                sessions.branch("ada", "ada-2", at=2)
                for info in sessions.list():
                    print(f"{info.id}: {info.title}, {info.messages} messages, {info.usage.total_tokens} tokens")
                for match in sessions.search("capital japan"):
                    print(f"found in {match.session.id}: {match.message.content}")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
