"""The endpoints of stored conversations: ``/v1/sessions``."""

from __future__ import annotations

import functools
import os
import re
import uuid
from typing import Any, Awaitable, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

from luup_agent._server.body import read_fields
from luup_agent._server.config import Config
from luup_agent._server.failures import RequestError, json_response
from luup_agent._server.fields import Fields
from luup_agent._sessions import entries, statements
from luup_agent._sessions.records import SessionInfo, check_id, check_title, read_messages
from luup_agent._sessions.statements import Connection
from luup_agent._sessions.store import Sessions, SQLiteSessions
from luup_agent.errors import InvalidParamError
from luup_agent.messages import Usage

T = TypeVar("T")
Endpoint = Callable[[Any], Awaitable[Any]]

MOST_LISTED = 1000
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}\Z")
_ROLES = ("user", "assistant")


class StoredConversations:
    """The conversations of a server, by HTTP."""

    def __init__(self, sessions: Sessions, config: Config) -> None:
        """Serve the conversations in `sessions`."""
        self._sessions = sessions
        self._config = config

    def endpoints(self) -> List[Tuple[str, str, Endpoint]]:
        """Return the method, the path and the function of each endpoint."""
        one = "/v1/sessions/{id:path}"
        return [
            ("GET", "/v1/sessions", self._list),
            ("POST", f"{one}/entries", self._put),
            ("POST", f"{one}/branch", self._branch),
            ("GET", one, self._show),
            ("PATCH", one, self._rename),
            ("DELETE", one, self._delete),
        ]

    async def _run(self, work: Callable[..., T], *arguments: Any, writes: bool = False) -> T:
        """Return what a function of a connection returns."""
        call: Callable[[Connection], T] = functools.partial(_called, work, arguments)
        return await self._sessions._database.run_async(call, writes)

    async def _list(self, request: Any) -> Any:
        query = request.query_params
        limit, offset = _count(query, "limit", 100, 1, MOST_LISTED), _count(query, "offset", 0, 0, 2**31 - 1)
        search = query.get("search", "").strip()
        if search:  # an index may be written first
            found = await self._run(entries.find, search, offset + limit + 1, writes=True)
            found = found[offset:]
        else:
            found = await self._run(statements.listed, limit + 1, offset)
        data = [describe(each) for each in found[:limit]]
        return json_response({"object": "list", "data": data, "has_more": len(found) > limit})

    async def _show(self, request: Any) -> Any:
        name = _id(request)
        info, found = await self._run(_read, name)
        shown = [{**each.values, "messages": [message.to_dict() for message in each.messages]} for each in found]
        return json_response({**describe(info), "entries": shown})

    async def _put(self, request: Any) -> Any:
        name = _id(request)
        fields = await read_fields(request, self._config)
        entry = fields.mapping("entry")
        if entry is None:
            raise fields.missing("entry")
        check_entry(entry)
        messages = read_messages(fields.items("messages") or [])
        title = _title(fields) if fields.has("title") else None
        new, usage = fields.flag("new"), _usage(fields.fields("usage"))
        fields.finish()
        info = await self._run(_put, name, entry, messages, usage, new, title, writes=True)
        return json_response(describe(info), 201 if new else 200)

    async def _rename(self, request: Any) -> Any:
        name = _id(request)
        fields = await read_fields(request, self._config)
        title = _title(fields)
        fields.finish()
        return json_response(describe(await self._run(_rename, name, title, writes=True)))

    async def _delete(self, request: Any) -> Any:
        name = _id(request)
        await self._run(statements.delete, name, writes=True)
        return json_response({"id": name, "object": "session.deleted", "deleted": True})

    async def _branch(self, request: Any) -> Any:
        name = _id(request)
        fields = await read_fields(request, self._config)
        new_id, last = check_id("id", fields.text("id") or uuid.uuid4().hex), fields.text("entry")
        fields.finish()
        return json_response(describe(await self._run(entries.branch, name, new_id, last, writes=True)), 201)


def _called(work: Callable[..., T], arguments: Sequence[Any], connection: Connection) -> T:
    return work(connection, *arguments)


def _read(connection: Connection, name: str) -> Tuple[SessionInfo, List[entries.Entry]]:
    return statements.info(connection, name), entries.read(connection, name)


def _put(
    connection: Connection,
    name: str,
    entry: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    usage: Optional[Usage],
    new: bool,
    title: Optional[str],
) -> SessionInfo:
    entries.put(connection, name, entry, messages, usage, new)
    if title is not None:
        statements.set_title(connection, name, title)
    return statements.info(connection, name)


def _rename(connection: Connection, name: str, title: Optional[str]) -> SessionInfo:
    statements.set_title(connection, name, title)
    return statements.info(connection, name)


def describe(info: SessionInfo) -> Dict[str, Any]:
    """Return a conversation without its messages."""
    values: Dict[str, Any] = {"id": info.id, "object": "session", "title": info.title}
    values.update(created=info.created.timestamp(), updated=info.updated.timestamp())
    values.update(messages=info.messages, version=info.version, parent=info.parent, branched_at=info.branched_at)
    return {**values, "usage": info.usage.model_dump()}


def check_entry(entry: Mapping[str, Any]) -> None:
    """Check the fields of an entry that the server reads; the rest belongs to the page.

    Raises:
        RequestError: One is wrong.
    """
    fields = Fields(entry, "entry")
    name, parent, role = fields.text("id"), fields.text("parent"), fields.text("role")
    if name is None:
        raise fields.missing("id")
    for field, value in (("id", name), ("parent", parent)):
        if value is not None and not _NAME.match(value):
            problem = f'must be 1 to 100 letters, digits and characters of "_.:-", got {value[:100]!r}'
            raise fields.wrong(field, problem, "invalid_value")
    if role not in _ROLES:
        raise fields.wrong("role", f'must be "user" or "assistant", got {role!r}', "invalid_value")


def _id(request: Any) -> str:
    return check_id("id", request.path_params["id"])


def _title(fields: Fields) -> Optional[str]:
    title = check_title(fields.text("title"))
    if title is not None and len(title) > 1000:
        raise fields.wrong("title", f"must have at most 1000 characters, got {len(title)}", "invalid_value")
    return title


def _usage(fields: Optional[Fields]) -> Optional[Usage]:
    """Return the token counts of an answer, as chat completions report them."""
    if fields is None:
        return None
    prompt, completion = fields.whole("prompt_tokens", 0) or 0, fields.whole("completion_tokens", 0) or 0
    details, more = fields.fields("prompt_tokens_details"), fields.fields("completion_tokens_details")
    cached = (details.whole("cached_tokens", 0) if details else 0) or 0
    reasoning = (more.whole("reasoning_tokens", 0) if more else 0) or 0
    return Usage(
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        reasoning_tokens=reasoning,
    )


def _count(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not least <= int(text) <= most:
        problem = f"{name} must be a whole number between {least} and {most}, got {text[:100]!r}"
        raise RequestError(400, problem, "invalid_value", name)
    return int(text)


def open_sessions(value: object) -> Optional[Sessions]:
    """Return the conversations that the option `sessions` names: an object, or the path of a file.

    Raises:
        InvalidParamError: It is something else.
        StorageError: The file can't be used.
    """
    if value is None or isinstance(value, Sessions):
        return value
    if isinstance(value, (str, os.PathLike)):
        return SQLiteSessions(value)
    raise InvalidParamError(f"sessions must be SQLiteSessions, SQLSessions, a path or None, not {type(value).__name__}")
