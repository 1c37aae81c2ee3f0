"""One answer to a given conversation: the ground of all adapters."""

import asyncio
import threading

import pytest

from luup_agent import HTTPError, InvalidOutputError, InvalidParamError, InvalidSchemaError, JSONSchema, Message, Model
from luup_agent._one_turn import ToolDefinition, TurnRequest, answer, answer_async, count_tokens, stream, stream_async
from luup_agent.testing import FunctionModel, RecordedModel, Reply, ScriptedModel, tool_call

NUMBER = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOLS = [ToolDefinition("add", "Adds.", NUMBER), ToolDefinition("sub", "Subtracts.", NUMBER)]
GREEDY = {"temperature": 0, "max_tokens": 64}


def ask(text="Hi", **options):
    return TurnRequest([Message(role="user", content=text)], **options)


def told(model, request, how):
    """Return the turn, asked for in one of four ways."""
    if how == "sync":
        return answer(model, request)
    if how == "stream":
        return list(stream(model, request))[-1]

    async def last():
        if how == "async":
            return await answer_async(model, request)
        return [piece async for piece in stream_async(model, request)][-1]

    return asyncio.run(last())


@pytest.fixture(params=["sync", "stream", "async", "stream_async"])
def turn(request):
    """Asks a model for a turn, in each of the four ways."""
    return lambda model, turn_request: told(model, turn_request, request.param)


def test_text_and_calls_of_one_answer(turn):
    found = turn(ScriptedModel([["Let me see.", tool_call("add", a=1), tool_call("sub", a=2)]]), ask(tools=TOOLS))
    assert (found.text, found.finish_reason) == ("Let me see.", "tool_calls")
    assert [(call.name, call.arguments, call.result) for call in found.tool_calls] == [
        ("add", {"a": 1}, None),
        ("sub", {"a": 2}, None),
    ]
    assert len({call.id for call in found.tool_calls}) == 2
    assert found.usage.turns == 1
    assert found.usage.completion_tokens > 0


@pytest.mark.parametrize(
    "calls",
    [
        [tool_call("add", a="x")],
        [tool_call("add", a="x"), tool_call("sub", a=2)],
        [tool_call("nope", a=1)],
        [tool_call("nope", a=1), tool_call("sub", a=2)],
    ],
    ids=["wrong", "wrong and right", "unknown", "unknown and right"],
)
def test_calls_that_the_schema_refuses_are_returned_as_they_are(turn, calls):
    model = ScriptedModel([calls])
    found = turn(model, ask(tools=TOOLS))
    assert found.finish_reason == "tool_calls"
    assert [call.name for call in found.tool_calls] == [call.name for call in calls]
    assert found.usage.completion_tokens > 0
    assert len(model.requests) == 1


def test_arguments_that_are_no_object_are_an_error(turn):
    with pytest.raises(InvalidOutputError, match="arguments of add are not a JSON object"):
        turn(ScriptedModel([tool_call("add", "{bad")]), ask(tools=TOOLS))


def test_a_wrong_typed_answer_is_returned(turn):
    found = turn(ScriptedModel(["not JSON"]), ask(output=JSONSchema(NUMBER)))
    assert (found.text, found.finish_reason) == ("not JSON", "stop")


def test_a_typed_answer_that_is_cut_off_is_returned(turn):
    found = turn(ScriptedModel([Reply('{"a":1', finish_reason="length")]), ask(output=JSONSchema(NUMBER)))
    assert (found.text, found.finish_reason) == ('{"a":1', "length")


def test_thoughts(turn):
    found = turn(ScriptedModel([Reply("Paris.", reasoning="An easy one.")]), ask())
    assert (found.reasoning, found.text, found.finish_reason) == ("An easy one.", "Paris.", "stop")


def test_the_conversation_arrives_as_it_is():
    model = ScriptedModel([tool_call("add", a=2)])
    call = {"id": "call_0", "function": {"name": "add", "arguments": '{"a":1}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be exact."},
        {"role": "user", "content": "Add 1."},
        {"role": "assistant", "content": "So be it.", "reasoning_content": "Hm.", "tool_calls": [call]},
        {"role": "tool", "content": "Error: no", "tool_call_id": "call_0", "name": "add"},
        {"role": "system", "content": "Go on."},
        {"role": "user", "content": ""},
    ]
    found = answer(model, TurnRequest([Message.from_dict("m", each) for each in messages], TOOLS))
    sent = model.requests[0].messages
    assert [message.role for message in sent] == [message["role"] for message in messages]
    assert [message.content for message in sent] == [message["content"] for message in messages]
    assert sent[3].tool_calls[0].id == sent[4].tool_call_id == "call_0"
    assert found.tool_calls[0].id != "call_0"  # unique in the conversation


def test_a_fallback_answers(turn):
    model = Model.fallback(ScriptedModel([HTTPError("the server is busy")]), ScriptedModel([tool_call("add", a=1)]))
    assert [call.name for call in turn(model, ask(tools=TOOLS)).tool_calls] == ["add"]


def test_a_recording_answers(turn, tmp_path):
    recorded = RecordedModel(tmp_path / "tape.json", ScriptedModel([tool_call("add", a="x")]))
    first = turn(recorded, ask(tools=TOOLS))
    again = turn(RecordedModel(tmp_path / "tape.json", mode="none"), ask(tools=TOOLS))
    assert first.tool_calls[0].arguments == again.tool_calls[0].arguments == {"a": "x"}


@pytest.mark.parametrize(("choice", "sent"), [("required", "required"), ("none", "none"), ("sub", "sub")])
def test_the_choice_of_a_tool(choice, sent):
    model = FunctionModel(lambda request: seen.append(request.tool_choice) or [tool_call("sub", a=1)])
    seen = []
    if choice == "none":
        model = FunctionModel(lambda request: seen.append(request.body["tool_choice"]) or "No.")
    answer(model, ask(tools=TOOLS, tool_choice=choice))
    assert seen == [sent]


def test_bad_input_is_named():
    model = ScriptedModel([])
    with pytest.raises(InvalidParamError, match="name of a tool"):
        answer(model, ask(tools=[ToolDefinition("a tool", "", NUMBER)]))
    with pytest.raises(InvalidSchemaError, match="tool 'add'"):
        answer(model, ask(tools=[ToolDefinition("add", "", {"type": "object", "properties": {"a": {"type": "x"}}})]))
    with pytest.raises(InvalidParamError, match="temperature"):
        answer(model, ask(options={"temperature": -1}))
    with pytest.raises(InvalidParamError, match="ends with a user message"):
        answer(model, TurnRequest([]))


# -- the real model ----------------------------------------------------------------------------------------------------


def test_a_forced_call(turn, model):
    city = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    tools = [ToolDefinition("weather", "Returns the weather.", city)]
    request = ask("What is the weather in Paris?", tools=tools, tool_choice="weather", options=GREEDY)
    found = turn(model, request)
    assert [(call.name, call.arguments) for call in found.tool_calls] == [("weather", {"city": "Paris"})]
    assert found.finish_reason == "tool_calls"


def test_a_forced_call_that_is_cut_off(turn, model):
    options = {**GREEDY, "max_tokens": 3}
    found = turn(model, ask("Add 1.", tools=TOOLS, tool_choice="add", options=options))
    assert (found.finish_reason, found.tool_calls) == ("length", ())
    assert found.usage.completion_tokens >= 3


def test_a_typed_answer_beside_tools(turn, model):
    found = turn(model, ask("Five?", tools=TOOLS, tool_choice="none", output=JSONSchema(NUMBER), options=GREEDY))
    assert found.text.startswith('{"a":')
    assert found.finish_reason == "stop"


def test_the_number_of_tokens_is_that_of_the_run(model):
    request = ask("What is the capital of France?", options={**GREEDY, "max_tokens": 1})
    count = count_tokens(model, request)
    assert count == answer(model, request).usage.prompt_tokens
    assert count + 50 < count_tokens(model, request._replace(tools=TOOLS))
    call = {"id": "c1", "function": {"name": "add", "arguments": '{"a":1}'}}
    messages = [
        *request.messages,
        Message.from_dict("m", {"role": "assistant", "content": "", "tool_calls": [call]}),
        Message(role="tool", content="2", tool_call_id="c1"),
    ]
    request = request._replace(messages=messages)
    assert count_tokens(model, request) == answer(model, request).usage.prompt_tokens


@pytest.mark.parametrize(
    "roles", [["system"], ["system", "system"], ["user", "assistant"], ["system", "assistant", "system"]]
)
def test_a_conversation_that_does_not_end_with_the_user(turn, model, roles):
    messages = [Message(role=role, content="Say hello.") for role in roles]
    request = TurnRequest(messages, options={**GREEDY, "max_tokens": 4})
    found = turn(model, request)
    assert found.text
    assert found.usage.prompt_tokens == count_tokens(model, request)
    script = ScriptedModel(["Hello."])
    turn(script, request)
    assert [message.role for message in script.requests[0].messages] == [*roles, "user"]
    assert script.requests[0].messages[-1].content == ""


def test_a_closed_stream_ends_the_run(model, idle):
    request = ask("Tell me a long story.", options={"temperature": 0, "max_tokens": 4000})
    pieces = stream(model, request)
    next(pieces)
    pieces.close()
    assert list(pieces) == []
    assert idle(model).runs_active == 0


async def test_a_closed_asynchronous_stream_ends_for_its_reader(model, idle, running):
    pieces = stream_async(model, ask("Tell me a long story.", options={"temperature": 0, "max_tokens": 4000}))

    async def read():
        return [piece async for piece in pieces]

    reader = asyncio.ensure_future(read())
    await running(model)
    threading.Thread(target=pieces.close).start()
    found = await asyncio.wait_for(reader, 60)
    assert all(hasattr(piece, "type") for piece in found)  # no turn
    assert idle(model).runs_active == 0


async def test_a_cancelled_task_ends_the_run(model, idle, running):
    request = ask("Tell me a long story.", options={"temperature": 0, "max_tokens": 4000})
    task = asyncio.ensure_future(answer_async(model, request))
    await running(model)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert idle(model).runs_active == 0


async def test_turns_at_the_same_time_share_batches(model):
    before = model.stats().batches
    options = {"temperature": 0, "max_tokens": 24}
    turns = await asyncio.gather(
        *[answer_async(model, ask(f"Tell me about the number {number}.", options=options)) for number in range(16)]
    )
    tokens = sum(turn.usage.completion_tokens for turn in turns)
    assert tokens > 200
    assert model.stats().batches - before < tokens / 3


def test_a_model_that_is_closed(model_path):
    from luup_agent import ClosedError

    with Model.from_local(model_path, threads=1) as model:
        pass
    with pytest.raises(ClosedError):
        answer(model, ask())
