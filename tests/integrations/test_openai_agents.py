"""OpenAI's Agents SDK on models of this package."""

import asyncio
import dataclasses
from typing import Literal

import pytest

pytest.importorskip("agents")

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    ModelSettings,
    OutputGuardrailTripwireTriggered,
    RunConfig,
    Runner,
    SQLiteSession,
    function_tool,
    handoff,
    input_guardrail,
    output_guardrail,
)
from agents.exceptions import ModelBehaviorError, ModelTimeoutError, UserError
from agents.extensions import handoff_filters
from agents.tracing import add_trace_processor, set_trace_processors
from agents.tracing.processor_interface import TracingProcessor
from openai.types.shared import Reasoning
from pydantic import BaseModel
from support.http_server import Server, delta, events, replying

from luup_agent import ContextFullError, HTTPError, InvalidParamError, Model
from luup_agent.integrations.openai_agents import LuupModel, LuupModelProvider
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

PLAIN = "You are a helpful assistant."


class City(BaseModel):
    name: Literal["Paris", "Rome"]
    country: Literal["France", "Italy"]


@function_tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """Returns the weather of a city."""
    return f"It is sunny in {city}."


def config(model, **settings):
    options = {"tracing_disabled": True}
    if settings:
        options["model_settings"] = ModelSettings(**settings)
    return RunConfig(model_provider=LuupModelProvider(model), **options)


def greedy(model, **settings):
    return config(model, **{"temperature": 0, "max_tokens": 64, **settings})


async def run(agent, message, run_config, streamed):
    """Run an agent in one of two ways, and return the result."""
    if not streamed:
        return await Runner.run(agent, message, run_config=run_config)
    result = Runner.run_streamed(agent, message, run_config=run_config)
    async for _ in result.stream_events():
        pass
    return result


both = pytest.mark.parametrize("streamed", [False, True])


# -- runs, with a script -----------------------------------------------------------------------------------------------


@both
async def test_a_whole_run_with_tools(streamed):
    calls = [tool_call("weather", city="Paris"), tool_call("weather", city="Rome")]
    model = ScriptedModel([["Let me see.", *calls], "Sunny!"])
    result = await run(Agent("a", instructions="Be brief.", tools=[weather]), "Weather?", config(model), streamed)
    assert result.final_output == "Sunny!"
    first, second = model.requests
    assert first.tools == ["weather"]
    assert first.messages[0].content == "Be brief."
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "tool", "tool"]
    assert second.messages[2].content == "Let me see."
    ids = [call.id for call in second.messages[2].tool_calls]
    assert [message.tool_call_id for message in second.messages[3:]] == ids
    assert len(set(ids)) == 2
    assert second.messages[3].content == "It is sunny in Paris."
    usage = result.context_wrapper.usage
    assert usage.requests == 2
    assert usage.output_tokens == usage.total_tokens - usage.input_tokens > 0
    model.assert_complete()


@both
async def test_handoffs_with_ids_that_are_unique_in_the_run(streamed):
    model = ScriptedModel(
        [tool_call("weather", city="Paris"), tool_call("transfer_to_b"), tool_call("weather", city="Rome"), "Sunny!"]
    )
    second = Agent("b", instructions="You are b.", tools=[weather])
    first = Agent("a", tools=[weather], handoffs=[handoff(second, input_filter=handoff_filters.remove_all_tools)])
    result = await run(first, "Weather?", config(model), streamed)
    assert result.final_output == "Sunny!"
    assert result.last_agent is second
    assert model.requests[0].tools == ["weather", "transfer_to_b"]
    assert model.requests[2].messages[0].content == "You are b."
    items = [item for response in result.raw_responses for item in response.output]
    ids = [item.call_id for item in items if item.type == "function_call"]
    assert len(ids) == len(set(ids)) == 3  # a script numbers the calls, and the filter hides the first ones


@both
async def test_a_handoff_that_nests_the_conversation(streamed):
    """The SDK then gives the second agent a summary, as a message of the assistant, and nothing after it."""
    model = ScriptedModel([tool_call("transfer_to_b"), "Sunny!"])
    first = Agent("a", handoffs=[Agent("b")])
    result = await run(first, "Weather?", dataclasses.replace(config(model), nest_handoff_history=True), streamed)
    assert result.final_output == "Sunny!"
    summary, last = model.requests[1].messages[-2:]
    assert (summary.role, "Weather?" in summary.content, last.role) == ("assistant", True, "user")


@both
async def test_typed_output(streamed):
    model = ScriptedModel([{"name": "Rome", "country": "Italy"}])
    result = await run(Agent("a", output_type=City), "Which city?", config(model), streamed)
    assert result.final_output == City(name="Rome", country="Italy")
    assert set(model.requests[0].output_schema["properties"]) == {"name", "country"}


@both
async def test_a_wrong_typed_output(streamed):
    with pytest.raises(ModelBehaviorError, match="JSON"):
        await run(Agent("a", output_type=City), "Which city?", config(ScriptedModel(["not JSON"])), streamed)


@both
async def test_guardrails(streamed):
    @input_guardrail
    async def no_secrets(context, agent, message):
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered="secret" in str(message))

    @output_guardrail
    async def no_no(context, agent, output):
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=output == "No.")

    agent = Agent("a", input_guardrails=[no_secrets], output_guardrails=[no_no])
    with pytest.raises(InputGuardrailTripwireTriggered):
        await run(agent, "a secret", config(ScriptedModel([Reply("Yes.", delay=0.05)])), streamed)
    with pytest.raises(OutputGuardrailTripwireTriggered):
        await run(agent, "Well?", config(ScriptedModel(["No."])), streamed)
    assert (await run(agent, "Well?", config(ScriptedModel(["Yes."])), streamed)).final_output == "Yes."


@both
async def test_thoughts_are_items_and_go_back(streamed):
    seal = {"index": 0, "id": "call_123456", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    first = events(delta(reasoning_content="Hm."), delta(tool_calls=[seal]), delta("tool_calls"), "[DONE]")
    server = Server(first, *replying("Sunny!"))
    try:
        with Model.from_remote(server.url, "qwen3", timeout=30, message_fields="all") as remote:
            result = await run(Agent("a", tools=[weather]), "Weather?", config(remote), streamed)
    finally:
        server.close()
    assert [item.type for item in result.new_items] == [
        "reasoning_item",
        "tool_call_item",
        "tool_call_output_item",
        "message_output_item",
    ]
    sent = server.requests[1].json["messages"][1]
    assert sent["reasoning_content"] == "Hm."
    assert sent["tool_calls"][0]["id"] == "call_123456"


async def test_a_session_goes_on():
    model, session = ScriptedModel(["Hello Ada.", "You are Ada."]), SQLiteSession("s")
    await Runner.run(Agent("a"), "I am Ada.", run_config=config(model), session=session)
    result = await Runner.run(Agent("a"), "Who am I?", run_config=config(model), session=session)
    session.close()
    assert result.final_output == "You are Ada."
    assert [message.content for message in model.requests[1].messages] == ["I am Ada.", "Hello Ada.", "Who am I?"]


async def test_a_stream_has_the_pieces(model):
    agent = Agent("a", instructions=PLAIN)
    result = Runner.run_streamed(agent, "What is the capital of France?", run_config=greedy(model))
    pieces = []
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            pieces.append(event.data.delta)
    assert "".join(pieces) == "The capital of France is Paris."
    assert len(pieces) > 1


# -- settings ----------------------------------------------------------------------------------------------------------


async def test_settings():
    model = ScriptedModel(["Hi."])
    settings = ModelSettings(
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        top_logprobs=2,
        tool_choice="none",
        parallel_tool_calls=False,
        reasoning=Reasoning(effort="high"),
        extra_args={"min_p": 0.125},
    )
    provider = LuupModelProvider(model, top_k=3, temperature=1)
    run_config = RunConfig(model_provider=provider, tracing_disabled=True)
    await Runner.run(Agent("a", tools=[weather], model_settings=settings), "Hi", run_config=run_config)
    body = model.requests[0].body
    for name, value in {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "top_logprobs": 2,
        "tool_choice": "none",
        "parallel_tool_calls": False,
        "reasoning_effort": "high",
        "min_p": 0.125,
        "top_k": 3,
    }.items():
        assert body[name] == value, name


async def test_an_agent_without_a_model_leaves_the_thoughts_to_the_model():
    model = ScriptedModel(["Hi."])
    agent = Agent("a")
    assert agent.model_settings.reasoning is not None  # the SDK's, for a model of OpenAI
    await Runner.run(agent, "Hi", run_config=config(model))
    assert not {"reasoning_effort", "chat_template_kwargs"} & set(model.requests[0].body)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -1}, "temperature must be"),
        ({"extra_body": {"a": 1}}, "'extra_body'"),
        ({"extra_args": {"min_q": 1}}, "unexpected setting 'min_q'"),
    ],
)
async def test_wrong_settings_are_the_users_mistake(settings, words):
    with pytest.raises(UserError, match=words):
        await Runner.run(Agent("a"), "Hi", run_config=config(ScriptedModel(["Hi."]), **settings))


async def test_what_only_openais_servers_have_is_refused():
    with pytest.raises(UserError, match="previous_response_id"):
        await Runner.run(Agent("a"), "Hi", run_config=config(ScriptedModel(["Hi."])), previous_response_id="response_1")
    part = {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}
    with pytest.raises(UserError, match="other parts are not supported"):
        await Runner.run(Agent("a"), [{"role": "user", "content": [part]}], run_config=config(ScriptedModel(["Hi."])))


async def test_pictures_are_parts_of_messages():
    picture = {"type": "input_image", "image_url": "https://example.org/cat.png"}
    asked = [{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, picture]}]
    seen = []

    def answer(request):
        seen.extend(request.messages)
        return "A cat."

    result = await Runner.run(Agent("a"), asked, run_config=config(FunctionModel(answer)))
    assert result.final_output == "A cat."
    assert [getattr(part, "url", part) for part in seen[-1].parts] == ["What is it?", "https://example.org/cat.png"]


def test_models_by_name():
    first, second = ScriptedModel([]), ScriptedModel([])
    provider = LuupModelProvider({"small": first, "large": second})
    assert provider.get_model(None).model is first
    assert provider.get_model("large").model is second
    with pytest.raises(UserError, match="'medium'; the LuupModelProvider has small, large"):
        provider.get_model("medium")
    with pytest.raises(InvalidParamError, match="not str"):
        LuupModelProvider("model.gguf")
    with pytest.raises(InvalidParamError, match="at least one"):
        LuupModelProvider({})
    with pytest.raises(InvalidParamError, match="unexpected setting 'temprature'"):
        LuupModel(first, temprature=0)


# -- errors and traces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "error"),
    [
        (HTTPError("the server is busy"), HTTPError),
        (ContextFullError("the prompt has 9 tokens"), ContextFullError),
        (tool_call("weather", "{bad"), ModelBehaviorError),
    ],
)
@both
async def test_errors(ours, error, streamed):
    with pytest.raises(error):
        await run(Agent("a", tools=[weather]), "Hi", config(ScriptedModel([ours])), streamed)


@both
async def test_wrong_calls_are_answered_by_the_sdk(streamed):
    model = ScriptedModel([tool_call("weather", city="Oslo"), "Sorry."])
    result = await run(Agent("a", tools=[weather]), "Weather?", config(model), streamed)
    assert result.final_output == "Sorry."
    assert "error" in model.requests[1].messages[-1].content.lower()
    with pytest.raises(ModelBehaviorError, match="nope"):
        await run(Agent("a", tools=[weather]), "Weather?", config(ScriptedModel([tool_call("nope")])), streamed)


@both
async def test_a_timeout(streamed):
    model = ScriptedModel([Reply("Hi.", delay=30)])
    with pytest.raises(ModelTimeoutError):
        await run(Agent("a"), "Hi", config(model, timeout=0.1), streamed)


@both
async def test_traces(streamed):
    class Spans(TracingProcessor):
        def __init__(self):
            self.found = []

        def on_span_end(self, span):
            self.found.append(span)

        def on_trace_start(self, trace): ...
        def on_trace_end(self, trace): ...
        def on_span_start(self, span): ...
        def shutdown(self): ...
        def force_flush(self): ...

    spans = Spans()
    set_trace_processors([])
    add_trace_processor(spans)
    try:
        run_config = RunConfig(model_provider=LuupModelProvider({"m": ScriptedModel(["Hi."])}))
        await run(Agent("a"), "Hello", run_config, streamed)
    finally:
        set_trace_processors([])
    data = next(span.span_data for span in spans.found if span.span_data.type == "generation")
    assert data.model == "m"
    assert data.input == [{"role": "user", "content": "Hello"}]
    assert data.output[0]["content"] == "Hi."
    assert data.usage["output_tokens"] > 0


# -- the real model ----------------------------------------------------------------------------------------------------


@both
async def test_the_real_model(model, streamed):
    result = await run(Agent("a", instructions=PLAIN), "What is the capital of France?", greedy(model), streamed)
    assert result.final_output == "The capital of France is Paris."
    assert result.context_wrapper.usage.output_tokens == 8


@both
async def test_a_typed_result_of_the_real_model(model, streamed):
    result = await run(Agent("a", output_type=City), "Which city is the capital of France?", greedy(model), streamed)
    assert result.final_output == City(name="Paris", country="France")


@both
async def test_a_tool_that_the_real_model_has_to_call(model, streamed):
    agent = Agent("a", tools=[weather], tool_use_behavior="stop_on_first_tool")
    result = await run(agent, "What is the weather in Paris?", greedy(model, tool_choice="weather"), streamed)
    assert result.final_output == "It is sunny in Paris."


@both
async def test_a_call_that_is_cut_off(model, streamed):
    agent = Agent("a", tools=[weather])
    with pytest.raises(ModelBehaviorError, match="max_tokens is too small"):
        await run(agent, "Weather?", greedy(model, tool_choice="required", max_tokens=3), streamed)


async def test_cancelling_a_run_ends_the_computation(model, idle, running):
    run_config = greedy(model, max_tokens=4000)
    task = asyncio.ensure_future(Runner.run(Agent("a"), "Tell me a long story.", run_config=run_config))
    await running(model)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert idle(model).runs_active == 0


async def test_cancelling_a_stream_ends_the_computation(model, idle):
    result = Runner.run_streamed(Agent("a"), "Tell me a long story.", run_config=greedy(model, max_tokens=4000))
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            result.cancel()
    assert idle(model).runs_active == 0


async def test_sixteen_agents_share_batches(model):
    before = model.stats().batches
    run_config = greedy(model)
    results = await asyncio.gather(
        *[
            Runner.run(Agent(f"a{number}"), f"Tell me about the number {number}.", run_config=run_config)
            for number in range(16)
        ]
    )
    tokens = sum(result.context_wrapper.usage.output_tokens for result in results)
    assert tokens > 300
    assert model.stats().batches - before < tokens / 3


@both
async def test_probabilities(model, streamed):
    run_config = greedy(model, top_logprobs=2)
    result = await run(Agent("a", instructions=PLAIN), "What is the capital of France?", run_config, streamed)
    logprobs = result.new_items[0].raw_item.content[0].logprobs
    assert "".join(each.token for each in logprobs) == result.final_output
    assert len(logprobs[0].top_logprobs) == 2
