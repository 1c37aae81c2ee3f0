"""pydantic-ai's agents on the real model."""

import asyncio
from typing import Literal

import pytest

pytest.importorskip("pydantic_ai")

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput, UsageLimits, capture_run_messages
from pydantic_ai import exceptions as theirs
from pydantic_ai.messages import ModelRequest, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters

from luup_agent.integrations.pydantic_ai import LuupModel

GREEDY = {"temperature": 0, "max_tokens": 64}


class City(BaseModel):
    name: Literal["Paris", "Rome"]
    country: Literal["France", "Italy"]


def run(agent, *arguments, **options):
    """Run an agent. Its own run_sync leaves an event loop open."""
    return asyncio.run(agent.run(*arguments, **options))


@pytest.fixture
def real(model):
    """Makes agents on the real model."""
    return lambda *arguments, **options: Agent(LuupModel(model, settings=GREEDY), *arguments, **options)


def test_the_real_model(real, model, model_path):
    agent = real(instructions="You are a helpful assistant.")
    result = run(agent, "What is the capital of France?")
    assert result.output == "The capital of France is Paris."
    assert result.usage.input_tokens > 20
    assert result.usage.output_tokens == 8
    assert result.all_messages()[-1].finish_reason == "stop"
    assert result.all_messages()[-1].model_name == agent.model.model_name == model_path.stem
    assert agent.model.profile["context_window"] == model.get_info().context_size


@pytest.mark.parametrize("kind", [NativeOutput, ToolOutput, PromptedOutput])
def test_typed_results_of_the_real_model(real, kind):
    result = run(real(), "Which city is the capital of France?", output_type=kind(City))
    assert result.output == City(name="Paris", country="France")


def test_a_tool_that_the_real_model_has_to_call(real):
    agent = real()
    seen = []

    class Weather(BaseModel):
        city: Literal["Paris", "Rome"]

    def weather(place: Weather) -> str:
        """Returns the weather of a city."""
        seen.append(place.city)
        return f"It is sunny in {place.city}."

    result = run(agent, "What is the weather in Paris?", output_type=weather)
    assert result.output == "It is sunny in Paris."
    assert seen == ["Paris"]


def test_a_tool_that_the_real_model_calls_by_itself(real):
    agent = real()
    seen = []

    async def once(ctx, definition):
        return None if seen else definition

    @agent.tool_plain(prepare=once)
    def weather(city: str) -> str:
        """Returns the weather of a city."""
        seen.append(city)
        return f"It is sunny in {city}."

    result = run(agent, "What is the weather in Paris?")
    assert seen == ["Paris"]
    assert "sunny" in result.output
    kinds = [type(part) for message in result.all_messages() for part in message.parts]
    assert kinds == [UserPromptPart, ToolCallPart, ToolReturnPart, TextPart]


async def test_the_real_model_streams(real):
    pieces = []
    async with real(instructions="You are a helpful assistant.").run_stream("What is the capital of France?") as stream:
        async for piece in stream.stream_text(delta=True, debounce_by=None):
            pieces.append(piece)
        assert stream.usage.output_tokens == 8
    assert "".join(pieces) == "The capital of France is Paris."
    assert len(pieces) > 2


async def test_leaving_a_stream_ends_the_computation(real, model, idle):
    agent = real(model_settings={"max_tokens": 4000})
    async with agent.run_stream("Tell me a long story.") as stream:
        async for _ in stream.stream_text(delta=True, debounce_by=None):
            break
    assert idle(model).runs_active == 0


async def test_cancelling_a_stream(real, model, idle):
    parameters = ModelRequestParameters()
    request = ModelRequest.user_text_prompt("Tell me a long story.")
    luup = LuupModel(model, settings={"temperature": 0, "max_tokens": 4000})
    async with luup.request_stream([request], None, parameters) as stream:
        async for _ in stream:
            await stream.cancel()
        assert stream.get().state == "interrupted"
    assert idle(model).runs_active == 0


async def test_cancelling_a_run(real, model, idle, running):
    task = asyncio.ensure_future(real(model_settings={"max_tokens": 4000}).run("Tell me a long story."))
    await running(model)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert idle(model).runs_active == 0


async def test_sixteen_agents_share_batches(real, model):
    before = model.stats().batches
    agents = [real(instructions="You are a helpful assistant.") for _ in range(16)]
    results = await asyncio.gather(
        *[agent.run(f"Tell me about the number {number}.") for number, agent in enumerate(agents)]
    )
    tokens = sum(result.usage.output_tokens for result in results)
    assert tokens > 300
    assert model.stats().batches - before < tokens / 3


def test_tokens_are_counted_before_a_request(real):
    limits = UsageLimits(input_tokens_limit=5, count_tokens_before_request=True)
    with pytest.raises(theirs.UsageLimitExceeded, match="input_tokens_limit"):
        run(real(), "What is the capital of France?", usage_limits=limits)


def test_a_conversation_too_long_for_the_real_model(real):
    error = getattr(theirs, "ModelContextWindowExceededError", theirs.ModelAPIError)  # the last one for 3.10 lacks it
    with capture_run_messages(), pytest.raises(error, match="the context holds"):
        run(real(), "word " * 20000)


def test_probabilities(real):
    settings = {"luup_options": {"top_logprobs": 2}}
    result = run(
        real(instructions="You are a helpful assistant."), "What is the capital of France?", model_settings=settings
    )
    logprobs = result.all_messages()[-1].provider_details["logprobs"]
    assert "".join(each["text"] for each in logprobs) == result.output
    assert len(logprobs[0]["top"]) == 2
