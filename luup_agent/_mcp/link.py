"""The way of tools to a server: it opens the session on first use, and again after the server has ended."""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import Any, Awaitable, Callable, Coroutine, Dict, List, NamedTuple, Optional, Set, TypeVar

from luup_agent._logging import logger
from luup_agent._mcp import sdk
from luup_agent._mcp.background import Background, background
from luup_agent._mcp.callers import Callers
from luup_agent._mcp.connection import Connection
from luup_agent._mcp.places import STDERR, Place
from luup_agent._mcp.results import OnContent, to_result
from luup_agent._tools.context import RunContext
from luup_agent.errors import LuupError, ToolsetError
from luup_agent.messages import ToolResult

T = TypeVar("T")

# Limits of a list: a server that never ends one can't hang a run, nor fill the memory.
_MAX_PAGES = 1000
_MAX_LISTED = 100_000


class _Session:
    """The session of a link in one background thread; after a fork there is another one."""

    def __init__(self, owner: Background) -> None:
        self.background = owner
        self.lock = asyncio.Lock()
        self.connection: Optional[Connection] = None

    async def close(self) -> None:
        connection = self.connection
        if connection is not None:
            await connection.close()
            if self.connection is connection:
                self.connection = None

    def close_soon(self) -> None:
        """Close the session for good without waiting, from any thread. If the process exits meanwhile, that waits."""
        self.background.soon(lambda: asyncio.ensure_future(self._close_for_good()))

    async def _close_for_good(self) -> None:
        try:
            await self.close()
        finally:
            self.background.closers.discard(self.close)


class Timeouts(NamedTuple):
    """Seconds, or None for no limit.

    Attributes:
        call: For one request.
        opening: Until the server has answered for the first time.
    """

    call: Optional[float]
    opening: Optional[float]


class Link:
    """The way to a server, for any thread and any event loop. It ends with the last object that refers to it.

    Attributes:
        place: The server.
    """

    def __init__(
        self,
        place: Place,
        timeouts: Timeouts,
        on_content: Optional[OnContent],
        callers: Callers,
    ) -> None:
        """Prepare the way to a server; nothing is opened."""
        self._callers = callers
        self.place = place
        self._timeouts = timeouts
        self._on_content = on_content
        self._session: Optional[_Session] = None
        self._listed: Optional[List[Any]] = None

    # -- from any thread -----------------------------------------------------------------------------------------------

    def wait(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine of this object in the background, and return its value."""
        return background().wait(work())

    async def wait_async(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the same from a coroutine."""
        return await background().wait_async(work())

    # -- in the background ---------------------------------------------------------------------------------------------

    def _own_session(self) -> _Session:
        owner = background()
        session = self._session
        if session is None or session.background is not owner:
            session = self._session = _Session(owner)
            owner.closers.add(session.close)
            weakref.finalize(self, session.close_soon).atexit = False  # then the thread closes it, and waits
        return session

    async def open(self) -> Connection:
        """Return the open session.

        Raises:
            ToolsetError: It can't be opened.
        """
        session = self._own_session()
        async with session.lock:
            connection = session.connection
            if connection is not None and connection.alive:
                return connection
            await session.close()
            self._listed = None
            connection = Connection(self.place.connect)
            try:
                await connection.open(self._timeouts.opening)
            except LuupError:
                raise
            except (asyncio.TimeoutError, TimeoutError):
                seconds = self._timeouts.opening
                raise ToolsetError(
                    f"the MCP server {self.place.label} did not answer within {seconds:g} seconds; "
                    f"raise open_timeout if it needs longer{_not_read(connection)}{self.place.last_words()}"
                ) from None
            except Exception as error:
                reason = self.place.explain(error) or sdk.reason(error)
                raise ToolsetError(
                    f"the MCP server {self.place.label} can't be used: {reason}{self.place.last_words()}"
                ) from error
            session.connection = connection
            return connection

    async def close(self) -> None:
        """End the session, if there is one."""
        session = self._session
        if session is not None and session.background.usable and session.background is background():
            async with session.lock:
                await session.close()
        self._listed = None

    async def list_tools(self) -> List[Any]:
        """Return the server's tools; those of the last time if the server reports changes and there were none."""
        connection = await self.open()
        if self._listed is None or connection.stale:
            connection.listed()  # first: a change while the list is read makes it stale again
            self._listed = await self.list("tools")
        return self._listed

    async def list(self, kind: str) -> List[Any]:
        """Return all "tools", "resources", "resource_templates" or "prompts" of the server.

        Raises:
            ToolsetError: As `ask`, which has the same time for all pages as for one request; or the list has no end.
        """
        found: List[Any] = []
        cursors: Set[str] = set()
        asked: Dict[str, Any] = {}
        seconds = self._timeouts.call
        deadline = None if seconds is None else time.monotonic() + seconds
        while len(cursors) < _MAX_PAGES and len(found) <= _MAX_LISTED:
            page = await self._ask(
                f"the list of its {kind}",
                lambda client: getattr(client, f"list_{kind}")(**asked),  # noqa: B023
                None if deadline is None else max(deadline - time.monotonic(), 0),
            )
            found += getattr(page, kind)
            cursor = page.next_cursor
            if cursor is None:
                return found
            if cursor in cursors:
                break
            cursors.add(cursor)
            asked = {"cursor": cursor}
        raise ToolsetError(
            f"the MCP server {self.place.label} sends an endless list of {kind}: "
            f"there is another page after {len(cursors) + 1} pages with {len(found)} of them"
        )

    async def ask(self, what: str, request: Callable[[Any], Awaitable[T]]) -> T:
        """Make a request and return the answer.

        Args:
            what: What the server is asked for, for errors.
            request: Makes the request, given the SDK's client.

        Raises:
            ToolsetError: The server can't be reached, ended, refused the request or took too long.
        """
        return await self._ask(what, request, self._timeouts.call)

    async def _ask(self, what: str, request: Callable[[Any], Awaitable[T]], seconds: Optional[float]) -> T:
        connection = await self.open()
        try:
            return await connection.ask(request, seconds)
        except (asyncio.TimeoutError, TimeoutError):
            limit = "the time that its transport allows" if seconds is None else f"{self._timeouts.call:g} seconds"
            raise ToolsetError(
                f"the MCP server {self.place.label} did not answer {what} within {limit}{_not_read(connection)}"
            ) from None
        except LuupError:
            raise
        except Exception as error:
            raise self._failure(connection, what, error) from error

    def _failure(self, connection: Connection, what: str, error: Exception) -> ToolsetError:
        """Return the error for a request that failed; end the session if the server is gone."""
        server = f"the MCP server {self.place.label}"
        first: Any = next(sdk.causes(error))
        if not isinstance(first, sdk.load().MCPError):
            if isinstance(first, ValueError):  # of another protocol, or not what it declares
                return ToolsetError(f"{server} answered {what} wrongly: {sdk.reason(error)}")
            connection.mark_broken()
            return ToolsetError(
                f"{server} could not be reached for {what}: {sdk.reason(error)}; the next call tries again"
            )
        gone = first.code == sdk.load("mcp_types").CONNECTION_CLOSED or first.message == "Session terminated"
        if not gone and connection.alive:
            return ToolsetError(f"{server} refused {what}: {sdk.shortened(first.message)} (code {first.code})")
        connection.mark_broken()
        return ToolsetError(
            f"{server} ended during {what}: {sdk.shortened(first.message)}; "
            f"the next call opens it again{self.place.last_words()}"
        )

    async def call(self, name: str, arguments: Dict[str, Any], run: RunContext[Any]) -> ToolResult:
        """Call a tool and return its result for the model, errors included."""
        with self._callers.calling(run):
            return await self._call(name, arguments)

    async def _call(self, name: str, arguments: Dict[str, Any]) -> ToolResult:
        try:
            result = await self.ask(f"the call of {name}", lambda client: client.call_tool(name, arguments))
        except ToolsetError as error:
            logger.warning("the tool %r failed: %s", name, str(error))
            return ToolResult(f"Error: {type(error).__name__}: {str(error).partition(STDERR)[0]}", True)
        return await to_result(name, result, self._on_content)


def _not_read(connection: Connection) -> str:
    """Return the end of an error: why a message could not be read, which may have been the answer."""
    return f"; a message of it could not be read: {connection.unreadable}" if connection.unreadable else ""
