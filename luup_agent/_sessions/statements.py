"""The statements that store and read conversations, for SQLite and for any database of SQLAlchemy.

A conversation is a row of `luup_sessions` and rows of `luup_session_messages`, which are only ever appended: messages,
and summaries. A summary row has the messages that the model sees in place of all rows before the one that it names, so
the whole conversation stays, and a branch at any message begins with what the model saw then.
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from luup_agent._sessions.records import NO_USAGE, Addition, Head, SessionInfo, SessionMatch, Stored
from luup_agent.errors import InvalidParamError, SessionConflictError, SessionNotFoundError
from luup_agent.media import text_of_content
from luup_agent.messages import Message, Usage

_INFO = "id, title, created, updated, messages, usage, version, parent, branched_at"


_NUMBER = (int, float)
_TEXT = (str, type(None))


class Damaged(Exception):
    """A row of the database has not the form that this package writes."""


class Connection:
    """A connection inside a transaction, whose parameters are named, as in ``:id``."""

    locks_rows = False  # whether a row has to be locked before it is changed

    def read(self, sql: str, values: Mapping[str, Any]) -> List[Sequence[Any]]:
        """Return the rows of a query."""
        raise NotImplementedError

    def change(self, sql: str, values: Mapping[str, Any]) -> int:
        """Run a statement; return how many rows it has changed."""
        raise NotImplementedError

    def insert(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement for each of `rows`."""
        raise NotImplementedError

    def find(self, words: Sequence[str], limit: int) -> List[Sequence[Any]]:
        """Return the session and the number of the newest messages that have all `words`."""
        conditions = " AND ".join(f"lower(text) LIKE :word{n} ESCAPE '!'" for n in range(len(words)))
        values = {f"word{n}": f"%{_escape(word.lower())}%" for n, word in enumerate(words)}
        return self.read(
            f"SELECT session, seq FROM luup_session_messages WHERE {conditions} ORDER BY stored DESC, seq DESC "
            "LIMIT :size",
            {**values, "size": limit},
        )

    def forget(self, session: str) -> None:
        """Delete what is kept of the messages of a session beside its rows."""


class _Row(NamedTuple):
    version: int
    created: float
    next_seq: int
    messages: int
    usage: str


def check_row(row: Sequence[Any], *kinds: Any) -> None:
    """Check the types of a row's values: SQLite keeps a value of any type in any column.

    Raises:
        Damaged: One has another type.
    """
    for value, kind in zip(row, kinds):
        if not isinstance(value, kind):
            raise Damaged(f"a row is damaged: it has {value!r:.40} where another type belongs")


def read_json(body: str) -> Any:
    check_row((body,), str)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"a row is damaged: {error}") from None


def read_message(body: str) -> Message:
    values = read_json(body)
    try:
        return Message.from_dict("a message", values)
    except (InvalidParamError, AttributeError) as error:
        raise Damaged(f"a row is damaged: {error}") from None


def _usage(text: str) -> Usage:
    try:
        return Usage(**read_json(text))
    except (TypeError, ValueError) as error:
        raise Damaged(f"a row is damaged: {error}") from None


def _escape(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _row(connection: Connection, session: str, lock: bool = False) -> Optional[_Row]:
    suffix = " FOR UPDATE" if lock and connection.locks_rows else ""
    sql = f"SELECT version, created, next_seq, messages, usage FROM luup_sessions WHERE id = :id{suffix}"
    rows = connection.read(sql, {"id": session})
    if not rows:
        return None
    check_row(rows[0], int, _NUMBER, int, int, str)
    return _Row(*rows[0])


def _required(connection: Connection, session: str, lock: bool = False) -> _Row:
    row = _row(connection, session, lock)
    if row is None:
        raise SessionNotFoundError(f"there is no session {session!r}")
    return row


def _info(row: Sequence[Any]) -> SessionInfo:
    check_row(row, str, _TEXT, _NUMBER, _NUMBER, int, str, int, _TEXT, (int, type(None)))
    session, title, created, updated, messages, usage, version, parent, branched_at = row
    return SessionInfo(
        session,
        title,
        _time(created),
        _time(updated),
        messages,
        _usage(usage),
        version,
        parent,
        branched_at,
    )


def _time(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError) as error:
        raise Damaged(f"a row is damaged: {seconds!r} is not a time: {error}") from None


def info(connection: Connection, session: str) -> SessionInfo:
    """Return a conversation without its messages."""
    rows = connection.read(f"SELECT {_INFO} FROM luup_sessions WHERE id = :id", {"id": session})
    if not rows:
        raise SessionNotFoundError(f"there is no session {session!r}")
    return _info(rows[0])


def listed(connection: Connection, limit: int, offset: int) -> List[SessionInfo]:
    """Return conversations, the last changed first."""
    sql = f"SELECT {_INFO} FROM luup_sessions ORDER BY updated DESC, id LIMIT :size OFFSET :skipped"
    return [_info(row) for row in connection.read(sql, {"size": limit, "skipped": offset})]


def messages(connection: Connection, session: str) -> List[Message]:
    """Return all messages of a conversation, those that a summary has replaced included."""
    _required(connection, session)
    sql = "SELECT body FROM luup_session_messages WHERE session = :id AND kind = 'message' ORDER BY seq"
    return [read_message(body) for (body,) in connection.read(sql, {"id": session})]


def load(connection: Connection, session: str, known: Optional[Head] = None) -> Stored:
    """Return the history that the model sees, unless its state is `known`."""
    row = _row(connection, session)
    head = Head(0) if row is None else Head(row.version, row.created)
    if head == known:
        return Stored(head, None)
    return Stored(head, [] if row is None else _history(connection, session))


def _history(connection: Connection, session: str) -> List[Dict[str, Any]]:
    begin, history = _last_summary(connection, session)
    sql = (
        "SELECT body FROM luup_session_messages WHERE session = :id AND kind = 'message' AND seq >= :begin ORDER BY seq"
    )
    rows = connection.read(sql, {"id": session, "begin": begin})
    return history + [read_message(body).to_dict() for (body,) in rows]


def _last_summary(connection: Connection, session: str) -> Tuple[int, List[Dict[str, Any]]]:
    """Return the first row that the last summary has not replaced, and the messages of the summary."""
    sql = "SELECT body FROM luup_session_messages WHERE session = :id AND kind = 'summary' ORDER BY seq DESC LIMIT 1"
    rows = connection.read(sql, {"id": session})
    if not rows:
        return 0, []
    summary = read_json(rows[0][0])
    try:
        return int(summary["begin"]), [Message.from_dict("a message", each).to_dict() for each in summary["messages"]]
    except (AttributeError, InvalidParamError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise Damaged(f"a row is damaged: {error!r}") from None


def append(connection: Connection, session: str, addition: Addition, expected: Optional[Head]) -> Head:
    """Append what a run adds, as a whole; return the new state.

    Raises:
        SessionConflictError: The state of the conversation is not the `expected` one.
    """
    now = time.time()
    row = _row(connection, session, lock=True)
    if row is None and (expected is None or expected.version == 0):
        made = connection.change(
            "INSERT INTO luup_sessions (id, title, created, updated, messages, usage, version, next_seq) "
            "VALUES (:id, NULL, :now, :now, 0, :usage, 0, 0) ON CONFLICT (id) DO NOTHING",
            {"id": session, "now": now, "usage": NO_USAGE.model_dump_json()},
        )
        row = _row(connection, session, lock=True)
        if not made and expected is not None:
            raise _conflict(session, expected, row)
    if row is None or (expected is not None and row.version != expected.version):
        raise _conflict(session, expected, row)
    if expected is not None and expected.created not in (None, row.created):
        raise SessionConflictError(
            f"the session {session!r} was deleted or renamed while a run continued it, and there is another one with "
            "this id now. Nothing was stored"
        )
    rows = _new_rows(connection, session, addition, row.next_seq, now)
    connection.insert(
        "INSERT INTO luup_session_messages (session, seq, kind, role, body, text, stored) "
        "VALUES (:session, :seq, :kind, :role, :body, :text, :stored)",
        rows,
    )
    usage = _usage(row.usage) + addition.usage
    connection.change(
        "UPDATE luup_sessions SET version = :version, next_seq = :next_seq, messages = :messages, usage = :usage, "
        "updated = :now WHERE id = :id",
        {
            "id": session,
            "version": row.version + 1,
            "next_seq": row.next_seq + len(rows),
            "messages": row.messages + len(addition.messages),
            "usage": usage.model_dump_json(),
            "now": now,
        },
    )
    return Head(row.version + 1, row.created)


def _conflict(session: str, expected: Optional[Head], row: Optional[_Row]) -> SessionConflictError:
    version = None if expected is None else expected.version
    if row is None:
        return SessionConflictError(f"the session {session!r} was deleted while a run continued it")
    return SessionConflictError(
        f"the session {session!r} has version {row.version}, but this run continued version {version}: another run "
        "has changed it meanwhile. Nothing was stored; run the message again, it continues the new version"
    )


def _new_rows(connection: Connection, session: str, addition: Addition, seq: int, now: float) -> List[Dict[str, Any]]:
    rows: List[Dict[str, Any]] = []
    if addition.base is not None:
        begin, _ = _last_summary(connection, session)
        sql = (
            "SELECT seq FROM luup_session_messages WHERE session = :id AND kind = 'message' AND seq >= :begin "
            "ORDER BY seq DESC LIMIT :kept"
        )
        found = connection.read(sql, {"id": session, "begin": begin, "kept": addition.kept})
        summary = {
            "messages": list(addition.base[: len(addition.base) - len(found)]),
            "begin": found[-1][0] if found else seq + 1,
        }
        rows.append({"kind": "summary", "role": "", "body": json.dumps(summary), "text": ""})
    for message in addition.messages:
        text = text_of_content(message.get("content")).replace("\0", "")
        rows.append({"kind": "message", "role": message["role"], "body": json.dumps(message), "text": text})
    return [{**row, "session": session, "seq": seq + index, "stored": now} for index, row in enumerate(rows)]


def search(connection: Connection, words: Sequence[str], limit: int) -> List[SessionMatch]:
    """Return the newest messages that have all words."""
    found: List[SessionMatch] = []
    infos: Dict[str, SessionInfo] = {}
    for session, seq in connection.find(words, limit):
        if session not in infos:
            infos[session] = info(connection, session)
        place = {"id": session, "seq": seq}
        sql = "SELECT body FROM luup_session_messages WHERE session = :id AND seq = :seq"
        rows = connection.read(sql, place)
        if not rows:  # an index of a message that is gone
            continue
        ((body,),) = rows
        sql = "SELECT count(*) FROM luup_session_messages WHERE session = :id AND kind = 'message' AND seq < :seq"
        ((position,),) = connection.read(sql, place)
        found.append(SessionMatch(infos[session], position, read_message(body)))
    return found


def set_title(connection: Connection, session: str, title: Optional[str]) -> None:
    """Set the title of a conversation. Its version stays: no run depends on it."""
    sql = "UPDATE luup_sessions SET title = :title WHERE id = :id"
    if not connection.change(sql, {"id": session, "title": title}):
        raise SessionNotFoundError(f"there is no session {session!r}")


def rename(connection: Connection, session: str, new_id: str) -> None:
    """Give a conversation another id."""
    _required(connection, session, lock=True)
    _check_free(connection, new_id)
    values = {"id": session, "new": new_id}
    connection.change("UPDATE luup_sessions SET id = :new, version = version + 1 WHERE id = :id", values)
    connection.change("UPDATE luup_session_messages SET session = :new WHERE session = :id", values)
    connection.change("UPDATE luup_sessions SET parent = :new WHERE parent = :id", values)


def _check_free(connection: Connection, new_id: str) -> None:
    if _row(connection, new_id) is not None:
        raise InvalidParamError(f"new_id: there is a session {new_id!r} already")


def delete(connection: Connection, session: str) -> None:
    """Delete a conversation. Its branches stay."""
    _required(connection, session, lock=True)
    connection.forget(session)
    connection.change("DELETE FROM luup_session_messages WHERE session = :id", {"id": session})
    connection.change("DELETE FROM luup_sessions WHERE id = :id", {"id": session})


def branch(connection: Connection, session: str, new_id: str, at: Optional[int]) -> SessionInfo:
    """Copy the first `at` messages of a conversation to a new one, with the summaries that came before them."""
    row = _required(connection, session, lock=True)
    count = row.messages if at is None else at
    if count > row.messages:
        raise InvalidParamError(f"at must be at most {row.messages}, the number of messages of {session!r}, got {at}")
    _check_free(connection, new_id)
    end = row.next_seq
    if count < row.messages:
        sql = (
            "SELECT seq FROM luup_session_messages WHERE session = :id AND kind = 'message' ORDER BY seq "
            "LIMIT 1 OFFSET :skipped"
        )
        ((end,),) = connection.read(sql, {"id": session, "skipped": count})
    now = time.time()
    connection.change(
        "INSERT INTO luup_sessions (id, title, created, updated, messages, usage, version, next_seq, parent, "
        "branched_at) SELECT :new, title, :now, :now, :messages, :usage, 1, :next_seq, id, :messages "
        "FROM luup_sessions WHERE id = :id",
        {
            "id": session,
            "new": new_id,
            "now": now,
            "messages": count,
            "usage": NO_USAGE.model_dump_json(),
            "next_seq": end,
        },
    )
    connection.change(
        "INSERT INTO luup_session_messages (session, seq, kind, role, body, text, stored) "
        "SELECT :new, seq, kind, role, body, text, :now FROM luup_session_messages WHERE session = :id AND seq < :end",
        {"id": session, "new": new_id, "now": now, "end": end},
    )
    return info(connection, new_id)
