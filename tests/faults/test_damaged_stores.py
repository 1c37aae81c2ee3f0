"""Damaged files of durable runs and of conversations: each damage is a StorageError, or does not matter."""

import contextlib
import json
import os
import random
import re
import sqlite3
import sys

import pytest
from support.damage import damaged_bytes, dumped, other_values, try_uses

from luup_agent import Agent, DurableRuns, HTTPError, LuupError, SQLiteSessions, StorageError
from luup_agent._durable.journal import Journal
from luup_agent._sessions import entries
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks and FIFOs of POSIX")


# -- durable runs ------------------------------------------------------------------------------------------------------


def adding(*replies):
    agent = Agent(ScriptedModel(list(replies)))

    @agent.tool
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    return agent


@pytest.fixture(scope="module")
def journals(tmp_path_factory):
    """The records of a run that has ended, and of one that has not."""
    folder = tmp_path_factory.mktemp("runs")
    runs = DurableRuns(folder)
    runs.run("ended", adding(tool_call("add", a=1, b=2), "It is 3."), "What is 1 + 2?")
    with pytest.raises(HTTPError):
        runs.run("open", adding(tool_call("add", a=1, b=2), HTTPError("down")), "What is 1 + 2?")
    # Without the checksums, which would find each damage before anything else does.
    return {name: re.sub(rb', "sum": \d+\}', b"}", (folder / f"{name}.run").read_bytes()) for name in ("ended", "open")}


def goes_on_or_is_refused(folder, content):
    """Continue a run whose file has this content."""
    (folder / "job.run").write_bytes(content)
    runs = DurableRuns(folder)
    assert runs.unfinished() in ([], ["job"])
    with contextlib.suppress(LuupError):
        runs.run("job", adding("It is 3.", "It is 3."))


@pytest.mark.parametrize("count", [25, pytest.param(None, marks=pytest.mark.gate)])
@pytest.mark.parametrize("name", ["ended", "open"])
def test_records_with_other_values(journals, tmp_path, name, count):
    lines = journals[name].splitlines(keepends=True)
    for index, line in enumerate(lines):
        for other in other_values(json.loads(line), count, seed=index):
            try:
                changed = dumped(other).encode() + b"\n"
            except ValueError:  # an integer with too many digits for Python's own writer
                continue
            goes_on_or_is_refused(tmp_path, b"".join([*lines[:index], changed, *lines[index + 1 :]]))


@pytest.mark.parametrize("name", ["ended", "open"])
def test_records_with_other_bytes(journals, tmp_path, name):
    for content in damaged_bytes(journals[name], count=40):
        goes_on_or_is_refused(tmp_path, content)


@pytest.mark.parametrize("end", [b'{"text": "x"}', b"{}", b"[]", b"3", b'"x"', b'{"output": 1}', b"null"])
def test_an_end_that_is_no_response(journals, tmp_path, end):
    lines = journals["ended"].splitlines(keepends=True)
    (tmp_path / "job.run").write_bytes(b"".join(lines[:-1]) + b'{"kind": "end", "response": ' + end + b"}\n")
    if end == b"null":  # as if it had not ended
        assert DurableRuns(tmp_path).run("job", adding("Again.")).text == "Again."
        return
    with pytest.raises(StorageError, match="is damaged"):
        DurableRuns(tmp_path).run("job", adding())


def test_a_torn_end_is_unfinished(journals, tmp_path):
    content = journals["ended"]
    begin = content.rindex(b'{"kind": "end"')
    for length in (begin, begin + 14, begin + 40, len(content) - 1):
        (tmp_path / "job.run").write_bytes(content[:length])
        assert DurableRuns(tmp_path).unfinished() == ["job"]
    (tmp_path / "job.run").write_bytes(content)
    assert DurableRuns(tmp_path).unfinished() == []


def test_a_fifo_among_the_runs_holds_nobody_up(tmp_path):
    os.mkfifo(tmp_path / "pipe.run")
    with pytest.raises(StorageError, match=r"pipe\.run can't be used: it is not a regular file"):
        DurableRuns(tmp_path).unfinished()


@pytest.mark.parametrize("written", [0, 1, 20])
def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch, written):
    """The disk is full in the middle of a record, and has room again for the one that tells the usage."""
    write, failed = os.write, []

    def full(descriptor, data):
        if b'"kind": "result"' in data and not failed:
            failed.append(True)
            write(descriptor, data[:written])
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="No space left on device"):
        DurableRuns(tmp_path).run("job", adding(tool_call("add", a=1, b=2), "It is 3."), "What is 1 + 2?")
    assert failed
    assert DurableRuns(tmp_path).run("job", adding("It is 3.")).text == "It is 3."
    for line in (tmp_path / "job.run").read_text().splitlines():
        json.loads(line)


def test_the_file_that_is_locked_is_the_one_that_is_read(journals, tmp_path, monkeypatch):
    """Another file gets its name after it was opened."""
    path = tmp_path / "job.run"
    path.write_bytes(journals["open"])
    lock = Journal._lock

    def replace(self, run_id):
        lock(self, run_id)
        path.unlink()
        os.mkfifo(path)

    monkeypatch.setattr(Journal, "_lock", replace)
    assert DurableRuns(tmp_path).run("job", adding("It is 3.")).text == "It is 3."


# -- conversations -----------------------------------------------------------------------------------------------------

CELLS = (
    -1, 1e300, float("inf"), 2**62, "x", b"\xff\xfe", "", "{}", "[]", "null", "3", "[" * 100_000, "9" * 5000, "NaN",
    '{"messages": 3, "begin": 1}', '{"messages": [{"role": "user", "content": 3}], "begin": "x"}',
    '{"values": 3, "count": 1}', '{"values": {"id": [], "parent": {}}, "count": 1}',
    '{"values": {"id": "a"}, "count": -5}',
    '{"values": {"id": "a", "parent": "a"}, "count": 1e400}', '{"values": {"id": "a", "parent": []}, "count": 1}',
    '{"role": "user", "content": {}}', '{"role": "assistant", "tool_calls": 3}', '{"role": 3}',
    "message", "entry", "summary",
)  # fmt: skip
COLUMNS = [
    *(("luup_sessions", name) for name in (
        "id", "title", "created", "updated", "messages", "usage", "version", "next_seq", "parent", "branched_at")),
    *(("luup_session_messages", name) for name in ("session", "seq", "kind", "role", "body", "text", "stored")),
]  # fmt: skip


def put(connection, entry, parent, role, new=False):
    values = {"id": entry, "parent": parent, "role": role}
    return entries.put(connection, "tree", values, [{"role": role, "content": entry}], None, new)


def opened(sessions, name):
    return sessions.open(name, Agent(FunctionModel(lambda request: "ok"))).generate("x")


USES = {
    "list": lambda sessions: sessions.list(),
    "get": lambda sessions: sessions.get("ada"),
    "messages": lambda sessions: sessions.messages("ada"),
    "search": lambda sessions: sessions.search("hello"),
    "open": lambda sessions: opened(sessions, "ada"),
    "open a tree": lambda sessions: opened(sessions, "tree"),
    "branch": lambda sessions: sessions.branch("ada", "newer"),
    "rename": lambda sessions: sessions.rename("ada", "bob"),
    "title": lambda sessions: sessions.set_title("ada", "t"),
    "read": lambda sessions: sessions._database.run(lambda each: entries.read(each, "tree")),
    "find": lambda sessions: sessions._database.run(lambda each: entries.find(each, "q", 10), True),
    "add": lambda sessions: sessions._database.run(lambda each: put(each, "d", "c", "user"), True),
    "change": lambda sessions: sessions._database.run(lambda each: put(each, "c", "a", "assistant"), True),
    "branch a tree": lambda sessions: sessions._database.run(
        lambda each: entries.branch(each, "tree", "t2", "b"), True
    ),
    "delete": lambda sessions: sessions.delete("tree"),
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The content of a file with a conversation of a program, and one of a page."""
    path = tmp_path_factory.mktemp("sessions") / "chats.db"
    with SQLiteSessions(path) as sessions:
        opened(sessions, "ada")
        opened(sessions, "ada")
        run = sessions._database.run
        run(lambda each: put(each, "a", None, "user", new=True), True)
        run(lambda each: put(each, "b", "a", "assistant"), True)
        run(lambda each: put(each, "c", "a", "assistant"), True)
    return path.read_bytes()


def damaged_file(path, content, table, column, value):
    """Write a file with another value in a column; False if it takes no such value."""
    for end in ("-wal", "-shm"):
        if os.path.exists(str(path) + end):
            os.unlink(str(path) + end)
    path.write_bytes(content)
    some = " WHERE seq % 2 = 0" if table.endswith("messages") and column in ("seq", "session") else ""
    connection = sqlite3.connect(str(path))
    try:
        connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ?{some}", (value,))
        connection.commit()
    except sqlite3.Error:
        return False
    finally:
        connection.close()
    return True


@pytest.mark.parametrize("share", [0.05, pytest.param(1.0, marks=pytest.mark.gate)])
def test_rows_with_other_values(database, tmp_path, share):
    rng, path = random.Random(7), tmp_path / "chats.db"
    for table, column in COLUMNS:
        for value in CELLS:
            if rng.random() >= share or not damaged_file(path, database, table, column, value):
                continue
            with SQLiteSessions(path) as sessions:
                try_uses(sessions, USES, f"{table}.{column} = {value!r:.60}")


@pytest.mark.parametrize(
    ("table", "column", "value", "use"),
    [
        ("luup_sessions", "created", 1e300, "list"),
        ("luup_sessions", "updated", "x", "get"),
        ("luup_sessions", "version", "x", "open"),
        ("luup_sessions", "next_seq", b"\xff", "add"),
        ("luup_sessions", "title", b"\xff", "find"),
        ("luup_sessions", "usage", "[" * 100_000, "get"),
        ("luup_session_messages", "seq", "x", "add"),
        ("luup_session_messages", "body", b"{}", "messages"),
        ("luup_session_messages", "body", "[" * 100_000, "messages"),
    ],
)
def test_a_value_of_another_type_is_named(database, tmp_path, table, column, value, use):
    path = tmp_path / "chats.db"
    assert damaged_file(path, database, table, column, value)
    with SQLiteSessions(path) as sessions, pytest.raises(StorageError, match=r"chats\.db .*a row is damaged"):
        USES[use](sessions)


def test_an_entry_named_as_a_row_hides_no_message(tmp_path):
    """A client names its entry as this package names the entries of messages that a program has stored."""
    with SQLiteSessions(tmp_path / "chats.db") as sessions:
        run = sessions._database.run
        run(lambda each: put(each, "row-3", None, "user", new=True), True)
        opened(sessions, "tree")
        opened(sessions, "tree")
        found = run(lambda each: entries.read(each, "tree"))
        assert [message.content for entry in found for message in entry.messages] == ["row-3", "x", "ok", "x", "ok"]
        assert len({entry.values["id"] for entry in found}) == len(found)
