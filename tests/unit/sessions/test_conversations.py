"""An agent with a stored conversation: what is read before a run, and what is stored after it."""

import asyncio
import gc
import sqlite3
import threading

import pytest

from luup_agent import (
    Agent,
    ApprovalRequiredError,
    BusyError,
    HTTPError,
    InvalidParamError,
    Message,
    SessionConflictError,
    SessionNotFoundError,
    SQLiteSessions,
    StorageError,
    Tool,
    ToolCall,
    ToolNotFoundError,
)
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chats.db"


@pytest.fixture
def sessions(path):
    with SQLiteSessions(path) as opened:
        yield opened


def echo():
    """Return an agent that answers with the texts of the user that it sees."""
    return Agent(FunctionModel(lambda request: "+".join(m.content for m in request.messages if m.role == "user")))


def texts(messages):
    return [message.content for message in messages]


def test_a_conversation_goes_on_in_another_object(path, api):
    with SQLiteSessions(path) as first:
        assert api.text(first.open("ada", echo()), "a") == "a"
    with SQLiteSessions(path) as second:
        session = second.open("ada", echo())
        assert texts(session.messages) == ["a", "a"]
        assert api.text(session, "b") == "a+b"
        assert texts(second.messages("ada")) == ["a", "a", "b", "a+b"]


def test_one_line_opens_and_answers(path):
    assert SQLiteSessions(path).open("ada", echo()).generate("a") == "a"
    assert SQLiteSessions(path).open("ada", echo()).generate("b") == "a+b"


def test_every_answering_method_stores(sessions, api):
    session = sessions.open("ada", echo())
    assert "".join(api.pieces(session, "a")) == "a"
    assert api.response(session, "b").output == "a+b"
    assert api.events(session, "c")[-1].response.text == "a+b+c"
    info = sessions.get("ada")
    assert (info.messages, info.version, info.usage.turns) == (6, 3, 3)
    assert info.usage.total_tokens > 0
    assert info.created <= info.updated


def test_the_agent_keeps_its_own_history(sessions):
    agent = echo()
    agent.generate("own")
    assert sessions.open("ada", agent).generate("a") == "a"
    assert texts(agent.messages) == ["own", "own"]


def test_the_system_prompt_is_the_agents(sessions):
    seen = []

    def answer(request):
        seen.append(request.messages[0].content)
        return "ok"

    model = FunctionModel(answer)
    sessions.open("ada", Agent(model, "Be brief.")).generate("a")
    sessions.open("ada", Agent(model, "Be long.")).generate("b")
    assert seen == ["Be brief.", "Be long."]
    assert texts(sessions.messages("ada")) == ["a", "ok", "b", "ok"]


def test_a_failed_run_stores_nothing(sessions, api):
    session = sessions.open("ada", Agent(ScriptedModel([HTTPError("down"), "fine"])))
    with pytest.raises(HTTPError):
        api.text(session, "a")
    assert sessions.list() == []
    assert api.text(session, "b") == "fine"
    assert texts(sessions.messages("ada")) == ["b", "fine"]


def lookup_agent(*replies, **options):
    agent = Agent(ScriptedModel([tool_call("lookup"), *replies]), **options)

    @agent.tool
    def lookup() -> str:
        """Looks it up."""
        return "42"

    return agent


def test_a_failed_run_stores_what_it_did_if_the_history_keeps_it(path, api):
    with SQLiteSessions(path) as sessions:
        session = sessions.open("ada", lookup_agent(HTTPError("down"), "fine", keep_history="on_error"))
        with pytest.raises(HTTPError):
            api.text(session, "a")
        assert texts(sessions.messages("ada")) == ["a", "", "42"]
        assert api.text(session, None) == "fine"
        assert texts(sessions.messages("ada")) == ["a", "", "42", "fine"]


def test_a_dropped_stream_stores_what_it_did_if_the_history_keeps_it(sessions):
    session = sessions.open("ada", lookup_agent("fine", keep_history="on_error"))
    stream = session.stream_events("a")
    for event in stream:
        if event.type == "tool_result":
            break
    stream.close()
    assert texts(sessions.messages("ada"))[:3] == ["a", "", "42"]  # the answer too, if it was complete already


def test_a_cancelled_task_stores_what_it_did_if_the_history_keeps_it(sessions):
    began = []

    async def wait() -> str:
        """Waits."""
        began.append(True)
        await asyncio.sleep(60)
        return "late"

    agent = Agent(ScriptedModel([tool_call("wait")]), tools=[wait], keep_history="on_error")

    async def main():
        session = await sessions.open_async("ada", agent)
        task = asyncio.ensure_future(session.run_async("a"))
        while not began:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # an Event of Python 3.8 belongs to the loop that made it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await sessions.messages_async("ada")

    assert [message.role for message in asyncio.run(main())] == ["user", "assistant", "tool"]


def test_pending_calls_are_continued_by_another_object(path, api):
    def agent(*replies):
        made = Agent(ScriptedModel(list(replies)))

        @made.tool(requires_approval=True)
        def delete(name: str) -> str:
            """Deletes a file."""
            return f"deleted {name}"

        return made

    with SQLiteSessions(path) as sessions:
        session = sessions.open("ada", agent(tool_call("delete", {"name": "a.txt"})))
        with pytest.raises(ApprovalRequiredError) as caught:
            api.text(session, "delete a.txt")
        (call,) = caught.value.pending
    with SQLiteSessions(path) as sessions:
        session = sessions.open("ada", agent("Done."))
        assert [call.arguments for call in session.pending] == [{"name": "a.txt"}]
        assert session.pending[0].id == call.id
        with pytest.raises(InvalidParamError, match="no call 'call_none' waits"):
            api.resume(session, {"call_none": True})
        response = api.resume(session, {call.id: True})
        assert response.text == "Done."
        assert texts(sessions.messages("ada")) == ["delete a.txt", "", "deleted a.txt", "Done."]
        assert session.pending == []
        with pytest.raises(InvalidParamError, match="no call waits"):
            api.resume(session, {})


def test_calls_reasoning_and_fields_of_a_server_round_trip(path):
    call = ToolCall.from_json("call_1", "lookup", '{"a":  1}').model_copy(
        update={"extra": {"extra_content": {"signature": "x", "n": [1, None, True]}}}
    )
    messages = [
        Message(role="user", content="Zürich \U0001f600 \u2028 ' \" \\ %s :id ?"),
        Message(role="assistant", content="", reasoning="hm\n", tool_calls=(call,), extra={"details": [{"a": 0.5}]}),
        Message(role="tool", content="r", tool_call_id="call_1", name="lookup"),
        Message(role="assistant", content="x" * 100_000),
    ]
    with SQLiteSessions(path) as sessions:
        assert sessions.append("ada", messages, version=0) == 1
    with SQLiteSessions(path) as sessions:
        assert sessions.messages("ada") == messages
        session = sessions.open("ada", echo())
        assert session.messages == messages


def test_another_run_in_between_is_a_conflict(path, api):
    with SQLiteSessions(path) as sessions, SQLiteSessions(path) as others:
        first, second = sessions.open("ada", echo()), others.open("ada", echo())

        def answer(request):
            if not entered:
                entered.append(True)
                second.generate("b")
            return "a"

        entered = []
        first = sessions.open("ada", Agent(FunctionModel(answer)))
        with pytest.raises(SessionConflictError, match="has version 1, but this run continued version 0") as caught:
            api.text(first, "a")
        assert texts(caught.value.messages) == ["a", "a"]
        assert caught.value.usage.turns == 1
        assert texts(sessions.messages("ada")) == ["b", "b"]
        assert api.text(first, "c") == "a"
        assert texts(sessions.messages("ada")) == ["b", "b", "c", "a"]


def test_a_stream_with_a_conflict_has_no_done_event(sessions, api):
    def answer(request):
        sessions.append("ada", [Message(role="user", content="x"), Message(role="assistant", content="y")])
        return "a"

    events = []
    with pytest.raises(SessionConflictError):
        api.each_event(sessions.open("ada", Agent(FunctionModel(answer))), "a", events.append)
    assert "done" not in [event.type for event in events]


def test_a_session_that_was_deleted_is_a_conflict(sessions, api):
    session = sessions.open("ada", Agent(FunctionModel(lambda request: sessions.delete("ada") or "a")))
    sessions.append("ada", [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}])
    with pytest.raises(SessionConflictError, match="was deleted"):
        api.text(session, "a")


def test_another_conversation_with_the_same_id_is_a_conflict(sessions, api):
    def replace(request):
        sessions.rename("ada", "old")
        for _ in range(sessions.get("old").version - 1):
            sessions.append("ada", [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}])
        return "a"

    sessions.append("ada", [{"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}])
    session = sessions.open("ada", Agent(FunctionModel(replace)))
    with pytest.raises(SessionConflictError, match="there is another one with this id now"):
        api.text(session, "a")
    assert texts(sessions.messages("ada")) == ["x", "y"]
    assert texts(sessions.messages("old")) == ["b", "c"]
    session.refresh()
    assert texts(session.messages) == ["x", "y"]


def test_a_session_answers_one_message_at_a_time(sessions):
    entered, go = threading.Event(), threading.Event()

    def answer(request):
        entered.set()
        go.wait(60)
        return "a"

    session = sessions.open("ada", Agent(FunctionModel(answer)))
    thread = threading.Thread(target=session.generate, args=("a",))
    thread.start()
    entered.wait(60)
    with pytest.raises(BusyError):
        session.generate("b")
    with pytest.raises(BusyError):
        session.refresh()
    go.set()
    thread.join()
    assert texts(sessions.messages("ada")) == ["a", "a"]


def test_a_dropped_run_leaves_the_session_free(sessions):
    session = sessions.open("ada", echo())
    stream = session.generate_stream("a")
    next(stream)
    del stream
    gc.collect()
    assert session.generate("b") == "b"

    async def first_piece():
        stream = session.generate_async("c")
        return await stream.__anext__()

    asyncio.run(first_piece())
    gc.collect()
    assert session.generate("d") == "b+d"


def test_a_branch_begins_with_the_first_messages(sessions, api):
    session = sessions.open("ada", echo())
    for message in "abc":
        api.text(session, message)
    branch = sessions.branch("ada", "other", at=2)
    assert (branch.parent, branch.branched_at, branch.messages) == ("ada", 2, 2)
    assert api.text(sessions.open("other", echo()), "x") == "a+x"
    assert api.text(session, "d") == "a+b+c+d"
    assert sessions.branch("ada", "whole").messages == 8
    assert sessions.messages("whole") == sessions.messages("ada")
    assert sessions.branch("ada", "empty", at=0).messages == 0
    assert sessions.open("empty", echo()).generate("y") == "y"
    with pytest.raises(InvalidParamError, match="at must be at most 8"):
        sessions.branch("ada", "no", at=9)
    with pytest.raises(InvalidParamError, match="there is a session 'other' already"):
        sessions.branch("ada", "other")
    with pytest.raises(SessionNotFoundError, match="'missing'"):
        sessions.branch("missing", "no")


def summarizing(replies, summaries):
    agent = Agent(FunctionModel(lambda request: replies.pop(0)))
    agent.enable_builtin_summarization(summarize=lambda messages: summaries.append(texts(messages)) or "SUMMARY")
    return agent


def test_a_summary_changes_what_the_model_sees_and_no_stored_message(path):
    summaries = []
    with SQLiteSessions(path) as sessions:
        session = sessions.open("ada", summarizing(["A", "B", "C", "D", "E"], summaries))
        for message in "abc":
            session.generate(message)
        session.agent.summarization.trigger()
        session.generate("d")
        assert len(summaries) == 1
        seen = texts(session.messages)
        assert "SUMMARY" in seen
        assert seen[-2:] == ["d", "D"]
        assert texts(sessions.messages("ada")) == ["a", "A", "b", "B", "c", "C", "d", "D"]
    with SQLiteSessions(path) as sessions:
        again = sessions.open("ada", echo())
        assert texts(again.messages) == seen
        assert texts(sessions.open(sessions.branch("ada", "late").id, echo()).messages) == seen
        early = sessions.branch("ada", "early", at=4)
        assert texts(sessions.open(early.id, echo()).messages) == ["a", "A", "b", "B"]


def test_wrong_arguments_are_named(sessions):
    agent = echo()
    for call, text in [
        (lambda: sessions.open("", agent), "id must have 1 to 200 characters, got 0"),
        (lambda: sessions.open(7, agent), "id must be a str, not int"),
        (lambda: sessions.open("a\ud800", agent), "id"),
        (lambda: sessions.open("a", "agent"), "agent must be a luup_agent.Agent, not str"),
        (lambda: sessions.open("a", Agent(ScriptedModel([]), enable_history=False)), "enable_history=False"),
        (lambda: sessions.append("a", "text"), "messages must be a list"),
        (lambda: sessions.append("a", [{"role": "nobody", "content": ""}]), r"messages\[0\]"),
        (lambda: sessions.append("a", [{"role": "system", "content": "x"}]), r"messages\[0\] is a system message"),
        (lambda: sessions.list(limit=0), "limit must be at least 1"),
        (lambda: sessions.search("  "), "no words"),
        (lambda: sessions.set_title("a", 5), "title must be a str or None, not int"),
        (lambda: sessions.branch("a", "b", at=True), "at must be an int"),
    ]:
        with pytest.raises(InvalidParamError, match=text):
            call()


def test_a_tool_without_its_function_is_a_typed_error(sessions):
    agent = Agent(ScriptedModel([tool_call("gone")]))
    agent.add_tool(Tool(print, name="gone", parameters={"type": "object"}, requires_approval=True))
    session = sessions.open("ada", agent)
    session.run("a")
    with pytest.raises(ToolNotFoundError):
        sessions.open("ada", Agent(ScriptedModel(["x"]))).resume({session.pending[0].id: True})


def test_reasoning_of_a_reply_is_stored(sessions):
    sessions.open("ada", Agent(ScriptedModel([Reply("x", reasoning="hm")]))).generate("a")
    assert sessions.messages("ada")[1].reasoning == "hm"


def test_what_is_left_is_stored_once_the_database_works_again(path):
    sessions = SQLiteSessions(path, timeout=0)
    session = sessions.open("ada", lookup_agent(HTTPError("down"), "fine", keep_history="on_error"))
    blocker = sqlite3.connect(str(path), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(HTTPError):  # the run's own error, not that of the database
        session.generate("a")
    with pytest.raises(StorageError, match="kept it locked for 0 seconds"):
        session.flush()
    blocker.execute("ROLLBACK")
    blocker.close()
    assert session.generate(None) == "fine"
    assert texts(sessions.messages("ada")) == ["a", "", "42", "fine"]
    sessions.close()
