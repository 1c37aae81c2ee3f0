"""The synchronous driver of a map: the caller's thread reads the items, threads of the map work on them."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from types import TracebackType
from typing import Any, Generic, Iterator, List, Optional, Set, Type

from typing_extensions import TypeVar

from luup_agent._bulk.plan import Job, Outcome, Plan
from luup_agent._bulk.results import MapResult, MapResults
from luup_agent._run.run import Run
from luup_agent._threads import start_thread
from luup_agent.errors import LuupError, RunCancelledError

T = TypeVar("T", default=str)
_AHEAD = 2  # items that a thread works on or that wait for one, for each thread: none waits for the caller
_PATIENCE = 5.0  # seconds for which `close` waits for the ends of runs that it has cancelled
_SLICE = 0.5  # seconds until a Ctrl-C is seen, where a signal does not end the wait


class _Pool:
    """The threads of a map. They hold no reference to its stream."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._jobs: queue.SimpleQueue[Optional[Job]] = queue.SimpleQueue()
        self.outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._runs: Set[Run] = set()
        self._ended: List[threading.Event] = []
        self._closed = False

    def submit(self, job: Job) -> None:
        """Have a thread work on a job."""
        self._jobs.put(job)
        if len(self._ended) < self._plan.concurrency:
            ended = threading.Event()
            self._ended.append(ended)
            try:
                start_thread("luup-map", lambda: self._work(ended))
            except LuupError:
                self._ended.pop()
                if not self._ended:
                    raise

    def _work(self, ended: threading.Event) -> None:
        worker: Any = None
        try:
            while True:
                job = self._jobs.get()
                if job is None or self._closed:
                    return
                began = time.monotonic()
                try:
                    if worker is None:
                        worker = self._plan.work.worker()
                    answer, error = self._plan.work.do(worker, job.prompt, self._on_run), None
                except BaseException as problem:
                    answer, error = None, problem
                outcome = Outcome(job, answer, error, time.monotonic() - began)
                if self._closed and error is not None:
                    return
                try:
                    self._plan.write(outcome)
                except LuupError as problem:
                    outcome = outcome._replace(answer=None, error=_Unwritten(problem))
                self.outcomes.put(outcome)
        finally:
            ended.set()

    def _on_run(self, run: Run) -> None:
        with self._lock:
            self._runs = {each for each in self._runs if not each.closed} | {run}
        if self._closed:
            raise RunCancelledError("the map was closed")

    def close(self) -> None:
        """Cancel the runs, and wait a moment for the threads to end."""
        self._closed = True
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.close()
        for _ in self._ended:
            self._jobs.put(None)
        deadline = time.monotonic() + _PATIENCE
        for ended in self._ended:
            ended.wait(max(0.0, deadline - time.monotonic()))
        self._plan.close()


class _Unwritten(BaseException):
    """Carries the error of the file, which ends the map, past the errors of items."""


class MapStream(Iterator[MapResult[T]], Generic[T]):
    """The results of a map: an iterator. See `Agent.map`.

    The map begins with the first `next`. Closing or dropping it, or leaving its ``with`` block, cancels the runs that
    go on; finished items are in the file of results, if there is one. Any thread may close it: another one that waits
    for a result gets a `RunCancelledError`.
    """

    __module__ = "luup_agent"

    def __init__(self, plan: Plan, items: Iterator[Any]) -> None:
        """Prepare a map."""
        self._plan = plan
        self._items = items
        self._pool = _Pool(plan)
        self._closed = False

    def __iter__(self) -> MapStream[T]:
        """Return the stream itself."""
        return self

    def __next__(self) -> MapResult[T]:
        """Return the next result."""
        if self._closed:
            raise StopIteration
        try:
            while True:
                while self._plan.wants_item(_AHEAD):
                    self._read_item()
                result = self._plan.take_ready()
                if result is not None:
                    return result
                if self._plan.idle:
                    if self._plan.exhausted:
                        break
                    continue
                if self._closed:
                    raise RunCancelledError("the map was closed before all results were complete")
                with contextlib.suppress(queue.Empty):
                    self._finish(self._pool.outcomes.get(timeout=_SLICE))
                with contextlib.suppress(queue.Empty):
                    while True:
                        self._finish(self._pool.outcomes.get_nowait())
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def _read_item(self) -> None:
        try:
            item = next(self._items)
        except StopIteration:
            self._plan.end_items()
            return
        job = self._plan.next_job(item)
        if job is not None:
            self._pool.submit(job)

    def _finish(self, outcome: Outcome) -> None:
        if isinstance(outcome.error, _Unwritten):
            raise outcome.error.args[0]
        self._plan.finish(outcome)

    def all(self) -> MapResults[T]:
        """Wait for all results; return those that were not iterated yet."""
        return MapResults(self)

    def close(self) -> None:
        """End the map: cancel the runs that go on. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._pool.close()

    def __enter__(self) -> MapStream[T]:
        """Return the stream itself."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """End the map."""
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pool", None) is not None:
            self.close()

    def __repr__(self) -> str:
        """Return, for example, ``<MapStream, 16 at once>``."""
        return f"<MapStream, {'closed' if self._closed else f'{self._plan.concurrency} at once'}>"
