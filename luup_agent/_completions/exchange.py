"""The exchange of requests and answers between the core and a responder.

The core of a run emits a request, a `Responder` answers it, and a `Sink` passes the chunks of the answer back.

A synchronous run answers each request in a thread of its own, so that Ctrl-C and the run's timeout work while a server
is silent. Under gevent it answers in its own greenlet, and a stream arrives as a whole. A responder in Python runs in
the run's own thread where that thread would only wait. An asynchronous run uses a task of the event loop. None of them
holds a reference to the run: when a run is dropped, it ends, and its request with it.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import time
from typing import TYPE_CHECKING, Callable, Optional, Sequence, Tuple

from luup_agent._loops import in_event_loop
from luup_agent._threads import start_thread
from luup_agent.errors import HTTPError, InferenceError, LuupError, RunTimeoutError, UnsupportedError

if TYPE_CHECKING:
    import asyncio

    from luup_agent._native import NativeRun

_REFUSALS = (400, 404, 415, 422, 501)  # statuses of servers that refuse the form of a request
_YEAR = 3.2e7  # seconds; event loops refuse much longer timeouts


class Sink:
    """Receives the chunks of one answer and passes them to the run.

    Attributes:
        started: Whether a chunk arrived; the request must not be sent again then.
        deadline: When the run's timeout passes, in seconds of `time.monotonic`; None without a timeout.
        failure: The exception that ended the answer, after the message that the core got for it.
        cancelled: Set when the run does not need the answer any more.
        on_cancel: Called when `cancelled` is set, in the thread that cancels.
        on_chunk: Called with each chunk; returns the chunks that the run gets now.
        watch: Called with each chunk that the run gets, before it; an exception ends the answer.
    """

    def __init__(self, native: NativeRun, deadline: Optional[float]) -> None:
        self._native = native
        self.started = False
        self._over = False
        self.deadline = deadline
        self.failure: Optional[Tuple[str, BaseException]] = None
        self.cancelled = threading.Event()
        self.on_cancel: Optional[Callable[[], None]] = None
        self.on_chunk: Optional[Callable[[str], Sequence[str]]] = None
        self.watch: Optional[Callable[[str], None]] = None

    def push(self, chunk: str) -> bool:
        """Pass on a chunk, a JSON text or "[DONE]". Return False once the run needs no more."""
        self.started = True
        for each in (chunk,) if self.on_chunk is None else self.on_chunk(chunk):
            if self.watch is not None and not (self._over or self.cancelled.is_set()):
                self.watch(each)
            self._over = self._over or self.cancelled.is_set() or not self._native.push_chunk(each)
        return not self._over

    def end(self, error: Optional[BaseException] = None) -> None:
        """End the answer; it has failed if there is an `error`."""
        if self._over or self.cancelled.is_set():  # or this would end the run's next answer
            return
        self._over = True
        if error is None:
            self._native.end_completion(0, "")
            return
        message = str(error) or type(error).__name__
        code = error.code if isinstance(error, LuupError) and error.code else InferenceError.code
        if isinstance(error, HTTPError) and error.status in _REFUSALS and not self.started:
            code = UnsupportedError.code  # the core may ask again in another form
        self.failure = (message, error)
        self._native.end_completion(code, message)

    def cancel(self) -> None:
        """Stop the responder; may be called from any thread."""
        self.cancelled.set()
        hook, self.on_cancel = self.on_cancel, None
        if hook is not None:
            hook()


class Responder:
    """Answers chat completion requests. Safe to use from any thread.

    Attributes:
        is_python: Whether Python code in this process makes the answers, so that Ctrl-C interrupts it.
    """

    is_python = False

    def respond(self, body: str, sink: Sink) -> None:
        """Push the chunks of the answer to the request `body`; raise an exception if there is no answer."""
        raise NotImplementedError

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Do the same as `respond`, under asyncio."""
        raise NotImplementedError

    def redact(self, text: str) -> str:
        """Return `text` without keys and other secrets."""
        return text

    def close(self) -> None:
        """Release connections and other resources."""


class Exchange:
    """Answers the requests of one run that a thread drives.

    Attributes:
        thread_waits: Whether the driving thread only waits for the end of the run.
        watch: See `Sink`.
    """

    def __init__(self, native: NativeRun, responders: Tuple[Responder, ...], timeout: Optional[float]) -> None:
        self.thread_waits = False
        self.watch: Optional[Callable[[str], None]] = None
        self._native = native
        self._responders = responders
        self._deadline = None if timeout is None else time.monotonic() + min(float(timeout), 1e9)
        self._responder = Responder()  # of the last request
        self._sink: Optional[Sink] = None

    def begin(self) -> None:
        """Start to answer the request of the run's current event."""
        if self._sink is not None:
            self._sink.cancelled.set()  # its answer has ended
        sink = self._sink = Sink(self._native, self._deadline)
        sink.watch = self.watch
        self._responder = self._responders[self._native.model_index()]
        self._start(self._responder, self._native.text(), sink)

    def _start(self, responder: Responder, body: str, sink: Sink) -> None:
        def work() -> None:
            try:
                responder.respond(body, sink)
            except BaseException as error:
                sink.end(error)
            else:
                sink.end()

        mine = responder.is_python and self.thread_waits and self._deadline is None and not in_event_loop()
        if mine or in_green_threads():
            contextvars.copy_context().run(work)
            return
        start_thread("luup-request", work)

    def replaces(self, error: LuupError) -> Optional[BaseException]:
        """Return the responder's exception that the core reports as `error`, or None if `error` is another one.

        Secrets that a server's own words show are removed from the message of `error`.
        """
        failure = None if self._sink is None else self._sink.failure
        if failure is not None and failure[0] == str(error):
            return failure[1]
        if self._sink is not None:
            error.args = (self._responder.redact(str(error)),)
        return None

    def close(self) -> None:
        """Cancel the request under way; may be called from any thread."""
        if self._sink is not None:
            self._sink.cancel()

    def __del__(self) -> None:
        self.close()


class AsyncExchange(Exchange):
    """Answers the requests of one run that an event loop drives."""

    _task: Optional[asyncio.Task[None]] = None
    _loop: Optional[asyncio.AbstractEventLoop] = None

    def _start(self, responder: Responder, body: str, sink: Sink) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(_work_async(responder, body, sink))

    def close(self) -> None:
        """Cancel the request under way; may be called from any thread."""
        super().close()
        task, self._task = self._task, None
        if task is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and the task is gone
                self._loop.call_soon_threadsafe(task.cancel)


async def _work_async(responder: Responder, body: str, sink: Sink) -> None:
    import asyncio

    left = None if sink.deadline is None else min(max(0.0, sink.deadline - time.monotonic()), _YEAR)
    try:
        await asyncio.wait_for(responder.respond_async(body, sink), left)
    except asyncio.TimeoutError as error:
        late = sink.deadline is not None and time.monotonic() >= sink.deadline
        sink.end(RunTimeoutError("the run's timeout passed") if late else error)
    except asyncio.CancelledError as error:
        if not sink.cancelled.is_set():  # cancelled by other code, such as the end of the loop
            sink.end(error)
        raise
    except BaseException as error:
        sink.end(error)
    else:
        sink.end()


def in_green_threads() -> bool:
    """Return whether gevent or eventlet has replaced the threads of this process.

    Such a thread runs only while another one waits in Python, and the driver of a run waits in the core.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    return bool(
        (gevent is not None and gevent.is_module_patched("threading"))
        or (eventlet is not None and eventlet.is_monkey_patched("thread"))
    )


def combine_responders(parts: Sequence[Tuple[Responder, ...]]) -> Tuple[Responder, ...]:
    """Return the responders of a fallback by the index of its models; () if all of these are local.

    Args:
        parts: The responders of each model: one, or none for a local model.
    """
    local = Responder()  # fills the places of local models, which make no requests
    return tuple(part[0] if part else local for part in parts) if any(parts) else ()


def exchange_for(
    native: NativeRun, responders: Tuple[Responder, ...], timeout: Optional[float], is_async: bool
) -> Optional[Exchange]:
    """Return the exchange of a run, or None if its model is local."""
    if not responders:
        return None
    return (AsyncExchange if is_async else Exchange)(native, responders, timeout)
