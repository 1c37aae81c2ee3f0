"""The asynchronous drivers of a run: no thread waits for it; `waker` wakes the event loop."""

from __future__ import annotations

import contextlib
import copy
import sys
import threading
import warnings
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Coroutine, Dict, Generator, Optional, Tuple, Type, Union

from typing_extensions import Self, TypeVar

from luup_agent import _native
from luup_agent._loops import require_asyncio
from luup_agent._run.run import Run
from luup_agent._run.sync_run import WAIT_SLICE_MS
from luup_agent._run.waker import Waker, waker_of
from luup_agent.errors import LuupError
from luup_agent.messages import AgentResponse, Event

if TYPE_CHECKING:
    import asyncio

    from luup_agent._run.async_calls import AsyncCalls

T = TypeVar("T")
R = TypeVar("R")
OutputT = TypeVar("OutputT", default=str)


def _current() -> Tuple[int, int]:
    """Return the identities of this thread and of the task that runs in it."""
    import asyncio

    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs
        task = None
    return threading.get_ident(), id(task)


class AsyncStream(AsyncIterator[T]):
    """The pieces of an asynchronous run.

    The run begins when the first piece is awaited. It is cancelled by `aclose`, by the cancellation of the task that
    waits for it, and when the stream is garbage collected.
    """

    def __init__(self, run: Run) -> None:
        """Prepare the stream of a run that was not started."""
        self._run = run
        self._started = False
        self._end_state: Dict[str, str] = {}  # "state": see `_state`
        self._failure: Optional[Exception] = None
        self._waker: Optional[Waker] = None
        self._tag = 0  # by which the waker knows the run; 0: it does not
        self._for_text = True  # whether the reader wants the pieces of the answer when they come
        self._attached_for_text = True  # what the waker knows of that
        self._busy = False  # a task is in `_next_event`
        self._loop: Optional[asyncio.AbstractEventLoop] = None  # that of the run
        self._reader: Optional[Tuple[int, int]] = None  # the thread and the task that read, as `_current` returns them
        self._calls: Optional[AsyncCalls] = None

    @property
    def _state(self) -> str:
        """Return "new" or "running", or how the stream ended.

        "done", "failed", "closed", or "cut off": the reader has to learn that another task or thread closed it.
        """
        return self._end_state.get("state", "running" if self._started else "new")

    def __aiter__(self) -> AsyncStream[T]:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> T:
        """Return the next piece."""
        raise NotImplementedError

    def stop_thinking(self) -> None:
        """End the model's thoughts, and let it answer; from any task or thread.

        The library writes the end of the thoughts in the model's own format. Does nothing if the model does not think,
        or the run has ended.

        Raises:
            UnsupportedError: The model is remote: its server thinks.
        """
        self._run.stop_thinking()

    @property
    def response(self) -> AgentResponse[Any]:
        """The response, once the stream was read or awaited to its end.

        Raises:
            InvalidParamError: It was not read to its end.
        """
        return self._run.final_response()

    async def __aenter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __aexit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Cancel the run if it goes on."""
        if self._state in ("new", "running"):
            await self.aclose()

    def __repr__(self) -> str:
        """Return, for example, ``<AsyncTextStream, running>``."""
        return f"<{type(self).__name__}, {self._state}>"

    async def aclose(self) -> None:
        """Cancel the run if it goes on."""
        if self._busy:
            raise RuntimeError("the stream is being read by another task")
        self._run.fail(None)
        await self._run.following.fail_async(self._run)
        self._end("closed")

    async def _next_event(self) -> int:
        """Return the type of the next event; EVENT_NONE after the end, and when a tool has answered."""
        if self._busy:
            raise RuntimeError("the stream is being read by another task")
        if self._state not in ("new", "running"):
            self._check_cut_off()  # not before: another thread may close it in between
            return _native.EVENT_NONE
        self._busy = True
        self._reader = _current()
        try:
            if self._calls is None:
                self._calls = await self._start()
                self._started = True
            self._calls.work()
            kind = self._run.native.next(0)
            if kind == _native.EVENT_NONE and not self._run.has_events:
                kind = await self._wait()
            if self._calls.failure is not None:
                self._run.take_last(kind)
                raise self._calls.failure
            if self._state in ("closed", "cut off"):
                raise self._run.was_closed()
            self._run.take(kind)
            await self._run.following.publish_async(self._run, kind == _native.EVENT_DONE)
            return kind
        except Exception as error:
            self._run.fail(error)
            await self._run.following.fail_async(self._run)
            self._failure = copy.copy(error) if isinstance(error, LuupError) else error
            self._end("failed")
            raise
        except BaseException as error:
            if not isinstance(error, GeneratorExit):  # no caller would see its attributes
                self._run.fail(error)
                await self._run.following.fail_async(self._run)
            self._end("closed")
            raise
        finally:
            self._busy = False

    async def _start(self) -> AsyncCalls:
        import asyncio

        require_asyncio()
        self._loop = asyncio.get_running_loop()
        await self._run.fetch_tools()
        if self._state != "new":  # another task or thread closed the stream meanwhile
            raise self._run.was_closed()
        calls = self._run.start_async()
        stream = weakref.ref(self)

        def wake() -> None:
            mine = stream()
            if mine is not None and mine._waker is not None:
                mine._waker.rouse(mine._tag)

        calls.wake = wake
        return calls

    async def _wait(self) -> int:
        import asyncio

        loop = asyncio.get_running_loop()
        waker = waker_of(loop)
        if waker is None:
            return await self._wait_in_thread(loop)
        for_text = self._for_text or self._run.counts_pieces
        if waker is not self._waker:
            self._waker = waker  # first: from here on `_close` rouses it
            self._tag = 0
        if self._tag == 0 or for_text is not self._attached_for_text:
            self._tag = waker.attach(self._run.native, self._tag, for_text)
            self._attached_for_text = for_text
        return await waker.wait(self._run.native, self._tag, loop)

    async def _wait_in_thread(self, loop: asyncio.AbstractEventLoop) -> int:
        """Wait in a thread of the loop's executor."""
        import asyncio

        native, calls = self._run.native, self._calls
        while True:
            future = loop.run_in_executor(None, native.next, WAIT_SLICE_MS)
            try:
                kind = await asyncio.shield(future)
            except asyncio.CancelledError:
                native.cancel()  # the thread returns at once
                while not future.done():
                    with contextlib.suppress(asyncio.CancelledError):  # one is being raised already
                        await asyncio.wait([future])
                if not future.cancelled() and future.exception() is None:
                    self._run.take_last(future.result())
                raise
            if kind != _native.EVENT_NONE or self._run.has_events or (calls is not None and calls.failure is not None):
                return kind

    def _end(self, state: str) -> None:
        """End the stream with `state`, unless it has ended; from any task or thread."""
        ended = self._end_state.setdefault("state", state)  # one step: another thread may end it as well
        if state == "failed" and ended == "cut off":
            self._end_state["state"] = "closed"  # the error tells the reader
        if self._calls is not None:
            self._calls.close()
        self._run.close()

    def _finish(self) -> None:
        """End the stream after its last event.

        Raises:
            RunCancelledError: Another task or thread closed it before.
        """
        self._end("done")
        self._check_cut_off()

    def _check_cut_off(self) -> None:
        if self._state == "cut off":
            self._end_state["state"] = "closed"
            raise self._run.was_closed()

    def _close(self) -> None:
        """Cancel the run if it goes on; from any task or thread. A reader gets a `RunCancelledError`."""
        runs = self._state == "running"
        state = "cut off" if runs and self._reader != _current() else "closed"
        if runs:
            self._run.keep_record()
        self._end(state)
        loop, waker = self._loop, self._waker
        if self._busy and loop is not None and waker is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and there is no reader
                loop.call_soon_threadsafe(waker.rouse, self._tag)

    def _is_driven(self) -> bool:
        """Return whether a task waits for an event, and its loop will go on with it."""
        return self._busy and self._loop is not None and self._loop.is_running()


if TYPE_CHECKING:
    _EventStream = AsyncStream[Event[OutputT]]
else:
    _EventStream = AsyncStream[OutputT]  # at run time a union with pydantic's classes takes no parameter


class AsyncEventStream(_EventStream[OutputT]):
    """The events of an asynchronous run; see `Agent.stream_events_async`."""

    __module__ = "luup_agent"

    def __init__(self, run: Run) -> None:
        """Prepare the stream of a run that was not started."""
        run.want_events()
        super().__init__(run)
        self._late: Optional[Exception] = None

    async def __anext__(self) -> Event[OutputT]:
        """Return the next event; the last one is a `DoneEvent`."""
        events = self._run.events
        while not events:
            if self._late is not None:
                error, self._late = self._late, None
                raise error
            try:
                kind = await self._next_event()
            except Exception as error:
                if not events:
                    raise
                self._late = error  # after the events that came before it
                continue
            if kind == _native.EVENT_DONE:
                self._end("done")
                self._end_state["state"] = "done"  # the reader gets the whole answer, also if it was just cut off
            elif kind == _native.EVENT_NONE and self._state != "running":
                raise StopAsyncIteration
        return events.popleft()


class AsyncTextStream(AsyncStream[str], Coroutine[Any, Any, OutputT]):
    """The text of an asynchronous run: ``async for`` yields its pieces, ``await`` returns the whole or a typed result.

    It is a coroutine too, so `asyncio.gather`, `asyncio.wait_for`, `asyncio.create_task` and `asyncio.run` accept it.
    See `Agent.generate_async`.
    """

    __module__ = "luup_agent"

    def __init__(self, run: Run) -> None:
        """Prepare the stream of a run that was not started."""
        super().__init__(run)
        self._coroutine: Optional[Coroutine[Any, Any, OutputT]] = None

    def __del__(self) -> None:
        if getattr(self, "_coroutine", self) is None and self._state == "new" and not sys.is_finalizing():
            warnings.warn(
                "generate_async was never awaited so nothing was asked: write `await agent.generate_async()`",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )

    async def __anext__(self) -> str:
        """Return the next piece of the answer."""
        while True:
            kind = await self._next_event()
            if kind == _native.EVENT_TEXT:
                return self._run.piece
            if kind == _native.EVENT_DONE:
                self._run.end_stream()
                self._finish()
                self._run.check_answered()
                raise StopAsyncIteration
            if kind == _native.EVENT_NONE and self._state != "running":
                self._check_cut_off()
                raise StopAsyncIteration

    async def _whole(self) -> OutputT:
        self._for_text = False
        async for _ in self:
            pass
        if self._failure is not None:
            raise self._failure
        if self._state == "closed":
            raise self._run.was_closed()
        value: OutputT = self._run.value()
        return value

    def __await__(self) -> Generator[Any, Any, OutputT]:
        """Wait for the whole answer, including the pieces that were iterated already."""
        return self._whole().__await__()

    def send(self, value: Any) -> Any:
        """Drive the stream as a coroutine; for event loops."""
        if self._coroutine is None:
            self._coroutine = self._whole()
        return self._coroutine.send(value)

    def throw(
        self,
        typ: Union[Type[BaseException], BaseException],
        val: Union[BaseException, object, None] = None,
        tb: Optional[TracebackType] = None,
    ) -> Any:
        """Raise an exception inside the coroutine; for event loops."""
        if self._coroutine is None:
            self._coroutine = self._whole()
        if isinstance(typ, BaseException):
            return self._coroutine.throw(typ)
        error = val if isinstance(val, BaseException) else typ() if val is None else typ(val)
        return self._coroutine.throw(error.with_traceback(tb))

    def close(self) -> None:
        """Cancel the run if it goes on, from any task or thread.

        A task that reads the stream or waits for its value gets a `RunCancelledError`: the answer is not complete.
        """
        self._close()
        if self._coroutine is not None and not self._is_driven():
            with contextlib.suppress(ValueError):  # it runs in another thread, and finds the stream closed
                self._coroutine.close()


async def finish(run: Run, read: Callable[[Run], R]) -> R:
    """Start a run, wait for its end, return what `read` returns for it, and close it."""
    stream: AsyncStream[Any] = AsyncStream(run)
    stream._for_text = False
    while await stream._next_event() != _native.EVENT_DONE:
        pass
    try:
        return read(run)
    finally:
        run.close()


async def respond(run: Run) -> AgentResponse[Any]:
    """Start a run and wait for its response."""
    return await finish(run, Run.response)
