"""MCP servers: resources, prompts, requests of servers, and a server's end."""

import asyncio
import gc

import pytest
from support.mcp_clients import (
    LEGACY,
    SERVER,
    call,
    call_sync,
    local_server,
    runs,
    until,
)

pytest.importorskip("mcp")

from luup_agent import (
    MCP,
    Agent,
    ToolResult,
    ToolsetError,
)
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

pytestmark = pytest.mark.processes


# ---------------------------------------------------------------------------------------------------------------------
# Resources, prompts, questions
# ---------------------------------------------------------------------------------------------------------------------


def test_resources_and_prompts(demo):
    assert [resource.uri for resource in demo.list_resources()] == ["readme://it"]
    assert [template.uri_template for template in demo.list_resource_templates()] == ["note://{number}"]
    assert demo.read_resource("note://7")[0].text == "The note 7"
    assert [prompt.name for prompt in demo.list_prompts()] == ["review"]
    prompt = demo.get_prompt("review", {"file": "setup.py"})
    assert prompt.messages[0].content.text == "Please review setup.py."


async def test_resources_and_prompts_async(demo):
    assert [resource.uri for resource in await demo.list_resources_async()] == ["readme://it"]
    assert len(await demo.list_resource_templates_async()) == 1
    assert (await demo.read_resource_async("readme://it"))[0].text == "Read me."
    assert len(await demo.list_prompts_async()) == 1
    assert (await demo.get_prompt_async("review", {"file": "x"})).messages[0].role == "user"


def test_resources_and_prompts_that_there_are_not(demo):
    with pytest.raises(ToolsetError, match="the MCP server demo refused the resource none://it: .*"):
        demo.read_resource("none://it")
    with pytest.raises(ToolsetError, match="the MCP server demo refused the prompt none: .*"):
        demo.get_prompt("none")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"number": 4}, "4 guests in Oslo"),
        (False, "declined|decline"),
        (None, "cancel"),
        ("four", "InvalidParamError"),
        (ValueError("no"), "ValueError"),
    ],
)
@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_questions_to_the_user(api, demo, answer, text, kind):
    asked = []

    def ask(params):
        asked.append(params.message)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_later(params):
        await asyncio.sleep(0)
        return ask(params)

    with MCP(local_server(), on_elicitation=ask if kind == "function" else ask_later) as mcp:
        result = call(api, mcp, "book", city="Oslo")
    assert asked == ["How many guests come to Oslo?"]
    import re

    assert re.search(text, result.content), result.content


def test_a_model_writes_for_a_server(api):
    writer = Agent(FunctionModel(lambda request: f"A poem. ({request.prompt})"))
    seen = []

    def sample(params):
        seen.append(params.max_tokens)
        return writer.fork().generate(params.messages[0].content.text, max_tokens=params.max_tokens)

    with MCP(SERVER, on_sampling=sample) as mcp:
        assert call(api, mcp, "write", topic="rain").content == "It wrote: A poem. (Write about rain.)"
    assert seen == [20]


def test_questions_of_a_server_of_an_older_protocol(api):
    import json

    seen = []
    with MCP([*LEGACY, "asking"], on_elicitation=lambda p: {"number": 4}, on_sampling=lambda p: "A poem.") as mcp:
        said, wrote = json.loads(call(api, mcp, "first").content)
        assert (said["action"], said["content"]) == ("accept", {"number": 4})
        assert (wrote["role"], wrote["content"]["text"]) == ("assistant", "A poem.")
    with MCP([*LEGACY, "asking"], on_sampling=seen.append) as mcp:  # returns None
        assert json.loads(call(api, mcp, "first").content) == [
            "Elicitation not supported",
            "The user refused the request",
        ]
        assert seen[0].max_tokens == 9


@pytest.mark.parametrize("name", ["book", "write"])
def test_requests_without_a_callback_are_refused(api, demo, name):
    result = call(api, demo, name, **({"city": "Oslo"} if name == "book" else {"topic": "rain"}))
    assert result.is_error


def test_a_synchronous_call_in_the_loop_of_the_sessions_is_refused(api):
    from luup_agent import UnsupportedError

    errors = []

    async def sample(params):
        try:
            mcp.list_resources()
        except UnsupportedError as error:
            errors.append(str(error))
        return str(len(await mcp.list_resources_async()))

    with MCP(local_server(), on_sampling=sample) as mcp:
        assert call(api, mcp, "write", topic="rain").content == "It wrote: 1"
    assert "await the method that ends in _async" in errors[0]


# ---------------------------------------------------------------------------------------------------------------------
# The end of servers
# ---------------------------------------------------------------------------------------------------------------------


def test_close_ends_the_process_and_the_next_use_starts_it(api):
    mcp = MCP(SERVER)
    first = int(call(api, mcp, "process").content)
    assert runs(first)
    mcp.close()
    assert not runs(first)
    mcp.close()
    with mcp:
        second = int(call(api, mcp, "process").content)
    assert second != first
    assert not runs(second)


async def test_an_asynchronous_block_ends_the_process():
    pids = []

    async def use():
        async with MCP(SERVER) as mcp:
            agent = Agent(ScriptedModel([tool_call("process"), "done"]), toolsets=[mcp])
            pids.append(int((await agent.run_async("Hi")).tool_calls[0].result.content))
            assert runs(pids[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await use()
    assert not runs(pids[0])


def test_the_process_ends_with_the_last_object_that_refers_to_it(api):
    mcp = MCP(SERVER)
    pid = int(call(api, mcp, "process").content)
    tools = mcp.list_tools()
    del mcp
    gc.collect()
    assert runs(pid)  # its tools are in use
    model = ScriptedModel([tool_call("add", a=1, b=1), "done"])
    assert api.response(Agent(model, tools=list(tools)), "Hi").tool_calls[0].result == ToolResult("2")
    del tools, model
    gc.collect()
    until(lambda: not runs(pid) or gc.collect() is None)
    until(lambda: not runs(pid))


def test_a_stubborn_server_is_killed():
    mcp = MCP([*SERVER[:2], "stubborn"])
    pid = int(call_sync(mcp, "process").content)
    mcp.close()
    assert not runs(pid)
