"""Waking an event loop for the events of its runs.

All runs of a loop share one socket pair: the core writes a byte to it when a run gets events, as
`signal.set_wakeup_fd` does, and keeps a list of the runs that have some. So no thread waits for a run, and no C thread
enters Python. After each byte the loop looks by itself a few milliseconds later, and in between text writes no byte:
the tokens of many runs cost one wake-up. Loops without `add_reader` (Windows' proactor) have no waker.

While a run is awaited, the loop also wakes ten times a second. An interrupt that another thread raises
(`_thread.interrupt_main`, as notebooks do on Windows) ends no system call, so a loop that sleeps would not see it.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from typing import TYPE_CHECKING, Dict, Optional, Tuple

from luup_agent import _native
from luup_agent.errors import LuupError

if TYPE_CHECKING:
    import asyncio

_BEAT_SECONDS = 0.1
_PAUSE_SECONDS = 0.004  # for which more text of the same runs is collected; loops round up to milliseconds


class _SocketPair:
    """Two connected sockets. They close when neither the loop that reads nor a run that may write refers to them."""

    def __init__(self) -> None:
        import socket

        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)

    def __del__(self) -> None:
        self.reader.close()
        self.writer.close()


class Waker:
    """Wakes the runs of one event loop, to which it holds no reference."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch a socket in `loop`."""
        self._sockets = _SocketPair()
        self._native = _native.NativeWaker(self._sockets.writer.fileno(), self._sockets)
        self._waiting: Dict[int, Tuple[_native.NativeRun, asyncio.Future[int]]] = {}
        self._tags = itertools.count(1)
        self._will_look = False  # a timer runs
        self._will_beat = False  # another one runs
        loop.add_reader(self._sockets.reader.fileno(), self._wake)

    def attach(self, run: _native.NativeRun, tag: int, for_text: bool) -> int:
        """Have the core wake this loop for `run` from now on, and return the run's tag; `tag` is 0 for a new one."""
        tag = tag or next(self._tags)
        run.set_waker(self._native, tag, for_text)
        return tag

    async def wait(self, run: _native.NativeRun, tag: int, loop: asyncio.AbstractEventLoop) -> int:
        """Wait for an event of `run`, which had none a moment ago, and return its type."""
        future: asyncio.Future[int] = loop.create_future()
        self._waiting[tag] = (run, future)
        if not self._will_beat:
            self._beat(loop)
        try:
            return await future
        finally:
            del self._waiting[tag]

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake the loop as long as runs are awaited."""
        self._will_beat = bool(self._waiting)
        if self._will_beat:
            loop.call_later(_BEAT_SECONDS, self._beat, loop)

    def rouse(self, tag: int) -> None:
        """Wake the task that waits for an event of a run, without an event."""
        _, future = self._waiting.get(tag, (None, None))
        if future is not None and not future.done():
            future.set_result(_native.EVENT_NONE)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._sockets.reader.recv(4096)
        self._look()

    def _look(self) -> None:
        """Wake the tasks whose runs have events, and look again soon: until then text writes no bytes."""
        tags = self._native.take()
        if tags and not self._will_look:
            import asyncio

            self._will_look = True
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._look_again)
        for tag in tags:
            waiting = self._waiting.get(tag)
            if waiting is None or waiting[1].done():  # its task runs, and finds the event by itself
                continue
            run, future = waiting
            try:
                kind = run.next(0)
            except LuupError as error:
                future.set_exception(error)
            else:
                if kind != _native.EVENT_NONE:
                    future.set_result(kind)

    def _look_again(self) -> None:
        self._will_look = False
        self._look()


_wakers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Optional[Waker]] = weakref.WeakKeyDictionary()


def waker_of(loop: asyncio.AbstractEventLoop) -> Optional[Waker]:
    """Return the waker of a loop; None if the loop can't watch sockets."""
    try:
        return _wakers[loop]
    except KeyError:
        pass
    for reference in _wakers.keyrefs():  # a list made in one step: safe beside other threads' loops
        other = reference()
        if other is not None and other.is_closed():
            _wakers.pop(other, None)
    waker: Optional[Waker] = None
    with contextlib.suppress(NotImplementedError):
        waker = Waker(loop)
    _wakers[loop] = waker
    return waker
