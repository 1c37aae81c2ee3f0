"""The event loop that surrounds an asynchronous function, and loads that run in a thread for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Awaitable, Callable, Optional, Tuple, TypeVar

from luup_agent._threads import start_thread
from luup_agent.errors import UnsupportedError

if TYPE_CHECKING:
    import asyncio

_T = TypeVar("_T")
Check = Callable[[], None]

# Seconds for which a cancelled task waits for its load to end.
_PATIENCE = 5.0


def in_event_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def require_asyncio() -> None:
    """Check that an asyncio event loop runs in this thread.

    Raises:
        UnsupportedError: None does; under trio, the message says how to run an agent there.
    """
    if in_event_loop():
        return
    if _in_trio():
        raise UnsupportedError(
            "asynchronous runs need asyncio, but this is trio; "
            "use `await trio.to_thread.run_sync(agent.generate, message)`, or trio-asyncio"
        )
    raise UnsupportedError("asynchronous runs need a running asyncio event loop; start one with asyncio.run()")


def _in_trio() -> bool:
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


def after(check: Check, on_progress: Optional[Callable[..., object]]) -> Callable[..., object]:
    """Return a progress function that calls `check` first, and then `on_progress`."""
    if on_progress is None:
        return lambda *_progress: check()
    if not callable(on_progress):
        return on_progress  # the load refuses it

    def report(*progress: object) -> object:
        check()
        return on_progress(*progress)

    return report


async def load_in_thread(load: Callable[[Check], _T], discard: Callable[[_T], object]) -> _T:
    """Return what `load` returns, which runs in a thread of its own.

    A cancelled task waits a moment for the load to end, so that nothing of it is left behind. A load that takes longer
    to notice, because it waits for a server, ends in the background.

    Args:
        load: Called with a function that it has to call often, and which raises once the task is cancelled.
        discard: Called with the result of a load that came too late.

    Raises:
        UnsupportedError: No event loop of asyncio runs in this thread.
    """
    require_asyncio()
    import asyncio

    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Tuple[Optional[_T], Optional[BaseException]]] = loop.create_future()
    cancelled = False
    abandoned = False

    def check() -> None:
        if cancelled:
            raise asyncio.CancelledError

    def end(result: Optional[_T], error: Optional[BaseException]) -> None:
        if error is None and abandoned:
            discard(result)  # type: ignore[arg-type]
        if not ended.done():
            ended.set_result((result, error))

    def run() -> None:
        result: Optional[_T] = None
        failure: Optional[BaseException] = None
        try:
            result = load(check)
        except BaseException as error:  # the task raises it
            failure = error
        try:
            loop.call_soon_threadsafe(end, result, failure)
        except RuntimeError:  # the loop is closed
            if failure is None:
                discard(result)  # type: ignore[arg-type]
        del failure  # breaks the cycle error - traceback - frame

    start_thread("luup-load", run)
    try:
        result, error = await asyncio.shield(ended)
    except asyncio.CancelledError:
        cancelled = True
        try:
            await asyncio.wait([ended], timeout=_PATIENCE)
        finally:
            abandoned = True
            if ended.done() and ended.result()[1] is None:
                discard(ended.result()[0])  # type: ignore[arg-type]
        raise
    if error is not None:
        try:
            raise error
        finally:
            del error  # breaks the cycle error - traceback - frame
    return result  # type: ignore[return-value]


def wait_for(awaitable: Awaitable[_T]) -> _T:
    """Return the value of an awaitable in a thread that drives no event loop; elsewhere another thread waits for it."""
    import asyncio

    async def wait() -> _T:
        return await awaitable

    if not in_event_loop():
        return asyncio.run(wait())
    from concurrent.futures import Future

    ended: Future[_T] = Future()

    def work() -> None:
        try:
            ended.set_result(asyncio.run(wait()))
        except BaseException as error:  # raised by the thread that waits
            ended.set_exception(error)

    start_thread("luup-wait", work)
    return ended.result()
