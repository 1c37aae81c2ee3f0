"""The asynchronous driver of a map: each item is a task of the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Any, AsyncIterator, Generator, Generic, Iterator, List, Optional, Set, Type, Union

from typing_extensions import TypeVar

from luup_agent._bulk.plan import Job, Outcome, Plan
from luup_agent._bulk.results import MapResult, MapResults
from luup_agent._loops import require_asyncio

T = TypeVar("T", default=str)


async def _work(plan: Plan, workers: List[Any], job: Job) -> Outcome:
    """Work on a job with one of the idle workers, or a new one. The task has no reference to the stream."""
    began = time.monotonic()
    try:
        worker = workers.pop() if workers else plan.work.worker()
        answer, error = await plan.work.do_async(worker, job.prompt), None
        workers.append(worker)
    except Exception as problem:
        answer, error = None, problem
    return Outcome(job, answer, error, time.monotonic() - began)


async def _work_and_write(plan: Plan, workers: List[Any], job: Job) -> Outcome:
    outcome = await _work(plan, workers, job)
    plan.write(outcome)  # its error ends the map
    return outcome


async def _pull(items: AsyncIterator[Any]) -> Any:
    return await items.__anext__()


class AsyncMapStream(AsyncIterator[MapResult[T]], Generic[T]):
    """The results of a map under asyncio: ``async for`` yields them, ``await`` returns all. See `Agent.map_async`.

    The map begins with the first result that is awaited. Cancelling the task that waits, or closing the stream, cancels
    the runs that go on; finished items are in the file of results, if there is one.
    """

    __module__ = "luup_agent"

    def __init__(self, plan: Plan, items: Union[Iterator[Any], AsyncIterator[Any]]) -> None:
        """Prepare a map."""
        self._plan = plan
        self._items = items
        self._workers: List[Any] = []
        self._tasks: Set[asyncio.Task[Outcome]] = set()
        self._pulling: Optional[asyncio.Task[Any]] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._busy = False
        self._closed = False

    def __aiter__(self) -> AsyncMapStream[T]:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> MapResult[T]:
        """Return the next result."""
        if self._closed:
            raise StopAsyncIteration
        if self._busy:
            raise RuntimeError("the stream is being read by another task")
        require_asyncio()
        self._loop = asyncio.get_running_loop()
        self._busy = True
        try:
            while True:
                self._read_items()
                result = self._plan.take_ready()
                if result is not None:
                    return result
                if self._plan.idle and self._pulling is None:
                    if self._plan.exhausted:
                        break
                    continue
                await self._wait()
        except BaseException:
            await self._end()
            raise
        finally:
            self._busy = False
        await self._end()
        raise StopAsyncIteration

    def _read_items(self) -> None:
        while self._plan.wants_item() and self._pulling is None:
            if isinstance(self._items, AsyncIterator):
                self._pulling = asyncio.ensure_future(_pull(self._items))
                return
            try:
                item = next(self._items)
            except StopIteration:
                self._plan.end_items()
                return
            self._begin(item)

    def _begin(self, item: Any) -> None:
        job = self._plan.next_job(item)
        if job is not None:
            self._tasks.add(asyncio.ensure_future(_work_and_write(self._plan, self._workers, job)))

    async def _wait(self) -> None:
        """Wait for a task to end, or for an item to come, and take it."""
        pulling = self._pulling
        waited: Set[asyncio.Future[Any]] = {*self._tasks}
        if pulling is not None:
            waited.add(pulling)
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        for task in done & self._tasks:
            self._tasks.discard(task)
            self._plan.finish(task.result())
        if pulling is not None and pulling.done():
            self._pulling = None
            try:
                item = pulling.result()
            except StopAsyncIteration:
                self._plan.end_items()
            else:
                self._begin(item)

    async def all(self) -> MapResults[T]:
        """Wait for all results; return those that were not iterated yet."""
        results: MapResults[T] = MapResults()
        async for result in self:
            results.append(result)
        return results

    def __await__(self) -> Generator[Any, Any, MapResults[T]]:
        """Wait for all results."""
        return self.all().__await__()

    async def aclose(self) -> None:
        """End the map: cancel the runs that go on, and wait for their ends. Closing twice is fine."""
        await self._end()

    async def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        tasks: List[asyncio.Future[Any]] = [*self._tasks]
        if self._pulling is not None:
            tasks.append(self._pulling)
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._plan.close()

    async def __aenter__(self) -> AsyncMapStream[T]:
        """Return the stream itself."""
        return self

    async def __aexit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """End the map."""
        await self._end()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        self._closed = True
        loop = self._loop
        tasks: List[asyncio.Task[Any]] = [*self._tasks, *([] if self._pulling is None else [self._pulling])]
        if loop is not None and tasks:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks are gone
                loop.call_soon_threadsafe(_cancel, tasks)
        self._plan.close()

    def __repr__(self) -> str:
        """Return, for example, ``<AsyncMapStream, 16 at once>``."""
        return f"<AsyncMapStream, {'closed' if self._closed else f'{self._plan.concurrency} at once'}>"


def _cancel(tasks: List[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
