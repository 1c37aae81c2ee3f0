"""The file of `SQLiteSessions`: how it is opened, checked and brought to the newest version."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
from typing import Any, Callable, List, Mapping, Optional, Sequence, TypeVar

from luup_agent._files import shorten_path
from luup_agent._native import encode_absolute_path
from luup_agent._sessions.database import Database
from luup_agent._sessions.schema import SQLITE_STEPS
from luup_agent._sessions.statements import Connection, Damaged, check_row
from luup_agent._threads import Lock
from luup_agent.errors import ClosedError, LuupError, StorageError

T = TypeVar("T")

_APPLICATION = 0x6C757570  # "luup", in the header of the file
_HEADER = b"SQLite format 3\0"
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_left_to_parents: List[sqlite3.Connection] = []  # a forked process may neither use nor close those of its parent


class SQLiteConnection(Connection):
    """A connection to a file inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read(self, sql: str, values: Mapping[str, Any]) -> List[Sequence[Any]]:
        """Return the rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str, values: Mapping[str, Any]) -> int:
        """Run a statement; return how many rows it has changed."""
        return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement for each of `rows`."""
        self._connection.executemany(sql, rows)

    def find(self, words: Sequence[str], limit: int) -> List[Sequence[Any]]:
        """Return the session and the number of the newest messages that have all `words`."""
        if not self._index():
            return super().find(words, limit)
        query = " AND ".join(f'"{word}"*' for word in _tokens(words))
        if not query:
            return []
        return self.read(
            "SELECT m.session, m.seq FROM luup_session_search s JOIN luup_session_messages m ON m.number = s.rowid "
            "WHERE luup_session_search MATCH :query ORDER BY m.number DESC LIMIT :size",
            {"query": query, "size": limit},
        )

    def _index(self) -> bool:
        """Index the messages that came since the last search; return whether this SQLite has the index."""
        try:
            self._connection.execute(
                "CREATE VIRTUAL TABLE IF NOT EXISTS luup_session_search USING fts5(text, tokenize='unicode61')"
            )
            ((done,),) = self.read("SELECT coalesce(max(number), 0) FROM luup_session_indexed", {})
            ((last,),) = self.read("SELECT coalesce(max(number), 0) FROM luup_session_messages", {})
            check_row((done, last), int, int)
            if last > done:
                self._connection.execute(
                    "INSERT INTO luup_session_search (rowid, text) SELECT number, text FROM luup_session_messages "
                    "WHERE number > :done AND kind = 'message'",
                    {"done": done},
                )
                self._connection.execute("DELETE FROM luup_session_indexed")
                self._connection.execute("INSERT INTO luup_session_indexed VALUES (:last)", {"last": last})
        except sqlite3.OperationalError as error:
            if "no such module" in str(error):
                return False
            raise
        return True

    def forget(self, session: str) -> None:
        """Delete the texts of a session from the index."""
        if not self.read("SELECT 1 FROM sqlite_master WHERE name = 'luup_session_search'", {}):
            return
        try:
            self._connection.execute(
                "DELETE FROM luup_session_search WHERE rowid IN "
                "(SELECT number FROM luup_session_messages WHERE session = :id)",
                {"id": session},
            )
        except sqlite3.OperationalError as error:
            if "no such module" not in str(error):
                raise


def _tokens(words: Sequence[str]) -> List[str]:
    """Return the parts of words that the index has: it splits texts at everything but letters and digits."""
    return [part for word in words for part in re.split(r"[\W_]+", word) if part]


class SQLiteFile(Database):
    """A file of conversations, open; or a database in memory. Any thread may use it.

    Attributes:
        in_memory: Whether it is a database in memory.
        path: The absolute path of the file.
    """

    def __init__(self, path: Any, timeout: float) -> None:
        """Open the file, or create it.

        Args:
            path: The file, or ":memory:".
            timeout: How many seconds to wait for other writers.

        Raises:
            StorageError: It can't be used.
        """
        self._connection: Optional[sqlite3.Connection] = None
        self.in_memory = path == ":memory:"
        self.path = path if self.in_memory else os.fsdecode(encode_absolute_path("path", path))
        self._timeout = timeout
        self._lock = Lock()
        self._process = os.getpid()
        self._is_closed = False
        self.run(lambda connection: None)

    def __repr__(self) -> str:
        """Return the path."""
        return repr(self.path)

    def run(self, work: Callable[[Connection], T], writes: bool = False) -> T:
        """Return the result of `work`, which a transaction encloses.

        Raises:
            StorageError: The file can't be used, is damaged, or is locked for too long.
            ClosedError: `close` was called.
        """
        with self._lock:
            if self._is_closed:
                raise ClosedError(f"the sessions in {shorten_path(self.path)} were closed")
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                try:
                    result = work(SQLiteConnection(connection))
                    connection.execute("COMMIT")
                    return result
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
            except LuupError:
                raise
            except (sqlite3.Error, OSError, Damaged) as error:
                raise self._failure(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._is_closed = True
            if self._connection is not None:
                if self._process == os.getpid():
                    self._connection.close()
                else:
                    _left_to_parents.append(self._connection)
                self._connection = None

    def __del__(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self.close()

    def _failure(self, error: Exception) -> StorageError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if "locked" in reason:
            reason = f"other programs have kept it locked for {self._timeout:g} seconds"
        return StorageError(f"the sessions in {shorten_path(self.path)} can't be used: {reason}")

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._process != os.getpid():
            _left_to_parents.append(self._connection)
            self._connection = None
        if self._connection is None:
            if not self.in_memory:
                _prepare(self.path)
            self._process = os.getpid()
            connection = sqlite3.connect(
                self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False
            )
            try:
                self._set_up(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        """Check whose file it is, and bring it to the newest version.

        Raises:
            StorageError: It belongs to another program or a newer version.
        """
        connection.execute("BEGIN")  # one view: another process may make the tables between two reads
        try:
            self._read_version(connection)
        finally:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode = WAL")  # readers don't wait for a writer
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")  # one process makes the tables
        try:
            for step in SQLITE_STEPS[self._read_version(connection) :]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {len(SQLITE_STEPS)}")
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _read_version(self, connection: sqlite3.Connection) -> int:
        ((application,),) = connection.execute("PRAGMA application_id").fetchall()
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        name = shorten_path(self.path)
        if application != _APPLICATION and (application or version or tables):
            raise StorageError(f"{name} is a database of another program, not of SQLiteSessions")
        if version > len(SQLITE_STEPS):
            raise StorageError(
                f"{name} has version {version} of the sessions, and this luup-agent knows versions up to "
                f"{len(SQLITE_STEPS)}: use a newer luup-agent"
            )
        return int(version)


def _prepare(path: str) -> None:
    """Check that a path is a regular file, or create one for its owner alone.

    Raises:
        OSError: It is something else, or can't be created.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process has created it
            os.close(os.open(path, _CREATE, 0o600))
        mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
        raise StorageError(f"the sessions in {shorten_path(path)} can't be used: it is {kind}, and must be a file")
    with open(path, "rb") as file:
        begin = file.read(len(_HEADER))
    if begin and begin != _HEADER:  # SQLite would take a very short file for a new one
        raise StorageError(f"the sessions in {shorten_path(path)} can't be used: the file is not a database")
