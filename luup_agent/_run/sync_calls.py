"""The tool calls of a run that a thread drives.

A single call runs in the thread that drives the run; several, or one with a time limit, run side by side in threads of
their own. These are daemons, so that a tool that never returns does not keep the process from ending.
"""

from __future__ import annotations

import contextvars
import inspect
import queue
import sys
import threading
import time
from typing import Any, Coroutine, Tuple

from luup_agent._loops import in_event_loop
from luup_agent._run.perform import Job, Outcome, failed, late, perform
from luup_agent._run.tool_calls import ToolCalls, deadline_of
from luup_agent.errors import InvalidParamError
from luup_agent.messages import ToolCall
from luup_agent.tools import AnyTool


def start_thread(tool: AnyTool, work: Any) -> None:
    """Run `work` in a thread for a call of `tool`, in a copy of this context.

    Raises:
        RuntimeError: No thread can be started.
    """
    if sys.is_finalizing():  # some versions of Python would wait for the thread for ever
        raise RuntimeError("a thread can't be started: the interpreter is exiting")
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=f"luup-tool-{tool.name}", daemon=True).start()


class SyncCalls(ToolCalls):
    """The calls of a run that a thread drives."""

    def __init__(self, *arguments: Any) -> None:
        """Prepare the calls of a run, see `ToolCalls`."""
        super().__init__(*arguments)
        self._outcomes: queue.SimpleQueue[Tuple[Job, Outcome]] = queue.SimpleQueue()

    def work(self, timeout_ms: int = 0) -> None:
        """Begin the calls that have come, or else wait for results for at most about `timeout_ms`."""
        if self._coming:
            self._begin()
        elif self._open:
            self._collect(timeout_ms / 1000)
        self._suspend_if_due()

    def settle(self) -> None:
        """Handle the results that have arrived."""
        while True:
            try:
                self._settle(*self._outcomes.get_nowait())
            except queue.Empty:
                return

    def _begin(self) -> None:
        to_run, to_ask = self._begin_turn()
        if len(to_run) == 1 and not to_ask and self._runs_here(to_run[0].tool):
            self._answer(to_run[0], perform(to_run[0]))
            return
        for job in to_run:
            self._start(job)
        for job in to_ask:
            if self._decide(job, self._ask(job.call)):
                self._start(job)

    def _ask(self, call: ToolCall) -> Any:
        assert self._settings.approve is not None
        decision = self._settings.approve(call)
        if inspect.isawaitable(decision):
            if isinstance(decision, Coroutine):
                decision.close()
            raise InvalidParamError("approve must not be asynchronous in a synchronous run")
        return decision

    def _runs_here(self, tool: AnyTool) -> bool:
        """Tell whether a tool may block this thread: no time limit has to be watched while it runs."""
        if tool.timeout is not None or self._settings.timeout is not None:
            return False
        return not tool.is_async or not in_event_loop()

    def _start(self, job: Job) -> None:
        job = job._replace(deadline=deadline_of(job.tool))  # the wait for an approval does not count
        self._open[job.call.id] = job
        outcomes = self._outcomes
        try:
            start_thread(job.tool, lambda: outcomes.put((job, perform(job))))
        except RuntimeError as error:  # the system gives no more threads
            self._answer(job, failed(job.tool, error))

    def _collect(self, seconds: float) -> None:
        deadline = min(job.deadline for job in self._open.values())
        try:
            job, outcome = self._outcomes.get(timeout=max(0.0, min(seconds, deadline - time.monotonic())))
        except queue.Empty:
            for job in [job for job in self._open.values() if job.deadline <= time.monotonic()]:
                self._answer(job, late(job.tool))
            return
        if job.call.id in self._open:  # else it came after its deadline
            self._answer(job, outcome)
