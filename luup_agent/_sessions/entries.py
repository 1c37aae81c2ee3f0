"""The tree of a conversation that a chat page shows: its entries, in rows of the kind "entry".

An entry is what a page shows as one message: that of a person, or an answer with its thoughts, calls, times and
errors. Its row follows the rows of its messages, and counts them. `parent` names the entry before it, so an edited
message or another answer is a sibling, and nothing is lost. The model of a program that opens the conversation sees the
branch that was stored last: where a branch begins, a summary row has the messages of the entries before it.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from luup_agent._json import write_json
from luup_agent._sessions import statements
from luup_agent._sessions.records import NO_USAGE, Addition, Head, SessionInfo
from luup_agent._sessions.statements import Connection
from luup_agent.errors import InvalidParamError, SessionConflictError, SessionNotFoundError
from luup_agent.messages import Message, Usage


class Entry(NamedTuple):
    """An entry of a conversation.

    Attributes:
        values: What the page keeps of it, with its "id" and its "parent" (None for the first one).
        messages: Its messages.
        seq: The number of its last row.
        kept: Whether it has a row; messages that a program has stored have none.
    """

    values: Dict[str, Any]
    messages: List[Message]
    seq: int
    kept: bool = True


def read(connection: Connection, session: str) -> List[Entry]:
    """Return the entries of a conversation in the order in which they were stored.

    Raises:
        SessionNotFoundError: There is no such conversation.
    """
    statements.info(connection, session)
    sql = "SELECT seq, kind, body FROM luup_session_messages WHERE session = :id AND kind <> 'summary' ORDER BY seq"
    found: Dict[str, Entry] = {}
    loose: List[Tuple[int, Message]] = []  # messages before the next row of an entry
    last: Optional[str] = None
    for row in connection.read(sql, {"id": session}):
        statements.check_row(row, int, str, str)
        seq, kind, body = row
        if kind == "message":
            loose.append((seq, statements.read_message(body)))
            continue
        name, values, count = _read_row(body)
        split = max(0, len(loose) - count)
        _add_made(found, loose[:split], last)
        before = found[name].messages if name in found else []
        found[name] = Entry(values, [*before, *(message for _, message in loose[split:])], seq)
        loose, last = [], name
    _add_made(found, loose, last)
    return list(found.values())


def _read_row(body: str) -> Tuple[str, Dict[str, Any], int]:
    stored = statements.read_json(body)
    try:
        values = dict(stored["values"])
        return str(values["id"]), values, int(stored["count"])
    except (KeyError, OverflowError, TypeError, ValueError):
        raise statements.Damaged("a row is damaged: it has no entry") from None


def _add_made(found: Dict[str, Entry], rows: Sequence[Tuple[int, Message]], last: Optional[str]) -> None:
    """Add entries of messages that a program has stored, behind the entry `last`."""
    for seq, message in rows:
        role = "user" if message.role == "user" else "assistant"
        above = None if last is None else found[last]
        if above is not None and not above.kept and role == "assistant" == above.values["role"]:
            found[str(last)] = above._replace(messages=[*above.messages, message], seq=seq)
            continue
        name = f"row-{seq}"
        while name in found:  # an entry that a client has named so
            name += "."
        found[name] = Entry({"id": name, "parent": last, "role": role}, [message], seq, kept=False)
        last = name


def path(entries: Sequence[Entry], last: Optional[str]) -> List[Entry]:
    """Return the entries from the first one to the one with the id `last`.

    Raises:
        InvalidParamError: An entry that is named does not exist, or the entries go in a circle.
    """
    by_id = {str(entry.values["id"]): entry for entry in entries}
    found: List[Entry] = []
    while last is not None:
        if last not in by_id:
            raise InvalidParamError(f"there is no entry {last!r} in the conversation")
        if len(found) == len(by_id):
            raise InvalidParamError("the entries of the conversation name one another as their parents")
        found.append(by_id[last])
        last = by_id[last].values.get("parent")
    return found[::-1]


def _messages_of(entries: Sequence[Entry]) -> List[Message]:
    return [message for entry in entries for message in entry.messages]


def put(
    connection: Connection,
    session: str,
    values: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    usage: Optional[Usage] = None,
    new: bool = False,
) -> SessionInfo:
    """Store an entry, or the next state of one, with the messages that it adds.

    Args:
        connection: The connection.
        session: The conversation.
        values: The entry.
        messages: OpenAI chat messages.
        usage: The tokens of its run.
        new: Whether the conversation begins with it.

    Raises:
        SessionNotFoundError: There is no such conversation, and `new` is false.
        SessionConflictError: There is one, and `new` is true.
        InvalidParamError: The parent does not exist.
    """
    name, parent = str(values["id"]), values.get("parent")
    before = [] if new else read(connection, session)
    known = next((entry for entry in before if entry.values["id"] == name), None)
    if known is not None and known.values.get("parent") != parent:
        raise InvalidParamError(f"the entry {name!r} has another parent")
    above = path(before, parent)
    if known is not None:
        above.append(known)
    newest = max(before, key=lambda entry: entry.seq, default=None)
    base = None
    if messages and newest is not None and (not above or above[-1] is not newest):
        base = [message.to_dict() for message in _messages_of(above)]
    if known is not None and known.kept:
        _clear_row(connection, session, known)
    addition = Addition(messages, usage or NO_USAGE, base)
    try:
        statements.append(connection, session, addition, Head(0) if new else None)
    except SessionConflictError:
        raise SessionConflictError(f"there is a session {session!r} already") from None
    _add_row(connection, session, values, len(messages))
    return statements.info(connection, session)


def _clear_row(connection: Connection, session: str, entry: Entry) -> None:
    """Delete the row of an entry that gets another one. If it counts messages, it goes on to, and has no more."""
    sql = "SELECT body FROM luup_session_messages WHERE session = :id AND seq = :seq"
    place = {"id": session, "seq": entry.seq}
    ((body,),) = connection.read(sql, place)
    _, values, count = _read_row(body)
    if not count:
        connection.change("DELETE FROM luup_session_messages WHERE session = :id AND seq = :seq", place)
        return
    short = {"id": values["id"], "parent": values.get("parent")}
    connection.change(
        "UPDATE luup_session_messages SET body = :body WHERE session = :id AND seq = :seq",
        {**place, "body": write_json("entry", {"values": short, "count": count})},
    )


def _add_row(connection: Connection, session: str, values: Mapping[str, Any], count: int) -> None:
    ((seq,),) = connection.read("SELECT next_seq FROM luup_sessions WHERE id = :id", {"id": session})
    body = write_json("entry", {"values": values, "count": count})
    row = {"session": session, "seq": seq, "body": body, "stored": time.time()}
    connection.insert(
        "INSERT INTO luup_session_messages (session, seq, kind, role, body, text, stored) "
        "VALUES (:session, :seq, 'entry', '', :body, '', :stored)",
        [row],
    )
    connection.change("UPDATE luup_sessions SET next_seq = :next WHERE id = :id", {"id": session, "next": seq + 1})


def branch(connection: Connection, session: str, new_id: str, last: Optional[str]) -> SessionInfo:
    """Copy the entries from the first one to the one with the id `last` (None: the newest) to a new conversation.

    Raises:
        SessionNotFoundError: There is no such conversation.
        SessionConflictError: There is one with the new id already.
        InvalidParamError: There is no such entry.
    """
    before = read(connection, session)
    if not before:
        raise SessionNotFoundError(f"the session {session!r} has no messages")
    chosen = path(before, str(before[-1].values["id"]) if last is None else last)
    title = statements.info(connection, session).title
    for index, entry in enumerate(chosen):
        put(connection, new_id, entry.values, [each.to_dict() for each in entry.messages], None, index == 0)
    common = 0
    for mine, other in zip(_messages_of(chosen), statements.messages(connection, session)):
        if mine != other:
            break
        common += 1
    connection.change(
        "UPDATE luup_sessions SET title = :title, parent = :parent, branched_at = :at WHERE id = :id",
        {"id": new_id, "title": title, "parent": session, "at": common},
    )
    return statements.info(connection, new_id)


def find(connection: Connection, text: str, limit: int) -> List[SessionInfo]:
    """Return the conversations whose title or messages have all words of `text`, the last changed first."""
    words = text.replace("\0", " ").split()
    matches = {match.session.id for match in statements.search(connection, words, limit)} if words else set()
    found: List[SessionInfo] = []
    offset = 0
    while len(found) < limit:
        some = statements.listed(connection, 1000, offset)
        for each in some:
            title = (each.title or "").lower()
            if each.id in matches or all(word.lower() in title for word in words):
                found.append(each)
        offset += len(some)
        if len(some) < 1000:
            break
    return found[:limit]
