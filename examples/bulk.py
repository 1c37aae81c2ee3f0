"""Many texts through one agent: labels, and records from texts, with a file that is continued after a kill.

python examples/bulk.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys
import tempfile
from pathlib import Path

from pydantic import BaseModel, Field

from luup_agent import Agent, LuupError, Model, catalog

REVIEWS = [
    "I loved the food, and the waiter was kind.",
    "The room was dirty and loud. Never again!",
    "A wonderful evening with great music.",
    "It broke after a day, and nobody answered my letters.",
]


class Person(BaseModel):
    name: str = Field(max_length=12)
    city: str = Field(max_length=12)


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model, tempfile.TemporaryDirectory() as folder:
            agent = Agent(model, temperature=0, max_tokens=48)

            for result in agent.classify_many(REVIEWS, ["very happy", "very unhappy"]):
                print(f"{result.value.label}: {result.item}")

            file = Path(folder) / "people.jsonl"
            people = [
                {"text": "Anna is a teacher and lives in Oslo."},
                {"text": "My neighbour Ben moved here from Berlin."},
                {"txt": "Cleo goes to school in Rome."},
            ]
            prompt = "{text}\nWhat are the name and the city?"
            results = agent.map(people, prompt, output_type=Person, path=file).all()
            for row in results.rows():
                print(row["value.name"], row["value.city"], row["error"])

            people[2] = {"text": "Cleo goes to school in Rome."}  # the others are read from the file
            again = agent.map(people, prompt, output_type=Person, path=file).all()
            print(f"errors: {len(again.errors)}, the others unchanged: {again.values[:2] == results.values[:2]}")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
