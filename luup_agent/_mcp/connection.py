"""A session with a server, from its opening to its end. All of it runs in the background loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import Any, Awaitable, Callable, Optional, Set, TypeVar

from pydantic import ValidationError

from luup_agent._logging import logger
from luup_agent._mcp import sdk

T = TypeVar("T")

# Returns the SDK's client, not connected, given a handler for the messages of the server.
MakeClient = Callable[[Callable[[Any], Any], contextlib.AsyncExitStack], Any]

_BEGINNING = 200  # characters of a message, which have its kind


class Connection:
    """A session, owned by a task: what opens it has to close it.

    Attributes:
        client: The SDK's client, once `open` has returned.
        stale: Whether the list of tools may have changed since it was read; true unless the server reports changes.
        unreadable: Why the last wrong message could not be read; "" if all could.
    """

    def __init__(self, make_client: MakeClient) -> None:
        """Prepare a session."""
        self.client: Any = None
        self.stale = True
        self.unreadable = ""
        self._waiting: Set[asyncio.Future[Any]] = set()
        self._make_client = make_client
        self._stop = asyncio.Event()
        self._owner: Optional[asyncio.Task[None]] = None
        self._follower: Optional[asyncio.Task[None]] = None
        self._follows = False  # the server reports changes of the list
        self._broken = False

    @property
    def alive(self) -> bool:
        """Whether the session can be used, as far as is known before a request."""
        if self._owner is None or self._owner.done() or self._stop.is_set() or self._broken:
            return False
        dispatcher = getattr(self.client.session, "_dispatcher", None)  # there is no public way to ask
        return not getattr(dispatcher, "_closed", False)

    async def open(self, seconds: Optional[float]) -> None:
        """Open the session.

        Raises:
            asyncio.TimeoutError: It took longer than `seconds`.
            BaseException: It can't be opened.
        """
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # In a context of its own: the session outlives the call that opens it.
        self._owner = contextvars.Context().run(asyncio.ensure_future, self._own(ready))
        try:
            self.client = await asyncio.wait_for(asyncio.shield(ready), seconds)
        except BaseException:
            self._owner.cancel()
            await asyncio.wait([self._owner])
            if ready.done() and not ready.cancelled():
                ready.exception()  # else asyncio logs that it was never retrieved
            raise
        self._follow()

    async def _own(self, ready: asyncio.Future[Any]) -> None:
        try:
            async with contextlib.AsyncExitStack() as stack:
                client = await stack.enter_async_context(self._make_client(self._take, stack))
                if not ready.done():
                    ready.set_result(client)
                await self._stop.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error if isinstance(error, Exception) else ConnectionError("cancelled"))
            elif isinstance(error, Exception):
                logger.debug("a session with an MCP server ended: %s", sdk.reason(error))
            else:
                raise
        finally:
            if self._follower is not None:
                self._follower.cancel()

    async def ask(self, request: Callable[[Any], Awaitable[T]], seconds: Optional[float]) -> T:
        """Return the answer to a request, which gets the client.

        Raises:
            asyncio.TimeoutError: It took longer than `seconds`.
            ValueError: The answer can't be read.
            BaseException: The request failed.
        """
        waiting = asyncio.ensure_future(request(self.client))
        self._waiting.add(waiting)
        try:
            return await asyncio.wait_for(waiting, seconds)
        except asyncio.CancelledError:
            if waiting in self._waiting:
                raise
            raise ValueError(self.unreadable) from None
        finally:
            self._waiting.discard(waiting)

    async def _take(self, message: Any) -> None:
        """Handle a message of the server that answers no request, or that can't be read."""
        if isinstance(message, Exception):
            self.unreadable = sdk.reason(message)
            # Servers write other lines than messages, too. An answer that can't be read belongs to the only request.
            if len(self._waiting) == 1 and _is_answer(message):
                self._waiting.pop().cancel()
            return
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            self.stale = True

    def _follow(self) -> None:
        """Ask the server to report changes of its list of tools, if it can and does not report them already."""
        tools = self.client.server_capabilities.tools
        if tools is None or not tools.list_changed or not (self._follower is None or self._follower.done()):
            return
        if self.client.protocol_version in sdk.load("mcp_types.version").MODERN_PROTOCOL_VERSIONS:
            self._follower = asyncio.ensure_future(self._listen())
        else:
            self._follows = True  # older servers report to all clients

    async def _listen(self) -> None:
        try:
            async with self.client.listen(tools_list_changed=True) as changes:
                self._follows = self.stale = True
                async for _ in changes:
                    self.stale = True
        except Exception as error:  # the list is read again for each run, as without reports
            logger.debug("an MCP server no longer reports changes: %s", sdk.reason(error))
        finally:
            self._follows = False
            self.stale = True

    def listed(self) -> None:
        """Note that the list of tools is about to be read."""
        self.stale = not self._follows
        if not self._follows:
            self._follow()

    def mark_broken(self) -> None:
        """Use the session no more, and end it in the background."""
        self._broken = True
        self._stop.set()

    async def close(self) -> None:
        """End the session and wait for its end."""
        self._stop.set()
        if self._owner is not None:
            await asyncio.wait([self._owner])


def _is_answer(error: Exception) -> bool:
    """Tell whether the line that could not be read was meant as the answer to a request."""
    if not isinstance(error, ValidationError):  # which has the line
        return False
    line = str(error.errors(include_url=False)[0]["input"])
    return "jsonrpc" in line[:_BEGINNING] and "method" not in line[:_BEGINNING]
