"""The tool calls of a run that an event loop drives: coroutines as tasks, other functions in threads of their own.

A task holds no reference to the run: a run that is dropped ends, and its tasks are cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Dict, Iterable, List, Optional, Union

from luup_agent._run.perform import Job, Outcome, failed, late, perform, perform_async
from luup_agent._run.sync_calls import start_thread
from luup_agent._run.tool_calls import Decision, ToolCalls
from luup_agent.errors import LuupError

if TYPE_CHECKING:
    from luup_agent.settings import Approve

_YEAR = 3.2e7  # seconds; the longest time that an event loop takes
_GRACE = 2.05  # seconds; a little more than the core grants a model that decodes after the deadline of a run


class AsyncCalls(ToolCalls):
    """The calls of a run that an event loop drives.

    Attributes:
        failure: The error of a tool that ended the run; the run is cancelled then.
        wake: Called after each result, which does not wake the driver because it is not an event of the run.
    """

    def __init__(self, *arguments: Any) -> None:
        """Prepare the calls of a run, see `ToolCalls`."""
        super().__init__(*arguments)
        self.failure: Optional[BaseException] = None
        self.wake: Callable[[], None] = lambda: None
        self._tasks: Dict[asyncio.Task[Union[Outcome, Decision]], Job] = {}
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._alarm: Optional[asyncio.TimerHandle] = None
        timeout = self._settings.timeout
        self._deadline = None if timeout is None else time.monotonic() + min(float(timeout), _YEAR)

    def work(self, timeout_ms: int = 0) -> None:
        """Begin the calls that have come, in the running loop. Never waits: results are handled as tasks end."""
        self._loop = asyncio.get_running_loop()
        if self._deadline is not None and self._alarm is None:
            self._set_alarm(self._loop, max(0.0, self._deadline - time.monotonic()) + 0.005)
        if not self._coming:
            return
        to_run, to_ask = self._begin_turn()
        for job in to_run:
            self._start(self._loop, job, perform_in_loop(job))
        if to_ask:
            assert self._settings.approve is not None
            one_by_one = asyncio.Lock()  # a person is asked one thing at a time
            for job in to_ask:
                self._start(self._loop, job, _ask_and_perform(job, self._settings.approve, one_by_one))
        self._suspend_if_due()

    def settle(self) -> None:
        """Handle the results that have arrived."""
        for task, job in list(self._tasks.items()):
            if task.done() and not task.cancelled() and task.exception() is None:
                del self._tasks[task]
                outcome = task.result()
                if isinstance(outcome, Outcome):
                    self._settle(job, outcome)

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Wake the driver at the deadline: while tools run the core looks at the clock only when it is asked."""
        mine = weakref.ref(self)

        def ring(last: bool) -> None:
            calls = mine()
            if calls is not None:
                calls._alarm = None if last else loop.call_later(_GRACE, ring, True)
                calls.wake()

        self._alarm = loop.call_later(seconds, ring, False)

    def close(self) -> None:
        """Cancel the tasks; from any thread."""
        work: List[Union[asyncio.Task[Any], asyncio.TimerHandle]] = list(self._tasks)
        self._tasks = {}
        if self._alarm is not None:
            work.append(self._alarm)
            self._alarm = None
        if work and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks are gone
                self._loop.call_soon_threadsafe(_cancel, work)

    def __del__(self) -> None:
        self.close()

    def _start(
        self, loop: asyncio.AbstractEventLoop, job: Job, coroutine: Coroutine[Any, Any, Union[Outcome, Decision]]
    ) -> None:
        task = loop.create_task(coroutine)
        self._tasks[task] = job
        mine = weakref.ref(self)

        def done(task: asyncio.Task[Any]) -> None:
            calls = mine()
            if calls is not None:
                calls._done(task)

        task.add_done_callback(done)

    def _done(self, task: asyncio.Task[Union[Outcome, Decision]]) -> None:
        job = self._tasks.pop(task, None)
        if job is None:  # closed
            if not task.cancelled():
                task.exception()  # else asyncio logs that it was never retrieved
            return
        try:
            outcome = failed(job.tool, asyncio.CancelledError()) if task.cancelled() else task.result()
            if isinstance(outcome, Outcome):
                self._answer(job, outcome)
            else:
                self._decide(job, outcome)  # not True: that call was performed
            self._suspend_if_due()
        except BaseException as error:
            self.failure = error
            with contextlib.suppress(LuupError):
                self.settle()
            self.close()
            self._native.cancel()
        self.wake()


def _cancel(work: Iterable[Union[asyncio.Task[Any], asyncio.TimerHandle]]) -> None:
    for each in work:
        each.cancel()


async def _ask_and_perform(job: Job, approve: Approve, one_by_one: asyncio.Lock) -> Union[Outcome, Decision]:
    """Return the outcome of the job, or the decision against it."""
    async with one_by_one:
        decision = approve(job.call)
        if inspect.isawaitable(decision):
            decision = await decision
    return await perform_in_loop(job) if decision is True else decision


async def perform_in_loop(job: Job) -> Outcome:
    """Call the tool from the running loop: a coroutine function in this task, another in a thread of its own."""
    return await (perform_async(job) if job.tool.is_async else _perform_in_thread(job))


async def _perform_in_thread(job: Job) -> Outcome:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Outcome] = loop.create_future()

    def deliver(outcome: Outcome) -> None:
        if not future.done():  # else the run has ended, or the call took too long
            future.set_result(outcome)

    def work() -> None:
        outcome = perform(job)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, outcome)

    try:
        start_thread(job.tool, work)
    except RuntimeError as error:  # the system gives no more threads
        return failed(job.tool, error)
    try:
        return await asyncio.wait_for(future, job.tool.timeout)
    except asyncio.TimeoutError:
        return late(job.tool)
