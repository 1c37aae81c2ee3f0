"""Agents on models with prepared answers (a script, a function, a scripted server), and the requests that they send."""

import asyncio
import json
import re
from typing import List

import pytest
from pydantic import BaseModel, field_validator
from support.http_server import delta, events, head, hello, replying, sending, status
from typing_extensions import Literal

from luup_agent import (
    Agent,
    ApprovalRequiredError,
    BusyError,
    InvalidOutputError,
    MaxTurnsError,
    Model,
    ModelRetry,
    ToolRetryError,
)
from luup_agent.testing import Reply, ScriptedModel, tool_call


class Movie(BaseModel):
    title: str
    year: int


def test_text(api, script):
    agent = script.agent("Hello there!", system_prompt="You are terse.")
    response = api.response(agent, "Hi")
    assert response.text == response.output == "Hello there!"
    assert response.finish_reason == "stop"
    assert (response.usage.completion_tokens, response.usage.turns) == (2, 1)
    assert response.usage.prompt_tokens == 4
    assert 0 < response.timings.time_to_first_token <= response.timings.total_seconds
    assert agent.get_history() == [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello there!"},
    ]


def test_pieces(api, script):
    text = "Grüße und ein 🦊\n  auf Zeilen"
    assert "".join(api.pieces(script.agent(text), "Hi")) == text


def test_reasoning(api, script):
    agent = script.agent(Reply("Four.", reasoning="Two and two."), "And?")
    events = api.events(agent, "2 + 2?")
    assert "".join(event.text for event in events if event.type == "reasoning") == "Two and two."
    assert events[-1].response.reasoning == "Two and two."
    assert events[-1].response.text == "Four."
    assert api.text(agent, "And then?") == "And?"


def test_an_answer_that_is_cut_off(api, script):
    assert api.response(script.agent(Reply("and so", finish_reason="length")), "Hi").finish_reason == "length"


def test_tools_are_called_side_by_side(api, script):
    seen = []
    calls = [tool_call("add", a=5, b=3), tool_call("add", a=1, b=1), tool_call("name", {})]
    agent = script.agent(["Wait. ", *calls], "8 and 2.")

    @agent.tool
    def add(a: int, b: int) -> int:
        seen.append((a, b))
        return a + b

    @agent.tool
    async def name() -> str:
        return "Ada"

    response = api.response(agent, "What?")
    assert response.text == "8 and 2."
    assert sorted(seen) == [(1, 1), (5, 3)]
    assert [call.result.content for call in response.tool_calls] == ["8", "2", "Ada"]
    assert len({call.id for call in response.tool_calls}) == 3
    roles = [message.role for message in agent.messages]
    assert roles == ["user", "assistant", "tool", "tool", "tool", "assistant"]
    assert response.usage.turns == 2


def test_wrong_arguments_are_told_to_the_model(api, script):
    agent = script.agent(
        tool_call("add", a="five"),
        tool_call("sub", a=1),
        tool_call("add", '{"a": '),
        tool_call("add", a=1.0, b=2),
        "3.",
    )

    @agent.tool
    def add(a: int, b: int) -> int:
        return a + b

    response = api.response(agent, "What?")
    assert response.text == "3."
    told = [message.content for message in response.messages if message.role == "tool"]
    assert re.search("Error.*", told[0])
    assert 'there is no tool "sub"' in told[1]
    assert told[2] == "3"


def test_a_tool_may_ask_for_a_better_call(api, script):
    agent = script.agent(tool_call("pick", n=1), tool_call("pick", n=2), retries=1)

    @agent.tool
    def pick(n: int) -> str:
        raise ModelRetry("not that one")

    with pytest.raises(ToolRetryError):
        api.text(agent, "Pick.")
    assert agent.get_history() == []


def test_calls_that_never_end(api, script):
    agent = script.agent(*[tool_call("again", {})] * 3, max_turns=3)
    agent.add_tool(lambda_tool())
    with pytest.raises(MaxTurnsError):
        api.text(agent, "Go.")
    assert agent.get_history() == []


def lambda_tool():
    def again() -> str:
        """Goes on."""
        return "again"

    return again


def test_an_approval_that_comes_later(api, script):
    agent = script.agent(tool_call("delete", path="x"), "Done.")

    @agent.tool(requires_approval=True)
    def delete(path: str) -> str:
        return f"{path} is gone"

    with pytest.raises(ApprovalRequiredError):
        api.text(agent, "Delete x.")
    response = api.resume(agent, {agent.pending[0].id: True})
    assert response.text == "Done."
    assert response.tool_calls[0].result.content == "x is gone"


def test_a_typed_result(api, script):
    agent = script.agent({"title": "Alien", "year": 1979}, Movie(title="Heat", year=1995), [1, 2], "b")
    assert api.text(agent, "A film.", output_type=Movie) == Movie(title="Alien", year=1979)
    assert api.response(agent, "A film.", output_type=Movie).output == Movie(title="Heat", year=1995)
    assert api.text(agent, "Numbers.", output_type=List[int]) == [1, 2]


def test_a_typed_result_grows(api, script):
    agent = script.agent('{"title": "Alien", "year": 1979}')
    events = api.events(agent, "A film.", output_type=Movie)
    partial = [event.output for event in events if event.type == "partial"]
    assert partial[-1] == Movie(title="Alien", year=1979)
    assert events[-1].response.confidence == {}  # not known of a remote model


def test_a_wrong_result_is_asked_for_again(api, script):
    agent = script.agent(
        "Alien, of 1979", '{"title": "Alien"}', '```json\n{"title": "Alien", "year": 1979}\n```', retries=2
    )
    assert api.text(agent, "A film.", output_type=Movie) == Movie(title="Alien", year=1979)
    assert [message.role for message in agent.messages] == ["user", "assistant"]


def test_a_result_that_stays_wrong(api, script):
    agent = script.agent("a", "b")
    with pytest.raises(InvalidOutputError, match="after 1 retries"):
        api.text(agent, "A film.", output_type=Movie)
    assert agent.get_history() == []


def test_a_validator_may_object(api, script):
    class Even(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def check(cls, value):
            if value % 2:
                raise ValueError("must be even")
            return value

    assert api.text(script.agent({"n": 1}, {"n": 2}), "A number.", output_type=Even).n == 2


def test_a_cut_off_result_is_none(api, script):
    with pytest.raises(InvalidOutputError, match="cut off") as caught:
        api.text(script.agent(Reply('{"title": "Al', finish_reason="length")), "A film.", output_type=Movie)
    assert caught.value.finish_reason == "length"
    with pytest.raises(InvalidOutputError) as caught:
        api.text(script.agent("No film."), "A film.", output_type=Movie, retries=0)
    assert caught.value.finish_reason == "stop"


def test_tools_and_a_typed_result(api, script):
    agent = script.agent(tool_call("year", title="Alien"), {"title": "Alien", "year": 1979})

    @agent.tool
    def year(title: str) -> int:
        return 1979

    assert api.text(agent, "A film.", output_type=Movie) == Movie(title="Alien", year=1979)


def test_a_busy_agent_says_so(api, script):
    agent = script.agent(Reply("slow", delay=0.5), "Hello!")
    stream = agent.generate_stream("Hi")
    with pytest.raises(BusyError):
        api.text(agent, "Hi")
    assert "".join(stream) == "slow"
    assert api.text(agent, "Hi") == "Hello!"


def test_a_conversation_goes_on_with_another_model(api, script):
    first = script.agent("My name is Ada.", system_prompt="Be brief.")
    api.text(first, "Who are you?")
    second = Agent(script.model("Ada."), "Be brief.")
    second.set_history(first.get_history())
    assert api.text(second, "Once more?") == "Ada."
    assert len(second.messages) == 5


def test_save_load_and_fork(api, script, tmp_path):
    agent = script.agent("one", "two", "three", system_prompt="Count.")
    assert api.text(agent, "1") == "one"
    fork = agent.fork()
    assert api.text(fork, "2") == "two"
    agent.save(tmp_path / "agent")
    loaded = Agent.load(tmp_path / "agent", agent.model)
    assert loaded.get_history() == agent.get_history()
    assert api.text(loaded, "3") == "three"


def test_many_at_once(script):
    """64 asynchronous agents, none of which waits for another."""
    model = script.model(*[Reply("ok", delay=0.3)] * 64)

    async def main():
        agents = [Agent(model) for _ in range(64)]
        return await asyncio.wait_for(asyncio.gather(*(agent.generate_async("Hi") for agent in agents)), 15)

    assert asyncio.run(main()) == ["ok"] * 64


# ---------------------------------------------------------------------------------------------------------------------
# Requests
# ---------------------------------------------------------------------------------------------------------------------


def test_a_request_has_what_was_asked_for():
    model = ScriptedModel(["a", tool_call("add", a=1, b=2), "c"])
    agent = Agent(model, "Be brief.", temperature=0.25, top_p=0.5, max_tokens=None, seed=7, stop=["x"], top_k=5)
    agent.generate("Hi")
    body = model.requests[0].body
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert (body["temperature"], body["top_p"], body["seed"], body["stop"], body["top_k"]) == (0.25, 0.5, 7, ["x"], 5)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert not {"max_tokens", "tools", "response_format", "min_p", "repeat_penalty"} & set(body)

    @agent.tool
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    agent.add_tool(lambda_tool())
    agent.generate("Hi", tool_choice="add", parallel_tool_calls=False)
    body = model.requests[1].body
    assert body["tools"][0]["function"]["description"] == "Adds."
    assert [tool["function"]["name"] for tool in body["tools"]] == ["add"]
    assert (body["tool_choice"], model.requests[1].tool_choice) == ("required", "add")
    assert body["parallel_tool_calls"] is False
    later = model.requests[2]
    assert (later.tool_choice, later.tools) == ("auto", ["add", "again"])  # the call was made: the model is free now
    assert [message.role for message in later.messages][-3:] == ["user", "assistant", "tool"]


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {}),
        ({"reasoning": None, "template_options": None}, {}),
        ({"reasoning": "low"}, {"reasoning_effort": "low"}),
        ({"reasoning": True}, {"chat_template_kwargs": {"enable_thinking": True}}),
        ({"reasoning": False}, {"chat_template_kwargs": {"enable_thinking": False}}),
        (
            {"reasoning": 700},
            {"chat_template_kwargs": {"enable_thinking": True}, "thinking_budget_tokens": 700},
        ),
        (
            {"reasoning": "high", "template_options": {"documents": [{"title": "é\n"}], "n": 1.5, "x": None}},
            {
                "reasoning_effort": "high",
                "chat_template_kwargs": {"documents": [{"title": "é\n"}], "n": 1.5, "x": None},
            },
        ),
        (
            {"reasoning": True, "template_options": {"enable_thinking": False}},
            {"chat_template_kwargs": {"enable_thinking": False}},
        ),
    ],
)
def test_a_request_says_how_much_to_think_only_if_asked(options, fields):
    model = ScriptedModel(["a", "b"])
    Agent(model, **options).generate("Hi")
    Agent(model).generate("Hi", **options)
    for request in model.requests:
        names = ("reasoning_effort", "chat_template_kwargs", "thinking_budget_tokens")
        assert {name: request.body[name] for name in names if name in request.body} == fields


def test_a_typed_request_has_the_schema():
    class Strict(BaseModel, extra="forbid"):
        kind: Literal["a", "b"]

    model = ScriptedModel([{"kind": "a"}, {"title": "x", "year": 1}])
    Agent(model).generate("Which?", output_type=Strict)
    Agent(model).generate("Which?", output_type=Movie)
    wanted = [request.body["response_format"]["json_schema"] for request in model.requests]
    assert wanted[0]["strict"] is True
    assert "strict" not in wanted[1]  # it allows other properties
    assert set(wanted[1]["schema"]["properties"]) == {"title", "year"}


def test_extra_body_is_merged(serve):
    server = serve(*replying("a"))
    extra = {"max_tokens": None, "max_completion_tokens": 9, "options": {"x": 1}}
    Agent(Model.from_remote(server.url, "gpt", extra_body=extra)).generate("Hi")
    body = server.requests[0].json
    assert "max_tokens" not in body
    assert (body["max_completion_tokens"], body["options"], body["model"]) == (9, {"x": 1}, "gpt")


def test_a_server_without_response_format_is_asked_without_it(api, remote):
    refusal = status("400 Bad", b'{"error": {"message": "response_format is not supported"}}')
    agent, server = remote(refusal, hello('{"title": "Alien", "year": 1979}'))
    for _ in range(2):
        assert api.text(agent, "A film.", output_type=Movie).year == 1979
    assert ["response_format" in request.json for request in server.requests] == [True, False, False]
    assert api.response(agent, "A film.", output_type=Movie).usage.turns == 1


def test_a_server_that_does_not_stream_is_understood(api, remote):
    message = {"content": "Hello!", "tool_calls": None}
    whole = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    agent, _ = remote(sending(head(content_type="application/json"), json.dumps(whole).encode()))
    response = api.response(agent, "Hi")
    assert (response.text, response.usage.prompt_tokens) == ("Hello!", 3)


def test_calls_without_an_index_are_told_apart(api, remote):
    def call(name, arguments, **fields):
        return delta(tool_calls=[{"function": {"name": name, "arguments": arguments}, **fields}])

    agent, _ = remote(
        events(
            call("add", '{"a": 1, ', id="x"), call("", '"b": 2}'), call("add", {"a": 3, "b": 4}, id="y"), delta("stop")
        ),
        hello(),
    )

    @agent.tool
    def add(a: int, b: int) -> int:
        return a + b

    assert [call.result.content for call in api.response(agent, "Hi").tool_calls] == ["3", "7"]


# ---------------------------------------------------------------------------------------------------------------------
# One model for another
# ---------------------------------------------------------------------------------------------------------------------


def test_the_next_model_takes_over_before_any_output(api, script, caplog):
    broken = script.model(Reply(finish_reason="content_filter"))
    model = Model.fallback(broken, script.model("second", "third"))
    agent = Agent(model)
    response = api.response(agent, "Hi")
    assert (response.text, response.usage.turns) == ("second", 1)
    assert model.get_info().backend == "fallback"
    assert len(agent.messages) == 2
    assert "the next one answers" in caplog.text


def test_no_model_takes_over_after_output(api, script):
    model = Model.fallback(script.model(Reply("half", finish_reason="error")), script.model("second"))
    with pytest.raises(Exception, match="error") as caught:
        api.text(Agent(model), "Hi")
    assert caught.value.partial_text == "half"


def test_a_model_takes_over_in_the_middle_of_a_run(api, script):
    called = []
    first = script.model(tool_call("ring", {}), Reply(finish_reason="error"))
    agent = Agent(Model.fallback(first, script.model("Done.")))

    @agent.tool
    def ring() -> str:
        called.append(1)
        return "rung"

    response = api.response(agent, "Ring.")
    assert (response.text, called, response.usage.turns) == ("Done.", [1], 2)


def test_what_all_models_of_a_fallback_say_last_is_the_error(api, script):
    models = [script.model(Reply(finish_reason=reason)) for reason in ("error", "content_filter")]
    with pytest.raises(Exception, match="content filter"):
        api.text(Agent(Model.fallback(*models)), "Hi")
