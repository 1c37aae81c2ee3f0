"""A server's requests for a text, answered by the model of the agent that called its tool, or by one of your choice."""

import asyncio
import json

import pytest
from support.mcp_clients import LEGACY, SERVER, call, until

pytest.importorskip("mcp")

from typing import Annotated

from mcp.server.mcpserver import MCPServer, Resolve, Sample
from mcp.types import ImageContent, SamplingMessage, TextContent

from luup_agent import MCP, Agent, InvalidParamError, UsageLimitError, UsageLimits
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

pytestmark = pytest.mark.processes


def said(text, role="user"):
    return SamplingMessage(role=role, content=TextContent(text=text))


def server_of(**asked):
    """Return a server whose tool `ask` asks for the texts that the arguments name, in turn."""
    server = MCPServer("asking")

    async def question(which: str) -> Sample:
        return asked[which]

    @server.tool()
    async def ask(which: str, text: Annotated[object, Resolve(question)]) -> str:
        """Asks for a text."""
        return f"{text.content.text} ({text.stop_reason})"

    return server


def asking(*names):
    return [tool_call("ask", which=name) for name in names]


def results(response):
    return [each.result.content for each in response.tool_calls]


@pytest.mark.parametrize("place", ["process", "object"])
def test_the_model_of_the_agent_writes(api, place):
    server = SERVER if place == "process" else server_of(rain=Sample([said("Write about rain.")], max_tokens=20))
    name, arguments = ("write", {"topic": "rain"}) if place == "process" else ("ask", {"which": "rain"})
    model = ScriptedModel([tool_call(name, **arguments), "A poem.", "Done."])
    with MCP(server, sampling="model") as mcp:
        response = api.response(Agent(model, "You are a lead.", toolsets=[mcp]), "Get me a poem.")
    assert "A poem." in results(response)[0]
    asked = model.requests[1]
    assert [(message.role, message.content) for message in asked.messages] == [("user", "Write about rain.")]
    assert asked.tools == []
    assert asked.body["max_tokens"] == 20
    assert response.usage.turns == 3  # with that of the text
    assert response.output == "Done."


def test_the_settings_of_the_request(api):
    sample = Sample(
        [said("Hi."), said("Yes?", "assistant"), said("Write.")],
        max_tokens=7,
        system_prompt="You are a poet.",
        temperature=0.25,
        stop_sequences=["\n"],
    )
    model = ScriptedModel([Reply("Cut", finish_reason="length")])
    lead = Agent(ScriptedModel([*asking("poem"), "Done."]))
    with MCP(server_of(poem=sample), sampling=model) as mcp:
        response = api.response(lead, "Go.", toolsets=[mcp])
    assert results(response) == ["Cut (maxTokens)"]
    body = model.requests[0].body
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][0]["content"] == "You are a poet."
    assert (body["max_tokens"], body["temperature"], body["stop"]) == (7, 0.25, ["\n"])


def test_an_agent_that_shares_the_server_uses_its_own_model(api):
    with MCP(server_of(a=Sample([said("Write.")], max_tokens=9)), sampling="model") as mcp:
        agents = [Agent(ScriptedModel([*asking("a"), text, "Done."]), toolsets=[mcp]) for text in ("one", "two")]
        assert [results(api.response(agent, "Go.")) for agent in agents] == [["one (endTurn)"], ["two (endTurn)"]]

        async def both():
            return await asyncio.gather(*(agent.run_async("Go.") for agent in again))

        again = [Agent(ScriptedModel([*asking("a"), text, "Done."]), toolsets=[mcp]) for text in ("one", "two")]
        assert [results(each) for each in asyncio.run(both())] == [["one (endTurn)"], ["two (endTurn)"]]


def test_an_older_server_asks_too(api):
    agent = Agent(ScriptedModel([tool_call("first"), "A poem.", "Done."]))
    with MCP([*LEGACY, "asking"], sampling="model") as mcp:
        for _ in range(2):  # the second run finds the session open
            response = api.response(agent.fork(), "Go.", toolsets=[mcp])
            _, wrote = json.loads(results(response)[0])
            assert wrote["content"]["text"] == "A poem."
            assert response.usage.turns == 3
            agent = Agent(ScriptedModel([tool_call("first"), "A poem.", "Done."]))


def test_the_limits_of_the_run_hold(api):
    sample = Sample([said("Write.")], max_tokens=99)
    script = ScriptedModel([*asking("a"), "one two three four five six seven eight nine", "Done."])
    with MCP(server_of(a=sample), sampling="model") as mcp:
        with pytest.raises(UsageLimitError) as caught:
            api.response(Agent(script, toolsets=[mcp]), "Go.", usage_limits=UsageLimits(output_tokens_limit=5))
        assert "UsageLimitError" in caught.value.tool_calls[0].result.content
        assert caught.value.used == 5
    with MCP([*LEGACY, "asking"], sampling="model") as mcp:
        script = ScriptedModel([tool_call("first"), "one two three four five six", "Done."])
        with pytest.raises(UsageLimitError) as caught:
            api.response(Agent(script, toolsets=[mcp]), "Go.", usage_limits=UsageLimits(output_tokens_limit=4))
        assert "UsageLimitError" in caught.value.tool_calls[0].result.content
        free = ScriptedModel([tool_call("first"), "one two three four five six", "Done."])
        assert "one two" in results(api.response(Agent(free, toolsets=[mcp]), "Go."))[0]  # they were that run's


def test_requests_that_are_refused(api):
    image = SamplingMessage(role="user", content=ImageContent(data="aGk=", mime_type="image/png"))
    server = server_of(
        image=Sample([image], max_tokens=9),
        last=Sample([said("Hi.", "assistant")], max_tokens=9),
        hot=Sample([said("Hi.")], max_tokens=9, temperature=1000.0),
    )
    script = ScriptedModel([*asking("image", "last", "hot"), "Done."])
    with MCP(server, sampling="model") as mcp:
        found = results(api.response(Agent(script, toolsets=[mcp]), "Go."))
    assert "The client's model reads texts only" in found[0]
    assert "must end with a message of the user" in found[1]
    assert "The client's model failed: InvalidParamError" in found[2]
    assert len(script.requests) == 4


def test_without_the_argument_requests_are_refused(api):
    script = ScriptedModel([*asking("a"), "Done."])
    with MCP(server_of(a=Sample([said("Hi.")], max_tokens=9))) as mcp:
        response = api.response(Agent(script, toolsets=[mcp]), "Go.")
    assert response.tool_calls[0].result.is_error
    assert len(script.requests) == 2


def test_a_call_asks_for_so_many_texts_and_no_more(api):
    model = FunctionModel(lambda request: "text")
    lead = Agent(ScriptedModel([tool_call("first"), "Done."]))
    with MCP([*LEGACY, "greedy"], sampling=model) as mcp:
        answers = json.loads(results(api.response(lead, "Go.", toolsets=[mcp]))[0])
    assert [isinstance(each, dict) for each in answers] == [True] * 10 + [False] * 2
    assert answers[-1] == "A call may ask for 10 texts"


def test_a_text_that_leads_to_another_request_is_refused(api):
    """A model whose function asks an agent with the same server could go on for ever."""
    sample = Sample([said("Write.")], max_tokens=9)
    inner = []

    async def answer(request):
        agent = Agent(ScriptedModel([*asking("a"), "Done."]), toolsets=[mcp])
        inner.append(results(await agent.run_async("Go.")))
        return "outer"

    with MCP(server_of(a=sample), sampling=FunctionModel(answer)) as mcp:
        response = api.response(Agent(ScriptedModel([*asking("a"), "Done."]), toolsets=[mcp]), "Go.")
    assert results(response) == ["outer (endTurn)"]
    assert "The request came while another one was being answered" in inner[0][0]


@pytest.mark.parametrize("kind", ["new", "old"])
def test_the_end_of_a_call_is_the_end_of_its_text(api, kind):
    ended = []

    async def slow(request):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    server = server_of(a=Sample([said("Hi.")], max_tokens=9)) if kind == "new" else [*LEGACY, "asking"]
    lead = Agent(ScriptedModel([*(asking("a") if kind == "new" else [tool_call("first")]), "Done."]))
    with MCP(server, sampling=FunctionModel(slow), timeout=2) as mcp:
        response = api.response(lead, "Go.", toolsets=[mcp])
        until(lambda: ended)
    assert response.tool_calls[0].result.is_error
    assert ended == ["cancelled"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"sampling": "agent"}, "sampling must be 'model', a Model or None, not 'agent'"),
        ({"sampling": print}, "not builtin_function_or_method; a function is for on_sampling"),
        ({"sampling": "model", "on_sampling": print}, "sampling and on_sampling both answer"),
    ],
)
def test_wrong_arguments(options, problem):
    with pytest.raises(InvalidParamError, match=problem):
        MCP(SERVER, **options)


def test_the_real_model_writes(api, model):
    with MCP(SERVER, sampling=model) as mcp:
        result = call(api, mcp, "write", topic="rain")
    assert result.content.startswith("It wrote: ")
    assert len(result.content) > len("It wrote: ")
