"""The model calls built-in tools, and the core answers."""

import json
import threading

import pytest

from luup_agent import Agent, HTTPError, InvalidParamError, Todo, ToolNotFoundError
from luup_agent.testing import ScriptedModel, tool_call


@pytest.fixture
def assistant(agent):
    agent.enable_builtin_todo()
    agent.enable_builtin_notes()
    return agent


def test_a_forced_call_is_carried_out(api, assistant):
    response = api.response(assistant, "Remind me to buy milk.", tool_choice="todo_add", max_turns=2)
    (call, *_) = response.tool_calls
    (todo, *_) = assistant.todos.list()
    assert call.name == "todo_add"
    assert Todo.model_validate_json(call.result.content) == todo
    assert call.arguments["text"] == todo.text
    assert not call.result.is_error
    roles = [message.role for message in response.messages]
    assert roles[:3] == ["user", "assistant", "tool"]
    assert response.messages[2].content == call.result.content
    assert response.messages[2].tool_call_id == response.messages[1].tool_calls[0].id == call.id
    assert assistant.messages[1:] == response.messages


def test_events_tell_of_it_in_order(api, assistant):
    events = api.events(assistant, "Remind me to buy milk.", tool_choice="todo_add", max_turns=2)
    kinds = [event.type for event in events if event.type not in ("progress", "text", "reasoning")]
    assert kinds[:2] == ["tool_call", "tool_result"]
    assert kinds[-1] == "done"
    call, result = (next(e for e in events if e.type == kind) for kind in ("tool_call", "tool_result"))
    assert (call.call.id, call.call.name) == (result.call_id, result.name)
    assert json.loads(result.content)["id"] == 1


def test_pieces_of_text_come_as_without(api, assistant):
    pieces = api.pieces(assistant, "Remind me to buy milk.", tool_choice="todo_add", max_turns=2)
    assert "".join(pieces) == assistant.messages[-1].content
    assert len(assistant.todos.list()) >= 1


def test_what_can_not_be_done_is_told_to_the_model(api, assistant):
    response = api.response(assistant, "Task 12345 is done.", tool_choice="todo_complete", max_turns=2)
    result = response.tool_calls[0].result
    assert result.is_error
    assert result.content.startswith("Error: there is no item with the id ")


def test_a_damaged_file_is_told_to_the_model_and_logged(api, agent, tmp_path, caplog):
    agent.enable_builtin_todo(tmp_path / "todo.json")
    (tmp_path / "todo.json").write_text("damaged")
    response = api.response(agent, "Remind me to buy milk.", tool_choice="todo_add", max_turns=2)
    assert "is damaged, and was not changed" in response.tool_calls[0].result.content
    assert "the built-in tool todo_add failed" in caplog.text
    assert (tmp_path / "todo.json").read_text() == "damaged"


def test_own_tools_and_built_in_ones_in_one_run(api, assistant):
    called = []

    @assistant.tool
    def ring() -> str:
        """Rings the bell."""
        called.append(threading.current_thread().name)
        return "ding"

    for name in ("ring", "todo_list"):
        response = api.response(assistant, "Please.", tool_choice=name, max_turns=2)
        assert response.tool_calls[0].name == name
    assert len(called) >= 1
    assert response.tool_calls[0].result.content == "[]"


def test_calls_that_wait_in_the_history_are_carried_out(api, assistant):
    def ring() -> str:
        """Rings the bell."""
        return "ding"

    calls = [
        ("call00001", "todo_add", {"text": "Tea"}),
        ("call00002", "ring", {}),
        ("call00003", "todo_delete", {"id": 9}),
    ]
    waiting = [
        {"id": i, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for i, name, arguments in calls
    ]
    assistant.add_tool(ring)
    assistant.set_history(
        [{"role": "user", "content": "Go."}, {"role": "assistant", "content": "", "tool_calls": waiting}]
    )
    response = api.response(assistant, None, max_turns=2, tool_choice="none")
    by_id = {call.id: call.result for call in response.tool_calls}
    assert json.loads(by_id["call00001"].content)["text"] == "Tea"
    assert by_id["call00002"].content == "ding"
    assert by_id["call00003"].is_error
    assert [m.tool_call_id for m in response.messages if m.role == "tool"] == [i for i, _, _ in calls]
    assert [todo.text for todo in assistant.todos.list()] == ["Tea"]


def test_tools_of_one_call_come_to_the_built_in_ones(assistant):
    def ring() -> str:
        """Rings the bell."""
        return "ding"

    for name in ("todo_list", "ring"):
        response = assistant.run("Please.", tools=[ring], tool_choice=name, max_turns=2)
        assert response.tool_calls[0].name == name


def test_without_tool_calling_there_are_none(tiny_model):
    agent = Agent(tiny_model, temperature=0, max_tokens=8, enable_tool_calling=False)
    plain = len(agent._prompt_tokens("Hi"))
    agent.enable_builtin_todo()
    response = agent.run("Hi")
    assert response.usage.prompt_tokens == plain
    with pytest.raises(InvalidParamError, match="tool_choice"):
        agent.run("Hi", tool_choice="required")


def test_the_model_is_offered_only_what_is_switched_on(tiny_model):
    agent = Agent(tiny_model)
    assert agent.context.tools == 0
    agent.enable_builtin_todo()
    some = agent.context.tools
    agent.enable_builtin_notes()
    assert 0 < some < agent.context.tools


def test_a_fork_has_them(assistant):
    assistant.todos.add("Tea")
    fork = assistant.fork()
    assert fork.todos.list() == assistant.todos.list()
    assert (
        fork.run("Show it.", tool_choice="todo_list", max_turns=2).tool_calls[0].result.content.startswith('[{"id":1')
    )


def test_a_long_list_is_cut_for_the_model_and_says_so(assistant):
    for number in range(40):
        assistant.notes.create(f"{number} " + "x" * 1000)
    content = assistant.run("Show it.", tool_choice="note_list", max_turns=2).tool_calls[0].result.content
    entries, told = content.split("\n")
    assert len(content) < 17_000
    shown = [note["id"] for note in json.loads(entries)]
    assert shown[-1] == 40
    assert told == f"[the {40 - len(shown)} oldest of 40 are left out]"
    assert len(assistant.notes.list()) == 40


@pytest.mark.gate
def test_many_agents_write_one_list(tiny_model, tmp_path):
    agents = [Agent(tiny_model, temperature=1, max_tokens=256, seed=n) for n in range(8)]
    for agent in agents:
        agent.enable_builtin_todo(tmp_path / "todo.json")

    def work(agent):
        for _ in range(3):
            agent.run("Add something.", tool_choice="todo_add", max_turns=3)

    threads = [threading.Thread(target=work, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [todo.id for todo in agents[0].todos.list()]
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) >= 24


def test_another_model_for_a_while_has_them_too(api, agent):
    agent.enable_builtin_todo()
    agent.todos.add("Buy milk")
    model = ScriptedModel([tool_call("todo_add", text="Buy tea"), "Noted."])
    with agent.override(model=model):
        assert api.text(agent, "Remind me of tea.") == "Noted."
        assert [todo.text for todo in agent.todos.list()] == ["Buy milk", "Buy tea"]
        agent.enable_builtin_notes()
    assert [todo.text for todo in agent.todos.list()] == ["Buy milk", "Buy tea"]
    assert agent.get_history() == [{"role": "system", "content": "Be brief."}]
    with pytest.raises(ToolNotFoundError):
        agent.notes.list()
    assert {"todo_add", "todo_list"} <= set(model.requests[0].tools)


def test_a_remote_model_summarizes_when_it_is_asked_to(api):
    model = ScriptedModel(["They greeted each other.", "Fine."])
    agent = Agent(model, "Be brief.")
    for number in range(4):
        agent.add_message("user", f"Hello {number}")
        agent.add_message("assistant", "Hello.")
    agent.summarization.trigger()
    response = api.response(agent, "And now?")
    assert (response.text, response.summary) == ("Fine.", "They greeted each other.")
    assert "Hello 0" in model.requests[0].prompt
    assert model.requests[0].tools == []
    assert agent.get_history()[2]["content"] == "They greeted each other."
    assert agent.summarization.status().summaries == 1


def test_a_server_that_fails_at_a_summary_answers_all_the_same(api):
    agent = Agent(ScriptedModel([HTTPError("busy"), "Fine."]), "Be brief.")
    for number in range(4):
        agent.add_message("user", f"Hello {number}")
        agent.add_message("assistant", "Hello.")
    agent.summarization.trigger()
    response = api.response(agent, "And now?")
    assert (response.text, response.summary) == ("Fine.", None)
    assert len(agent.get_history()) == 11
