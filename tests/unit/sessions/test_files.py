"""The file of `SQLiteSessions`: created for its owner, migrated, shared, and refused where it is not one."""

import errno
import os
import sqlite3
import stat
import sys
import threading

import pytest
from support.processes import run_in_processes

from luup_agent import (
    Agent,
    ClosedError,
    InvalidParamError,
    Message,
    SessionConflictError,
    SessionNotFoundError,
    SQLiteSessions,
    StorageError,
)
from luup_agent._sessions import sqlite_file
from luup_agent.testing import FunctionModel


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chats.db"


def talk(sessions, session, *lines):
    sessions.append(session, [Message(role="user", content=line) for line in lines])


def test_a_new_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "new" / "folder" / "chats.db"
    with SQLiteSessions(path) as sessions:
        talk(sessions, "ada", "a")
        for each in path.parent.iterdir():  # the log of SQLite too
            assert stat.S_IMODE(each.stat().st_mode) == 0o600, each


def test_an_existing_file_keeps_its_mode(path):
    SQLiteSessions(path).close()
    path.chmod(0o640)
    with SQLiteSessions(path) as sessions:
        talk(sessions, "ada", "a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_relative_path_does_not_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SQLiteSessions("chats.db") as sessions:
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        talk(sessions, "ada", "a")
    assert (tmp_path / "chats.db").exists()
    assert list((tmp_path / "other").iterdir()) == []


def test_in_memory():
    with SQLiteSessions(":memory:") as sessions:
        talk(sessions, "ada", "a")
        assert sessions.get("ada").messages == 1
    assert not os.path.exists(":memory:")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "device", "folder"])
def test_what_is_not_a_file_is_refused(tmp_path, path, kind):
    if kind == "link":
        SQLiteSessions(tmp_path / "real.db").close()
        path.symlink_to(tmp_path / "real.db")
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "real.db")
    elif kind == "fifo":
        os.mkfifo(str(path))
    elif kind == "device":
        path = "/dev/null"
    else:
        path.mkdir()
    with pytest.raises(StorageError, match="must be a file") as caught:
        SQLiteSessions(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "real.db").exists() or kind == "link"


@pytest.mark.parametrize(
    "content", [b"not a database, and long enough for a header" * 40, b"x", b"SQLite format 3\0" + b"x" * 84]
)
def test_a_file_that_is_no_database_is_refused_and_kept(path, content):
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"chats\.db"):
        SQLiteSessions(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_kept(path):
    other = sqlite3.connect(str(path))
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"chats\.db is a database of another program"):
        SQLiteSessions(path)
    assert path.read_bytes() == before


def test_a_damaged_file_is_a_typed_error(path):
    with SQLiteSessions(path) as sessions:
        for number in range(40):
            talk(sessions, f"s{number}", "word " * 2000)
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)

    def read_all():
        with SQLiteSessions(path) as sessions:
            for number in range(40):
                sessions.messages(f"s{number}")

    with pytest.raises(StorageError, match=r"chats\.db"):
        read_all()


@pytest.mark.parametrize(
    ("change", "use"),
    [
        ("UPDATE luup_session_messages SET body = '{'", "messages"),
        ("UPDATE luup_session_messages SET body = '[]'", "messages"),
        ('UPDATE luup_session_messages SET body = \'{"role": "x", "content": ""}\'', "messages"),
        ("UPDATE luup_session_messages SET kind = 'summary', body = '{}'", "open"),
        ("UPDATE luup_session_messages SET kind = 'summary', body = '3'", "open"),
        ("UPDATE luup_sessions SET usage = 'x'", "get"),
        ("DROP TABLE luup_session_messages", "messages"),
    ],
)
def test_a_damaged_row_is_a_typed_error(path, change, use):
    with SQLiteSessions(path) as sessions:
        talk(sessions, "ada", "a")
        other = sqlite3.connect(str(path))
        other.execute(change)
        other.commit()
        other.close()
        agent = Agent(FunctionModel(lambda request: "ok"))
        calls = {"messages": sessions.messages, "get": sessions.get, "open": lambda name: sessions.open(name, agent)}
        with pytest.raises(StorageError, match=r"chats\.db"):
            calls[use]("ada")


def test_a_newer_version_is_refused_with_a_remedy(path):
    SQLiteSessions(path).close()
    newer = sqlite3.connect(str(path))
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StorageError, match="has version 99 .* knows versions up to 2: use a newer luup-agent"):
        SQLiteSessions(path)


VERSION_1 = """
CREATE TABLE luup_sessions (
    id VARCHAR(200) PRIMARY KEY, title TEXT, created DOUBLE PRECISION NOT NULL, updated DOUBLE PRECISION NOT NULL,
    messages INTEGER NOT NULL, usage TEXT NOT NULL, version INTEGER NOT NULL, next_seq INTEGER NOT NULL
);
CREATE TABLE luup_session_messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, session VARCHAR(200) NOT NULL, seq INTEGER NOT NULL,
    kind VARCHAR(20) NOT NULL, role VARCHAR(20) NOT NULL, body TEXT NOT NULL, text TEXT NOT NULL,
    stored DOUBLE PRECISION NOT NULL, UNIQUE (session, seq)
);
CREATE INDEX luup_sessions_updated ON luup_sessions (updated);
INSERT INTO luup_sessions VALUES ('ada', 'A chat', 1700000000.5, 1700000001, 2,
    '{"prompt_tokens":3,"cached_tokens":1,"completion_tokens":2,"total_tokens":5,"turns":1,"reasoning_tokens":0}',
    1, 2);
INSERT INTO luup_session_messages (session, seq, kind, role, body, text, stored)
    VALUES ('ada', 0, 'message', 'user', '{"role": "user", "content": "My cat is Tom."}', 'My cat is Tom.', 1700000000),
           ('ada', 1, 'message', 'assistant', '{"role": "assistant", "content": "Hi Tom!"}', 'Hi Tom!', 1700000000);
PRAGMA application_id = 1819637104;
PRAGMA user_version = 1;
"""


def write_version_1(path):
    old = sqlite3.connect(str(path))
    old.executescript(VERSION_1)
    old.close()


def test_a_file_of_version_1_is_migrated(path):
    write_version_1(path)
    with SQLiteSessions(path) as sessions:
        info = sessions.get("ada")
        assert (info.title, info.messages, info.version, info.parent) == ("A chat", 2, 1, None)
        assert info.created.timestamp() == 1700000000.5
        assert info.usage.total_tokens == 5
        assert [match.position for match in sessions.search("cat tom")] == [0]
        assert sessions.branch("ada", "b", at=1).parent == "ada"
        agent = Agent(FunctionModel(lambda request: str(len(request.messages))))
        assert sessions.open("ada", agent).generate("again") == "3"
    SQLiteSessions(path).close()
    migrated = sqlite3.connect(str(path))
    assert migrated.execute("PRAGMA user_version").fetchone() == (2,)
    migrated.close()


def test_a_migration_that_fails_changes_nothing(path, monkeypatch):
    write_version_1(path)
    steps = (*sqlite_file.SQLITE_STEPS, ("CREATE TABLE luup_more (x)", "NOT A STATEMENT"))
    monkeypatch.setattr(sqlite_file, "SQLITE_STEPS", steps)
    with pytest.raises(StorageError, match="syntax error"):
        SQLiteSessions(path)
    monkeypatch.undo()
    old = sqlite3.connect(str(path))
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    assert old.execute("SELECT count(*) FROM sqlite_master WHERE name = 'luup_more'").fetchone() == (0,)
    old.close()
    with SQLiteSessions(path) as sessions:
        assert sessions.get("ada").messages == 2


def test_a_locked_file_is_a_typed_error(path):
    with SQLiteSessions(path, timeout=0.05) as sessions:
        other = sqlite3.connect(str(path), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"kept it locked for 0\.05 seconds"):
            talk(sessions, "ada", "a")
        assert sessions.list() == []  # readers do not wait
        other.execute("ROLLBACK")
        other.close()
        talk(sessions, "ada", "a")


def test_a_full_disk_is_a_typed_error_and_loses_nothing(path):
    with SQLiteSessions(path) as sessions:
        talk(sessions, "ada", "a")
        sessions._database._connection.execute("PRAGMA max_page_count = 12")
        with pytest.raises(StorageError, match=r"chats\.db .* full"):
            talk(sessions, "ada", "word " * 100_000)
        assert sessions.get("ada").messages == 1


@pytest.mark.parametrize("timeout", [-1, "1", True, float("nan"), 1e9])
def test_a_wrong_timeout_is_refused(path, timeout):
    with pytest.raises(InvalidParamError, match="timeout must be 0 to 3600 seconds"):
        SQLiteSessions(path, timeout=timeout)


@pytest.mark.parametrize("wrong", ["", None, 3, "a\0b"])
def test_a_wrong_path_is_refused(wrong):
    with pytest.raises(InvalidParamError, match="path"):
        SQLiteSessions(wrong)


def test_a_long_name_is_a_typed_error(tmp_path):
    with pytest.raises(StorageError, match=os.strerror(errno.ENAMETOOLONG)):
        SQLiteSessions(tmp_path / ("x" * 300))


def test_closed(path):
    sessions = SQLiteSessions(path)
    sessions.close()
    sessions.close()
    with pytest.raises(ClosedError, match=r"chats\.db were closed"):
        sessions.list()


# ---------------------------------------------------------------------------------------------------------------------
# List, title, rename, delete, search
# ---------------------------------------------------------------------------------------------------------------------


def test_the_last_changed_is_listed_first(path):
    with SQLiteSessions(path) as sessions:
        for name in "abc":
            talk(sessions, name, name)
        talk(sessions, "a", "again")
        assert [info.id for info in sessions.list()] == ["a", "c", "b"]
        assert [info.id for info in sessions.list(limit=1, offset=1)] == ["c"]


def test_title_rename_delete(path):
    with SQLiteSessions(path) as sessions:
        talk(sessions, "a", "one")
        sessions.set_title("a", "Über Ada")
        sessions.branch("a", "b")
        sessions.rename("a", "c")
        assert (sessions.get("c").title, sessions.get("b").parent) == ("Über Ada", "c")
        assert [message.content for message in sessions.messages("c")] == ["one"]
        sessions.delete("c")
        assert [info.id for info in sessions.list()] == ["b"]
        talk(sessions, "c", "new")
        assert sessions.get("c").messages == 1
        for call in (
            lambda: sessions.get("x"),
            lambda: sessions.messages("x"),
            lambda: sessions.delete("x"),
            lambda: sessions.set_title("x", "t"),
            lambda: sessions.rename("x", "y"),
        ):
            with pytest.raises(SessionNotFoundError, match="there is no session 'x'"):
                call()
            with pytest.raises(LookupError):
                call()
        with pytest.raises(InvalidParamError, match="new_id: there is a session 'c' already"):
            sessions.rename("b", "c")


@pytest.fixture(params=["fts5", "like"])
def searched(request, path, monkeypatch):
    with SQLiteSessions(path) as sessions:
        if request.param == "like":
            monkeypatch.setattr(sqlite_file.SQLiteConnection, "_index", lambda self: False)
        yield sessions


def found(sessions, text, **options):
    return [(match.session.id, match.position, match.message.content) for match in sessions.search(text, **options)]


def test_search_finds_messages_with_all_words(searched):
    talk(searched, "a", "The cat sat on the mat.", "A dog barked.")
    talk(searched, "b", "The cats and the dog: 100% true, snake_case.")
    assert found(searched, "CAT dog") == [("b", 0, "The cats and the dog: 100% true, snake_case.")]
    assert [match[:2] for match in found(searched, "dog")] == [("b", 0), ("a", 1)]
    assert [match[:2] for match in found(searched, "dog", limit=1)] == [("b", 0)]
    assert [match[:2] for match in found(searched, "100%")] == [("b", 0)]
    assert [match[:2] for match in found(searched, "snake_case")] == [("b", 0)]
    for harmless in ['"', "'; DROP TABLE x; --", "NEAR(a b)", "a AND", "*", "-", "(", "col:x", "%"]:
        searched.search(harmless)
    searched.delete("b")
    assert [match[:2] for match in found(searched, "dog")] == [("a", 1)]
    talk(searched, "c", "another dog")
    assert [match[:2] for match in found(searched, "dog")] == [("c", 0), ("a", 1)]


def test_search_follows_renames_and_branches(searched):
    talk(searched, "a", "zebra", "lion")
    searched.rename("a", "b")
    searched.branch("b", "c")
    assert sorted(match[:2] for match in found(searched, "zebra")) == [("b", 0), ("c", 0)]


def test_this_sqlite_has_the_index(path):
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5(x)")
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no FTS5")
    finally:
        connection.close()
    with SQLiteSessions(path) as sessions:
        talk(sessions, "a", "zebras")
        sessions.search("zebra")
        rows = sessions._database._connection.execute("SELECT rowid FROM luup_session_search").fetchall()
        assert len(rows) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Several writers
# ---------------------------------------------------------------------------------------------------------------------

TURNS = 25
WRITERS = 8


def runs_of(messages):
    """Return the (writer, turn) pairs of a conversation whose runs are whole; fail if one is interleaved."""
    assert len(messages) % 2 == 0
    pairs = list(zip(messages[::2], messages[1::2]))
    for question, answer in pairs:
        assert answer.content == f"re: {question.content}"
    return [tuple(map(int, question.content.split())) for question, _ in pairs]


def answering(writer):
    return Agent(FunctionModel(lambda request: f"re: {request.messages[-1].content}"))


def converse(path, writer):
    """Add runs to one conversation, each again after a conflict; return how many conflicts there were."""
    conflicts = 0
    with SQLiteSessions(path, timeout=300) as sessions:
        session = sessions.open("shared", answering(writer))
        for turn in range(TURNS):
            while True:
                try:
                    session.generate(f"{writer} {turn}")
                    break
                except SessionConflictError:
                    conflicts += 1
            sessions.append("log", [{"role": "user", "content": f"{writer} {turn}"}] * 2)
    return conflicts


def check_conversation(path, conflicts):
    expected = {(writer, turn) for writer in range(WRITERS) for turn in range(TURNS)}
    with SQLiteSessions(path) as sessions:
        runs = runs_of(sessions.messages("shared"))
        assert len(runs) == len(expected)
        assert set(runs) == expected
        assert sessions.get("shared").version == len(expected)
        assert sessions.get("shared").usage.turns == len(expected)
        log = [message.content for message in sessions.messages("log")]
        assert log[::2] == log[1::2]  # no other append came between two messages
        assert len(log) == 2 * len(expected)
    assert sum(conflicts) > 0  # else the test proves little


@pytest.mark.slow
def test_eight_processes_lose_and_interleave_nothing(path):
    conflicts = run_in_processes(converse, [(str(path), writer) for writer in range(WRITERS)])
    check_conversation(path, conflicts)


@pytest.mark.slow
def test_eight_threads_lose_and_interleave_nothing(path):
    conflicts = []
    threads = [threading.Thread(target=lambda n=n: conflicts.append(converse(path, n))) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_conversation(path, conflicts)


def test_threads_share_one_object(path):
    with SQLiteSessions(path) as sessions:
        threads = [threading.Thread(target=talk, args=(sessions, "ada", f"{n}a", f"{n}b")) for n in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        texts = [message.content for message in sessions.messages("ada")]
    assert len(texts) == 2 * WRITERS
    assert [text[:-1] for text in texts[::2]] == [text[:-1] for text in texts[1::2]]


def test_many_open_a_new_file_at_once(path):
    run_in_processes(open_and_talk, [(str(path), n) for n in range(8)])
    with SQLiteSessions(path) as sessions:
        assert sessions.get("ada").messages == 8


def open_and_talk(path, number):
    with SQLiteSessions(path) as sessions:
        talk(sessions, "ada", str(number))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_opens_the_file_again(path, child):
    result = child(
        """
        import os, sys
        from luup_agent import SQLiteSessions
        sessions = SQLiteSessions(sys.argv[1])
        sessions.append("ada", [{"role": "user", "content": "parent"}])
        pid = os.fork()
        if not pid:
            sessions.append("ada", [{"role": "user", "content": "child"}])
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        sessions.append("ada", [{"role": "user", "content": "parent again"}])
        print([message.content for message in sessions.messages("ada")])
        """,
        path,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "['parent', 'child', 'parent again']"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_process_that_is_killed_leaves_whole_runs(path, child):
    result = child(
        """
        import os, signal, sys, threading, time
        from luup_agent import SQLiteSessions
        sessions = SQLiteSessions(sys.argv[1])
        threading.Timer(1, os.kill, (os.getpid(), signal.SIGKILL)).start()
        while True:
            sessions.append("ada", [{"role": "user", "content": "x" * 20000}] * 7)
        """,
        path,
    )
    assert result.returncode == -9, result.stderr
    with SQLiteSessions(path) as sessions:
        info = sessions.get("ada")
        assert info.messages == len(sessions.messages("ada")) == 7 * info.version > 0
