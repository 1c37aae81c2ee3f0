"""Durable runs in one process: what is recorded, how a run goes on, and what is refused."""

import asyncio
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from pydantic import BaseModel
from support.durable import records

from luup_agent import (
    Agent,
    BusyError,
    DurableRuns,
    HTTPError,
    InvalidOutputError,
    InvalidParamError,
    MaxTurnsError,
    Message,
    RunContext,
    StorageError,
    Tool,
    ToolNotFoundError,
)
from luup_agent._durable.journal import Journal
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and locks of POSIX")


class Runs:
    """`DurableRuns` with one driver for both APIs."""

    def __init__(self, folder, api):
        self.runs, self.api = DurableRuns(folder), api

    def run(self, *arguments, **options):
        if hasattr(self.api, "do"):
            return self.api.do(self.runs.run_async(*arguments, **options))
        return self.runs.run(*arguments, **options)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def runs(folder, api):
    return Runs(folder, api)


def texts(messages):
    return [message.content for message in messages]


class Recording(Agent):
    """An agent with a list of the calls of its tool."""

    called: list


def adding(*replies, **options):
    agent = Recording(ScriptedModel(list(replies)), **options)
    agent.called = []

    @agent.tool
    def add(ctx: RunContext, a: int, b: int) -> int:
        """Adds two numbers."""
        agent.called.append((ctx.run_id, ctx.call_id, a, b))
        return a + b

    return agent


def test_a_run_ends_and_its_response_stays(runs, folder):
    agent = adding(Reply("", reasoning="Let me add.", tool_calls=(tool_call("add", a=1, b=2),)), "It is 3.")
    response = runs.run("job", agent, "What is 1 + 2?")
    assert response.text == response.output == "It is 3."
    assert texts(response.messages) == ["What is 1 + 2?", "", "3", "It is 3."]
    assert response.messages[1].reasoning == "Let me add."
    assert [call.result.content for call in response.tool_calls] == ["3"]
    assert (response.usage.turns, response.finish_reason) == (2, "stop")
    assert agent.messages == []
    assert runs.runs.unfinished() == []
    again = runs.run("job", Agent(ScriptedModel([])), "What is 1 + 2?")
    assert again == response
    assert runs.run("job", Agent(ScriptedModel([]))) == response
    assert [record["kind"] for record in records(folder)] == ["begin", "turn", "result", "usage", "end"]


def test_a_file_is_its_owners_alone(runs, folder):
    runs.run("job", adding("a"), "x")
    assert stat.S_IMODE((folder / "job.run").stat().st_mode) == 0o600


def test_it_begins_with_the_history_of_the_agent(runs, folder):
    seen = []

    def answer(request):
        seen.append([message.content for message in request.messages])
        if len(seen) == 1:
            raise HTTPError("down")
        return "ok"

    agent = Agent(FunctionModel(answer), "Be brief.")
    agent.add_message("user", "a")
    agent.add_message("assistant", "b")
    with pytest.raises(HTTPError):
        runs.run("job", agent, "x")
    assert runs.runs.unfinished() == ["job"]
    agent.clear_history()
    assert texts(runs.run("job", agent).messages) == ["x", "ok"]
    assert seen == [["Be brief.", "a", "b", "x"]] * 2


def test_a_run_that_failed_goes_on_without_its_tools(runs):
    agent = adding(tool_call("add", a=1, b=2), HTTPError("down"), "It is 3.")
    with pytest.raises(HTTPError):
        runs.run("job", agent, "x")
    response = runs.run("job", agent, "x")
    assert response.text == "It is 3."
    assert len(agent.called) == 1
    assert texts(response.messages) == ["x", "", "3", "It is 3."]
    assert [call.result.content for call in response.tool_calls] == ["3"]
    assert response.usage.turns == 3  # with the one that failed


def test_a_tool_that_ended_the_run_is_called_again_with_its_key(runs):
    keys = []

    def pay(ctx: RunContext) -> str:
        """Pays."""
        keys.append((ctx.run_id, ctx.call_id))
        if len(keys) == 1:
            raise ConnectionError("the bank is down")
        return "paid"

    agent = Agent(ScriptedModel([tool_call("pay"), "Paid."]), tools=[Tool(pay, on_error="raise")])
    with pytest.raises(ConnectionError):
        runs.run("job", agent, "Pay.")
    assert runs.run("job", agent).text == "Paid."
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert keys[0][0] == "job"


def test_an_interrupted_tool_is_called_again(runs):
    calls = []

    def slow() -> str:
        """Is slow."""
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return "ok"

    agent = Agent(ScriptedModel([tool_call("slow"), "Done."]), tools=[slow])
    with pytest.raises(KeyboardInterrupt):
        runs.run("job", agent, "x")
    response = runs.run("job", agent)
    assert (response.text, len(calls)) == ("Done.", 2)
    assert [call.result.content for call in response.tool_calls] == ["ok"]


def test_a_cancelled_task_goes_on(folder):
    async def wait() -> str:
        """Waits."""
        if not began:
            began.append(True)
            await asyncio.sleep(60)
        return "waited"

    began = []
    agent = Agent(ScriptedModel([tool_call("wait"), "Done."]), tools=[wait])
    runs = DurableRuns(folder)

    async def main():
        task = asyncio.ensure_future(runs.run_async("job", agent, "x"))
        while not began:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # an Event of Python 3.8 belongs to the loop that made it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await runs.run_async("job", agent)

    assert texts(asyncio.run(main()).messages) == ["x", "", "waited", "Done."]


def test_calls_that_wait_for_an_approval(runs, folder):
    def agent(*replies):
        made = adding(*replies)
        made.tool(requires_approval=True)(delete)
        return made

    def delete() -> str:
        """Deletes all."""
        return "deleted"

    first = agent([tool_call("add", a=1, b=2), tool_call("delete")])
    response = runs.run("job", first, "go")
    assert (response.finish_reason, [call.name for call in response.pending]) == ("tool_calls", ["delete"])
    assert runs.runs.unfinished() == ["job"]
    assert [call.name for call in runs.run("job", agent()).pending] == ["delete"]
    assert [call.name for call in runs.run("job", agent(), repeat_calls=False).pending] == ["delete"]
    (call,) = response.pending
    with pytest.raises(InvalidParamError, match="no call 'x' waits for an approval"):
        runs.run("job", agent(), approvals={"x": True})
    last = agent("Done.")
    response = runs.run("job", last, approvals={call.id: True})
    assert response.text == "Done."
    assert texts(response.messages) == ["go", "", "3", "deleted", "Done."]
    assert (len(first.called), last.called) == (1, [])
    assert [each.result.content for each in response.tool_calls] == ["3", "deleted"]


class Sum(BaseModel):
    value: int


def test_a_typed_answer(runs):
    agent = adding(tool_call("add", a=1, b=2), HTTPError("down"), {"value": 3})
    with pytest.raises(HTTPError):
        runs.run("job", agent, "x", output_type=Sum)
    assert runs.run("job", agent, output_type=Sum).output == Sum(value=3)
    assert runs.run("job", Agent(ScriptedModel([])), output_type=Sum).output == Sum(value=3)
    with pytest.raises(InvalidOutputError, match="'job' has ended with an answer that is not of this output_type"):
        runs.run("job", Agent(ScriptedModel([])), output_type=int)


def test_turns_count_over_all_processes(runs):
    agent = adding(
        *[tool_call("add", a=1, b=2), HTTPError("down")] * 2, tool_call("add", a=1, b=2), "never", max_turns=3
    )
    for _ in range(2):
        with pytest.raises(HTTPError):
            runs.run("job", agent, "x")
    for _ in range(2):
        with pytest.raises(MaxTurnsError):
            runs.run("job", agent)
    assert len(agent.called) == 3


def test_a_choice_of_a_tool_is_for_the_first_answer(runs):
    agent = adding(tool_call("add", a=1, b=2), HTTPError("down"), "It is 3.")
    with pytest.raises(HTTPError):
        runs.run("job", agent, "x", tool_choice="add")
    assert runs.run("job", agent, tool_choice="add").text == "It is 3."


def test_events_and_prompts_work_as_in_other_runs(runs):
    events = []
    agent = adding(tool_call("add", a=1, b=2), "3", system_prompt=lambda: "made", on_event=events.append)
    runs.run("job", agent, "x")
    assert events[-1].type == "done"


def test_a_missing_tool_is_a_typed_error(runs):
    agent = Agent(ScriptedModel([tool_call("boom")]), tools=[Tool(int, name="boom", parameters={"type": "object"})])
    agent.remove_tool("boom")

    def boom() -> str:
        """Fails."""
        raise ZeroDivisionError

    agent.add_tool(Tool(boom, on_error="raise"))
    with pytest.raises(ZeroDivisionError):
        runs.run("job", agent, "x")
    with pytest.raises(ToolNotFoundError, match="boom"):
        runs.run("job", Agent(ScriptedModel(["a"])))


def test_one_process_at_a_time(runs, folder):
    entered, go = threading.Event(), threading.Event()

    def answer(request):
        entered.set()
        go.wait(60)
        return "a"

    agent = Agent(FunctionModel(answer))
    thread = threading.Thread(target=DurableRuns(folder).run, args=("job", agent, "x"))
    thread.start()
    entered.wait(60)
    with pytest.raises(BusyError, match="another process or thread works on the run 'job'"):
        runs.run("job", agent, "x")
    go.set()
    thread.join()
    assert runs.run("job", agent, "x").text == "a"


def test_wrong_arguments_are_named(runs):
    runs.run("job", adding("a"), "x")
    agent = adding()
    for call, text in [
        (lambda: runs.run("job", agent, "y"), "'job' began with another message"),
        (lambda: runs.run("new", agent), "there is no run 'new' to go on with"),
        (lambda: runs.run("new", agent, ""), "message must not be empty"),
        (lambda: runs.run("new", "agent", "x"), "agent must be a luup_agent.Agent, not str"),
        (lambda: runs.run("new", Agent(ScriptedModel([]), enable_history=False), "x"), "enable_history=False"),
        (lambda: runs.run("../x", agent, "x"), "id must have 1 to 100 letters"),
        (lambda: runs.run(".x", agent, "x"), "id must have 1 to 100 letters"),
        (lambda: runs.run("", agent, "x"), "id must have 1 to 100 letters"),
        (lambda: runs.run("a\n", agent, "x"), "id must have 1 to 100 letters"),
        (lambda: runs.run(5, agent, "x"), "id must be a str, not int"),
        (lambda: DurableRuns(None), "folder"),
    ]:
        with pytest.raises(InvalidParamError, match=text):
            call()
    with pytest.raises(TypeError, match="unexpected keyword argument 'temprature'"):
        runs.run("new", agent, "x", temprature=1)
    assert runs.runs.unfinished() == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{\n", "line 1 is damaged"),
        (b"[]\n", "line 1 is damaged: it is not a record"),
        (b'{"kind": "turn"}\n', "not the file of a run"),
        (b'{"kind": "begin", "version": 99}\n', "version 99, and this luup-agent knows 1"),
        (b'{"kind": "begin", "version": 1}\n', "is damaged: KeyError"),
        (b'{"kind": "begin", "version": 1, "message": "x", "history": [{"role": "x"}]}\n', "is damaged: "),
        (
            b'{"kind": "begin", "version": 1, "message": "x", "history": []}\n{"kind": "turn", "message": 5}\n',
            "damaged",
        ),
        (b"\xff\xff\n", "line 1 is damaged"),
    ],
)
def test_a_damaged_file_is_a_typed_error(runs, folder, content, text):
    folder.mkdir()
    (folder / "job.run").write_bytes(content)
    with pytest.raises(StorageError, match=text) as caught:
        runs.run("job", adding("a"), "x")
    assert "job.run" in str(caught.value)
    assert (folder / "job.run").read_bytes() == content


def test_a_torn_line_is_dropped(runs, folder):
    agent = adding(tool_call("add", a=1, b=2), HTTPError("down"), "It is 3.")
    with pytest.raises(HTTPError):
        runs.run("job", agent, "x")
    with open(str(folder / "job.run"), "ab") as file:
        file.write(b'{"kind": "turn", "mess')
    assert runs.run("job", agent).text == "It is 3."
    assert [record["kind"] for record in records(folder)].count("turn") == 1


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_not_a_file_is_refused(runs, folder, kind, tmp_path):
    folder.mkdir()
    path = folder / "job.run"
    if kind == "link":
        (tmp_path / "real").write_bytes(b"")
        path.symlink_to(tmp_path / "real")
    elif kind == "fifo":
        os.mkfifo(str(path))
    else:
        path.mkdir()
    with pytest.raises(StorageError, match=r"job\.run can't be used"):
        runs.run("job", adding("a"), "x")


def test_a_disk_that_fails_ends_the_run(runs, monkeypatch):
    agent = adding(tool_call("add", a=1, b=2), "3")
    runs.run("other", adding("a"), "x")
    write = Journal.write

    def fail(self, kind, **values):
        if kind == "turn":
            raise StorageError("the disk is full")
        write(self, kind, **values)

    monkeypatch.setattr(Journal, "write", fail)
    with pytest.raises(StorageError, match="the disk is full"):
        runs.run("job", agent, "x")
    assert agent.called == []  # no tool without a record


def test_unfinished_and_delete(runs, folder):
    assert runs.runs.unfinished() == []
    runs.run("done", adding("a"), "x")
    for number, name in enumerate(["first", "second"]):
        with pytest.raises(HTTPError):
            runs.run(name, adding(HTTPError("down")), "x")
        os.utime(str(folder / f"{name}.run"), (number, number))
    assert runs.runs.unfinished() == ["first", "second"]
    runs.runs.delete("first")
    runs.runs.delete("first")
    assert runs.runs.unfinished() == ["second"]
    assert sorted(path.name for path in Path(folder).iterdir()) == ["done.run", "second.run"]


def test_messages_round_trip(runs):
    agent = adding("ok")
    agent.set_history([Message(role="user", content="\u2028 \U0001f600"), Message(role="assistant", content="\\n")])
    response = runs.run("job", agent, "Zürich \x85 \u2029")
    assert response.messages[0].content == "Zürich \x85 \u2029"
    assert runs.run("job", agent) == response
