"""LangChain's chat models on models of this package, beside LangChain's own tests in test_langchain_standard.py."""

import asyncio
from typing import Literal, TypedDict

import pytest

pytest.importorskip("langchain_core")

from langchain_core import exceptions as theirs
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel
from support.http_server import Server, delta, events, replying

from luup_agent import ContextFullError, HTTPError, InvalidParamError, Model, RunTimeoutError, UnsupportedError
from luup_agent.integrations.langchain import ChatLuup
from luup_agent.testing import Reply, ScriptedModel, tool_call


class City(BaseModel):
    name: Literal["Paris", "Rome"]
    country: Literal["France", "Italy"]


@tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """Returns the weather of a city."""
    return f"It is sunny in {city}."


@tool
def time_in(city: str) -> str:
    """Returns the time in a city."""
    return "noon"


def scripted(*replies, **options):
    model = ScriptedModel(list(replies))
    return ChatLuup(model=model, **options), model


@pytest.fixture
def real(model):
    """Makes chat models on the real model."""
    return lambda **options: ChatLuup(model=model, **{"temperature": 0, "max_tokens": 64, **options})


def joined(chunks):
    chunks = list(chunks)
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


# -- conversations, with a script --------------------------------------------------------------------------------------


def test_the_conversation_arrives_as_it_is():
    chat, model = scripted("Done.")
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "c1", "type": "tool_call"}
    chat.invoke(
        [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "What is "}, "the weather?"]),
            AIMessage("Let me see.", tool_calls=[call], additional_kwargs={"reasoning_content": "Hm."}),
            ToolMessage("no answer", tool_call_id="c1", status="error"),
            ChatMessage(role="developer", content="Try again."),
            HumanMessage("Well?", name="ada"),
        ]
    )
    sent = model.requests[0].messages
    assert [(message.role, message.content) for message in sent] == [
        ("system", "Be brief."),
        ("user", "What is the weather?"),
        ("assistant", "Let me see."),
        ("tool", "Error: no answer"),
        ("system", "Try again."),
        ("user", "Well?"),
    ]
    assert sent[2].tool_calls[0].arguments == {"city": "Paris"}
    assert sent[2].tool_calls[0].id == sent[3].tool_call_id == "c1"


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage([{"type": "image", "url": "https://example.org/cat.png"}]),
        FunctionMessage("noon", name="time_in"),
        ChatMessage(role="narrator", content="Once"),
    ],
)
def test_messages_that_cannot_be_passed_on_are_named(message):
    with pytest.raises(InvalidParamError, match="ChatLuup (takes text only|can't pass on)"):
        scripted()[0].invoke([message])


def test_settings_of_the_object_and_of_the_call():
    chat, model = scripted(
        "Hi.", "Hi.", temperature=0.5, max_tokens=7, top_p=0.9, top_k=3, seed=5, stop=["END"], options={"min_p": 0.125}
    )
    chat.invoke("Hi")
    chat.invoke("Hi", stop=["STOP"], temperature=0, presence_penalty=0.5)
    first, second = (request.body for request in model.requests)
    wanted = {"temperature": 0.5, "max_tokens": 7, "top_p": 0.9, "top_k": 3, "seed": 5, "stop": ["END"], "min_p": 0.125}
    assert {name: first[name] for name in wanted} == wanted
    assert (second["stop"], second["temperature"], second["presence_penalty"]) == (["STOP"], 0, 0.5)


def test_wrong_settings():
    chat, _ = scripted("Hi.")
    with pytest.raises(InvalidParamError, match="unexpected keyword 'temprature'"):
        chat.invoke("Hi", temprature=0)
    with pytest.raises(InvalidParamError, match="temperature must be"):
        chat.invoke("Hi", temperature=-1)
    with pytest.raises(ValueError, match="instance of Model"):
        ChatLuup(model="model.gguf")
    with pytest.raises(ValueError, match="Extra inputs"):
        ChatLuup(model=ScriptedModel([]), temprature=0)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("any", "required"),
        (True, "required"),
        ("required", "required"),
        ("none", "none"),
        ("weather", "weather"),
        ({"type": "function", "function": {"name": "weather"}}, "weather"),
    ],
)
def test_the_choice_of_a_tool(choice, sent):
    forced = sent in ("required", "weather")
    chat, model = scripted(tool_call("weather", city="Paris") if forced else "No.")
    chat.bind_tools([weather, time_in], tool_choice=choice, parallel_tool_calls=False).invoke("Hi")
    assert model.requests[0].tools == (["weather"] if sent == "weather" else ["weather", "time_in"])
    assert model.requests[0].tool_choice == sent
    assert model.requests[0].body["parallel_tool_calls"] is False


def test_a_tool_that_does_not_exist():
    with pytest.raises(InvalidParamError, match=r"one of \['weather'\], not 'wether'"):
        scripted()[0].bind_tools([weather], tool_choice="wether")


@pytest.mark.parametrize("streamed", [False, True])
def test_text_thoughts_and_calls_of_one_answer(streamed):
    reply = Reply("Let me see.", "Hm, well.", (tool_call("weather", city="Rome"), tool_call("time_in", city="Rome")))
    chat, _ = scripted(reply)
    chat = chat.bind_tools([weather, time_in])
    answer = joined(chat.stream("Hi")) if streamed else chat.invoke("Hi")
    assert answer.content == "Let me see."
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [
        ("weather", {"city": "Rome"}),
        ("time_in", {"city": "Rome"}),
    ]
    assert len({call["id"] for call in answer.tool_calls}) == 2
    assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text", "tool_call", "tool_call"]
    assert answer.content_blocks[0]["reasoning"] == "Hm, well."
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    assert answer.usage_metadata["output_tokens"] > 0


def test_wrong_arguments_and_unknown_tools_reach_the_caller():
    chat, _ = scripted([tool_call("weather", city="Oslo"), tool_call("nope")])
    answer = chat.bind_tools([weather]).invoke("Hi")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Oslo"}), ("nope", {})]


def test_callbacks_get_the_pieces():
    class Handler(BaseCallbackHandler):
        def on_llm_new_token(self, token, **kwargs):
            seen.append(token)

    seen = []
    scripted("One two three.", streaming=True)[0].invoke("Hi", config={"callbacks": [Handler()]})
    assert "".join(seen) == "One two three."
    assert len(seen) > 1


# -- structured output -------------------------------------------------------------------------------------------------


class CityDict(TypedDict):
    """A city."""

    name: str


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (City, City(name="Rome", country="Italy")),
        (CityDict, {"name": "Rome", "country": "Italy"}),
        (City.model_json_schema(), {"name": "Rome", "country": "Italy"}),
    ],
)
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_structured_output(schema, value, method):
    chat, model = scripted({"name": "Rome", "country": "Italy"})
    assert chat.with_structured_output(schema, method=method).invoke("Which city?") == value
    assert "name" in model.requests[0].output_schema["properties"]


def test_partial_structured_output(real):
    names = ["first", "second"]
    properties = {name: {"enum": ["one thing", "another thing"]} for name in names}
    schema = {"title": "Pair", "description": "Two.", "type": "object", "properties": properties, "required": names}
    chunks = list(real().with_structured_output(schema).stream("Name two things."))
    assert set(chunks[-1]) == {"first", "second"}
    assert any(set(chunk) == {"first"} for chunk in chunks)


def test_structured_output_by_a_call():
    chat, model = scripted(tool_call("City", {"name": "Rome", "country": "Italy"}))
    chat = chat.with_structured_output(City, method="function_calling")
    assert chat.invoke("Which city?") == City(name="Rome", country="Italy")
    assert model.requests[0].tool_choice == "City"


def test_the_raw_answer_beside_the_structured_output():
    chat, _ = scripted({"name": "Rome", "country": "Italy"}, "not JSON")
    chat = chat.with_structured_output(City, include_raw=True)
    found = chat.invoke("Which city?")
    assert found["parsed"] == City(name="Rome", country="Italy")
    assert isinstance(found["raw"], AIMessage)
    found = chat.invoke("Which city?")
    assert found["parsed"] is None
    assert isinstance(found["parsing_error"], theirs.OutputParserException)


def test_a_method_that_does_not_exist():
    with pytest.raises(InvalidParamError, match="method must be"):
        scripted()[0].with_structured_output(City, method="magic")


# -- errors ------------------------------------------------------------------------------------------------------------


def failed(status):
    error = HTTPError("the server is busy")
    error.status = status
    return error


@pytest.mark.parametrize(
    ("ours", "error"),
    [
        (failed(None), theirs.ModelConnectionError),
        (failed(503), theirs.ModelAPIError),
        (failed(429), theirs.ModelRateLimitError),
        (failed(401), theirs.ModelAuthenticationError),
        (failed(400), theirs.ModelInvalidRequestError),
        (ContextFullError("the prompt has 9 tokens"), theirs.ContextOverflowError),
        (RunTimeoutError("too late"), theirs.ModelTimeoutError),
        (tool_call("weather", "{bad"), theirs.OutputParserException),
    ],
)
async def test_errors_are_langchains(ours, error):
    for ask in ("invoke", "stream", "ainvoke", "astream"):
        chat = scripted(ours)[0].bind_tools([weather])

        async def asked(ask=ask, chat=chat):
            if ask == "astream":
                return [chunk async for chunk in chat.astream("Hi")]
            found = getattr(chat, ask)("Hi")
            return list(found) if ask == "stream" else await found if ask == "ainvoke" else found

        with pytest.raises(error) as caught:
            await asked()
        assert caught.value.__cause__ is not None


def test_a_servers_own_fields_go_back_to_it():
    call = {"index": 0, "id": "c1", "function": {"name": "time_in", "arguments": '{"city":"Rome"}'}, "extra_content": 5}
    details = [{"type": "sealed", "index": 0, "text": None}]
    first = events(delta(reasoning_details=details), delta(tool_calls=[call]), delta("tool_calls"), "[DONE]")
    server = Server(first, *replying("Noon."))
    try:
        with Model.from_remote(server.url, "qwen3", timeout=30) as remote:
            chat = ChatLuup(model=remote).bind_tools([time_in])
            answer = chat.invoke("What time is it in Rome?")
            assert answer.response_metadata["model_name"] == "qwen3"
            result = time_in.invoke(answer.tool_calls[0])
            assert chat.invoke([HumanMessage("What time is it in Rome?"), answer, result]).content == "Noon."
            with pytest.raises(UnsupportedError):
                ChatLuup(model=remote).get_token_ids("Hi")
    finally:
        server.close()
    sent = server.requests[1].json["messages"][1]
    assert sent["reasoning_details"] == details
    assert sent["tool_calls"][0]["extra_content"] == 5


# -- the real model ----------------------------------------------------------------------------------------------------

QUESTION = [SystemMessage("You are a helpful assistant."), HumanMessage("What is the capital of France?")]


async def test_the_real_model_in_four_ways(real):
    chat = real()
    answers = [
        chat.invoke(QUESTION),
        await chat.ainvoke(QUESTION),
        joined(chat.stream(QUESTION)),
        joined([chunk async for chunk in chat.astream(QUESTION)]),
    ]
    for answer in answers:
        assert answer.content == "The capital of France is Paris."
        assert answer.usage_metadata["output_tokens"] == 8
        assert answer.usage_metadata["input_tokens"] > 20
        assert answer.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_of_the_real_model(real, method):
    chat = real().with_structured_output(City, method=method)
    assert chat.invoke("Which city is the capital of France?") == City(name="Paris", country="France")


def test_a_tool_that_the_real_model_has_to_call(real):
    question = HumanMessage("What is the weather in Paris?")
    answer = real().bind_tools([weather, time_in], tool_choice="weather").invoke([question])
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Paris"})]
    result = weather.invoke(answer.tool_calls[0])
    final = real().bind_tools([weather], tool_choice="none").invoke([question, answer, result])
    assert "sunny" in final.content


def test_a_chain(real):
    chain = ChatPromptTemplate.from_messages([("system", "{role}"), ("user", "{question}")]) | real()
    found = chain.invoke({"role": "You are a helpful assistant.", "question": "What is the capital of France?"})
    assert found.content == "The capital of France is Paris."


def test_leaving_a_stream_ends_the_computation(real, model, idle):
    stream = real(max_tokens=4000).stream("Tell me a long story.")
    assert isinstance(next(stream), AIMessageChunk)
    stream.close()
    assert idle(model).runs_active == 0


async def test_cancelling_a_task_ends_the_computation(real, model, idle, running):
    task = asyncio.ensure_future(real(max_tokens=4000).ainvoke("Tell me a long story."))
    await running(model)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert idle(model).runs_active == 0


@pytest.mark.parametrize("threads", [False, True])
async def test_sixteen_questions_share_batches(real, model, threads):
    before = model.stats().batches
    questions = [f"Tell me about the number {number}." for number in range(16)]
    if threads:
        answers = await asyncio.to_thread(real().batch, questions, config={"max_concurrency": 16})
    else:
        answers = await real().abatch(questions)
    tokens = sum(answer.usage_metadata["output_tokens"] for answer in answers)
    assert tokens > 300
    assert model.stats().batches - before < tokens / 3


def test_tokens(real):
    chat = real()
    assert chat.get_num_tokens("Hello") == 1
    count = chat.get_num_tokens_from_messages(QUESTION)
    assert count == chat.invoke(QUESTION).usage_metadata["input_tokens"]
    assert chat.get_num_tokens_from_messages(QUESTION, tools=[weather]) > count + 30
    assert chat.profile["max_input_tokens"] == 8192


def test_probabilities(real):
    answer = real(options={"top_logprobs": 2}).invoke(QUESTION)
    logprobs = answer.response_metadata["logprobs"]["content"]
    assert "".join(each["text"] for each in logprobs) == answer.content
    assert len(logprobs[0]["top"]) == 2


def test_a_conversation_too_long_for_the_real_model(real):
    with pytest.raises(theirs.ContextOverflowError, match="the context holds"):
        real().invoke("word " * 20000)
