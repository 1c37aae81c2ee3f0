"""Files of conversations and of durable runs that are wrong as a whole: damaged pages, locks, full disks, swaps."""

import contextlib
import os
import random
import shutil
import sqlite3
import sys
import threading

import pytest
from support.damage import damaged_bytes, try_uses

from luup_agent import Agent, DurableRuns, LuupError, SQLiteSessions, StorageError
from luup_agent.testing import FunctionModel, ScriptedModel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="permissions and limits of POSIX")

PAGE = 4096


def opened(sessions, name):
    return sessions.open(name, Agent(FunctionModel(lambda request: "ok")))


USES = {
    "list": lambda sessions: sessions.list(),
    "get": lambda sessions: sessions.get("ada"),
    "messages": lambda sessions: sessions.messages("ada"),
    "search": lambda sessions: sessions.search("hello"),
    "generate": lambda sessions: opened(sessions, "ada").generate("hello"),
    "branch": lambda sessions: sessions.branch("ada", "newer"),
    "rename": lambda sessions: sessions.rename("ada", "bob"),
    "delete": lambda sessions: sessions.delete("bob"),
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The content of a file with three conversations."""
    path = tmp_path_factory.mktemp("sessions") / "chats.db"
    with SQLiteSessions(path) as sessions:
        for name in ("ada", "bob", "eve"):
            for number in range(8):
                opened(sessions, name).generate(f"hello {number} " + "x" * 300)
    return path.read_bytes()


def write(path, content):
    for end in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{end}")
    path.write_bytes(content)


def use_all(path, what):
    """Do all that can be done; every error has to be one of this package."""
    try:
        sessions = SQLiteSessions(path)
    except LuupError:
        return
    with contextlib.suppress(LuupError), sessions:
        try_uses(sessions, USES, what)


def damaged_pages(content, count, seed=3):
    """Yield copies with flipped bytes, with pages that are gone, empty, random or in another's place, and cut ones."""
    rng, pages = random.Random(seed), len(content) // PAGE
    for content_, what in ((content[:length], f"cut to {length}") for length in (0, 1, 16, 99, 100, PAGE, PAGE + 1)):
        yield what, content_
    for _ in range(count):
        page, other = rng.randrange(pages), rng.randrange(pages)
        before, own, after = content[: page * PAGE], content[page * PAGE :][:PAGE], content[(page + 1) * PAGE :]
        yield f"page {page} empty", before + bytes(PAGE) + after
        yield f"page {page} random", before + rng.getrandbits(8 * PAGE).to_bytes(PAGE, "big") + after
        yield f"page {page} is page {other}", before + content[other * PAGE :][:PAGE] + after
        yield f"page {page} missing", before + after
        flipped = bytearray(own)
        for _ in range(rng.choice((1, 3, 40))):
            flipped[rng.choice((rng.randrange(PAGE), rng.randrange(110)))] ^= 1 << rng.randrange(8)
        yield f"page {page} flipped", before + bytes(flipped) + after
        yield f"cut in page {page}", before + own[: rng.randrange(PAGE)]


@pytest.mark.parametrize("count", [5, pytest.param(120, marks=[pytest.mark.gate])])
def test_damaged_pages(database, tmp_path, count):
    path = tmp_path / "chats.db"
    for what, content in damaged_pages(database, count):
        write(path, content)
        use_all(path, what)


@pytest.mark.parametrize("content", [b"no database at all", b"\0" * 8192, os.urandom(20_000), b"SQLite format 3\0"])
def test_a_file_that_is_none_is_named_and_kept(tmp_path, content):
    path = tmp_path / "chats.db"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"chats\.db"):
        SQLiteSessions(path).list()
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "chats.db"
    connection = sqlite3.connect(str(path))
    connection.execute("CREATE TABLE luup_sessions (other TEXT)")
    connection.execute("CREATE TABLE theirs (a INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match=r"chats\.db"):
        SQLiteSessions(path).list()
    connection = sqlite3.connect(str(path))
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert {"luup_sessions", "theirs"} <= tables


def test_a_locked_database_is_named_after_a_while(database, tmp_path):
    path = tmp_path / "chats.db"
    write(path, database)
    with SQLiteSessions(path) as sessions:
        agent = opened(sessions, "ada")
        other = sqlite3.connect(str(path), isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        ends = []

        def work():
            for use in (lambda: agent.generate("hello"), lambda: sessions.rename("eve", "zoe")):
                try:
                    use()
                    ends.append("ok")
                except StorageError as error:
                    ends.append(str(error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(120)
        assert not thread.is_alive()
        assert len(ends) == 2
        assert all("chats.db" in end and "locked" in end for end in ends), ends
        other.execute("ROLLBACK")
        other.close()
        assert agent.generate("hello again") == "ok"
        assert sessions.rename("eve", "zoe") is None or sessions.get("zoe") is not None


READ_ONLY = """
import os, sys
from luup_agent import Agent, SQLiteSessions, StorageError
from luup_agent.testing import FunctionModel

if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    with SQLiteSessions(sys.argv[1]) as sessions:
        print("listed", len(sessions.list()))
        sessions.rename("ada", "x")
        print("renamed")
except StorageError as error:
    assert "chats.db" in str(error), error
    print("refused")
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_database_that_can_not_be_written(database, tmp_path, child, kind):
    folder = tmp_path / "open"
    folder.mkdir()
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    path = folder / "chats.db"
    write(path, database)
    path.chmod(0o444)
    folder.chmod(0o555 if kind == "folder" else 0o777)
    try:
        result = child(READ_ONLY, path)
    finally:
        folder.chmod(0o755)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split()[-1] == "refused"
    assert path.read_bytes() == database


FULL = """
import resource, signal, sys
from luup_agent import Agent, SQLiteSessions, StorageError
from luup_agent.testing import FunctionModel

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, limit = sys.argv[1], int(sys.argv[2])
sessions = SQLiteSessions(path)
agent = sessions.open("ada", Agent(FunctionModel(lambda request: "ok")))
before = len(sessions.messages("ada"))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
failed = 0
for number in range(30):
    try:
        agent.generate(f"number {number} " + "y" * 20_000)
    except StorageError as error:
        assert "chats.db" in str(error), error
        failed += 1
assert failed, "the disk was never full"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
agent = sessions.open("ada", Agent(FunctionModel(lambda request: "ok")))
assert agent.generate("after") == "ok"
messages = sessions.messages("ada")
assert len(messages) % 2 == 0 and len(messages) > before
assert [message.role for message in messages[:4]] == ["user", "assistant", "user", "assistant"]
sessions.close()
print("whole")
"""


@pytest.mark.parametrize("limit", [60_000, 200_000])
def test_a_full_disk_leaves_whole_turns(database, tmp_path, child, limit):
    path = tmp_path / "chats.db"
    write(path, database)
    result = child(FULL, path, limit)
    assert result.stdout.split() == ["whole"], result.stderr[-2000:]


# -- durable runs ------------------------------------------------------------------------------------------------------


def durable(folder, name, question):
    return DurableRuns(folder).run(name, Agent(ScriptedModel([f"The answer to {question}"])), question)


def test_swapped_and_foreign_files_of_runs(tmp_path, database):
    """A run's file under another name, of another program, or of another version: refused, or the same answer."""
    durable(tmp_path, "one", "first?")
    durable(tmp_path, "two", "second?")
    kept = {name: (tmp_path / f"{name}.run").read_bytes() for name in ("one", "two")}
    foreign = [
        kept["two"], database, b"", b"\n\n\n", b"{}\n", os.urandom(5000), kept["one"] + kept["two"], kept["one"] * 2,
        kept["one"].replace(b'"version": 1', b'"version": 99').replace(b'"version":1', b'"version":99'),
        kept["one"].replace(b"\n", b"\r\n"), kept["one"].decode().encode("utf-16"), b"\xef\xbb\xbf" + kept["one"],
        *damaged_bytes(kept["one"], count=20),
    ]  # fmt: skip
    for content in foreign:
        (tmp_path / "one.run").write_bytes(content)
        try:
            answer = DurableRuns(tmp_path).run("one", Agent(ScriptedModel(["again", "again"])), "first?")
        except LuupError:
            continue
        assert answer.text in ("The answer to first?", "again"), content[:300]


def test_no_flipped_bit_is_taken_for_a_step(tmp_path):
    """A bit of each byte of the file of a run that has ended: the same answer, the answer again, or an error."""
    answer = durable(tmp_path, "one", "first?")
    content = bytearray((tmp_path / "one.run").read_bytes())
    for at in range(len(content)):
        content[at] ^= 1 << at % 7
        (tmp_path / "one.run").write_bytes(bytes(content))
        with contextlib.suppress(LuupError):
            again = DurableRuns(tmp_path).run("one", Agent(ScriptedModel(["again", "again"])), "first?")
            assert again.text in (answer.text, "again"), at
        content[at] ^= 1 << at % 7


def test_a_folder_in_the_place_of_a_run(tmp_path):
    (tmp_path / "one.run").mkdir()
    with pytest.raises(StorageError, match="one"):
        durable(tmp_path, "one", "first?")
    shutil.rmtree(tmp_path / "one.run")
    (tmp_path / "one.run").symlink_to("/dev/zero")
    with pytest.raises(StorageError, match="one"):
        durable(tmp_path, "one", "first?")
