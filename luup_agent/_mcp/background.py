"""The thread that owns all sessions with MCP servers.

A session belongs to the event loop it was opened in, and may be used in no other. One thread drives a loop for all of
them, so that synchronous runs, and asynchronous ones of any loop, can share a session. It starts on first use and is a
daemon; an exit function closes the sessions and waits until their processes have ended. After a fork the child starts a
thread and sessions of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import inspect
import os
import threading
from concurrent.futures import Future
from typing import Any, Awaitable, Callable, Coroutine, Optional, Set, TypeVar

from luup_agent._threads import Lock, start_thread
from luup_agent.errors import UnsupportedError

T = TypeVar("T")

_PATIENCE = 12.0  # seconds for all servers to end; the SDK kills a process after about 6


class Background:
    """An event loop in a thread.

    Attributes:
        loop: The loop.
        closers: Functions that end a session and wait for its end; called in the loop when the process exits.
    """

    def __init__(self) -> None:
        """Start the thread."""
        self.closers: Set[Callable[[], Awaitable[None]]] = set()
        self._pid = os.getpid()
        self._thread: Optional[int] = None
        self._ended = threading.Event()
        started: Future[asyncio.AbstractEventLoop] = Future()
        start_thread("luup-mcp", lambda: self._drive(started))
        self.loop = started.result()

    @property
    def usable(self) -> bool:
        """Whether the thread runs in this process."""
        return self._pid == os.getpid() and not self.loop.is_closed()

    def _drive(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        self._thread = threading.get_ident()
        try:
            loop = asyncio.new_event_loop()
        except BaseException as error:  # for example no free file descriptor; raised by the thread that waits
            started.set_exception(error)
            return
        asyncio.set_event_loop(loop)
        started.set_result(loop)
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
            self._ended.set()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and return its value; an interrupt cancels it."""
        if threading.get_ident() == self._thread:
            work.close()
            raise UnsupportedError(
                "an asynchronous callback can't call an MCP server synchronously: await the method that ends in _async"
            )
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def wait_async(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the same from a coroutine of any loop."""
        if asyncio.get_running_loop() is self.loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def soon(self, work: Callable[[], object]) -> None:
        """Call a function in the loop, from any thread; never once the thread has ended."""
        if self.usable:
            with contextlib.suppress(RuntimeError):  # the loop was closed just now
                self.loop.call_soon_threadsafe(work)

    def close(self) -> None:
        """End all sessions, and the thread."""
        if not self.usable:
            return
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._close_all(), self.loop).result(_PATIENCE)
        self.soon(self.loop.stop)
        self._ended.wait(_PATIENCE)

    async def _close_all(self) -> None:
        await asyncio.gather(*(close() for close in list(self.closers)), return_exceptions=True)


_lock = Lock()
_current: Optional[Background] = None


def background() -> Background:
    """Return the thread of this process, started if there is none."""
    global _current
    with _lock:
        if _current is None or not _current.usable:
            _current = Background()
            atexit.register(_current.close)
        return _current


async def call_back(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of the user: an asynchronous one in this loop, another in a thread, which it may block."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(*arguments)
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def deliver(value: Any, error: Optional[BaseException]) -> None:
        if not future.done():  # else the call took too long
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

    def work() -> None:
        value, failure = None, None
        try:
            value = function(*arguments)
        except BaseException as error:  # raised by the loop that waits
            failure = error if not isinstance(error, StopIteration) else RuntimeError("StopIteration")
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, value, failure)

    start_thread("luup-mcp-callback", work)
    value = await future
    return await value if inspect.isawaitable(value) else value
