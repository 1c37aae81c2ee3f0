"""LangChain's chat model on a model in this process: typed results, a tool, a stream, and many questions at once.

pip install "luup-agent[langchain]"
python examples/with_langchain.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import sys
from typing import Literal

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from luup_agent import LuupError, Model, catalog
from luup_agent.integrations.langchain import ChatLuup


class City(BaseModel):
    name: Literal["Paris", "Rome", "Berlin"]
    country: Literal["France", "Italy", "Germany"]


@tool
def weather(city: Literal["Paris", "Rome", "Berlin"]) -> str:
    """Returns the weather of a city."""
    return f"It is sunny in {city}."


def ask(chat: ChatLuup) -> None:
    city = chat.with_structured_output(City).invoke("Which city is the capital of France?")
    print(f"typed: {city}")

    question = HumanMessage("What is the weather in Paris?")
    call = chat.bind_tools([weather], tool_choice="weather").invoke([question])
    result = weather.invoke(call.tool_calls[0])
    print(f"weather is called with {call.tool_calls[0]['args']} and returns: {result.content}")
    answer = chat.bind_tools([weather], tool_choice="none").invoke([question, call, result])
    print(f"answer: {answer.content}")

    for chunk in chat.stream([SystemMessage("You are a helpful assistant."), "What is the capital of France?"]):
        print(chunk.content, end="", flush=True)
    print()

    before = chat.model.stats().batches
    questions = [f"Tell me about the number {number}." for number in range(16)]
    answers = chat.batch(questions, config={"max_concurrency": 16})
    tokens = sum(each.usage_metadata["output_tokens"] for each in answers)
    print(f"16 questions: {tokens} tokens in {chat.model.stats().batches - before} batches")


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            ask(ChatLuup(model=model, temperature=0, max_tokens=48))
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
