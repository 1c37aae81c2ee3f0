"""The effect of decoding dictated tokens in one batch: 200 typed results, with jump_forward and without.

    python tests/benchmarks/jump_forward.py [--model FILE] [--threads N] [--prompts N]

Greedy, one run at a time. Tells how many objects and how many of their choices (enums and booleans) are equal, and how
much faster they come. Names differ where two are about as likely: the arithmetic of a batch is another one.
"""

import argparse
from typing import List, Literal

from pydantic import BaseModel, Field

from luup_agent import Agent, Model, catalog

Short = Field(max_length=40)


class Book(BaseModel):
    """A book."""

    title: str = Short
    author: str = Short
    year: int = Field(ge=1450, le=2026)
    in_print: bool


class Person(BaseModel):
    """A person."""

    name: str = Short
    age: int = Field(ge=0, le=120)
    job: Literal["farmer", "teacher", "doctor", "sailor", "smith"]
    hobbies: List[str] = Field(max_length=3)


class Order(BaseModel):
    """An order in a shop."""

    item: Literal["spade", "rake", "hose", "seeds", "gloves"]
    number: int = Field(ge=1, le=20)
    express: bool


class Weather(BaseModel):
    """The weather in a city."""

    city: str = Short
    sky: Literal["sunny", "cloudy", "rain", "snow"]
    degrees: float = Field(ge=-40, le=50)


ASKED = (
    (Book, "Tell me of a book about {}."),
    (Person, "Make up a person who knows much about {}."),
    (Order, "Someone who likes {} orders something for the garden. What?"),
    (Weather, "What is the weather like where there are many {}?"),
)
THINGS = [
    f"{kind} {thing}" for kind in ("old", "small", "wild", "red", "quiet")
    for thing in ("horses", "rivers", "ships", "mountains", "roses", "birds", "castles", "trains", "stars", "islands")
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a GGUF file or a name of the catalog")
    parser.add_argument("--threads", type=int, default=0, help="0: what the library chooses")
    parser.add_argument("--prompts", type=int, default=200)
    options = parser.parse_args()
    same = same_choices = choices = 0
    seconds = {True: 0.0, False: 0.0}
    with Model.from_local(catalog.resolve(options.model), threads=options.threads) as model:
        agent = Agent(model, temperature=0, max_tokens=300, enable_history=False)
        prompts = [(kind, text.format(thing)) for thing in THINGS for kind, text in ASKED][: options.prompts]
        for number, (kind, text) in enumerate(prompts):
            answers = {}
            agent.run(text, output_type=kind, max_tokens=300)  # from now on the prompt is in the context
            for jump in (True, False) if number % 2 else (False, True):
                response = agent.run(text, output_type=kind, jump_forward=jump)
                answers[jump] = response.output
                seconds[jump] += response.timings.decode_seconds
            same += answers[True] == answers[False]
            for name, value in answers[True]:
                if isinstance(value, bool) or name in ("job", "item", "sky"):
                    choices += 1
                    same_choices += value == getattr(answers[False], name)
            if answers[True] != answers[False]:
                print(f"{text}\n  jumping {answers[True]!r}\n  token by token {answers[False]!r}", flush=True)
    ratio = seconds[False] / seconds[True]
    print(f"{same_choices} of {choices} choices equal ({same_choices / choices:.1%}; 95 % hoped for)")
    print(f"{same} of {len(prompts)} whole objects equal; {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
