"""Answers that are Python objects: a pydantic model, a list, a label. They are valid with any model.

python examples/structured_output.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys
from enum import Enum
from typing import List

from pydantic import BaseModel, Field
from typing_extensions import Annotated

from luup_agent import Agent, LuupError, Model, catalog


class Genre(Enum):
    HORROR = "horror"
    COMEDY = "comedy"
    ROMANCE = "romance"


class Movie(BaseModel):
    title: str = Field(max_length=40)
    year: int = Field(ge=1880, le=2030)
    genre: Genre


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=128)

            for event in agent.stream_events("Describe the film Alien of 1979.", output_type=Movie):
                if event.type == "partial":  # when a field is complete
                    print(event.output.model_dump(mode="json", exclude_unset=True))
                elif event.type == "done":
                    movie = event.response.output
                    print(f"{movie.title!r} is a {movie.genre.name} film of {movie.year}")
                    print(f"confidence in the genre: {event.response.confidence['genre']:.0%}")

            colors = agent.generate("Name colors.", output_type=Annotated[List[str], Field(min_length=2, max_length=4)])
            print(f"{len(colors)} colors: {', '.join(colors)}")

            found = agent.classify("What a wonderful day!", ["happy", "sad"], instructions="How does the writer feel?")
            print(f"happy: {found.probabilities['happy']:.0%}, sad: {found.probabilities['sad']:.0%}")
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
