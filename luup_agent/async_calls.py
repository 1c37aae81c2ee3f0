"""The tool calls of a run under asyncio: coroutines as tasks, other functions in threads of their own.

A task holds no reference on the run: a run that is dropped ends, and takes its tasks with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
import weakref
from typing import Any, Callable, Dict, List, Optional

from pydantic import ValidationError

from luup_agent import tool_calls
from luup_agent.tool_calls import Job, Outcome, ToolCalls, failed, late, refused
from luup_agent.tool_results import to_text

_YEAR = 3.2e7  # seconds; an event loop takes no longer time
_GRACE = 2.05  # seconds; a little more than the core gives a model that decodes after the deadline of a run


class AsyncCalls(ToolCalls):
    """The calls of a run that is driven by an event loop.

    Attributes:
        failure: What ended the run from here; the run is cancelled then.
        wake: Called when a result was taken in; the run's own events wake its driver themselves.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.failure: Optional[BaseException] = None
        self.wake: Callable[[], None] = lambda: None
        self._tasks: Dict[asyncio.Task[Outcome], Job] = {}
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._alarm: Optional[asyncio.TimerHandle] = None
        timeout = self._settings.timeout
        self._deadline = None if timeout is None else time.monotonic() + min(float(timeout), _YEAR)

    def begin(self) -> None:
        """Begins the calls that have come."""
        self._loop = asyncio.get_running_loop()
        if self._deadline is not None and self._alarm is None:
            self._set_alarm(self._loop, max(0.0, self._deadline - time.monotonic()) + 0.005)
        if not self._coming:
            return
        to_run, to_ask = self._sort()
        one_by_one = asyncio.Lock() if to_ask else None  # a person is asked one thing at a time
        for job in to_run:
            self._start(job, perform(job))
        for job in to_ask:
            self._start(job, _ask_and_perform(job, self._settings.approve, one_by_one))
        self._suspend_if_due()

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Lets the core look at the clock: while tools run, and when its model is stuck, it does so only if asked."""
        mine = weakref.ref(self)

        def ring(last: bool) -> None:
            calls = mine()
            if calls is not None:
                calls._alarm = None if last else loop.call_later(_GRACE, ring, True)
                calls.wake()

        self._alarm = loop.call_later(seconds, ring, False)

    def close(self) -> None:
        """Cancels the tasks; from any thread."""
        tasks: List[Any] = list(self._tasks)
        self._tasks = {}
        if self._alarm is not None:
            tasks.append(self._alarm)
            self._alarm = None
        if tasks and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks are gone
                self._loop.call_soon_threadsafe(_cancel, tasks)

    def __del__(self) -> None:
        self.close()

    def _start(self, job: Job, coroutine: Any) -> None:
        assert self._loop is not None
        task = self._loop.create_task(coroutine)
        self._tasks[task] = job
        mine = weakref.ref(self)

        def done(task: asyncio.Task[Any]) -> None:
            calls = mine()
            if calls is not None:
                calls._done(task)

        task.add_done_callback(done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        job = self._tasks.pop(task, None)
        if job is None:  # closed
            if not task.cancelled():
                task.exception()  # nobody else asks for it
            return
        try:
            outcome = failed(job.tool, asyncio.CancelledError()) if task.cancelled() else task.result()
            if isinstance(outcome, Outcome) or self._decide(job, outcome):
                self._answer(job, outcome)
            self._suspend_if_due()
        except BaseException as error:
            self.failure = error
            self.close()
            self._native.cancel()
        self.wake()


def _cancel(tasks: Any) -> None:
    for task in tasks:
        task.cancel()


async def _ask_and_perform(job: Job, approve: Any, one_by_one: Any) -> Any:
    """The outcome of the job, or the decision that it does not run."""
    async with one_by_one:
        decision = approve(job.call)
        if inspect.isawaitable(decision):
            decision = await decision
    return await perform(job) if decision is True else decision


async def perform(job: Job) -> Outcome:
    """Runs a tool: a coroutine in this task, another function in a thread."""
    tool = job.tool
    work = _perform_coroutine(job) if tool.is_async else _perform_in_thread(job)
    if tool.timeout is None:
        return await work
    try:
        return await asyncio.wait_for(work, tool.timeout)
    except asyncio.TimeoutError:  # never the tool's own, which is an outcome
        return late(tool)


async def _perform_coroutine(job: Job) -> Outcome:
    try:
        positional, keywords = job.arguments()
    except (ValidationError, ValueError) as error:
        return refused(error)
    try:
        return Outcome(to_text(await job.tool.function(*positional, **keywords), job.tool.max_result_chars))
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        return failed(job.tool, error)


async def _perform_in_thread(job: Job) -> Outcome:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Outcome] = loop.create_future()

    def deliver(outcome: Outcome) -> None:
        if not future.done():  # else the run has ended, or it is too late
            future.set_result(outcome)

    def work() -> None:
        outcome = tool_calls.perform(job)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, outcome)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=f"luup-tool-{job.tool.name}", daemon=True).start()
    return await future
