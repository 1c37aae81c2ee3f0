"""Agents as models: their tools run on the server, and requests change nothing in them."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from luup_agent import Agent, Tool, UsageLimits
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

from .test_chat import WEATHER


def adder(model, system_prompt="You add.", **options):
    agent = Agent(model, system_prompt, **options)

    @agent.tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    return agent


def test_the_tools_of_an_agent_run_on_the_server(served):
    model = ScriptedModel([["Adding.", tool_call("add", a=2, b=3)], "It is 5."])
    server = served({"adder": adder(model)})
    message = server.chat("2 + 3?", model="adder").json()["choices"][0]["message"]
    assert message["content"] == "It is 5."
    assert "tool_calls" not in message
    assert message["luup"]["tool_calls"] == [
        {"id": "call_0", "name": "add", "arguments": {"a": 2, "b": 3}, "content": "5", "is_error": False}
    ]
    assert [each["role"] for each in message["luup"]["messages"]] == ["assistant", "tool", "assistant"]
    assert [each.role for each in model.requests[0].messages] == ["system", "user"]


def test_the_events_of_an_agent_are_deltas(served):
    server = served({"adder": adder(ScriptedModel([tool_call("add", a=2, b=3), "It is 5."]))})
    deltas = [data["choices"][0]["delta"] for _, data in server.chunks("2 + 3?")[:-1]]
    events = [delta["luup"] for delta in deltas if "luup" in delta]
    assert [event["type"] for event in events] == ["tool_call", "tool_result", "done"]
    assert events[0] == {"type": "tool_call", "id": "call_0", "name": "add", "arguments": {"a": 2, "b": 3}}
    assert events[1] == {"type": "tool_result", "id": "call_0", "name": "add", "content": "5", "is_error": False}
    assert events[2]["messages"][-1] == {"role": "assistant", "content": "It is 5."}
    assert "".join(delta.get("content") or "" for delta in deltas) == "It is 5."


def test_a_conversation_goes_on_with_the_messages_of_the_agent(served):
    model = ScriptedModel([tool_call("add", a=2, b=3), "It is 5.", "You are welcome."])
    server = served({"adder": adder(model)})
    asked = {"role": "user", "content": "2 + 3?"}
    message = server.chat(messages=[asked]).json()["choices"][0]["message"]
    history = [asked, *message["luup"]["messages"], {"role": "user", "content": "Thanks!"}]
    assert server.chat(messages=history).json()["choices"][0]["message"]["content"] == "You are welcome."
    assert [each.role for each in model.requests[2].messages] == [
        "system", "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip


def test_the_agent_keeps_its_own_history(served):
    agent = adder(FunctionModel(lambda request: str(len(request.messages))))
    agent.generate("before")
    history = agent.get_history()
    server = served({"adder": agent})
    assert server.chat("Hi").json()["choices"][0]["message"]["content"] == "2"
    assert agent.get_history() == history


@pytest.mark.parametrize(("own", "roles"), [("Mine.", ["Mine.", "Theirs."]), (None, ["Theirs."])])
def test_the_system_message_of_a_request_follows_the_agents_own(served, own, roles):
    model = FunctionModel(lambda request: "|".join(m.content for m in request.messages if m.role == "system"))
    server = served({"adder": adder(model, own)})
    messages = [{"role": "system", "content": "Theirs."}, {"role": "user", "content": "Hi"}]
    answer = server.chat(messages=messages).json()["choices"][0]["message"]["content"]
    assert answer.split("|") == roles


def test_an_agent_without_a_prompt_keeps_tools_and_settings(served):
    model = ScriptedModel([tool_call("add", a=1, b=1), "2"])
    server = served({"adder": adder(model, None, temperature=0.125)})
    messages = [{"role": "system", "content": "Theirs."}, {"role": "user", "content": "1 + 1?"}]
    assert server.chat(messages=messages).json()["choices"][0]["message"]["content"] == "2"
    assert model.requests[0].body["temperature"] == 0.125


def test_tools_of_the_client_and_of_the_agent(served):
    model = ScriptedModel([tool_call("add", a=1, b=1), tool_call("weather", city="Rome")])
    server = served({"adder": adder(model)})
    [choice] = server.chat(tools=[WEATHER]).json()["choices"]
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["weather"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["luup"]["tool_calls"][0]["content"] == "2"


def test_a_client_can_not_replace_a_tool_of_the_agent(served):
    server = served({"adder": adder(ScriptedModel([]))})
    mine = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    response = server.chat(tools=[mine])
    assert response.status_code == 400
    assert "'add'" in response.json()["error"]["message"]


@pytest.mark.parametrize(("decision", "ran"), [(True, ["x"]), (False, []), ("not today", [])])
def test_a_call_that_needs_an_approval(served, decision, ran):
    deleted = []
    delete = Tool(
        lambda path: deleted.append(path) or "deleted",
        name="delete",
        parameters={"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        requires_approval=True,
    )
    model = ScriptedModel([tool_call("delete", path="x"), "Done."])
    server = served({"cleaner": Agent(model, "You clean.", tools=[delete])})
    asked = {"role": "user", "content": "Delete x."}
    [choice] = server.chat(messages=[asked]).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert deleted == []
    [call] = choice["message"]["tool_calls"]
    history = [asked, *choice["message"]["luup"]["messages"]]
    answer = server.chat(messages=history, approvals={call["id"]: decision}).json()["choices"][0]
    assert answer["message"]["content"] == "Done."
    assert deleted == ran
    if isinstance(decision, str):
        assert "not today" in model.requests[1].messages[-1].content


def test_the_list_of_models_names_agents_and_tools(served):
    server = served({"plain": ScriptedModel([]), "adder": adder(ScriptedModel([]))})
    with server.client() as client:
        listed = client.get("/v1/models").json()
        assert listed["object"] == "list"
        assert [each["id"] for each in listed["data"]] == ["plain", "adder"]
        assert client.get("/v1/models/adder").json()["luup"] == {"kind": "agent", "context_size": 0, "tools": ["add"]}
        missing = client.get("/v1/models/other")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("options", "code", "requests"),
    [({"usage_limits": UsageLimits(turns_limit=2)}, "usage_limit", 2), ({}, "tool_loop", 6)],
)
def test_the_limits_of_an_agent_hold(served, options, code, requests):
    model = ScriptedModel([tool_call("add", a=2, b=3)] * 9)
    response = served({"adder": adder(model, **options)}).chat("2 + 3?")
    assert (response.status_code, response.json()["error"]["code"]) == (500, code)
    assert len(model.requests) == requests


def test_a_prompt_that_is_made_for_each_run_comes_before_that_of_the_request(served):
    model = ScriptedModel(["a", "b"])
    server = served({"adder": adder(model, lambda: "Made.")})
    server.chat("x", model="adder")
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "y"}]
    assert server.chat(messages=asked).json()["choices"][0]["message"]["content"] == "b"
    seen = [[message.content for message in request.messages] for request in model.requests]
    assert seen == [["Made.", "x"], ["Made.\n\nBe brief.", "y"]]


@pytest.mark.parametrize(
    ("asked", "limit", "found"), [(None, None, 7), (9, None, 9), (None, 5, 5), (9, 5, 5), (None, 8, 7)]
)
def test_an_agent_has_a_length_of_its_own(served, asked, limit, found):
    lengths = []

    def answer(request):
        lengths.append(request.body["max_tokens"])
        return "ok"

    server = served({"a": Agent(FunctionModel(answer), max_tokens=7)}, max_tokens=limit)
    assert server.chat(max_tokens=asked).status_code == 200
    assert lengths == [found]
