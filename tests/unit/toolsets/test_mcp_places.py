"""MCP servers: where they are, and how they fail."""

import asyncio
import os
from pathlib import Path

import pytest
from support.mcp_clients import (
    SERVER,
    call,
    free_port,
    start_server,
    until,
)

pytest.importorskip("mcp")

from luup_agent import (
    MCP,
    Agent,
    InvalidParamError,
    ToolResult,
    ToolsetError,
)
from luup_agent.testing import ScriptedModel, tool_call

pytestmark = pytest.mark.processes


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
        ([str(Path(__file__).parent)], "can't be executed"),
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
