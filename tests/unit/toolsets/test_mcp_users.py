"""Questions of MCP servers to the person who talks with the agent."""

import asyncio
import json
import threading

import pytest
from support.mcp_clients import LEGACY, call

pytest.importorskip("mcp")

from support.mcp_questions import make

from luup_agent import MCP, Agent, InvalidParamError, Tool
from luup_agent._mcp.questions import Question
from luup_agent.cli import questions
from luup_agent.testing import ScriptedModel, tool_call

pytestmark = pytest.mark.processes

FORM = {"guests": 2, "room": "double", "breakfast": True}


def agent_with(toolset, ask, tool="book", **arguments):
    agent = Agent(ScriptedModel([tool_call(tool, arguments), "done"]), toolsets=[toolset])
    agent._ask_user = ask
    return agent


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (FORM, "2 in a double room in Oslo, with breakfast, no note"),
        (False, "decline"),
        (None, "cancel"),
        ({"guests": 99}, "does not match"),
    ],
)
def test_the_user_of_an_agent_answers(api, answer, text):
    asked = []

    async def ask(question):
        asked.append(question)
        await asyncio.sleep(0)
        return answer

    with MCP(make(), on_elicitation="user") as mcp:
        result = api.response(agent_with(mcp, ask, city="Oslo"), "Hi").tool_calls[0].result
    assert text in result.content
    (question,) = asked
    assert (question.server, question.url) == ("hotel", None)
    assert question.message == "A room in <img src=x onerror=alert(1)>?"
    assert list(question.schema["properties"]) == ["guests", "room", "breakfast", "note"]


def test_without_a_person_the_question_is_cancelled(api, caplog):
    with MCP(make(), on_elicitation="user") as mcp:
        result = call(api, mcp, "book", city="Oslo")
    assert "cancel" in result.content.lower(), result.content
    assert "there is no one to ask" in caplog.text


def test_a_question_of_an_older_protocol(api):
    async def ask(question):
        return {"number": 4}

    with MCP([*LEGACY, "asking"], on_elicitation="user", on_sampling=lambda p: "A poem.") as mcp:
        result = api.response(agent_with(mcp, ask, "first"), "Hi").tool_calls[0].result
    assert json.loads(result.content)[0]["content"] == {"number": 4}


def test_each_agent_asks_its_own_user():
    """Two runs at once share the server, and each question goes to the person of its run."""
    both = threading.Barrier(2)
    results = {}

    def asking(name, guests):
        async def ask(question):
            await asyncio.get_running_loop().run_in_executor(None, both.wait, 30)
            return {**FORM, "guests": guests}

        return ask

    with MCP(make(), on_elicitation="user") as mcp:

        def run(name, guests):
            agent = agent_with(mcp, asking(name, guests), city=name)
            results[name] = agent.run("Hi").tool_calls[0].result.content

        threads = [threading.Thread(target=run, args=each) for each in (("Oslo", 2), ("Bergen", 5))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert {name: text[:1] for name, text in results.items()} == {"Oslo": "2", "Bergen": "5"}


def lead_of(expert, kind):
    """Return an agent whose tool asks `expert`, by `as_tool` or in its own code."""

    def ask_expert() -> str:
        """Asks the expert."""
        return expert.run("Hi").output

    async def ask_expert_async() -> str:
        """Asks the expert."""
        return (await expert.run_async("Hi")).output

    tools = {
        "as_tool": (expert.as_tool("expert", "Books rooms."), {"message": "Hi"}),
        "code": (Tool(ask_expert, name="expert"), {}),
        "async code": (Tool(ask_expert_async, name="expert"), {}),
    }
    tool, arguments = tools[kind]
    return Agent(ScriptedModel([tool_call("expert", arguments), "done"]), tools=[tool])


@pytest.mark.parametrize("kind", ["as_tool", "code", "async code"])
@pytest.mark.parametrize("server", ["new", "older"])
def test_agents_that_an_agent_asks_ask_its_user(api, kind, server):
    asked = []

    async def ask(question):
        asked.append(question.server)
        return FORM if server == "new" else {"number": 4}

    place = make() if server == "new" else [*LEGACY, "asking"]
    call, arguments = ("book", {"city": "Oslo"}) if server == "new" else ("first", {})
    with MCP(place, name="desk", on_elicitation="user", on_sampling=lambda p: "A poem.") as mcp:
        lead = agent_with(mcp, None, call, **arguments)
        for _ in range(2):  # the person is known two agents above
            lead = lead_of(lead, kind)
        lead._ask_user = ask
        api.response(lead, "Hi")
        assert asked == ["desk"]
        api.response(agent_with(mcp, None, call, **arguments), "Hi")  # no tool of the other agent's asks this one
        assert asked == ["desk"]


def test_an_agent_that_knows_a_person_asks_that_one():
    asked = []

    def asking(name):
        async def ask(question):
            asked.append(name)
            return FORM

        return ask

    with MCP(make(), on_elicitation="user") as mcp:
        lead = lead_of(agent_with(mcp, asking("of the expert"), city="Oslo"), "as_tool")
        lead._ask_user = asking("of the lead")
        lead.run("Hi")
    assert asked == ["of the expert"]


def test_the_end_of_the_call_ends_the_question():
    ended = threading.Event()

    async def ask(question):
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    with MCP(make(), on_elicitation="user", timeout=0.5) as mcp:
        result = agent_with(mcp, ask, city="Oslo").run("Hi").tool_calls[0].result
        assert result.is_error
        assert ended.wait(30)


def test_another_value_is_refused():
    with pytest.raises(InvalidParamError, match='on_elicitation must be callable or "user", not str'):
        MCP(make(), on_elicitation="me")


# -- the terminal's form -----------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "size": {"type": "number", "title": "Size in m"},
        "kind": {"enum": ["a", "b"], "enumNames": ["Alpha", "Beta"]},
        "color": {"oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]},
        "tags": {"type": "array", "items": {"enum": ["x", "y", "z"]}},
        "sure": {"type": "boolean"},
        "name": {"type": "string", "minLength": 2},
    },
    "required": ["count", "name"],
}


def fill(lines, schema=SCHEMA, url=None):
    said, left = [], list(lines)

    def ask(text):
        said.append(text)
        return left.pop(0)

    return questions.fill(Question("demo", "?", schema, url), ask, said.append), said, left


def test_a_form_is_filled_line_by_line():
    lines = ["many", "99", "3", "1.5", "beta", "GREEN", "x, z", "y", "A", "Ada"]
    values, said, left = fill(lines)
    assert values == {
        "count": 3, "size": 1.5, "kind": "b", "color": "g", "tags": ["x", "z"], "sure": True, "name": "Ada",
    }  # fmt: skip
    assert left == []
    assert "count needs a whole number" in said
    assert "count needs at most 9" in said
    assert "name needs at least 2 characters" in said
    assert "kind (one of Alpha, Beta): " in said
    assert "Size in m (a number): " in said


def test_empty_lines_leave_out_what_is_optional_and_decline_what_is_not():
    assert fill(["1", "", "", "", "", "", "Ada"])[0] == {"count": 1, "name": "Ada"}
    assert fill(["1", "", "", "", "", "", ""])[0] is False


def test_questions_without_fields():
    assert fill(["y"], {"type": "object", "properties": {}})[0] is True
    assert fill(["n"], {"type": "object", "properties": {}})[0] is False
    values, said, _ = fill(["yes"], None, "https://example.org/\x1b[31m")
    assert values is True
    assert "\x1b" not in said[0]
