"""The asynchronous drivers of a run.

All runs of an event loop share one socket pair: the core writes a byte to it when a run gets events, as
`signal.set_wakeup_fd` does. No thread waits for anything, and no C thread enters Python. Loops without `add_reader`
(Windows' proactor) wait in their executor instead.
"""

from __future__ import annotations

import contextlib
import copy
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, AsyncIterator, Coroutine, Dict, Generator, Optional, Type, Union

from typing_extensions import TypeVar

from luup_agent import _native
from luup_agent.errors import LuupError, RunCancelledError
from luup_agent.messages import AgentResponse, Event
from luup_agent.run import WAIT_SLICE_MS, Run

if TYPE_CHECKING:
    import asyncio

    from luup_agent.async_calls import AsyncCalls

T = TypeVar("T")
OutputT = TypeVar("OutputT", default=str)


class _SocketPair:
    """Two connected sockets, closed when the last one lets go: the loop that reads, or a run that may still write."""

    def __init__(self) -> None:
        import socket

        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)

    def __del__(self) -> None:
        self.reader.close()
        self.writer.close()


class _Waker:
    """Wakes the runs of one event loop, on which it holds no reference."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sockets = _SocketPair()
        self._waiting: Dict[_native.NativeRun, asyncio.Future[int]] = {}
        loop.add_reader(self._sockets.reader.fileno(), self._wake)

    def attach(self, run: _native.NativeRun) -> None:
        """From now on the core wakes this loop for `run`."""
        run.set_wakeup(self._sockets.writer.fileno(), self._sockets)

    async def wait(self, run: _native.NativeRun, loop: asyncio.AbstractEventLoop) -> int:
        """Waits for an event of `run`, which had none a moment ago, and gives its type."""
        future: asyncio.Future[int] = loop.create_future()
        self._waiting[run] = future
        try:
            return await future
        finally:
            del self._waiting[run]

    def rouse(self, run: _native.NativeRun) -> None:
        """Lets whoever waits for an event of `run` go on without one."""
        future = self._waiting.get(run)
        if future is not None and not future.done():
            future.set_result(_native.EVENT_NONE)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._sockets.reader.recv(4096)
        for run, future in list(self._waiting.items()):
            if not future.done():
                try:
                    kind = run.next(0)
                except LuupError as error:
                    future.set_exception(error)
                else:
                    if kind != _native.EVENT_NONE:
                        future.set_result(kind)


_wakers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Optional[_Waker]] = weakref.WeakKeyDictionary()


def _waker_of(loop: asyncio.AbstractEventLoop) -> Optional[_Waker]:
    """The waker of a loop; None if the loop can't watch sockets."""
    try:
        return _wakers[loop]
    except KeyError:
        pass
    for reference in _wakers.keyrefs():  # a list made in one step: safe beside other threads' loops
        other = reference()
        if other is not None and other.is_closed():
            _wakers.pop(other, None)
    waker: Optional[_Waker] = None
    with contextlib.suppress(NotImplementedError):
        waker = _Waker(loop)
    _wakers[loop] = waker
    return waker


class AsyncStream(AsyncIterator[T]):
    """What an asynchronous run gives out, piece by piece.

    The run begins with the first piece that is asked for. It is cancelled by `aclose`, by the cancellation of the task
    that waits for it, and when the stream is dropped.
    """

    def __init__(self, run: Run) -> None:
        """Prepares the stream of a run that was not started."""
        self._run = run
        self._state = "new"  # "running", "done", "closed" or "failed"
        self._failure: Optional[Exception] = None
        self._waker: Optional[_Waker] = None
        self._busy = False  # a task is in `_next_event`
        self._in_thread = False  # a thread of the loop's executor is in `native.next`
        self._calls: Optional[AsyncCalls] = None

    def __aiter__(self) -> AsyncStream[T]:
        """Gives the stream itself."""
        return self

    async def __anext__(self) -> T:
        """Gives the next piece."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Cancels the run if it goes on."""
        if self._busy:
            raise RuntimeError("the stream is being read by another task")
        self._end("closed")

    async def _next_event(self) -> int:
        """The type of the next event; EVENT_NONE after the end, and when a tool has answered."""
        if self._busy:
            raise RuntimeError("the stream is being read by another task")
        if self._state not in ("new", "running"):
            return _native.EVENT_NONE
        self._busy = True
        try:
            if self._calls is None:
                self._calls = self._start()
                self._state = "running"
            self._calls.begin()
            kind = self._run.native.next(0)
            if kind == _native.EVENT_NONE and not self._run.events:
                kind = await self._wait()
            if self._calls.failure is not None:
                raise self._run.with_partial_text(self._calls.failure)
            return self._run.take(kind)
        except Exception as error:
            self._failure = copy.copy(error) if isinstance(error, LuupError) else error
            self._end("failed")
            raise
        except BaseException:
            self._end("closed")
            raise
        finally:
            self._busy = False

    def _start(self) -> AsyncCalls:
        calls = self._run.start_async()
        stream = weakref.ref(self)

        def wake() -> None:
            mine = stream()
            if mine is not None and mine._waker is not None:
                mine._waker.rouse(mine._run.native)

        calls.wake = wake
        return calls

    async def _wait(self) -> int:
        import asyncio

        loop = asyncio.get_running_loop()
        waker = _waker_of(loop)
        if waker is None:
            return await self._wait_in_thread(loop)
        if waker is not self._waker:
            waker.attach(self._run.native)
            self._waker = waker
        return await waker.wait(self._run.native, loop)

    async def _wait_in_thread(self, loop: asyncio.AbstractEventLoop) -> int:
        """Waits in the loop's executor."""
        import asyncio

        native, calls = self._run.native, self._calls
        while True:
            future = loop.run_in_executor(None, native.next, WAIT_SLICE_MS)
            self._in_thread = True
            try:
                kind = await asyncio.shield(future)
            except asyncio.CancelledError:
                native.cancel()  # the thread comes back at once
                while not future.done():
                    with contextlib.suppress(asyncio.CancelledError):  # one is on its way already
                        await asyncio.wait([future])
                raise
            finally:
                self._in_thread = not future.done()
            if kind != _native.EVENT_NONE or self._run.events or (calls is not None and calls.failure is not None):
                return kind

    def _end(self, state: str) -> None:
        if self._state in ("new", "running"):
            self._state = state
        if self._calls is not None:
            self._calls.close()
        if self._in_thread:
            self._run.drop_request()
            self._run.native.cancel()  # the thread holds the last reference, and gives it back
        else:
            self._run.close()


if TYPE_CHECKING:
    _EventStream = AsyncStream[Event[OutputT]]
else:
    _EventStream = AsyncStream[OutputT]  # at run time a union with pydantic's classes takes no parameter


class AsyncEventStream(_EventStream[OutputT]):
    """The events of an asynchronous run; see `Agent.stream_events_async`."""

    __module__ = "luup_agent"

    def __init__(self, run: Run) -> None:
        """Prepares the stream of a run that was not started."""
        run.want_events()
        super().__init__(run)

    async def __anext__(self) -> Event[OutputT]:
        """Gives the next event; the last one is a `DoneEvent`."""
        events = self._run.events
        while not events:
            kind = await self._next_event()
            if kind == _native.EVENT_DONE:
                self._end("done")
            elif kind == _native.EVENT_NONE and self._state != "running":
                raise StopAsyncIteration
        return events.popleft()


class AsyncTextStream(AsyncStream[str], Coroutine[Any, Any, OutputT]):
    """The text of an asynchronous run: ``async for`` gives its pieces, ``await`` the whole, or the typed result.

    It is a coroutine too, so it goes into `asyncio.gather`, `asyncio.wait_for`, `asyncio.create_task` and
    `asyncio.run`. See `Agent.generate_async`.
    """

    __module__ = "luup_agent"

    def __init__(self, run: Run) -> None:
        """Prepares the stream of a run that was not started."""
        super().__init__(run)
        self._coroutine: Optional[Coroutine[Any, Any, OutputT]] = None

    async def __anext__(self) -> str:
        """Gives the next piece of the answer."""
        while True:
            kind = await self._next_event()
            if kind == _native.EVENT_TEXT:
                return self._run.piece
            if kind == _native.EVENT_DONE:
                self._end("done")
                self._run.check_answered()
                raise StopAsyncIteration
            if kind == _native.EVENT_NONE and self._state != "running":
                raise StopAsyncIteration

    async def _whole(self) -> OutputT:
        async for _ in self:
            pass
        if self._failure is not None:
            raise self._failure
        if self._state == "closed":
            error = RunCancelledError("the stream was closed before the answer was complete")
            error.partial_text = self._run.text()
            raise error
        value: OutputT = self._run.value()
        return value

    def __await__(self) -> Generator[Any, Any, OutputT]:
        """Waits for the whole answer, what was iterated already included."""
        return self._whole().__await__()

    def send(self, value: Any) -> Any:
        """Drives the stream as a coroutine; for event loops."""
        if self._coroutine is None:
            self._coroutine = self._whole()
        return self._coroutine.send(value)

    def throw(
        self,
        typ: Union[Type[BaseException], BaseException],
        val: Union[BaseException, object, None] = None,
        tb: Optional[TracebackType] = None,
    ) -> Any:
        """Raises an exception where the coroutine stands; for event loops."""
        if self._coroutine is None:
            self._coroutine = self._whole()
        if isinstance(typ, BaseException):
            return self._coroutine.throw(typ)
        error = val if isinstance(val, BaseException) else typ() if val is None else typ(val)
        return self._coroutine.throw(error.with_traceback(tb))

    def close(self) -> None:
        """Cancels the run if it goes on."""
        if self._coroutine is not None:
            self._coroutine.close()
        self._end("closed")


async def respond(run: Run) -> AgentResponse[Any]:
    """Starts a run and waits for its response."""
    stream: AsyncStream[Any] = AsyncStream(run)
    while True:
        kind = await stream._next_event()
        if kind == _native.EVENT_DONE:
            try:
                return run.response()
            finally:
                run.close()
