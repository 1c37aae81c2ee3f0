"""Answers of /v1/chat/completions: whole and streamed, tools of the client, typed answers, settings."""

import json

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from luup_agent.testing import Reply, tool_call

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Returns the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}


def message_of(response):
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


def text_of(chunks):
    return "".join(
        choice["delta"].get("content") or "" for _, data in chunks if data != "[DONE]" for choice in data["choices"]
    )


def test_a_whole_answer(script):
    server, model = script(Reply("Paris.", reasoning="An easy one.", prompt_tokens=7, completion_tokens=5))
    completion = server.chat("What is the capital of France?", model="scripted").json()
    assert completion["object"] == "chat.completion"
    assert completion["model"] == "scripted"
    assert completion["id"].startswith("chatcmpl-")
    [choice] = completion["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Paris.",
        "refusal": None,
        "reasoning_content": "An easy one.",
    }
    assert choice["finish_reason"] == "stop"
    usage = completion["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 5, 12)
    assert completion["timings"]["total_seconds"] > 0
    assert model.requests[0].prompt == "What is the capital of France?"


def test_a_stream(script):
    server, _ = script(Reply("One two three.", reasoning="Let me count."))
    chunks = server.chunks("Count.", stream_options={"include_usage": True})
    assert chunks[-1] == ("", "[DONE]")
    bodies = [data for _, data in chunks[:-1]]
    assert {body["object"] for body in bodies} == {"chat.completion.chunk"}
    assert len({body["id"] for body in bodies}) == 1
    assert bodies[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text_of(chunks) == "One two three."
    thoughts = [body["choices"][0]["delta"].get("reasoning_content", "") for body in bodies[:-1]]
    assert "".join(thoughts) == "Let me count."
    assert bodies[-2]["choices"][0]["finish_reason"] == "stop"
    assert bodies[-2]["timings"]["total_seconds"] > 0
    assert bodies[-1]["choices"] == []
    assert bodies[-1]["usage"]["completion_tokens"] > 0
    assert all(body["usage"] is None for body in bodies[:-1])


def test_a_stream_without_usage_has_none(script):
    server, _ = script("Hello.")
    bodies = [data for _, data in server.chunks()[:-1]]
    assert all("usage" not in body for body in bodies)
    assert all(body["choices"] for body in bodies)


@pytest.mark.parametrize("stream", [False, True])
def test_several_answers(script, stream):
    server, model = script("a", "b", "c")
    if stream:
        chunks = server.chunks(n=3, seed=7)
        found = {}
        for _, data in chunks[:-1]:
            for choice in data["choices"]:
                found[choice["index"]] = found.get(choice["index"], "") + (choice["delta"].get("content") or "")
        ends = [c["finish_reason"] for _, data in chunks[:-1] for c in data["choices"] if c["finish_reason"]]
        assert ends == ["stop"] * 3
    else:
        completion = server.chat(n=3, seed=7).json()
        found = {choice["index"]: choice["message"]["content"] for choice in completion["choices"]}
    assert sorted(found) == [0, 1, 2]
    assert sorted(found.values()) == ["a", "b", "c"]
    assert sorted(request.body["seed"] for request in model.requests) == [7, 8, 9]


def test_the_settings_reach_the_model(script):
    server, model = script("ok")
    server.chat(
        temperature=0.25,
        top_p=0.5,
        top_k=7,
        min_p=0.125,
        repetition_penalty=1.5,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        seed=-1,
        stop=["END", "STOP"],
        max_completion_tokens=33,
        logit_bias={"5": -100},
        reasoning_effort="low",
        parallel_tool_calls=False,
        chat_template_kwargs={"flavour": "plain"},
    )
    body = model.requests[0].body
    expected = {
        "temperature": 0.25,
        "top_p": 0.5,
        "top_k": 7,
        "min_p": 0.125,
        "repeat_penalty": 1.5,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "seed": 2**32 - 2,
        "stop": ["END", "STOP"],
        "max_tokens": 33,
        "logit_bias": {"5": -100},
        "reasoning_effort": "low",
    }
    assert {name: body.get(name) for name in expected} == expected
    assert body["chat_template_kwargs"]["flavour"] == "plain"


@pytest.mark.parametrize(
    ("asked", "limit", "sent"),
    [({}, None, None), ({}, 50, 50), ({"max_tokens": 99}, 50, 50), ({"max_tokens": 9}, 50, 9)],
)
def test_the_limit_of_tokens(script, asked, limit, sent):
    server, model = script("ok", max_tokens=limit)
    assert server.chat(**asked).status_code == 200
    assert model.requests[0].body.get("max_tokens") == sent


def test_the_conversation_reaches_the_model(script):
    server, model = script("ok")
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
        {"role": "user", "content": "Hi", "name": "ada"},
        {"role": "assistant", "content": "Hello!", "refusal": None, "tool_calls": None, "annotations": []},
        {"role": "system", "content": "Now in French."},
        {"role": "user", "content": "Bye"},
    ]
    assert server.chat(messages=messages).status_code == 200
    assert [(each.role, each.content) for each in model.requests[0].messages] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello!"),
        ("system", "Now in French."),
        ("user", "Bye"),
    ]


# -- tools of the client -----------------------------------------------------------------------------------------------


def test_a_call_comes_back_and_its_result_goes_on(script):
    server, model = script(["Let me look.", tool_call("weather", city="Paris")], "It is sunny.")
    body = server.chat("How is the weather?", tools=[WEATHER]).json()
    [choice] = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    [call] = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    assert choice["message"]["content"] == "Let me look."
    assert "luup" not in choice["message"]
    messages = [
        {"role": "user", "content": "How is the weather?"},
        choice["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
    ]
    assert message_of(server.chat(messages=messages, tools=[WEATHER]))["content"] == "It is sunny."
    assert [each.role for each in model.requests[1].messages] == ["user", "assistant", "tool"]
    assert model.requests[1].messages[2].content == "sunny"
    assert model.requests[0].tools == ["weather"]


def test_several_calls_in_a_stream(script):
    server, _ = script([tool_call("weather", city="Paris"), tool_call("weather", city="Rome")])
    chunks = server.chunks("How is the weather?", tools=[WEATHER])
    deltas = [data["choices"][0]["delta"] for _, data in chunks[:-1]]
    [calls] = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 1]
    assert [json.loads(call["function"]["arguments"])["city"] for call in calls] == ["Paris", "Rome"]
    assert len({call["id"] for call in calls}) == 2
    assert chunks[-2][1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "weather"}}, "weather"),
    ],
)
def test_the_choice_among_tools(script, choice, sent):
    server, model = script("no" if choice in ("none", "auto") else tool_call("weather", city="Oslo"))
    assert server.chat(tools=[WEATHER], tool_choice=choice).status_code == 200
    found = model.requests[0].body.get("tool_choice", "auto")
    if isinstance(found, dict):
        found = found["function"]["name"]
    assert found == sent or model.requests[0].tool_choice == sent


def allowed(mode, *names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


OTHER = {"type": "function", "function": {"name": "other"}}


def test_some_of_the_tools_are_allowed(script):
    server, model = script(tool_call("weather", city="Oslo"), "no")
    for mode in ("required", "auto"):
        assert server.chat(tools=[OTHER, WEATHER], tool_choice=allowed(mode, "weather")).status_code == 200
        assert list(model.requests[-1].tools) == ["weather"]
    assert [request.tool_choice for request in model.requests] == ["weather", "auto"]  # there is only one to require
    for choice in (allowed("none", "weather"), allowed("auto", "nobody"), {"type": "allowed_tools"}):
        response = server.chat(tools=[OTHER, WEATHER], tool_choice=choice)
        assert response.status_code == 400
        assert response.json()["error"]["param"].startswith("tool_choice.allowed_tools")


def test_a_history_without_a_result_is_refused(script):
    server, model = script("never used")
    call = {"id": "call_7", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    response = server.chat(messages=messages, tools=[WEATHER])
    assert response.status_code == 400
    assert "call_7" in response.json()["error"]["message"]
    assert model.requests == []


# -- typed answers -----------------------------------------------------------------------------------------------------

CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("stream", [False, True])
def test_a_typed_answer(script, stream):
    server, model = script({"name": "Paris"})
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    if stream:
        text = text_of(server.chunks(response_format=wanted))
    else:
        text = message_of(server.chat(response_format=wanted))["content"]
    assert json.loads(text) == {"name": "Paris"}
    assert model.requests[0].output_schema == CITY


def test_a_json_object(script):
    server, model = script({"a": 1})
    assert json.loads(message_of(server.chat(response_format={"type": "json_object"}))["content"]) == {"a": 1}
    assert model.requests[0].output_schema == {"type": "object"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_typed_answer_that_is_cut_off_is_not_an_error(script, stream):
    server, _ = script(Reply('{"name": "Par', finish_reason="length"))
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    if stream:
        chunks = server.chunks(response_format=wanted)
        assert text_of(chunks) == '{"name": "Par'
        assert chunks[-2][1]["choices"][0]["finish_reason"] == "length"
    else:
        body = server.chat(response_format=wanted).json()
        assert body["choices"][0]["message"]["content"] == '{"name": "Par'
        assert body["choices"][0]["finish_reason"] == "length"
        assert body["usage"]["completion_tokens"] > 0


def test_a_wrong_typed_answer_is_asked_for_again(script):
    server, model = script("not JSON", {"name": "Paris"})
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    assert json.loads(message_of(server.chat(response_format=wanted))["content"]) == {"name": "Paris"}
    assert len(model.requests) == 2


def test_a_wrong_typed_answer_in_a_stream_is_an_error(script):
    server, _ = script("not JSON", "never used")
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    chunks = server.chunks(response_format=wanted)
    name, data = chunks[-1]
    assert name == "error"
    assert data["error"]["code"] == "invalid_output"
