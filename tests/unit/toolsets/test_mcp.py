"""MCP servers over stdio, behind HTTP and in this process: calls, results, and lists of tools."""

import os
import threading
import time

import pytest
from support.mcp_clients import LEGACY, SERVER, call, call_sync, local_server, names, until

pytest.importorskip("mcp")

from luup_agent import (
    MCP,
    Agent,
    InvalidParamError,
    RunTimeoutError,
    ToolResult,
)
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

pytestmark = pytest.mark.processes


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
        ("shopping", "Buy milk."),
        ("people", '[{"name": "Ada"}]'),
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
    assert result.content == text or name not in ("shopping", "people")


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
