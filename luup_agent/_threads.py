"""Threads for requests and tools, and locks that a forked process can use."""

from __future__ import annotations

import contextvars
import os
import sys
import threading
import weakref
from typing import Callable

from luup_agent.errors import ClosedError, OutOfMemoryError

__all__ = ["Lock", "first_use", "start_thread"]

first_use = threading.RLock()
"""Held while modules are imported on first use: a fork waits for it.

An import that another thread of the parent had begun is never finished in a forked process, and waits there for ever.
"""


class Lock:
    """A lock for a `with` statement. A forked process has it free, also if a thread of its parent held it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def free(self) -> None:
        """Forget who holds it."""
        self._lock = threading.Lock()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _free_all() -> None:
    for lock in list(_locks):
        lock.free()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)
    os.register_at_fork(before=first_use.acquire, after_in_parent=first_use.release, after_in_child=first_use.release)


def start_thread(name: str, work: Callable[[], object]) -> None:
    """Run `work` in a daemon thread, in a copy of this context.

    Raises:
        ClosedError: The interpreter exits; some versions of Python would wait for the thread for ever.
        OutOfMemoryError: The system starts no more threads.
    """
    if sys.is_finalizing():
        raise ClosedError("the interpreter is exiting: threads can no longer be started")
    context = contextvars.copy_context()
    try:
        threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()
    except RuntimeError as error:
        if sys.is_finalizing() or "shutdown" in str(error):
            raise ClosedError("the interpreter is exiting: threads can no longer be started") from None
        raise OutOfMemoryError(f"a thread can't be started: {error}") from None
