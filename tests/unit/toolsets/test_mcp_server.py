"""Agents and tools as an MCP server: `luup-agent mcp`, asked by the SDK's client and by agents."""

import subprocess
import sys

import pytest

pytest.importorskip("mcp")

from luup_agent import MCP, Agent, FunctionToolset, InvalidParamError, RunContext, Tool, ToolResult, ToolsetError
from luup_agent.mcp_server import load_served, make_server
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

pytestmark = pytest.mark.processes
APP = '''
print("loading")  # would break the protocol on stdout

from luup_agent import Agent, FunctionToolset, ModelRetry, RunContext, Tool
from luup_agent.testing import FunctionModel


def answer(request):
    print("answering")
    return f"{request.messages[0].content} You asked: {request.prompt} ({len(request.messages)} messages)"


agent = Agent(FunctionModel(answer), "I am served.", deps="Ada")


@agent.tool
def add(a: int, b: int = 1) -> int:
    """Adds two numbers.

    Args:
        a: The first.
    """
    return a + b


@agent.tool
async def whoami(ctx: RunContext[str]) -> str:
    """Returns the user."""
    return f"{ctx.deps} by {ctx.tool_name}"


@agent.tool(requires_approval=True)
def delete() -> None:
    """Deletes all."""


@agent.tool
def fail(how: str) -> str:
    """Fails."""
    raise ModelRetry("try again") if how == "retry" else ValueError("a secret")


agent_with_toolset = Agent(agent.model, toolsets=[FunctionToolset([add]).prefixed("more_")])


def upper(text: str) -> str:
    """Returns capital letters."""
    return text.upper()


number = 5
'''


@pytest.fixture
def app(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(APP, encoding="utf-8")
    return path


@pytest.fixture
def served(app):
    command = [sys.executable, "-m", "luup_agent", "mcp", f"{app}:agent", f"{app}:agent_with_toolset", f"{app}:upper"]
    with MCP(command, name="app") as mcp:
        yield mcp


def call(api, mcp, tool, **arguments):
    model = ScriptedModel([tool_call(tool, arguments), "done"])
    return api.response(Agent(model, toolsets=[mcp]), "Hi").tool_calls[0].result


def test_what_is_served(served):
    tools = {tool.name: tool for tool in served.list_tools()}
    assert list(tools) == ["agent", "agent_with_toolset", "upper", "add", "whoami", "fail", "more_add"]
    assert tools["add"].description == "Adds two numbers."
    assert tools["add"].parameters["properties"]["a"]["description"] == "The first."
    assert tools["add"].parameters["required"] == ["a"]
    assert tools["agent"].description == "Answers a message; an AI agent named agent."


def test_calls(api, served):
    for _ in range(2):  # each in a conversation of its own
        answered = "I am served. You asked: Who are you? (2 messages)"
        assert call(api, served, "agent", message="Who are you?") == ToolResult(answered)
    assert call(api, served, "add", a=5) == ToolResult("6")
    assert call(api, served, "more_add", a=5, b=5) == ToolResult("10")
    assert call(api, served, "whoami") == ToolResult("Ada by whoami")
    assert call(api, served, "upper", text="hi") == ToolResult("HI")


def test_errors(api, served):
    assert call(api, served, "fail", how="retry") == ToolResult("Error: try again", True)
    assert call(api, served, "fail", how="other") == ToolResult("Error: ValueError", True)


async def test_the_client_of_the_sdk():
    from mcp import Client, MCPError

    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    loose = Tool(
        lambda **given: given, name="loose", parameters={"type": "object", "properties": {"a": {"enum": [1, 2]}}}
    )
    agent = Agent(FunctionModel(lambda request: request.prompt.upper()))
    async with Client(make_server({"ask": agent, "add": add, "loose": loose}, "mine")) as client:
        assert client.server_info.name == "mine"
        assert [tool.name for tool in (await client.list_tools()).tools] == ["ask", "add", "loose"]
        assert (await client.call_tool("ask", {"message": "hi"})).content[0].text == "HI"
        wrong = await client.call_tool("add", {"a": 1, "b": "x"})
        assert wrong.is_error
        assert wrong.content[0].text == "Error: the arguments are not valid: /b: 'x' is not of type 'integer'"
        assert (await client.call_tool("loose", {"a": 3})).is_error
        with pytest.raises(MCPError, match="there is no tool 'none'"):
            await client.call_tool("none", {})


def test_an_agent_of_another_process_as_a_tool_of_a_toolset(api, served):
    lead = Agent(ScriptedModel([tool_call("x_agent", message="Hi"), "done"]), toolsets=[served.prefixed("x_")])
    assert "You asked: Hi" in api.response(lead, "Hello").tool_calls[0].result.content


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("app.py", "'app.py' must be like app.py:agent"),
        ("none.py:agent", "there is no file 'none.py'"),
        ("luup_none.app:agent", "there is no module 'luup_none.app'"),
        ("json:agent", "'json:agent': json has no 'agent'"),
    ],
)
def test_what_can_not_be_served(spec, message):
    with pytest.raises(InvalidParamError, match=message):
        load_served([spec])


def test_the_command_says_what_is_wrong(app):
    for arguments, message in (
        ([f"{app}:number"], "luup-agent: number must be an Agent, a Tool or a function, not int\n"),
        ([f"{app}:upper", f"{app}:upper"], "luup-agent: '{}:upper': there is another object of the name 'upper'\n"),
    ):
        command = [sys.executable, "-m", "luup_agent", "mcp", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.endswith(message.format(app))
        with pytest.raises(ToolsetError, match="it wrote to stderr:"):
            MCP(command).open()


def test_names_that_clash():
    def ask() -> str:
        """Asks."""
        return ""

    with pytest.raises(InvalidParamError, match="both have a tool 'ask'"):
        make_server({"ask": Agent(ScriptedModel([])), "other": ask})
    with pytest.raises(InvalidParamError, match="served must be a dict of agents and tools, not Agent"):
        make_server(Agent(ScriptedModel([])))


def test_the_context_of_served_tools():
    def whoami(ctx: RunContext[str]) -> str:
        """Returns the user."""
        return f"{ctx.deps}, {ctx.messages}, {ctx.agent.system_prompt}"

    agent = Agent(ScriptedModel([]), "I am served.", deps="Ada", toolsets=[FunctionToolset([whoami])])
    with MCP(make_server({"ask": agent})) as mcp:
        model = ScriptedModel([tool_call("whoami"), "done"])
        response = Agent(model, toolsets=[mcp]).run("Hi")
    assert response.tool_calls[0].result == ToolResult("Ada, [], I am served.")
