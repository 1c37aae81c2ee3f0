"""The conversations of a database."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence, Type, TypeVar, Union

from luup_agent._native import encode_absolute_path
from luup_agent._sessions import statements
from luup_agent._sessions.database import Database
from luup_agent._sessions.records import (
    NO_USAGE,
    Addition,
    AnyMessage,
    Head,
    SessionInfo,
    SessionMatch,
    check_count,
    check_id,
    check_title,
    read_messages,
)
from luup_agent._sessions.session import Session
from luup_agent._sessions.sql_engine import SQLEngine
from luup_agent._sessions.sqlite_file import SQLiteFile
from luup_agent._sessions.statements import Connection
from luup_agent._sessions.warm import WarmStates
from luup_agent.errors import InvalidParamError
from luup_agent.messages import Message, Usage
from luup_agent.outputs import OutputT

if TYPE_CHECKING:
    from luup_agent.agent import Agent

_WARM_BYTES = 2**30

T = TypeVar("T")
_Sessions = TypeVar("_Sessions", bound="Sessions")


class Sessions:
    """Conversations by id in a database; `SQLiteSessions` and `SQLSessions` open one.

    Any thread may use it. Each method has a twin that ends with ``_async``, for asyncio.

    Example:
        >>> sessions = SQLiteSessions("chats.db")
        >>> session = sessions.open("ada", agent)
        >>> session.generate("My name is Ada.")
        'Hello Ada!'
        >>> [info.id for info in sessions.list()]
        ['ada']
    """

    _database: Database
    _warm: Optional[WarmStates] = None

    # -- one conversation ----------------------------------------------------------------------------------------------

    def open(self, id: str, agent: Agent[Any, OutputT]) -> Session[OutputT]:  # noqa: A002  # its name everywhere
        """Return a conversation, with an agent that continues it.

        A conversation that does not exist begins with its first run.

        Args:
            id: 1 to 200 characters.
            agent: The agent that answers. The session has a copy of it, with its current model, system prompt, settings
                and tools, but not with its history.

        Raises:
            InvalidParamError: An argument is wrong, or the agent has no history.
            StorageError: The database can't be used.
        """
        session = Session(self._database, check_id("id", id), agent, self._warm)
        session.refresh()
        return session

    async def open_async(self, id: str, agent: Agent[Any, OutputT]) -> Session[OutputT]:  # noqa: A002
        """Do the same as `open`, under asyncio."""
        session = Session(self._database, check_id("id", id), agent, self._warm)
        await session.refresh_async()
        return session

    def get(self, id: str) -> SessionInfo:  # noqa: A002
        """Return the title, the times and the counts of a conversation.

        Raises:
            SessionNotFoundError: There is no such conversation.
            StorageError: The database can't be used.
        """
        return self._database.run(self._get(id))

    async def get_async(self, id: str) -> SessionInfo:  # noqa: A002
        """Do the same as `get`, under asyncio."""
        return await self._database.run_async(self._get(id))

    def _get(self, session: str) -> Callable[[Connection], SessionInfo]:
        check_id("id", session)
        return lambda connection: statements.info(connection, session)

    def messages(self, id: str) -> List[Message]:  # noqa: A002
        """Return all messages of a conversation, also those that the model sees as a summary by now.

        Raises:
            SessionNotFoundError: There is no such conversation.
            StorageError: The database can't be used.
        """
        return self._database.run(self._messages(id))

    async def messages_async(self, id: str) -> List[Message]:  # noqa: A002
        """Do the same as `messages`, under asyncio."""
        return await self._database.run_async(self._messages(id))

    def _messages(self, session: str) -> Callable[[Connection], List[Message]]:
        check_id("id", session)
        return lambda connection: statements.messages(connection, session)

    def append(
        self,
        id: str,  # noqa: A002
        messages: Sequence[AnyMessage],
        *,
        version: Optional[int] = None,
        usage: Optional[Usage] = None,
    ) -> int:
        """Append messages to a conversation, which begins with them if it does not exist.

        They are stored together or not at all, and no other message comes between them.

        Args:
            id: 1 to 200 characters.
            messages: `Message` objects or OpenAI chat messages.
            version: The `SessionInfo.version` that they continue, 0 for a new conversation; None for any.
            usage: The tokens that they took.

        Returns:
            The new version.

        Raises:
            SessionConflictError: The conversation has another version.
            InvalidParamError: An argument is wrong.
            StorageError: The database can't be used.
        """
        return self._database.run(self._append(id, messages, version, usage), True)

    async def append_async(
        self,
        id: str,  # noqa: A002
        messages: Sequence[AnyMessage],
        *,
        version: Optional[int] = None,
        usage: Optional[Usage] = None,
    ) -> int:
        """Do the same as `append`, under asyncio."""
        return await self._database.run_async(self._append(id, messages, version, usage), True)

    def _append(
        self, session: str, messages: Sequence[AnyMessage], version: Optional[int], usage: Optional[Usage]
    ) -> Callable[[Connection], int]:
        check_id("id", session)
        addition = Addition(read_messages(messages), NO_USAGE if usage is None else usage)
        if version is not None:
            check_count("version", version)
        expected = None if version is None else Head(version)
        return lambda connection: statements.append(connection, session, addition, expected).version

    # -- changes -------------------------------------------------------------------------------------------------------

    def set_title(self, id: str, title: Optional[str]) -> None:  # noqa: A002
        """Set or remove the title of a conversation.

        Raises:
            SessionNotFoundError: There is no such conversation.
            StorageError: The database can't be used.
        """
        self._database.run(self._set_title(id, title), True)

    async def set_title_async(self, id: str, title: Optional[str]) -> None:  # noqa: A002
        """Do the same as `set_title`, under asyncio."""
        await self._database.run_async(self._set_title(id, title), True)

    def _set_title(self, session: str, title: Optional[str]) -> Callable[[Connection], None]:
        check_id("id", session)
        checked = check_title(title)
        return lambda connection: statements.set_title(connection, session, checked)

    def rename(self, id: str, new_id: str) -> None:  # noqa: A002
        """Give a conversation another id. A run that continues it ends with `SessionConflictError`.

        Raises:
            SessionNotFoundError: There is no such conversation.
            InvalidParamError: There is one with the new id already.
            StorageError: The database can't be used.
        """
        self._database.run(self._rename(id, new_id), True)
        if self._warm is not None:
            self._warm.rename(id, new_id)

    async def rename_async(self, id: str, new_id: str) -> None:  # noqa: A002
        """Do the same as `rename`, under asyncio."""
        await self._database.run_async(self._rename(id, new_id), True)
        if self._warm is not None:
            self._warm.rename(id, new_id)

    def _rename(self, session: str, new_id: str) -> Callable[[Connection], None]:
        check_id("id", session)
        check_id("new_id", new_id)
        return lambda connection: statements.rename(connection, session, new_id)

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete a conversation; its branches stay. A run that continues it ends with `SessionConflictError`.

        Raises:
            SessionNotFoundError: There is no such conversation.
            StorageError: The database can't be used.
        """
        self._database.run(self._delete(id), True)
        if self._warm is not None:
            self._warm.forget(id)

    async def delete_async(self, id: str) -> None:  # noqa: A002
        """Do the same as `delete`, under asyncio."""
        await self._database.run_async(self._delete(id), True)
        if self._warm is not None:
            self._warm.forget(id)

    def _delete(self, session: str) -> Callable[[Connection], None]:
        check_id("id", session)
        return lambda connection: statements.delete(connection, session)

    def branch(self, id: str, new_id: str, *, at: Optional[int] = None) -> SessionInfo:  # noqa: A002
        """Copy a conversation to a new one, which goes on by itself.

        Args:
            id: The conversation.
            new_id: The id of the branch.
            at: How many of its messages the branch has; None for all.

        Returns:
            The branch.

        Raises:
            SessionNotFoundError: There is no such conversation.
            InvalidParamError: There is one with the new id already, or `at` is too large.
            StorageError: The database can't be used.
        """
        info = self._database.run(self._branch(id, new_id, at), True)
        if self._warm is not None:
            self._warm.branch(id, new_id)
        return info

    async def branch_async(self, id: str, new_id: str, *, at: Optional[int] = None) -> SessionInfo:  # noqa: A002
        """Do the same as `branch`, under asyncio."""
        info = await self._database.run_async(self._branch(id, new_id, at), True)
        if self._warm is not None:
            self._warm.branch(id, new_id)
        return info

    def _branch(self, session: str, new_id: str, at: Optional[int]) -> Callable[[Connection], SessionInfo]:
        check_id("id", session)
        check_id("new_id", new_id)
        if at is not None:
            check_count("at", at)
        return lambda connection: statements.branch(connection, session, new_id, at)

    # -- all conversations ---------------------------------------------------------------------------------------------

    def list(self, *, limit: int = 100, offset: int = 0) -> List[SessionInfo]:
        """Return conversations, the last changed first.

        Args:
            limit: The most to return.
            offset: How many to skip.

        Raises:
            StorageError: The database can't be used.
        """
        return self._database.run(self._list(limit, offset))

    async def list_async(self, *, limit: int = 100, offset: int = 0) -> List[SessionInfo]:
        """Do the same as `list`, under asyncio."""
        return await self._database.run_async(self._list(limit, offset))

    def _list(self, limit: int, offset: int) -> Callable[[Connection], List[SessionInfo]]:
        check_count("limit", limit, 1)
        check_count("offset", offset)
        return lambda connection: statements.listed(connection, limit, offset)

    def search(self, text: str, *, limit: int = 20) -> List[SessionMatch]:
        """Return messages that have all words of `text`, the newest first.

        `SQLiteSessions` finds words by their beginnings, with SQLite's full text index where it has one. `SQLSessions`
        finds them anywhere in a text.

        Args:
            text: The words.
            limit: The most messages to return.

        Raises:
            InvalidParamError: `text` has no words.
            StorageError: The database can't be used.
        """
        return self._database.run(self._search(text, limit), True)

    async def search_async(self, text: str, *, limit: int = 20) -> List[SessionMatch]:
        """Do the same as `search`, under asyncio."""
        return await self._database.run_async(self._search(text, limit), True)

    def _search(self, text: str, limit: int) -> Callable[[Connection], List[SessionMatch]]:
        if not isinstance(text, str):
            raise InvalidParamError(f"text must be a str, not {type(text).__name__}")
        words = text.replace("\0", " ").split()
        if not words:
            raise InvalidParamError("text has no words to search for")
        check_count("limit", limit, 1)
        return lambda connection: statements.search(connection, words, limit)

    # -- end -----------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the database. Closing twice is fine."""
        self._database.close()

    def __enter__(self: _Sessions) -> _Sessions:
        """Return the sessions themselves."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close the database."""
        self.close()

    def __repr__(self) -> str:
        """Return, for example, ``<SQLiteSessions in '/home/me/chats.db'>``."""
        return f"<{type(self).__name__} in {self._database!r}>"


class SQLiteSessions(Sessions):
    """Conversations in a file of SQLite, which threads and processes may share.

    Example:
        >>> with SQLiteSessions("chats.db") as sessions:
        ...     print(sessions.open("ada", agent).generate("Hi"))
        Hello!
    """

    def __init__(
        self, path: Union[str, os.PathLike[str]], *, timeout: float = 30.0, warm_bytes: int = _WARM_BYTES
    ) -> None:
        """Open a file, or create it for its owner alone.

        Args:
            path: The file; missing folders are created. ":memory:" for a database that ends with this object.
            timeout: How many seconds to wait for other writers.
            warm_bytes: How many bytes of KV states to keep in the folder ``<path>-kv``, those of the conversations
                that were used last: a process that opens one of them prefills its new tokens alone. 0 keeps none.

        Raises:
            StorageError: The file can't be used: it is damaged, of another program or a newer version, a folder, a
                symbolic link or a device.
            InvalidParamError: An argument is wrong.
        """
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= 3600:
            raise InvalidParamError(f"timeout must be 0 to 3600 seconds, got {timeout!r}")
        warm_bytes = _check_bytes(warm_bytes)
        database = self._database = SQLiteFile(path, float(timeout))
        if warm_bytes and not database.in_memory:
            self._warm = WarmStates(f"{database.path}-kv", warm_bytes)


class SQLSessions(Sessions):
    """Conversations in any database of SQLAlchemy 2 that has ``ON CONFLICT``, such as PostgreSQL.

    Needs ``pip install "luup-agent[sql]"``. The tables are made at the first use, and have names that begin with
    ``luup_session``.

    Example:
        >>> from sqlalchemy.ext.asyncio import create_async_engine
        >>> sessions = SQLSessions(create_async_engine("postgresql+asyncpg://localhost/chats"))
        >>> session = await sessions.open_async("ada", agent)
        >>> await session.generate_async("Hi")
        'Hello!'
    """

    def __init__(
        self,
        engine: Any,
        *,
        warm_folder: Union[str, os.PathLike[str], None] = None,
        warm_bytes: int = _WARM_BYTES,
    ) -> None:
        """Use an engine; closing it is the program's task.

        Args:
            engine: An `AsyncEngine`, which works in asynchronous runs, or an `Engine`, which works in both kinds.
            warm_folder: A folder on this machine for KV states: a process that opens one of their conversations
                prefills its new tokens alone. It is made if it is missing. None keeps none.
            warm_bytes: How many bytes of KV states to keep, those of the conversations that were used last.

        Raises:
            UnsupportedError: SQLAlchemy 2 is not installed.
            InvalidParamError: It is not an engine, or an argument is wrong.
        """
        warm_bytes = _check_bytes(warm_bytes)
        folder = None if warm_folder is None else os.fsdecode(encode_absolute_path("warm_folder", warm_folder))
        self._database = SQLEngine(engine)
        if folder is not None and warm_bytes:
            self._warm = WarmStates(folder, warm_bytes)


def _check_bytes(warm_bytes: object) -> int:
    if isinstance(warm_bytes, bool) or not isinstance(warm_bytes, int) or not 0 <= warm_bytes < 2**63:
        raise InvalidParamError(f"warm_bytes must be an int from 0 to 2**63 - 1, got {warm_bytes!r}")
    return warm_bytes
