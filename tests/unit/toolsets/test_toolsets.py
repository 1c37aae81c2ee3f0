"""Toolsets without a server: filtered, prefixed, renamed, dynamic, shared; and agents as tools."""

import asyncio
import sys
import threading

import pytest

from luup_agent import (
    MCP,
    Agent,
    DynamicToolset,
    FunctionToolset,
    InvalidParamError,
    InvalidSchemaError,
    RunContext,
    RunTimeoutError,
    Tool,
    ToolNotFoundError,
    ToolResult,
    Toolset,
    UnsupportedError,
    Usage,
)
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def negate(a: int) -> int:
    """Negates a number."""
    return -a


def offered(agent, api, **options):
    """Return the names of the tools that the model is offered."""
    names = []

    def answer(request):
        names.extend(request.tools)
        return "done"

    with agent.override(model=FunctionModel(answer)):
        api.text(agent, "Hi", **options)
    return names


def agent_with(*toolsets, **options):
    return Agent(ScriptedModel([]), toolsets=list(toolsets), **options)


NOTHING = {"type": "object", "properties": {}}
MATH = FunctionToolset([add, negate], name="math")


def test_a_tool_of_a_toolset_is_called(api):
    model = ScriptedModel([tool_call("add", a=5, b=3), "It is 8."])
    response = api.response(Agent(model, toolsets=[MATH]), "What is 5 + 3?")
    assert (response.text, response.tool_calls[0].result) == ("It is 8.", ToolResult("8"))
    model.assert_complete()


def test_tools_come_in_the_order_of_the_toolsets(api):
    agent = agent_with(MATH.prefixed("b_"), MATH.prefixed("a_"), tools=[Tool(print, name="say", parameters=NOTHING)])
    assert offered(agent, api) == ["say", "b_add", "b_negate", "a_add", "a_negate"]


@pytest.mark.parametrize(
    ("toolset", "names"),
    [
        (MATH.filtered(["negate"]), ["negate"]),
        (MATH.filtered(lambda tool: "two" in tool.description), ["add"]),
        (MATH.filtered([]), []),
        (MATH.prefixed("m_"), ["m_add", "m_negate"]),
        (MATH.renamed({"add": "plus"}), ["plus", "negate"]),
        (MATH.renamed({"add": "negate", "negate": "add"}), ["negate", "add"]),
        (MATH.filtered(["add"]).renamed({"add": "plus"}).prefixed("m_"), ["m_plus"]),
        (MATH.prefixed("m_").filtered(["m_add"]), ["m_add"]),
    ],
)
def test_combinations(api, toolset, names):
    assert offered(agent_with(toolset), api) == names


def test_a_renamed_tool_keeps_all_else(api):
    def order(ctx: RunContext, item: "Literal['tea', 'milk']") -> str:
        return f"{ctx.tool_name}: {item}"

    from typing import Literal  # known where the tool is declared, not where it is renamed

    tool = Tool(order, timeout=7, retries=2, requires_approval=True)
    toolset = FunctionToolset([tool]).renamed({"order": "buy"})
    agent = Agent(ScriptedModel([tool_call("buy", item="tea"), "done"]), toolsets=[toolset], approve=lambda call: True)
    assert api.response(agent, "Tea!").tool_calls[0].result == ToolResult("buy: tea")
    (renamed,) = toolset.list_tools(None)
    assert (renamed.timeout, renamed.retries, renamed.requires_approval) == (7, 2, True)
    assert renamed.definition["function"]["name"] == renamed.__name__ == "buy"
    assert tool.name == "order"


@pytest.mark.parametrize(
    ("toolset", "message"),
    [
        (MATH.filtered(["ad"]), "filtered: the toolset math has no tool 'ad'; it has add, negate"),
        (MATH.renamed({"ad": "plus"}), "renamed: the toolset math has no tool 'ad'; it has add, negate"),
        (MATH.renamed({"add": "no spaces"}), "the name of a tool must be .* not 'no spaces'"),
        (MATH.prefixed("a b"), "the name of a tool must be .* not 'a badd'"),
        (MATH.renamed({"add": "negate"}), "the toolset math and the toolset math both have a tool 'negate'"),
        (MATH.renamed([]), "renamed needs the new names by the old ones, not list"),
    ],
)
def test_wrong_names(api, toolset, message):
    with pytest.raises(InvalidParamError, match=message):
        offered(agent_with(toolset), api)


def test_a_filter_is_checked_at_once():
    for which in ("add", None, 3):
        with pytest.raises(InvalidParamError, match="filtered needs the names of tools as a list, or a function"):
            MATH.filtered(which)


def test_names_that_clash(api):
    with pytest.raises(InvalidParamError, match=r"the agent and the toolset math both have a tool 'add'.*prefix='a_'"):
        offered(agent_with(MATH, tools=[add]), api)
    with pytest.raises(InvalidParamError, match="the toolset math and the toolset more both have a tool 'add'"):
        offered(agent_with(MATH, FunctionToolset([add], name="more")), api)


def test_names_that_nearly_clash(api):
    dashed = MATH.renamed({"add": "m-add", "negate": "m_negate"})
    with pytest.raises(InvalidParamError, match="the toolset math and the toolset math both have tools of nearly one"):
        offered(agent_with(MATH.prefixed("m_"), dashed), api)
    agent = agent_with(MATH.renamed({"add": "todo-add"}))
    agent.enable_builtin_todo()
    with pytest.raises(
        InvalidParamError, match="the built-in tools and the toolset math both .* 'todo_add' and 'todo-"
    ):
        offered(agent, api)


def test_a_tool_of_the_run_replaces_that_of_a_toolset(api):
    def add(a: int, b: int) -> str:
        """Adds."""
        return "another"

    model = ScriptedModel([tool_call("add", a=1, b=2), "done"])
    response = api.response(Agent(model, toolsets=[MATH]), "Hi", tools=[add])
    assert response.tool_calls[0].result == ToolResult("another")


def test_toolsets_of_a_run_are_added(api):
    agent = agent_with(MATH.filtered(["add"]))
    assert offered(agent, api, toolsets=[MATH.filtered(["negate"])]) == ["add", "negate"]
    assert offered(agent, api) == ["add"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (MATH, "toolsets must be a list of toolsets, not FunctionToolset"),
        ("uvx", "toolsets must be a list of toolsets, not str"),
        (["uvx x"], r"toolsets\[0\] must be a Toolset or a function that returns tools, not str; for a server, MCP"),
        ([MATH, Tool(add)], r"toolsets\[1\] must be a Toolset .* not Tool; give tools in tools="),
    ],
)
def test_what_is_not_a_toolset(value, message):
    with pytest.raises(InvalidParamError, match=message):
        Agent(ScriptedModel([]), toolsets=value)
    with pytest.raises(InvalidParamError, match=message):
        Agent(ScriptedModel([])).generate("Hi", toolsets=value)


def test_a_toolset_is_not_a_tool():
    with pytest.raises(InvalidParamError, match=r"tools\[0\] is a toolset; give it in toolsets="):
        Agent(ScriptedModel([]), tools=[MATH])
    with pytest.raises(InvalidParamError, match=r"tools\[1\] has the same name as an earlier tool: 'add'"):
        FunctionToolset([add, add])


def test_servers_need_the_sdk(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp_types", None)  # Python refuses to import it
    with pytest.raises(UnsupportedError, match=r'pip install "luup-agent\[mcp\]"'):
        MCP("uvx mcp-server-git")


# ---------------------------------------------------------------------------------------------------------------------
# Functions that choose
# ---------------------------------------------------------------------------------------------------------------------


def test_a_function_chooses_by_the_run(api):
    seen = []

    def choose(ctx: RunContext[str]):
        seen.append((ctx.tool_name, ctx.call_id, [message.content for message in ctx.messages]))
        return [add, MATH.filtered(["negate"])] if ctx.deps == "admin" else []

    agent = agent_with(choose)
    assert offered(agent, api, deps="admin") == ["add", "negate"]
    assert offered(agent, api, deps="guest") == []
    assert seen == [("", "", ["Hi"])] * 2


def test_an_asynchronous_function_chooses(api):
    async def choose(ctx):
        await asyncio.sleep(0)
        return [add] if ctx.agent is agent else []

    agent = agent_with(DynamicToolset(choose).prefixed("x_"))
    assert offered(agent, api) == ["x_add"]


async def test_an_asynchronous_function_chooses_for_a_synchronous_run_in_a_loop():
    async def choose(ctx):
        await asyncio.sleep(0)
        return [add]

    model = ScriptedModel([tool_call("add", a=1, b=2), "done"])
    assert Agent(model, toolsets=[choose]).run("Hi").tool_calls[0].result == ToolResult("3")


@pytest.mark.parametrize("value", [None, add, "add", {"add": add}])
def test_a_function_that_returns_no_list(api, value):
    def choose(ctx):
        return value

    with pytest.raises(InvalidParamError, match="choose must return a list of tools, not "):
        offered(agent_with(choose), api)


def test_a_function_whose_tools_are_wrong(api):
    class Odd:
        pass

    def take(odd: Odd) -> None: ...

    def choose(ctx):
        return [take]

    with pytest.raises(InvalidSchemaError, match="the toolset choose: tool 'take', parameter 'odd'"):
        offered(agent_with(choose), api)


def test_an_exception_of_a_function_ends_the_run(api):
    def choose(ctx):
        raise KeyError("no such user")

    agent = agent_with(choose)
    for _ in range(2):  # the agent is free again
        with pytest.raises(KeyError, match="no such user"):
            offered(agent, api)
    assert agent.messages == []


def test_the_time_of_toolsets_counts(api):
    def choose(ctx):
        threading.Event().wait(0.3)
        return []

    agent = Agent(ScriptedModel(["too late"]), toolsets=[choose])
    with pytest.raises(RunTimeoutError):
        api.text(agent, "Hi", timeout=0.2)


async def test_a_run_that_is_cancelled_while_its_tools_are_read():
    began, ended = asyncio.Event(), asyncio.Event()

    async def choose(ctx):
        began.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    agent = agent_with(choose, MATH)
    task = asyncio.ensure_future(agent.run_async("Hi"))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert agent.messages == []


async def test_a_stream_that_is_closed_while_its_tools_are_read():
    from luup_agent import RunCancelledError

    began, go = asyncio.Event(), asyncio.Event()

    async def choose(ctx):
        began.set()
        await go.wait()
        return []

    stream = agent_with(choose).generate_async("Hi")
    task = asyncio.ensure_future(stream._whole())
    await began.wait()
    stream.close()
    go.set()
    with pytest.raises(RunCancelledError):
        await task


# ---------------------------------------------------------------------------------------------------------------------
# Agents
# ---------------------------------------------------------------------------------------------------------------------


def test_forks_share_toolsets_and_overrides_keep_them(api):
    agent = agent_with(MATH)
    fork = agent.fork()
    assert fork.toolsets == agent.toolsets == (MATH,)
    assert offered(fork, api) == ["add", "negate"]
    assert list(agent.tools) == []


def test_toolsets_are_not_saved(api, tmp_path):
    agent = agent_with(MATH)
    agent.save(tmp_path / "it.agent")
    assert offered(Agent.load(tmp_path / "it.agent", ScriptedModel([])), api) == []
    loaded = Agent.load(tmp_path / "it.agent", ScriptedModel([]), toolsets=[MATH])
    assert offered(loaded, api) == ["add", "negate"]


def test_without_tool_calling_nothing_is_asked(api):
    def choose(ctx):
        raise AssertionError("asked")

    agent = agent_with(choose, enable_tool_calling=False)
    assert offered(agent, api) == []
    with pytest.raises(InvalidParamError, match="enable_tool_calling is False"):
        offered(agent, api, toolsets=[MATH])


def test_an_approval_of_a_tool_of_a_toolset(api):
    toolset = FunctionToolset([Tool(add, requires_approval=True)])
    model = ScriptedModel([tool_call("add", a=1, b=2), "It is 3."])
    agent = Agent(model, toolsets=[toolset])
    (call,) = api.response(agent, "Hi").pending
    other = Agent(ScriptedModel([]))
    other.set_history(agent.get_history())
    with pytest.raises(ToolNotFoundError, match="add"):
        api.resume(other, {call.id: True})
    with pytest.raises(ToolNotFoundError, match="add"):
        api.resume(other, {call.id: True}, toolsets=[FunctionToolset([negate])])
    assert api.resume(agent, {call.id: True}).text == "It is 3."


def test_a_toolset_of_ones_own(api):
    class Stock(Toolset):
        items = ("tea",)
        open_times = closed_times = 0

        def list_tools(self, context):
            return [Tool(lambda item=item: item, name=f"buy_{item}", parameters=NOTHING) for item in self.items]

        def open(self):
            self.open_times += 1

        def close(self):
            self.closed_times += 1

    with Stock() as stock:
        agent = agent_with(stock.filtered(lambda tool: True))
        assert offered(agent, api) == ["buy_tea"]
        stock.items = ("milk", "tea")
        assert offered(agent, api) == ["buy_milk", "buy_tea"]
    assert (stock.open_times, stock.closed_times) == (1, 1)

    async def use():
        async with stock.prefixed("x_") as prefixed:
            return prefixed

    assert repr(asyncio.run(use())) == "<Stock>"
    assert (stock.open_times, stock.closed_times) == (2, 2)


# ---------------------------------------------------------------------------------------------------------------------
# Results, usage, agents as tools
# ---------------------------------------------------------------------------------------------------------------------


def test_a_tool_returns_an_error_without_an_exception(api, caplog):
    tool = Tool(
        lambda: ToolResult("no such city" * 100, is_error=True), name="find", parameters=NOTHING, max_result_chars=80
    )
    response = api.response(Agent(ScriptedModel([tool_call("find"), "Sorry."]), tools=[tool]), "Hi")
    result = response.tool_calls[0].result
    assert result.is_error
    assert result.content.startswith("Error: no such city")
    assert "characters left out" in result.content
    assert caplog.records == []


def test_usages_are_added():
    one = Usage(prompt_tokens=1, cached_tokens=2, completion_tokens=3, total_tokens=4, turns=5, reasoning_tokens=6)
    two = Usage(prompt_tokens=10, cached_tokens=20, completion_tokens=30, total_tokens=40, turns=50)
    assert one + two == Usage(
        prompt_tokens=11, cached_tokens=22, completion_tokens=33, total_tokens=44, turns=55, reasoning_tokens=6
    )


def test_an_agent_as_a_tool(api):
    seen = []

    def answer(request):
        seen.append([message.content for message in request.messages])
        return f"Answer {len(seen)}"

    expert = Agent(FunctionModel(answer), "You are an expert.")
    model = ScriptedModel([[tool_call("ask", message="One?"), tool_call("ask", message="Two?")], "done"])
    lead = Agent(model, tools=[expert.as_tool("ask", "Asks an expert.")])
    response = api.response(lead, "Hi")
    assert sorted(call.result.content for call in response.tool_calls) == ["Answer 1", "Answer 2"]
    assert sorted(seen) == [["You are an expert.", "One?"], ["You are an expert.", "Two?"]]
    assert expert.messages == Agent(expert.model, "You are an expert.").messages  # it remembers nothing
    assert response.usage.turns == 4


def test_the_usage_of_an_agent_as_a_tool_is_in_that_of_the_caller(api):
    alone = Agent(ScriptedModel(["Paris"])).run("Capital?").usage
    without = Agent(ScriptedModel([tool_call("ask", message="Capital?"), "Paris"]), tools=[_canned("Paris")]).run("Hi")
    expert = Agent(ScriptedModel(["Paris"]))
    lead = Agent(ScriptedModel([tool_call("ask", message="Capital?"), "Paris"]), tools=[expert.as_tool("ask", "Asks.")])
    assert api.response(lead, "Hi").usage == without.usage + alone


def _canned(text):
    parameters = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
    return Tool(lambda message: text, name="ask", description="Asks.", parameters=parameters)


def test_an_agent_as_a_tool_returns_typed_results_and_gets_deps(api):
    def whoami(ctx: RunContext[str]) -> str:
        """Returns the user."""
        return ctx.deps

    script = ScriptedModel([tool_call("whoami"), {"name": "Ada"}, tool_call("whoami"), {"name": "Bob"}])
    expert = Agent(script, tools=[whoami], output_type=dict)
    mine = Agent(script, tools=[whoami], output_type=dict, deps="Bob")
    for agent, user in ((expert, "Ada"), (mine, "Bob")):
        lead = Agent(ScriptedModel([tool_call("ask", message="Who?"), "done"]), tools=[agent.as_tool("ask", "Asks.")])
        assert api.response(lead, "Hi", deps="Ada").tool_calls[0].result == ToolResult(f'{{"name":"{user}"}}')
        assert script.requests[-1].messages[-1].content == user


def test_an_agent_as_a_tool_that_fails(api):
    from luup_agent import HTTPError

    expert = Agent(ScriptedModel([HTTPError("the server is busy"), tool_call("add", a=1, b=1)]))
    expert.add_tool(Tool(add, requires_approval=True))
    script = ScriptedModel([tool_call("ask", message="One?"), tool_call("ask", message="Two?"), "done"])
    response = api.response(Agent(script, tools=[expert.as_tool("ask", "Asks.")]), "Hi")
    assert [call.result for call in response.tool_calls] == [
        ToolResult("Error: HTTPError: the server is busy", True),
        ToolResult("Error: ApprovalRequiredError: calls wait for an approval: add", True),
    ]
    assert response.usage.turns == 5  # those of the run that failed too


def test_the_options_of_an_agent_as_a_tool():
    tool = Agent(ScriptedModel([])).as_tool("ask", "Asks.", timeout=3, requires_approval=True, max_result_chars=9)
    assert (tool.timeout, tool.requires_approval, tool.max_result_chars) == (3, True, 9)
    assert tool.parameters["required"] == ["message"]
    with pytest.raises(InvalidParamError, match="the name of a tool"):
        Agent(ScriptedModel([])).as_tool("ask me", "Asks.")


async def test_a_cancelled_run_cancels_the_agent_that_its_tool_asks():
    began = asyncio.Event()
    ended = []

    async def answer(request):
        began.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(True)

    expert = Agent(FunctionModel(answer))
    lead = Agent(ScriptedModel([tool_call("ask", message="?")]), tools=[expert.as_tool("ask", "Asks.")])
    task = asyncio.ensure_future(lead.run_async("Hi"))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if ended:
            break
        await asyncio.sleep(0.05)
    assert ended
