"""The calls of a server's tools that are under way, to which the requests of the server belong.

Servers of the newest protocol ask within the call; older ones send their requests separately, so if calls of several
runs are under way, the call is unknown. All of it runs in the background loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import Any, Callable, Iterator, List, Optional, Set, TypeVar

from luup_agent._tools.context import RunContext

T = TypeVar("T")


class Caller:
    """A call under way.

    Attributes:
        run: The context of the call.
        context: The context variables of the tool.
        texts: How many texts the server has asked a model for.
    """

    def __init__(self, run: RunContext[Any]) -> None:
        """Begin a call."""
        self.run = run
        self.context = contextvars.copy_context()
        self.texts = 0
        self._tasks: Set[asyncio.Future[Any]] = set()

    async def wait(self, task: asyncio.Future[T]) -> T:
        """Wait for the answer to a request; the end of the call cancels it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await task

    def end(self) -> None:
        """Cancel the answers under way."""
        for task in self._tasks:
            task.cancel()


_calling: contextvars.ContextVar[Optional[Caller]] = contextvars.ContextVar("luup_mcp_call", default=None)


class Callers:
    """The calls of one server that are under way."""

    def __init__(self) -> None:
        """Begin without any."""
        self._callers: List[Caller] = []

    @contextlib.contextmanager
    def calling(self, run: RunContext[Any]) -> Iterator[None]:
        """Note that a call is under way. Its end also ends the answers to requests that belong to it."""
        caller = Caller(run)
        token = _calling.set(caller)
        self._callers.append(caller)
        try:
            yield
        finally:
            self._callers.remove(caller)
            caller.end()
            with contextlib.suppress(ValueError):  # closed by the garbage collector, in another context
                _calling.reset(token)

    def find(self, origin: Callable[[Caller], object]) -> Optional[Caller]:
        """Return the call that a request belongs to, if that is known: at least its `origin`, such as the run."""
        caller = _calling.get()
        if caller is not None or not self._callers:
            return caller
        latest = self._callers[-1]
        return latest if all(origin(each) is origin(latest) for each in self._callers) else None
