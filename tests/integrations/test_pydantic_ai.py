"""pydantic-ai's agents on models of this package."""

import asyncio
from typing import List, Literal

import pytest

pytest.importorskip("pydantic_ai")

from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    ModelRetry,
    NativeOutput,
    PromptedOutput,
    RunContext,
    ToolOutput,
)
from pydantic_ai import exceptions as theirs
from pydantic_ai import messages as their_messages
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    PartStartEvent,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from support.http_server import Server, delta, events, replying

from luup_agent import ContextFullError, HTTPError, InvalidParamError, Message, Model, RunTimeoutError
from luup_agent.integrations.pydantic_ai import LuupModel, LuupModelSettings
from luup_agent.testing import Reply, ScriptedModel, tool_call


class City(BaseModel):
    name: Literal["Paris", "Rome"]
    country: Literal["France", "Italy"]


def run(agent, *arguments, **options):
    """Run an agent. Its own run_sync leaves an event loop open."""
    return asyncio.run(agent.run(*arguments, **options))


def scripted(*replies, **options):
    model = ScriptedModel(list(replies))
    return Agent(LuupModel(model), **options), model


# -- conversations, with a script --------------------------------------------------------------------------------------


def test_a_whole_run_with_tools():
    agent, model = scripted(
        ["Let me add.", tool_call("add", a=1, b=2), tool_call("add", a=3, b=4)],
        "3 and 7.",
        instructions="Be brief.",
        system_prompt="You are a calculator.",
    )

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    result = run(agent, "Add.")
    assert result.output == "3 and 7."
    first, second = model.requests
    assert first.tools == ["add"]
    assert first.body["tools"][0]["function"]["description"] == "Adds two numbers."
    assert first.messages[0] == Message(role="system", content="You are a calculator.\n\nBe brief.")
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "tool", "tool"]
    assert second.messages[2].content == "Let me add."
    ids = [call.id for call in second.messages[2].tool_calls]
    assert [(message.tool_call_id, message.content) for message in second.messages[3:]] == list(zip(ids, ["3", "7"]))
    assert result.usage.requests == 2
    assert result.usage.tool_calls == 2
    assert result.usage.output_tokens == sum(
        response.usage.output_tokens for response in result.all_messages() if response.kind == "response"
    )
    model.assert_complete()


def test_a_conversation_goes_on():
    agent, model = scripted("Hello Ada.", "You are Ada.")
    first = run(agent, "I am Ada.")
    stored = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(first.all_messages()))
    assert run(agent, "Who am I?", message_history=stored).output == "You are Ada."
    assert [(message.role, message.content) for message in model.requests[1].messages] == [
        ("user", "I am Ada."),
        ("assistant", "Hello Ada."),
        ("user", "Who am I?"),
    ]


def test_wrong_arguments_and_unknown_tools_are_corrected_by_pydantic_ai():
    agent, model = scripted([tool_call("add", a="x"), tool_call("nope")], tool_call("add", a=2), "Done.")

    @agent.tool_plain(retries=3)
    def add(a: int) -> str:
        return f"got {a}"

    assert run(agent, "Add.").output == "Done."
    results = [message for message in model.requests[1].messages if message.role == "tool"]
    assert all(message.content.startswith("Error: ") for message in results)
    assert "valid integer" in results[0].content
    assert "nope" in results[1].content
    assert model.requests[2].messages[-1].content == "got 2"


def test_a_tool_asks_for_a_better_call():
    agent, model = scripted(tool_call("roll", sides=5), tool_call("roll", sides=6), "4")

    @agent.tool
    def roll(ctx: RunContext, sides: int) -> int:
        if sides != 6:
            raise ModelRetry("Dice have six sides.")
        return 4

    assert run(agent, "Roll.").output == "4"
    assert "Dice have six sides." in model.requests[1].messages[-1].content
    assert model.requests[1].messages[-1].content.startswith("Error: ")


def test_thoughts_are_parts_of_their_own():
    agent, _ = scripted(Reply("4", reasoning="2 + 2."))
    assert run(agent, "2 + 2?").all_messages()[-1].parts == [ThinkingPart("2 + 2."), TextPart("4")]


@pytest.mark.parametrize(
    ("thinking", "sent"), [(True, True), (False, False), ("minimal", "low"), ("high", "high"), ("max", "high")]
)
def test_the_level_of_thinking(thinking, sent):
    agent, model = scripted("Yes.")
    run(agent, "Sure?", model_settings={"thinking": thinking})
    body = model.requests[0].body
    assert sent in (body.get("reasoning_effort"), body.get("chat_template_kwargs", {}).get("enable_thinking"))


def test_settings():
    settings = LuupModelSettings(
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        seed=5,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        logit_bias={"17": 3},
        stop_sequences=["END"],
        parallel_tool_calls=False,
        luup_options={"min_p": 0.125, "top_logprobs": 2},
    )
    agent, model = scripted("Hi.", model_settings=settings)
    agent.tool_plain(lambda: "", name="nothing")
    run(agent, "Hi")
    body = model.requests[0].body
    for name, value in {
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "seed": 5,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "logit_bias": {"17": 3},
        "stop": ["END"],
        "parallel_tool_calls": False,
        "min_p": 0.125,
        "top_logprobs": 2,
    }.items():
        assert body[name] == value, name


def test_the_choice_of_a_tool():
    for choice, tools, sent in (
        ("required", ["a", "b"], "required"),
        (["b"], ["b"], "b"),
        ("none", ["a", "b"], "none"),
        ("auto", ["a", "b"], "auto"),
    ):
        agent, model = scripted("Hi." if choice in ("none", "auto") else tool_call("b"), "Hi.")
        agent.tool_plain(lambda: "", name="a")
        agent.tool_plain(lambda: "", name="b")
        settings = {"tool_choice": choice}
        if choice in ("required", ["b"]):
            with pytest.raises(theirs.UserError):  # pydantic-ai: every request would have to call a tool
                run(agent, "Hi", model_settings=settings)
            parameters = ModelRequestParameters(function_tools=[], allow_text_output=True)
            parameters.function_tools = _definitions("a", "b")
            asyncio.run(LuupModel(model).request([ModelRequest.user_text_prompt("Hi")], settings, parameters))
        else:
            run(agent, "Hi", model_settings=settings)
        assert model.requests[0].tools == tools
        assert model.requests[0].tool_choice == sent


def _definitions(*names):
    from pydantic_ai.tools import ToolDefinition

    return [ToolDefinition(name=name, parameters_json_schema={"type": "object", "properties": {}}) for name in names]


# -- output modes ------------------------------------------------------------------------------------------------------


def test_native_output_is_the_default():
    agent, model = scripted({"name": "Paris", "country": "France"}, output_type=City)
    assert run(agent, "Which city?").output == City(name="Paris", country="France")
    assert set(model.requests[0].output_schema["properties"]) == {"name", "country"}
    assert model.requests[0].tools == []


def test_output_by_a_tool():
    agent, model = scripted(
        tool_call("final_result", {"name": "Rome", "country": "Italy"}), output_type=ToolOutput(City)
    )
    assert run(agent, "Which city?").output == City(name="Rome", country="Italy")
    assert model.requests[0].tool_choice == "final_result"


def test_prompted_output():
    agent, model = scripted({"name": "Rome", "country": "Italy"}, output_type=PromptedOutput(City))
    assert run(agent, "Which city?").output == City(name="Rome", country="Italy")
    assert '"country"' in model.requests[0].messages[0].content


@pytest.mark.parametrize("kind", [NativeOutput, PromptedOutput])
def test_a_wrong_answer_is_asked_for_again(kind):
    agent, model = scripted("not JSON", {"name": "Rome", "country": "Italy"}, output_type=kind(City), retries=1)
    assert run(agent, "Which city?").output.name == "Rome"
    texts = [message.content for message in model.requests[1].messages]
    assert "not JSON" in texts
    assert any("JSON" in text for text in texts[texts.index("not JSON") + 1 :])


def test_an_output_validator_asks_again():
    agent, _ = scripted("no", "yes")

    @agent.output_validator
    def check(output: str) -> str:
        if output == "no":
            raise ModelRetry("Say yes.")
        return output

    assert run(agent, "Well?").output == "yes"


def test_an_answer_that_is_cut_off():
    agent, _ = scripted(Reply('{"name": "Par', finish_reason="length"), output_type=City, retries=0)
    with pytest.raises(theirs.UnexpectedModelBehavior, match="token limit|maximum output retries"):
        run(agent, "Which city?")


# -- streams -----------------------------------------------------------------------------------------------------------


async def test_a_stream_of_events():
    agent, _ = scripted(Reply("Let me see.", "Hm, well.", (tool_call("now"),)), "It is noon.")
    agent.tool_plain(lambda: "noon", name="now")
    kinds: List[str] = []
    async with agent.run_stream_events("What time is it?") as events:
        async for event in events:
            kinds.append(event.part.part_kind if isinstance(event, PartStartEvent) else event.event_kind)
    assert {"thinking", "text", "function_tool_call", "function_tool_result", "agent_run_result"} <= set(kinds)
    assert kinds.index("thinking") < kinds.index("text") < kinds.index("function_tool_call")


async def test_partial_objects():
    class Story(BaseModel):
        title: str
        words: List[str]

    agent, _ = scripted({"title": "A day", "words": ["one", "two"]}, output_type=Story)
    partial = []
    async with agent.run_stream("Write.") as stream:
        async for value in stream.stream_output(debounce_by=None):
            partial.append(value)
        assert stream.usage.output_tokens > 0
    assert partial[-1] == Story(title="A day", words=["one", "two"])
    assert len(partial) > 1


async def test_a_stream_that_fails_at_once_falls_back():
    first, second = ScriptedModel([HTTPError("the server is busy")]), ScriptedModel(["I am the second."])
    agent = Agent(FallbackModel(LuupModel(first), LuupModel(second)))
    async with agent.run_stream("Who?") as stream:
        assert await stream.get_output() == "I am the second."


async def test_direct_streams_report_usage_and_reason():
    model = LuupModel(ScriptedModel([tool_call("a")]))
    parameters = ModelRequestParameters(function_tools=_definitions("a"))
    async with model.request_stream([ModelRequest.user_text_prompt("Hi")], None, parameters) as stream:
        events = [event async for event in stream]
        response = stream.get()
    assert events
    assert response.finish_reason == "tool_call"
    assert response.state == "complete"
    assert response.usage.output_tokens > 0
    assert [part.tool_name for part in response.tool_calls] == ["a"]


# -- errors ------------------------------------------------------------------------------------------------------------


def busy(status):
    error = HTTPError("the server is busy")
    error.status = status
    return error


def named(name):
    """Return a class of pydantic-ai's exceptions; its base for those that the last one for Python 3.10 lacks."""
    return getattr(theirs, name, theirs.ModelAPIError)


@pytest.mark.parametrize(
    ("ours", "error", "words"),
    [
        (busy(None), named("ModelConnectionError"), "busy"),
        (busy(503), theirs.ModelHTTPError, "503"),
        (ContextFullError("the prompt has 9 tokens"), named("ModelContextWindowExceededError"), "9 tokens"),
        (RunTimeoutError("too late"), named("ModelTimeoutError"), "too late"),
        (tool_call("a", "{bad"), theirs.UnexpectedModelBehavior, "not a JSON object"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_errors_are_pydantic_ais(ours, error, words, streamed):
    agent, _ = scripted(ours)
    agent.tool_plain(lambda: "", name="a")

    async def stream():
        async with agent.run_stream("Hi") as result:
            await result.get_output()

    with pytest.raises(error, match=words):
        await (stream() if streamed else agent.run("Hi"))


def test_bad_settings_are_the_users_mistake():
    agent, _ = scripted("Hi.")
    with pytest.raises(theirs.UserError, match="temperature"):
        run(agent, "Hi", model_settings={"temperature": -1})
    with pytest.raises(theirs.UserError, match="timeout"):
        run(agent, "Hi", model_settings={"timeout": "soon"})


def test_a_picture_is_refused():
    agent, _ = scripted("Hi.")
    with pytest.raises(theirs.UserError, match="takes text only, not BinaryContent"):
        run(agent, ["Look:", BinaryContent(b"\x89PNG", media_type="image/png")])


@pytest.mark.skipif(not hasattr(their_messages, "RetryFeedbackPart"), reason="the last one for Python 3.10 lacks it")
def test_a_part_that_was_not_prepared_is_named():
    model = LuupModel(ScriptedModel(["Hi."]))
    part = their_messages.RetryFeedbackPart("again", retry=their_messages.RetryInfo("no_output"))
    request = ModelRequest(parts=[part])
    with pytest.raises(theirs.UserError, match="can't pass on a RetryFeedbackPart.*prepare_messages"):
        asyncio.run(model.request([request], None, ModelRequestParameters()))


@pytest.mark.filterwarnings("ignore:.*RetryPromptPart")  # pydantic-ai 2.68 does not make them any more
def test_a_history_of_an_older_pydantic_ai():
    model = ScriptedModel(["Hi."])
    asked = [RetryPromptPart("no such town", tool_name="look", tool_call_id="1"), RetryPromptPart("not JSON")]
    called = ModelResponse(parts=[ToolCallPart("look", {}, "1")])
    history = [ModelRequest.user_text_prompt("Hi"), called, ModelRequest(parts=asked)]
    asyncio.run(LuupModel(model).request(history, None, ModelRequestParameters()))
    _, _, refused, feedback = model.requests[0].messages
    assert (refused.role, refused.tool_call_id) == ("tool", "1")
    assert refused.content.startswith("Error: no such town")
    assert (feedback.role, "not JSON" in feedback.content) == ("user", True)


def test_something_else_than_a_model():
    with pytest.raises(InvalidParamError, match=r"must be a luup_agent.Model, .* not str"):
        LuupModel("model.gguf")


async def test_system_prompts_in_any_place():
    model = ScriptedModel(["Hi."])
    request = ModelRequest(parts=[UserPromptPart("Hi"), SystemPromptPart("Be brief."), UserPromptPart("Well?")])
    request.instructions = "You are Ada."
    await LuupModel(model).request([request], None, ModelRequestParameters())
    assert [message.role for message in model.requests[0].messages] == ["system", "user", "system", "user"]


def test_a_servers_own_fields_and_the_thoughts_go_back_to_it():
    call = {"index": 0, "id": "c1", "function": {"name": "now", "arguments": "{}"}, "extra_content": {"seal": "x"}}
    first = events(
        delta(reasoning_content="Hm.", reasoning_details=[{"type": "sealed"}]),
        delta(tool_calls=[call]),
        delta("tool_calls"),
        "[DONE]",
    )
    server = Server(first, *replying("Noon."))
    try:
        with Model.from_remote(server.url, "qwen3", timeout=30, message_fields="all") as remote:
            agent = Agent(LuupModel(remote))
            agent.tool_plain(lambda: "noon", name="now")
            assert agent.model.model_name == "qwen3"
            assert run(agent, "What time is it?").output == "Noon."
    finally:
        server.close()
    sent = server.requests[1].json["messages"][1]
    assert sent["reasoning_details"] == [{"type": "sealed"}]
    assert sent["reasoning_content"] == "Hm."
    assert sent["tool_calls"][0]["id"] == "c1"
    assert sent["tool_calls"][0]["extra_content"] == {"seal": "x"}
