"""The other parts of a program that take part in a run: memory in a database, records for another process, hooks.

A `Follower` is called by both drivers of a run, in the thread or the task that drives it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, List

from luup_agent.errors import LuupError
from luup_agent.messages import Event

if TYPE_CHECKING:
    from luup_agent._run.run import Run


class Follower:
    """Takes part in a run. Every method has a twin for asynchronous runs, which by default calls the other.

    An exception of any method but `closed` ends the run.

    Attributes:
        wants_events: Whether `take` is called.
    """

    wants_events = False

    def begin(self, run: Run) -> None:
        """Prepare for a run, before it reads its tools and its agent's history."""

    async def begin_async(self, run: Run) -> None:
        """Do the same without blocking the event loop."""
        self.begin(run)

    def take(self, event: Event[Any]) -> None:
        """Handle an event, before the reader of a stream gets it."""

    async def take_async(self, event: Event[Any]) -> None:
        """Do the same without blocking the event loop."""
        self.take(event)

    def end(self, run: Run) -> None:
        """Handle the end of a run that has an answer or whose calls wait, before its `DoneEvent`."""

    async def end_async(self, run: Run) -> None:
        """Do the same without blocking the event loop."""
        self.end(run)

    def failed(self, run: Run) -> None:
        """Handle the end of a run that failed, after the core has ended it."""

    async def failed_async(self, run: Run) -> None:
        """Do the same without blocking the event loop. Not called for a stream that is dropped unread."""
        self.failed(run)

    def closed(self) -> None:
        """Handle that the run is closed, from any thread; may be called again."""


class Following:
    """The followers of a run, and the events that they get before the reader does.

    Attributes:
        followers: In the order in which they are called.
        fresh: The events that neither a follower nor the reader has had.
    """

    def __init__(self, events: Deque[Event[Any]]) -> None:
        """Prepare for a run whose reader takes its events from `events`.

        No reference to the run is kept: a run that is dropped ends at once.
        """
        self._events = events
        self._is_begun = False
        self._is_over = False  # the followers know of the end
        self.followers: List[Follower] = []
        self.fresh: Deque[Event[Any]] = deque()

    @property
    def wants_events(self) -> bool:
        """Whether a follower wants events."""
        return any(follower.wants_events for follower in self.followers)

    def begin(self, run: Run) -> None:
        """Have the followers prepare for the run."""
        self._is_begun = True
        for follower in self.followers:
            follower.begin(run)

    async def begin_async(self, run: Run) -> None:
        """Do the same for an asynchronous run."""
        self._is_begun = True
        for follower in self.followers:
            await follower.begin_async(run)

    def publish(self, run: Run, done: bool = False) -> None:
        """Hand the fresh events to the followers, then to the reader; before the last one, report the end."""
        while self.fresh:
            event = self.fresh.popleft()
            if event.type == "done":
                self._end(run)
            for follower in self.followers:
                if follower.wants_events:
                    follower.take(event)
            if run.is_read:
                self._events.append(event)
        if done:
            self._end(run)

    def _end(self, run: Run) -> None:
        if not self._is_over:
            self._is_over = True
            for follower in self.followers:
                follower.end(run)

    async def publish_async(self, run: Run, done: bool = False) -> None:
        """Do the same for an asynchronous run."""
        while self.fresh:
            event = self.fresh.popleft()
            if event.type == "done":
                await self._end_async(run)
            for follower in self.followers:
                if follower.wants_events:
                    await follower.take_async(event)
            if run.is_read:
                self._events.append(event)
        if done:
            await self._end_async(run)

    async def _end_async(self, run: Run) -> None:
        if not self._is_over:
            self._is_over = True
            for follower in self.followers:
                await follower.end_async(run)

    def fail(self, run: Run) -> None:
        """Tell the followers that the run has failed; it fails for its own reason, whatever they raise."""
        if self._is_over or not self._is_begun:
            return
        with contextlib.suppress(Exception):
            self.publish(run)
        self._is_over = True
        for follower in self.followers:
            with contextlib.suppress(LuupError):
                follower.failed(run)

    async def fail_async(self, run: Run) -> None:
        """Do the same for an asynchronous run."""
        if self._is_over or not self._is_begun:
            return
        with contextlib.suppress(Exception):
            await self.publish_async(run)
        self._is_over = True
        for follower in self.followers:
            with contextlib.suppress(LuupError):
                await follower.failed_async(run)

    def close(self) -> None:
        """Tell the followers that the run is closed."""
        if self._is_begun:
            for follower in self.followers:
                follower.closed()
