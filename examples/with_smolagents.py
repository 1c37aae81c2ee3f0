"""smolagents' agents on a model in this process: a forced call, a typed answer, a stream, and many threads at once.

pip install "luup-agent[smolagents]"
python examples/with_smolagents.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import concurrent.futures
import sys
from typing import Literal

from smolagents import ToolCallingAgent, tool
from smolagents.models import ChatMessage, MessageRole

from luup_agent import LuupError, Model, catalog
from luup_agent.integrations.smolagents import LuupModel

CITY = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome", "Berlin"]}}, "required": ["city"]}


@tool
def weather(city: Literal["Paris", "Rome", "Berlin"]) -> str:
    """Returns the weather of a city.

    Args:
        city: The city.
    """
    print(f"weather is called for {city}")
    return f"It is sunny in {city}."


def user(text: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=[{"type": "text", "text": text}])


def ask(model: LuupModel) -> None:
    # A tiny model needs few steps; a larger one calls final_answer by itself.
    agent = ToolCallingAgent(tools=[weather], model=model, max_steps=2, verbosity_level=0)
    result = agent.run("What is the weather in Paris?", return_full_result=True)
    print(f"the agent's run ended with {result.state} after {result.token_usage.output_tokens} tokens")

    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    print("typed:", model.generate([user("What is the capital of France?")], response_format=wanted).content)

    system = ChatMessage(role=MessageRole.SYSTEM, content=[{"type": "text", "text": "You are a helpful assistant."}])
    for delta in model.generate_stream([system, user("What is the capital of France?")]):
        print(delta.content, end="", flush=True)
    print()

    before = model.model.stats().batches
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: model.generate([user(f"Tell me about the number {n}.")]), range(16)))
    tokens = sum(answer.token_usage.output_tokens for answer in answers)
    print(f"16 threads: {tokens} tokens in {model.model.stats().batches - before} batches")


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            ask(LuupModel(model, temperature=0, max_tokens=48))
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
