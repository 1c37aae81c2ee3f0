"""Who answers a remote model's requests: the core asks, a responder fetches the answer, and its chunks go back.

In a synchronous run a request is answered in a thread of its own, so that a Ctrl-C and the run's timeout are seen
while a server is silent; by Python code of this process in the run's own thread, if that has nothing else to do. In an
asynchronous run a task of the event loop does it. None of them holds a reference on the run: one that is dropped ends,
and its request with it.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Optional, Tuple

from luup_agent.errors import InferenceError, LuupError, RunTimeoutError

if TYPE_CHECKING:
    import asyncio

    from luup_agent._native import NativeRun

_YEAR = 3.2e7  # seconds; an event loop takes no longer time


class Sink:
    """Takes the chunks of one answer.

    Attributes:
        started: Whether a chunk was taken: the request must not be made again.
        deadline: When the run's timeout passes, on the monotonic clock; None for never.
        failure: What ended the answer, and the message that the core was given for it.
        cancelled: Set when nobody waits for the answer any more.
        on_cancel: Called then, in the thread that cancels.
        on_chunk: Called with each chunk before the run gets it.
    """

    def __init__(self, native: NativeRun, deadline: Optional[float]) -> None:
        self._native = native
        self.started = False
        self._over = False
        self.deadline = deadline
        self.failure: Optional[Tuple[str, BaseException]] = None
        self.cancelled = threading.Event()
        self.on_cancel: Optional[Callable[[], None]] = None
        self.on_chunk: Optional[Callable[[str], None]] = None

    def push(self, chunk: str) -> bool:
        """Takes a chunk, JSON text or "[DONE]". False: no more are wanted."""
        self.started = True
        if self.on_chunk is not None:
            self.on_chunk(chunk)
        self._over = self._over or self.cancelled.is_set() or not self._native.push_chunk(chunk)
        return not self._over

    def end(self, error: Optional[BaseException] = None) -> None:
        """Ends the answer; with an error it fails."""
        if self._over or self.cancelled.is_set():  # the run's next answer is not ours to end
            return
        self._over = True
        if error is None:
            self._native.end_completion(0, "")
            return
        message = str(error) or type(error).__name__
        code = error.code if isinstance(error, LuupError) and error.code else InferenceError.code
        self.failure = (message, error)
        self._native.end_completion(code, message)

    def cancel(self) -> None:
        """Lets whoever fetches the answer stop; from any thread."""
        self.cancelled.set()
        hook, self.on_cancel = self.on_cancel, None
        if hook is not None:
            hook()


class Responder:
    """Answers the requests of a model that is not in this process. Safe to use from any thread.

    Attributes:
        is_python: Whether Python code of this process makes the answers, which a Ctrl-C reaches by itself.
    """

    is_python = False

    def respond(self, body: str, sink: Sink) -> None:
        """Pushes the chunks of the answer to a chat completion request; raises what goes wrong."""
        raise NotImplementedError

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Does what `respond` does, under asyncio."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives up what it holds."""


class Exchange:
    """The requests of one run that is driven by a thread.

    Attributes:
        thread_waits: Whether the thread that drives the run does nothing before the run's end.
    """

    def __init__(self, native: NativeRun, responders: Tuple[Responder, ...], timeout: Optional[float]) -> None:
        self.thread_waits = False
        self._native = native
        self._responders = responders
        self._deadline = None if timeout is None else time.monotonic() + min(float(timeout), 1e9)
        self._sink: Optional[Sink] = None

    def begin(self) -> None:
        """Has the request answered that the core has just asked for."""
        if self._sink is not None:
            self._sink.cancelled.set()  # it has ended
        sink = self._sink = Sink(self._native, self._deadline)
        self._start(self._responders[self._native.model_index()], self._native.text(), sink)

    def _start(self, responder: Responder, body: str, sink: Sink) -> None:
        def work() -> None:
            try:
                responder.respond(body, sink)
            except BaseException as error:
                sink.end(error)
            else:
                sink.end()

        context = contextvars.copy_context()
        if responder.is_python and self.thread_waits and self._deadline is None and not in_event_loop():
            context.run(work)
            return
        threading.Thread(target=context.run, args=(work,), name="luup-request", daemon=True).start()

    def replaces(self, error: LuupError) -> Optional[BaseException]:
        """What ended the run, as the responder raised it, if that is what `error` of the core tells."""
        failure = None if self._sink is None else self._sink.failure
        return failure[1] if failure is not None and failure[0] == str(error) else None

    def close(self) -> None:
        """Drops the request under way; from any thread."""
        if self._sink is not None:
            self._sink.cancel()

    def __del__(self) -> None:
        self.close()


class AsyncExchange(Exchange):
    """The requests of one run that is driven by an event loop."""

    _task: Optional[asyncio.Task[None]] = None
    _loop: Optional[asyncio.AbstractEventLoop] = None

    def _start(self, responder: Responder, body: str, sink: Sink) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(_work_async(responder, body, sink))

    def close(self) -> None:
        """Drops the request under way; from any thread."""
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
        if not sink.cancelled.is_set():  # of the loop, or of somebody else
            sink.end(error)
        raise
    except BaseException as error:
        sink.end(error)
    else:
        sink.end()


def in_event_loop() -> bool:
    """Whether an event loop runs in this thread."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def exchange_for(native: Any, responders: Tuple[Responder, ...], timeout: Optional[float], is_async: bool) -> Any:
    """The exchange of a run; None if its model is local."""
    if not responders:
        return None
    return (AsyncExchange if is_async else Exchange)(native, responders, timeout)
