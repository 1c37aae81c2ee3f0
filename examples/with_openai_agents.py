"""OpenAI's Agents SDK on a model in this process: typed results, a forced call, a stream, and many agents at once.

pip install "luup-agent[openai-agents]"
python examples/with_openai_agents.py [MODEL]    MODEL: a path, "smollm2" (the default), "hf:owner/repo:Q4_K_M", …
"""

import asyncio
import sys
from typing import Literal

from agents import Agent, ModelSettings, RunConfig, Runner, function_tool
from pydantic import BaseModel

from luup_agent import LuupError, Model, catalog
from luup_agent.integrations.openai_agents import LuupModelProvider


class City(BaseModel):
    name: Literal["Paris", "Rome", "Berlin"]
    country: Literal["France", "Italy", "Germany"]


@function_tool
def weather(city: Literal["Paris", "Rome", "Berlin"]) -> str:
    """Returns the weather of a city."""
    print(f"weather is called for {city}")
    return f"It is sunny in {city}."


async def ask(model: Model) -> None:
    config = RunConfig(
        model_provider=LuupModelProvider(model, temperature=0, max_tokens=48),
        tracing_disabled=True,  # the SDK sends traces to OpenAI otherwise
    )
    geographer = Agent("geographer", output_type=City)
    result = await Runner.run(geographer, "Which city is the capital of France?", run_config=config)
    print(f"typed: {result.final_output}")

    forced = ModelSettings(tool_choice="weather", parallel_tool_calls=False)
    reporter = Agent("reporter", tools=[weather], model_settings=forced, tool_use_behavior="stop_on_first_tool")
    result = await Runner.run(reporter, "What is the weather in Paris?", run_config=config)
    print(f"answer: {result.final_output}")

    assistant = Agent("assistant", instructions="You are a helpful assistant.")
    stream = Runner.run_streamed(assistant, "What is the capital of France?", run_config=config)
    async for event in stream.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            print(event.data.delta, end="", flush=True)
    print()

    before = model.stats().batches
    questions = [f"Tell me about the number {number}." for number in range(16)]
    results = await asyncio.gather(*[Runner.run(assistant, each, run_config=config) for each in questions])
    tokens = sum(each.context_wrapper.usage.output_tokens for each in results)
    print(f"16 agents: {tokens} tokens in {model.stats().batches - before} batches")


def main() -> int:
    try:
        path = catalog.resolve(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
        with Model.from_local(path) as model:
            asyncio.run(ask(model))
    except LuupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
