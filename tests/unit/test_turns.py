"""The turns of a run: of a response, of an error, and with every kind of model that answers with a script."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.http_server import Server, replying
from support.scripted import Scripted

from luup_agent import Agent, ClosedError, HTTPError, InvalidOutputError, MaxTurnsError, Model, Prompt
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

KEY = "sk-0123456789abcdef"


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@pytest.fixture(params=["scripted", "function", "server"])
def scripted(request):
    made = Scripted(request.param)
    yield made
    made.close()


def test_the_turns_of_a_response(scripted):
    replies = [tool_call("add", a=5, b=3), Reply("Eight.", reasoning="Simple.", prompt_tokens=7, completion_tokens=2)]
    response = scripted.agent(*replies, tools=[add]).run("5 + 3?")
    first, second = response.turns
    assert (first.finish_reason, second.finish_reason) == ("tool_calls", "stop")
    assert first.calls == response.tool_calls
    assert first.calls[0].result.content == "8"
    assert (second.raw, second.text, second.reasoning) == ("Eight.", "Eight.", "Simple.")
    assert (second.usage.prompt_tokens, second.usage.completion_tokens, second.usage.turns) == (7, 2, 1)
    assert first.usage + second.usage == response.usage
    assert (first.kind, first.problem, first.error, first.prompt) == ("answer", None, None, None)
    assert pickle.loads(pickle.dumps(response)).turns == response.turns
    assert "turns" not in response.model_dump()


def test_the_prompt_is_the_body_that_is_sent():
    bodies = []

    def answer(request):
        bodies.append(request.body)
        return "Hello"

    agent = Agent(FunctionModel(answer), "Be kind.", tools=[add], temperature=0, seed=7)
    agent.add_message("user", "I am Ada.")
    agent.add_message("assistant", "Hello Ada.")
    shown = agent.prompt("Hi", tool_choice="none")
    assert bodies == []
    (turn,) = agent.run("Hi", tool_choice="none", record_prompts=True).turns
    assert shown.body == turn.prompt.body == bodies[0]
    assert (shown.tokens, len(shown), bool(shown)) == ([], 0, True)


@pytest.mark.parametrize("options", [{}, {"tool_choice": "add"}, {"output_type": int}, {"reasoning": "high"}])
def test_the_prompt_of_a_server(options):
    server = Server(*replying(tool_call("add", a=1, b=2) if "tool_choice" in options else "3", "3"))
    remote = Model.from_remote(server.url, "qwen3", api_key=KEY, headers={"X-Team": "blue-team"}, max_retries=0)
    agent = Agent(remote, tools=[add])
    shown = agent.prompt("1 + 2?", **options)
    assert server.requests == []
    agent.run("1 + 2?", **options)
    server.close()
    assert shown.body == server.requests[0].json


def test_secrets_are_hidden():
    server = Server(*replying("Hello"))
    remote = Model.from_remote(server.url, "qwen3", api_key=KEY, extra_body={"metadata": {"key": KEY}})
    agent = Agent(remote)
    assert KEY not in agent.prompt("Hi").text
    assert agent.prompt("Hi").body["metadata"] == {"key": "***"}
    (turn,) = agent.run("Hi", record_prompts=True).turns
    server.close()
    assert KEY not in repr(turn)
    assert server.requests[0].json["metadata"] == {"key": KEY}


def test_an_error_has_the_turns_of_its_run():
    def boom(a: int) -> int:
        """Fails."""
        raise KeyError("gone")

    agent = Agent(ScriptedModel([tool_call("boom", a=1)] * 3), tools=[boom], max_turns=2)
    with pytest.raises(MaxTurnsError) as caught:
        agent.run("Go.")
    assert [turn.calls for turn in caught.value.turns] == [[call] for call in caught.value.tool_calls]


def test_a_rejected_answer_is_a_turn():
    agent = Agent(ScriptedModel(["no number", "12"]))
    response = agent.run("How many?", output_type=int)
    first, second = response.turns
    assert (first.raw, second.raw, response.output) == ("no number", "12", 12)
    assert first.problem
    assert second.problem is None
    with pytest.raises(InvalidOutputError) as caught:
        Agent(ScriptedModel(["a", "b"])).run("How many?", output_type=int)
    assert [bool(turn.problem) for turn in caught.value.turns] == [True, True]


def test_a_request_that_failed_is_a_turn():
    def answer(request):
        raise ConnectionError("no network")

    with pytest.raises(ConnectionError) as caught:
        Agent(FunctionModel(answer)).run("Hi")
    (turn,) = caught.value.turns
    assert (turn.error, turn.finish_reason) == ("no network", None)


def test_an_answer_that_broke_off_is_a_turn():
    def answer(request):
        yield "Hello "
        raise ConnectionError("cut off")

    with pytest.raises(ConnectionError) as caught:
        Agent(FunctionModel(answer)).run("Hi")
    (turn,) = caught.value.turns
    assert (turn.text, turn.error, turn.finish_reason) == ("Hello ", "cut off", None)


def test_the_model_that_failed_over_is_a_turn():
    def broken(request):
        raise HTTPError("the server is busy")

    fallback = Model.fallback(FunctionModel(broken), ScriptedModel(["Hello"]))
    response = Agent(fallback).run("Hi")
    assert [(turn.model, bool(turn.error), turn.text) for turn in response.turns] == [
        ("FunctionModel(broken)", True, ""),
        ("ScriptedModel", False, "Hello"),
    ]


def test_a_prompt_is_a_value():
    assert Prompt(text="a", tokens=[1]) == Prompt(text="a", tokens=[1])
    assert Prompt(text="a", tokens=[1]).body is None


def test_a_call_that_had_to_be_asked_for_twice():
    replies = iter(["I would rather not.", '{"a": 1, "b": 2}', "Three."])
    response = Agent(FunctionModel(lambda request: next(replies)), tools=[add]).run("1 + 2?", tool_choice="add")
    first, second, third = response.turns
    assert "a call is required" in first.problem
    assert (second.problem, second.finish_reason, third.text) == (None, "tool_calls", "Three.")
    assert second.calls == response.tool_calls
    assert response.usage.turns == 2


def test_a_request_that_the_server_refused_in_this_form():
    def refuse(connection, request):
        body = b'{"error": {"message": "response_format is not supported"}}'
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    server = Server(refuse, *replying("7"))
    response = Agent(Model.from_remote(server.url, "qwen3")).run("How many?", output_type=int, record_prompts=True)
    server.close()
    first, second = response.turns
    assert "response_format is not supported" in first.error
    assert ("response_format" in first.prompt.body, "response_format" in second.prompt.body) == (True, False)
    assert (second.error, response.output) == (None, 7)


def test_a_fallback_shows_the_prompt_of_the_model_that_would_answer():
    closed, open_ = ScriptedModel(["a"]), FunctionModel(lambda request: "b")
    fallback = Agent(Model.fallback(closed, open_))
    assert fallback.prompt("Hi").body["model"] == "ScriptedModel"
    closed.close()
    assert fallback.prompt("Hi").body["model"].startswith("FunctionModel")
    shown = fallback.prompt("Hi")
    assert fallback.run("Hi", record_prompts=True).turns[-1].prompt == shown


def test_prompts_from_many_threads_while_runs_go_on():
    agent = Agent(FunctionModel(lambda request: "Hello"), enable_history=False, tools=[add])
    wanted = agent.prompt("Hi")
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(agent.run, "Hi", record_prompts=True) for _ in range(40)]
        shown = [pool.submit(agent.prompt, "Hi") for _ in range(40)]
    assert all(prompt.result() == wanted for prompt in shown)
    assert all(run.result().turns[0].prompt == wanted for run in runs)


def test_a_closed_agent_shows_nothing():
    agent = Agent(ScriptedModel(["a"]))
    agent.close()
    with pytest.raises(ClosedError):
        agent.prompt("Hi")


async def test_the_prompt_under_asyncio():
    async def about(ctx):
        return f"You talk to {ctx.deps}."

    async def choose(ctx):
        return [add]

    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    model = ScriptedModel([])
    agent = Agent(model, about, toolsets=[choose], deps="Ada")
    shown = await agent.prompt_async("Hi", temperature=0.5)
    assert [message["content"] for message in shown.body["messages"]] == ["You talk to Ada.", "Hi"]
    assert [tool["function"]["name"] for tool in shown.body["tools"]] == ["add"]
    assert shown.body["temperature"] == 0.5
    assert model.requests == []
    assert agent.messages[1:] == []
    plain = Agent(model, "Be brief.")
    assert await plain.prompt_async("Hi") == plain.prompt("Hi")
    with pytest.raises(TypeError, match=r"prompt_async\(\) got an unexpected keyword argument 'temprature'"):
        await agent.prompt_async("Hi", temprature=0)
