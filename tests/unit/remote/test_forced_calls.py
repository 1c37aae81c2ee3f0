"""Forced tool calls, also on servers that ignore or refuse tool_choice."""

import json

import pytest
from support.http_server import replying, status

from luup_agent import Agent, InvalidOutputError, MaxTurnsError, Model, Tool
from luup_agent.testing import Reply, ScriptedModel, tool_call


def agent_of(*replies, **options):
    seen = []
    agent = Agent(ScriptedModel(list(replies)), **options)

    @agent.tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        seen.append(("add", a, b))
        return a + b

    @agent.tool
    def greet(name: str) -> str:
        """Greets."""
        seen.append(("greet", name))
        return f"Hello, {name}!"

    return agent, agent.model, seen


def test_arguments_are_asked_for_where_text_came_instead_of_the_call(api):
    agent, model, seen = agent_of("Let me think about that.", {"a": 5, "b": 3}, "It is 8.", system_prompt="Be brief.")
    events = api.events(agent, "What is 5 + 3?", tool_choice="add")
    response = events[-1].response
    assert seen == [("add", 5, 3)]
    assert response.text == "".join(event.text for event in events if event.type == "text") == "It is 8."
    assert response.usage.turns == 2
    assert [message.role for message in agent.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert agent.messages[1].content == "What is 5 + 3?"
    assert agent.messages[2].content == ""
    first, asked, last = model.requests
    assert (first.tool_choice, asked.tools, last.tool_choice) == ("add", [], "auto")
    assert asked.prompt.startswith("What is 5 + 3?\n\nCall the tool add: Adds two numbers.")
    assert asked.output_schema == agent.tools["add"].parameters
    model.assert_complete()


def test_an_answer_that_never_ends_is_no_answer(api):
    agent, _, seen = agent_of(Reply("word " * 30, finish_reason="length"), {"name": "Ada"}, "Done.", max_tokens=30)
    assert api.response(agent, "Greet Ada.", tool_choice="greet").text == "Done."
    assert seen == [("greet", "Ada")]


def test_of_several_tools_one_is_chosen_first(api):
    agent, model, seen = agent_of("Well.", {"tool": "greet"}, {"name": "Ada"}, "Done.")
    response = api.response(agent, "Greet Ada.", tool_choice="required")
    assert (response.text, seen, response.usage.turns) == ("Done.", [("greet", "Ada")], 2)
    assert model.requests[1].output_schema["properties"]["tool"]["enum"] == ["add", "greet"]
    for line in ("- add: Adds two numbers.", "- greet: Greets."):
        assert line in model.requests[1].prompt
    assert "Call the tool greet: Greets." in model.requests[2].prompt
    model.assert_complete()


def test_a_call_that_comes_is_taken_and_its_text_told_before_it(api):
    agent, model, seen = agent_of(Reply("Adding.", tool_calls=[tool_call("add", a=1, b=2)]), "3")
    kinds = [event.type for event in api.events(agent, "1 + 2?", tool_choice="add") if event.type != "progress"]
    assert kinds == ["text", "tool_call", "tool_result", "text", "done"]
    assert seen == [("add", 1, 2)]
    assert agent.messages[1].content == "Adding."
    model.assert_complete()


def test_a_free_model_is_free(api):
    agent, model, seen = agent_of("No need for tools.")
    assert api.text(agent, "Hi", tool_choice="auto") == "No need for tools."
    assert not seen
    model.assert_complete()


@pytest.mark.parametrize(("choice", "wrong"), [("add", '["no object"]'), ("required", '{"tool": "subtract"}')])
def test_what_stays_wrong_is_an_error(api, choice, wrong):
    agent, model, seen = agent_of("No.", wrong, wrong, retries=1)
    with pytest.raises(InvalidOutputError, match="still wrong after 1 retries"):
        api.text(agent, "What is 5 + 3?", tool_choice=choice)
    assert not seen
    assert agent.get_history() == []
    assert "That answer is not valid" in model.requests[2].prompt
    model.assert_complete()


def test_arguments_that_are_cut_off_are_an_error(api):
    agent, _, seen = agent_of("No.", Reply('{"a": 5, "b', finish_reason="length"), max_tokens=9)
    with pytest.raises(InvalidOutputError, match="a tool call was cut off") as caught:
        api.text(agent, "What is 5 + 3?", tool_choice="add")
    assert caught.value.finish_reason == "length"
    assert not seen


def test_turns_are_bounded(api):
    agent, *_ = agent_of("No.", {"a": 5, "b": 3}, max_turns=1)
    with pytest.raises(MaxTurnsError):
        api.text(agent, "What is 5 + 3?", tool_choice="add")


def test_a_server_without_typed_results_says_what_it_likes(api, serve):
    refusal = status("400 Bad", b'{"error": {"message": "response_format is not supported"}}')
    text, again, later = replying("No.", "Still no.", "Never.")
    server = serve(text, refusal, again, later)
    agent = Agent(Model.from_remote(server.url, "old"))
    agent.add_tool(Tool(lambda: "noon", name="clock", description="Tells the time."))
    events = api.events(agent, "What time is it?", tool_choice="clock")
    assert "".join(event.text for event in events if event.type == "text") == "Still no."
    assert not events[-1].response.tool_calls
    assert api.text(agent, "And now?", tool_choice="clock") == "Never."
    formats = ["response_format" in request.json for request in server.requests]
    assert formats == [False, True, False, False]
    assert json.loads(json.dumps(agent.get_history()))[-1]["content"] == "Never."
