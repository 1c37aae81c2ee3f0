"""MCP servers: real ones, in a child process over stdio, behind HTTP on localhost, and in this process."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("mcp")

from luup_agent import (
    MCP,
    Agent,
    InvalidParamError,
    RunTimeoutError,
    ToolResult,
    ToolsetError,
)
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

pytestmark = pytest.mark.processes
SUPPORT = Path(__file__).resolve().parents[2] / "support"
SERVER = [sys.executable, str(SUPPORT / "mcp_server.py"), "stdio"]
LEGACY = [sys.executable, str(SUPPORT / "mcp_legacy.py")]


def local_server():
    from support.mcp_server import make

    return make()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(kind, port):
    """Start a server at a port, and wait until it takes connections."""
    command = [sys.executable, str(SUPPORT / "mcp_server.py"), kind, str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def url():
    """A server at a URL, in a process of its own."""
    port = free_port()
    process = start_server("http", port)
    yield f"http://127.0.0.1:{port}/mcp"
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def stdio():
    """A server in a child process."""
    with MCP(SERVER, name="demo") as mcp:
        yield mcp


@pytest.fixture(params=["stdio", "http", "object"])
def demo(request, stdio):
    """The same server, reached in each way."""
    if request.param == "stdio":
        yield stdio
        return
    server = request.getfixturevalue("url") if request.param == "http" else local_server()
    with MCP(server, name="demo") as mcp:
        yield mcp


def call(api, toolset, tool, **arguments):
    """Have an agent call a tool, and return the result."""
    model = ScriptedModel([tool_call(tool, arguments), "done"])
    response = api.response(Agent(model, toolsets=[toolset]), "Hi")
    return response.tool_calls[0].result


def names(toolset):
    return [tool.name for tool in toolset.list_tools(None)]


# ---------------------------------------------------------------------------------------------------------------------
# Calls and results
# ---------------------------------------------------------------------------------------------------------------------


def test_a_call(api, demo):
    assert call(api, demo, "add", a=5, b=3) == ToolResult("8")


def test_one_session_for_all_runs_agents_threads_and_loops(stdio, api):
    ids = {call(api, stdio, "process").content for _ in range(2)}
    agents = [Agent(ScriptedModel([tool_call("process"), "done"]), toolsets=[stdio]) for _ in range(8)]
    threads = [threading.Thread(target=lambda a=a: ids.add(a.run("Hi").tool_calls[0].result.content)) for a in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ids) == 1
    assert int(ids.pop()) != os.getpid()


def test_threads_that_use_a_server_first_at_the_same_time():
    mcp = MCP(SERVER)
    ids = []
    threads = [threading.Thread(target=lambda: ids.append(call_sync(mcp, "process").content)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ids) == 8
    assert len(set(ids)) == 1
    mcp.close()


async def test_many_calls_at_once(stdio):
    calls = [tool_call("slow", seconds=2) for _ in range(10)]
    agent = Agent(ScriptedModel([calls, "done"]), toolsets=[stdio])
    began = time.monotonic()
    response = await agent.run_async("Hi")
    assert [each.result for each in response.tool_calls] == [ToolResult("done")] * 10
    assert time.monotonic() - began < 15  # one after another they take 20 s


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("weather", '"city": "Oslo"'),
        ("cities", "Paris\nRome"),
        ("summary", 'Two cities.\n{"cities": 2}'),
        ("picture", "[image, image/png, 8 bytes: not shown]"),
        ("documents", "Here:\n[resource guide: https://example.org/guide, text/html]\n[resource note://1]\nBuy milk."),
    ],
)
def test_results(api, demo, name, text):
    result = call(api, demo, name, **({"city": "Oslo"} if name == "weather" else {}))
    assert text in result.content
    assert not result.is_error
    assert result.content.count("Oslo") <= 1  # structured content is not repeated
    assert result.content.count("Paris") <= 1


def test_a_function_gets_what_is_not_text(api):
    got = []

    def take(tool, block):
        got.append((tool, block.type))
        return "a small picture" if block.type == "image" else None

    mcp = MCP(local_server(), on_content=take)
    assert call(api, mcp, "picture") == ToolResult("a small picture")
    assert "[resource guide: https://example.org/guide, text/html]" in call(api, mcp, "documents").content
    assert got == [("picture", "image"), ("documents", "resource_link"), ("documents", "resource")]
    mcp.close()


def test_a_tool_that_fails(api, demo):
    result = call(api, demo, "fail", reason="there is no such city")
    assert result.is_error
    assert "there is no such city" in result.content


def test_long_results_are_shortened(api):
    with MCP(local_server(), max_result_chars=40) as mcp:
        assert "characters left out" in call(api, mcp, "fail", reason="x" * 500).content


def test_a_call_that_takes_too_long(api):
    with MCP(SERVER, name="demo", timeout=2) as mcp:
        result = call(api, mcp, "slow", seconds=60)
        assert result == ToolResult(
            "Error: ToolsetError: the MCP server demo did not answer the call of slow within 2 seconds", True
        )
        assert call(api, mcp, "add", a=1, b=1) == ToolResult("2")  # the same session goes on


def test_a_run_that_takes_too_long(api, stdio):
    agent = Agent(ScriptedModel([tool_call("slow", seconds=60)]), toolsets=[stdio])
    with pytest.raises(RunTimeoutError):
        api.text(agent, "Hi", timeout=0.5)
    assert call(api, stdio, "add", a=1, b=1) == ToolResult("2")


# ---------------------------------------------------------------------------------------------------------------------
# The tools of a server
# ---------------------------------------------------------------------------------------------------------------------


def test_tools_that_can_not_be_used_are_left_out(api, demo, caplog):
    assert call(api, demo, "shop_buy_item", item="tea") == ToolResult("bought tea")
    assert "odd" not in names(demo)
    assert list(demo.unavailable) == ["odd"]
    assert "parameter 'url': /properties/url: values that must not match" in demo.unavailable["odd"]


def test_a_warning_says_which_tools_are_left_out(caplog):
    with MCP(local_server(), name="demo") as mcp:
        mcp.list_tools()
        mcp.list_tools()
    warnings = [record.message for record in caplog.records if record.name == "luup_agent"]
    assert len(warnings) == 1
    assert warnings[0].startswith("the tool 'odd' of the MCP server demo is not available: tool 'odd', parameter 'url'")


def test_schemas_and_descriptions_reach_the_model(stdio):
    seen = {}

    def answer(request):
        seen.update({tool["function"]["name"]: tool["function"] for tool in request.body["tools"]})
        return "done"

    Agent(FunctionModel(answer), toolsets=[stdio]).run("Hi")
    assert seen["add"]["description"] == "Adds two numbers."
    assert seen["add"]["parameters"]["properties"]["a"]["type"] == "integer"
    assert seen["add"]["parameters"]["required"] == ["a", "b"]


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_tools_that_a_server_adds(api, demo):
    name = f"grown{time.monotonic_ns()}"
    before = names(demo)
    assert call(api, demo, "grow", name=name) == ToolResult("grown")
    until(lambda: name in names(demo))  # the server reports the change a moment later
    assert names(demo) == [*before, name]
    assert call(api, demo, name) == ToolResult(f"I am {name}")


def test_a_server_of_an_older_protocol(api):
    with MCP(LEGACY, name="legacy") as mcp:
        assert names(mcp) == ["first"]
        assert call(api, mcp, "first") == ToolResult("called first")
        until(lambda: names(mcp) == ["first", "more1"])  # on two pages
        assert call(api, mcp, "more1") == ToolResult("called more1")


def test_a_list_is_read_again_only_when_it_has_changed(monkeypatch):
    with MCP(LEGACY) as mcp:
        mcp.list_tools()
        lists = []
        original = mcp._link.list
        monkeypatch.setattr(mcp._link, "list", lambda kind: lists.append(kind) or original(kind))
        for _ in range(5):
            assert names(mcp) == ["first"]
        assert lists == []
        Agent(ScriptedModel([tool_call("first"), "done"]), toolsets=[mcp]).run("Hi")
        until(lambda: len(names(mcp)) == 2)
        assert lists == ["tools"]


def test_prefixes_and_clashes(api, stdio):
    with MCP(local_server(), name="other", prefix="o_") as other:
        agent = Agent(ScriptedModel([[tool_call("add", a=1, b=1), tool_call("o_add", a=2, b=2)], "done"]))
        response = api.response(agent, "Hi", toolsets=[stdio, other])
        assert [each.result.content for each in response.tool_calls] == ["2", "4"]
    with MCP(local_server(), name="other") as other:
        message = "the toolset demo and the toolset other both have a tool 'add'; .* prefix='a_'"
        with pytest.raises(InvalidParamError, match=message):
            api.text(Agent(ScriptedModel([]), toolsets=[stdio, other]), "Hi")


def test_approvals(api):
    with MCP(local_server(), requires_approval=["add", "shop.buy item"], prefix="x_") as mcp:
        asking = {tool.name for tool in mcp.list_tools() if tool.requires_approval}
        assert asking == {"x_add", "x_shop_buy_item"}
        asked = []
        model = ScriptedModel([[tool_call("x_add", a=1, b=2), tool_call("x_cities")], "done"])
        agent = Agent(model, toolsets=[mcp], approve=lambda each: asked.append(each.name) or "not today")
        response = api.response(agent, "Hi")
        assert asked == ["x_add"]
        assert [each.result.is_error for each in response.tool_calls] == [True, False]
    with MCP(local_server(), requires_approval=True) as mcp:
        agent = Agent(ScriptedModel([tool_call("add", a=1, b=2), "It is 3."]), toolsets=[mcp])
        (pending,) = api.response(agent, "Hi").pending
        assert api.resume(agent, {pending.id: True}).text == "It is 3."
    with MCP(local_server(), requires_approval=lambda tool: "two" in tool.description) as mcp:
        assert [tool.name for tool in mcp.list_tools() if tool.requires_approval] == ["add"]
    wrong = MCP(local_server(), name="demo", requires_approval=["ad"])
    with pytest.raises(InvalidParamError, match="requires_approval names 'ad', but the MCP server demo has no"):
        wrong.list_tools()
    wrong.close()


def test_combinations(api, stdio):
    chosen = stdio.filtered(["add", "weather"]).renamed({"add": "plus"}).prefixed("d_")
    assert call(api, chosen, "d_plus", a=1, b=1) == ToolResult("2")
    assert names(chosen) == ["d_plus", "d_weather"]
    dynamic = lambda ctx: [stdio.filtered(["add"])] if ctx.deps else []  # noqa: E731
    agent = Agent(ScriptedModel([tool_call("add", a=1, b=2), "done"]), toolsets=[dynamic])
    assert api.response(agent, "Hi", deps=1).tool_calls[0].result == ToolResult("3")


# ---------------------------------------------------------------------------------------------------------------------
# How a server is reached
# ---------------------------------------------------------------------------------------------------------------------


def test_the_environment_and_the_folder_of_a_command(api, tmp_path, monkeypatch):
    monkeypatch.setenv("LUUP_SECRET", "of the parent")
    with MCP(" ".join(f"'{word}'" for word in SERVER), env={"CITY": "Oslo"}, cwd=tmp_path) as mcp:
        assert call(api, mcp, "environment", name="CITY").content == "Oslo"
        assert call(api, mcp, "environment", name="LUUP_SECRET").content == "unset"
        assert call(api, mcp, "folder").content == str(tmp_path)


def test_the_headers_of_a_url(api, url):
    with MCP(url, headers={"X-Token": "secret"}) as mcp:
        assert call(api, mcp, "header", name="x-token").content == "secret"


def test_the_authentication_of_a_url(api, url):
    import httpx2

    with MCP(url, auth=httpx2.BasicAuth("ada", "secret")) as mcp:
        assert call(api, mcp, "header", name="authorization").content == "Basic YWRhOnNlY3JldA=="


def test_a_server_of_the_older_protocol_at_a_url(api):
    port = free_port()
    process = start_server("sse", port)
    with MCP(f"http://127.0.0.1:{port}/sse", transport="sse", headers={"X-Token": "secret"}) as mcp:
        assert call(api, mcp, "add", a=1, b=1) == ToolResult("2")
        assert call(api, mcp, "header", name="x-token").content == "secret"
    process.kill()
    process.wait()


def test_a_transport_of_the_sdk(api):
    from mcp import StdioServerParameters, stdio_client

    parameters = StdioServerParameters(command=SERVER[0], args=SERVER[1:])
    with open(os.devnull, "w") as log, MCP(lambda: stdio_client(parameters, errlog=log)) as mcp:
        assert call(api, mcp, "add", a=1, b=1) == ToolResult("2")
        mcp.close()  # and again
        assert call(api, mcp, "add", a=1, b=1) == ToolResult("2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5,), "an MCP server must be a command line, a list of arguments, a URL or a server object .* not int"),
        (("",), "this one is empty"),
        (([],), "this one is empty"),
        (("a 'b",), "the command line \"a 'b\" can't be split: No closing quotation; give a list"),
        ((["a", 5],), "argument 1 of the command must be a str, not int"),
    ],
)
def test_what_is_not_a_server(arguments, message):
    with pytest.raises(InvalidParamError, match=message):
        MCP(*arguments)


@pytest.mark.parametrize(
    ("server", "options", "message"),
    [
        ("x", {"headers": {}}, "a server that is a command has no headers"),
        ("http://x", {"env": {}, "cwd": "/"}, "a server at a URL has no cwd, env"),
        ("x", {"env": {"A": 5}}, "env must be a dict of texts, but 'A' is 5"),
        ("x", {"env": "A=5"}, "env must be a dict of texts, not str"),
        ("http://x", {"transport": "ws"}, "transport must be 'http' or 'sse', not 'ws'"),
        ("x", {"timeout": 0}, "timeout must be more than 0 seconds"),
        ("x", {"open_timeout": 0}, "open_timeout must be more than 0 seconds"),
        ("x", {"timeout": -1}, "timeout"),
        (
            "x",
            {"requires_approval": "add"},
            "requires_approval must be True, False, a list of tools' names or a function of a tool, not 'add'",
        ),
        ("x", {"on_content": 5}, "on_content must be callable, not int"),
        ("x", {"on_sampling": "yes"}, "on_sampling must be callable, not str"),
        ("x", {"prefix": None}, "prefix must be a str"),
        ("x", {"max_result_chars": 0}, "max_result_chars"),
    ],
)
def test_wrong_options(server, options, message):
    with pytest.raises(InvalidParamError, match=message):
        MCP(server, **options)


# ---------------------------------------------------------------------------------------------------------------------
# Servers that fail
# ---------------------------------------------------------------------------------------------------------------------


def test_a_server_that_ends_in_a_call_is_started_again(api, caplog):
    caplog.set_level("INFO", "luup_agent.mcp")
    with MCP(SERVER, name="demo") as mcp:
        model = ScriptedModel([tool_call("process"), tool_call("die"), tool_call("process"), "done"])
        before, died, after = api.response(Agent(model, toolsets=[mcp]), "Hi").tool_calls
        assert died.result == ToolResult(
            "Error: ToolsetError: the MCP server demo ended during the call of die: Connection closed; the next call "
            "opens it again",
            True,
        )
        assert not after.result.is_error
        assert before.result != after.result
    lines = [record.message for record in caplog.records if record.name == "luup_agent.mcp"]
    assert "demo: the last words" in lines
    (warning,) = [record.message for record in caplog.records if "'die' failed" in record.message]
    assert "; it wrote to stderr:\n    " in warning
    assert warning.endswith("\n    the last words")


def test_a_server_that_ended_between_two_calls_is_started_again(api):
    with MCP(SERVER, name="demo") as mcp:
        first = int(call(api, mcp, "process").content)
        os.kill(first, 9)
        until(lambda: not mcp._link._session.connection.alive)
        second = call(api, mcp, "process")
        assert not second.is_error
        assert int(second.content) != first


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (["no-such-program-of-luup"], "there is no program 'no-such-program-of-luup'; install it, or give its path"),
        ([*SERVER[:2], "broken"], "(?s)Connection closed; it wrote to stderr:\n    there is no token"),
        ("http://127.0.0.1:9/mcp", "the MCP server http://127.0.0.1:9/mcp can't be used: .*"),
        ([str(SUPPORT)], "can't be executed"),
    ],
    ids=["missing", "broken", "nobody", "folder"],
)
def test_a_server_that_can_not_be_used(api, server, message):
    agent = Agent(ScriptedModel(["It works."]), toolsets=[MCP(server)])
    for _ in range(2):
        with pytest.raises(ToolsetError, match=message):
            api.text(agent, "Hi")
    with pytest.raises(ConnectionError), MCP(server):
        pass
    assert agent.messages == []


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(ToolsetError, match="its directory cwd='.*none' does not exist"):
        MCP(SERVER, cwd=tmp_path / "none").open()


def test_a_server_that_does_not_answer():
    mcp = MCP([*SERVER[:2], "silent"], name="silent", open_timeout=0.5)
    with pytest.raises(ToolsetError, match="silent did not answer within 0.5 seconds; raise open_timeout"):
        mcp.open()


def test_a_server_at_a_url_that_is_restarted(api):
    port = free_port()
    process = start_server("http", port)
    with MCP(f"http://127.0.0.1:{port}/mcp", name="demo") as mcp:
        tools = mcp.list_tools()
        assert call(api, mcp, "add", a=1, b=1) == ToolResult("2")
        process.kill()
        process.wait()
        model = ScriptedModel([tool_call("add", a=1, b=1), "done"])
        result = api.response(Agent(model, tools=list(tools)), "Hi").tool_calls[0].result
        assert result.is_error
        assert result.content.startswith("Error: ToolsetError: the MCP server demo ")
        process = start_server("http", port)
        assert call(api, mcp, "add", a=1, b=1) == ToolResult("2")
    process.kill()
    process.wait()


async def test_a_cancelled_run_cancels_its_call(stdio):
    agent = Agent(ScriptedModel([tool_call("slow", seconds=600)]), toolsets=[stdio])
    task = asyncio.ensure_future(agent.run_async("Hi"))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert next(tool.name for tool in await stdio.list_tools_async()) == "add"


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
    assert "await the asynchronous twin" in errors[0]


# ---------------------------------------------------------------------------------------------------------------------
# The end of servers
# ---------------------------------------------------------------------------------------------------------------------


def runs(pid):
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


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


def call_sync(mcp, name):
    return Agent(ScriptedModel([tool_call(name), "done"]), toolsets=[mcp]).run("Hi").tool_calls[0].result
