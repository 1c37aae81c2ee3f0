"""The tool calls of one run: what the model called, who may run it, what it answered. The threads that run tools.

The core gives all the calls of a turn at once and waits for their results, in any order. A single call runs in the
thread that drives the run; several, or one with a time limit, run side by side in threads of their own. These are
daemons, so that a tool that never comes back keeps nobody from leaving. The asynchronous side is in `async_calls`.
"""

from __future__ import annotations

import contextvars
import inspect
import queue
import threading
import time
import weakref
from typing import Any, Callable, Coroutine, Deque, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from pydantic import ValidationError

from luup_agent import _native
from luup_agent._logging import logger
from luup_agent.errors import ClosedError, InvalidParamError, ToolNotFoundError, ToolRetryError
from luup_agent.exchange import in_event_loop
from luup_agent.messages import Event, Message, ToolCall, ToolCallEvent, ToolResult, ToolResultEvent
from luup_agent.output import explain
from luup_agent.sampling import Settings
from luup_agent.tool_context import ModelRetry, RunContext
from luup_agent.tool_results import clean, shorten, to_text
from luup_agent.tools import AnyTool

Decision = Union[bool, str, ToolResult]


class Outcome(NamedTuple):
    """How a call went.

    Attributes:
        content: What the model is told.
        is_error: Whether that is why it failed.
        retry: What asked for a better call; it counts.
        error: What ends the run.
    """

    content: str
    is_error: bool = False
    retry: Optional[Exception] = None
    error: Optional[BaseException] = None


class Job(NamedTuple):
    """A call that is to be run."""

    call: ToolCall
    tool: AnyTool
    context: RunContext[Any]
    deadline: float  # on the monotonic clock

    def arguments(self) -> Tuple[List[Any], Dict[str, Any]]:
        """What the function is called with."""
        positional, keywords = self.tool._parse(self.call.arguments_json)
        return ([self.context, *positional] if self.tool.takes_context else positional), keywords


def perform(job: Job) -> Outcome:
    """Runs a tool in this thread, its coroutine in an event loop of its own."""
    try:
        if job.tool.is_async:
            return _perform_coroutine(job)
        positional, keywords = job.arguments()
    except (ValidationError, ValueError) as error:
        return refused(error)
    except BaseException as error:
        return failed(job.tool, error)
    try:
        value = job.tool.function(*positional, **keywords)
        if inspect.isawaitable(value):
            value = _wait_for(value)
        return Outcome(to_text(value, job.tool.max_result_chars))
    except BaseException as error:
        return failed(job.tool, error)


def _perform_coroutine(job: Job) -> Outcome:
    import asyncio

    from luup_agent import async_calls

    return asyncio.run(async_calls.perform(job))


def _wait_for(awaitable: Any) -> Any:
    """What a function gave that is no coroutine function, but answers with a coroutine."""
    import asyncio

    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())


def refused(error: Union[ValidationError, ValueError]) -> Outcome:
    """The outcome of a call whose arguments a validator does not like."""
    reason = explain(error) if isinstance(error, ValidationError) else str(error)
    return Outcome(clean(f"Error: the arguments are not valid:\n{reason}"), True, retry=error)


def failed(tool: AnyTool, error: BaseException) -> Outcome:
    """The outcome of a call that raised `error`."""
    if isinstance(error, ModelRetry):
        return Outcome(clean(str(error)), True, retry=error)
    if tool.on_error == "raise" or not (isinstance(error, Exception) or _is_cancellation(error)):
        return Outcome("", True, error=error)
    logger.warning("the tool %r failed", tool.name, exc_info=error)
    try:
        text = f"Error: {type(error).__name__}: {error}"
    except Exception:  # an exception that can't be written
        text = f"Error: {type(error).__name__}"
    return Outcome(clean(shorten(text, tool.max_result_chars)), True)


def _is_cancellation(error: BaseException) -> bool:
    """Whether what a tool waited for was cancelled; of a run that is cancelled itself, nobody asks for the outcome."""
    import asyncio

    return isinstance(error, asyncio.CancelledError)


def late(tool: AnyTool) -> Outcome:
    """The outcome of a call that took too long."""
    return Outcome(f"Error: the tool did not answer within {tool.timeout:g} seconds", True)


def _deadline_of(tool: AnyTool) -> float:
    return float("inf") if tool.timeout is None else time.monotonic() + tool.timeout


def _messages_reader(native: _native.NativeRun) -> Callable[[], List[Message]]:
    """What reads the messages of a run without keeping it alive: a tool may outlive it."""
    run = weakref.ref(native)

    def read() -> List[Message]:
        native = run()
        if native is None:
            raise ClosedError("the run has ended")
        return [Message.from_dict("history", message) for message in native.messages()]

    return read


class ToolCalls:
    """The calls of a run, and what became of them.

    Attributes:
        log: All calls, in the order of the model.
        results: What was answered, by the id of the call.
        pending: The ids of those that wait for an approval.
    """

    def __init__(
        self,
        native: _native.NativeRun,
        agent: Any,
        settings: Settings,
        decisions: Mapping[str, Decision],
        events: Optional[Deque[Event[Any]]],
    ) -> None:
        self.tools: Mapping[str, AnyTool] = {}
        self.log: List[ToolCall] = []
        self.results: Dict[str, ToolResult] = {}
        self.pending: List[str] = []
        self._native = native
        self._agent = agent
        self._settings = settings
        self._decisions = decisions
        self._read_messages = _messages_reader(native)
        self._events = events  # None if nobody wants them
        self._arriving: List[ToolCall] = []
        self._coming: List[ToolCall] = []  # a whole turn's, not begun
        self._open: Dict[str, Job] = {}  # begun, not answered
        self._attempts: Dict[str, int] = {}  # by tool: how often it was asked for a better call

    @property
    def active(self) -> bool:
        """Whether the run waits for this side."""
        return bool(self._coming or self._open)

    def take(self) -> None:
        """Takes in the TOOL_CALL event that `native` has just given."""
        call_id, name, calls_left = self._native.call()
        call = ToolCall.from_json(call_id, name, self._native.text())
        self.log.append(call)
        self._arriving.append(call)
        if self._events is not None:
            self._events.append(ToolCallEvent(call=call))
        if not calls_left:
            self._coming, self._arriving = self._arriving, []

    def take_builtin(self) -> None:
        """Takes in the TOOL_RESULT event that `native` has just given: a call that the core has answered itself."""
        call_id, name, arguments, is_error = self._native.builtin_result()
        call, content = ToolCall.from_json(call_id, name, arguments), self._native.text()
        self.log.append(call)
        self.results[call_id] = ToolResult(content, is_error)
        if self._events is not None:
            self._events.append(ToolCallEvent(call=call))
            self._events.append(ToolResultEvent(call_id=call_id, name=name, content=content, is_error=is_error))

    def calls(self) -> List[ToolCall]:
        """All calls with their results."""
        return [
            call if call.id not in self.results else call.model_copy(update={"result": self.results[call.id]})
            for call in self.log
        ]

    def waiting(self) -> List[ToolCall]:
        """The calls that wait for an approval."""
        return [call for call in self.log if call.id in self.pending]

    def _sort(self) -> Tuple[List[Job], List[Job]]:
        """Begins the turn: the jobs to run, and those to ask for first. Answers what needs neither."""
        to_run: List[Job] = []
        to_ask: List[Job] = []
        calls, self._coming = self._coming, []
        jobs = [self._job(call) for call in calls]
        for job in jobs:
            self._open[job.call.id] = job
        for job in jobs:
            decision = self._decisions.get(job.call.id)
            if decision is not None:
                if self._decide(job, decision):
                    to_run.append(job)
            elif not job.tool.requires_approval:
                to_run.append(job)
            elif self._settings.approve is not None:
                to_ask.append(job)
            else:
                self.pending.append(job.call.id)
                del self._open[job.call.id]
        return to_run, to_ask

    def _job(self, call: ToolCall) -> Job:
        tool = self.tools.get(call.name)
        if tool is None:  # of a history that was made with other tools
            raise ToolNotFoundError(f"the call {call.id!r} is for a tool that this run does not have: {call.name!r}")
        attempts = self._attempts.get(call.name, 0)
        context = RunContext(self._settings.deps, self._agent, call.name, call.id, attempts, self._read_messages)
        return Job(call, tool, context, _deadline_of(tool))

    def _decide(self, job: Job, decision: Decision) -> bool:
        """Whether `decision` lets the job run; answers the call if not."""
        if decision is True:
            return True
        if isinstance(decision, ToolResult):
            self._answer(job, Outcome(clean(decision.content), decision.is_error))
        elif decision is False:
            self._answer(job, Outcome("The user denied this call.", True))
        elif isinstance(decision, str):
            self._answer(job, Outcome(clean(f"The user denied this call: {decision}"), True))
        else:
            raise InvalidParamError(
                f"an approval must be True, False, a reason as a str or a ToolResult, not {type(decision).__name__}"
            )
        return False

    def _answer(self, job: Job, outcome: Outcome) -> None:
        """Gives the outcome to the core.

        Raises:
            BaseException: The outcome ends the run.
        """
        call = job.call
        if outcome.error is not None:
            raise outcome.error
        if outcome.retry is not None:
            self._count(job, outcome.retry)
        content, is_error = outcome.content, outcome.is_error
        if is_error and not content.startswith("Error"):
            content = f"Error: {content}"  # as the core would write it for the model
        self._native.submit_result(call.id, content, is_error)
        del self._open[call.id]
        self.results[call.id] = ToolResult(content, is_error)
        if self._events is not None:
            self._events.append(ToolResultEvent(call_id=call.id, name=call.name, content=content, is_error=is_error))

    def _count(self, job: Job, cause: Exception) -> None:
        allowed = self._settings.retries if job.tool.retries is None else job.tool.retries
        attempts = self._attempts.get(job.call.name, 0) + 1
        self._attempts[job.call.name] = attempts
        if attempts > allowed:
            problem = str(cause).partition("\n")[0]
            error = ToolRetryError(f"the tool {job.call.name!r} failed more than {allowed} times: {problem}")
            error.call = job.call
            raise error from cause

    def _suspend_if_due(self) -> None:
        """Ends the run if nothing is left to wait for but approvals."""
        if self.pending and not self.active:
            self._native.suspend()


class SyncCalls(ToolCalls):
    """The calls of a run that is driven by a thread."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._outcomes: queue.SimpleQueue[Tuple[Job, Outcome]] = queue.SimpleQueue()

    def work(self, timeout_ms: int) -> None:
        """Begins what has come and takes in what was answered, waiting for up to about `timeout_ms`."""
        if self._coming:
            self._begin()
        elif self._open:
            self._collect(timeout_ms / 1000)
        self._suspend_if_due()

    def _begin(self) -> None:
        to_run, to_ask = self._sort()
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
        """Whether a tool may keep this thread: nothing has to happen while it runs."""
        if tool.timeout is not None or self._settings.timeout is not None:
            return False
        return not tool.is_async or not in_event_loop()

    def _start(self, job: Job) -> None:
        job = job._replace(deadline=_deadline_of(job.tool))  # what was asked for an approval begins only now
        self._open[job.call.id] = job
        outcomes = self._outcomes

        def work() -> None:
            outcomes.put((job, perform(job)))

        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(work,), name=f"luup-tool-{job.tool.name}", daemon=True).start()

    def _collect(self, seconds: float) -> None:
        deadline = min(job.deadline for job in self._open.values())
        try:
            job, outcome = self._outcomes.get(timeout=max(0.0, min(seconds, deadline - time.monotonic())))
        except queue.Empty:
            for job in [job for job in self._open.values() if job.deadline <= time.monotonic()]:
                self._answer(job, late(job.tool))
            return
        if job.call.id in self._open:  # else it came too late
            self._answer(job, outcome)
