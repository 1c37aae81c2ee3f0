"""The tool calls of one run: what the model called, who may run it, and the results.

The core hands over all calls of a turn at once and waits for their results, in any order. `ToolCalls` keeps them;
`sync_calls` and `async_calls` decide where the tools run.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from luup_agent import _native
from luup_agent._run.loop_guard import RepeatCounter
from luup_agent._run.perform import Job, Outcome, text_of
from luup_agent._tools.context import RunContext
from luup_agent._tools.results import clean
from luup_agent.errors import ClosedError, InvalidParamError, LuupError, ToolNotFoundError, ToolRetryError
from luup_agent.messages import Event, Message, ToolCall, ToolCallEvent, ToolResult, ToolResultEvent, Usage
from luup_agent.settings import Settings
from luup_agent.tools import AnyTool

if TYPE_CHECKING:
    from luup_agent._run.counts import TurnCounts
    from luup_agent._run.metering import Meter
    from luup_agent._run.watch import Watches
    from luup_agent.agent import Agent

Decision = Union[bool, str, ToolResult]


def deadline_of(tool: AnyTool) -> float:
    """Return when a call that begins now takes too long, on the monotonic clock."""
    return float("inf") if tool.timeout is None else time.monotonic() + tool.timeout


def messages_reader(native: _native.NativeRun) -> Callable[[], List[Message]]:
    """Return a reader of the run's messages that does not keep the run alive: a tool may outlive it."""
    run = weakref.ref(native)

    def read() -> List[Message]:
        native = run()
        if native is None:
            raise ClosedError("the run has ended")
        return [Message.from_dict("history", message) for message in native.messages()]

    return read


def _agreeing(call: ToolCall, answers: Mapping[Optional[str], str]) -> ToolCall:
    """Return a call without its result if the core did not take that, because the run had ended."""
    if call.result is None or answers.get(call.id) == call.result.content:
        return call
    return call.model_copy(update={"result": None})


def _with_result(call: ToolCall, known: Optional[ToolCall]) -> ToolCall:
    return call if known is None or known.result is None else call.model_copy(update={"result": known.result})


class ToolCalls:
    """The calls of a run and their results.

    Attributes:
        turns: The calls of each turn by their ids, with their results so far. A turn is known by the number of
            the model's answers; 0 has the calls of the history that a run goes on with.
        pending: The ids of the calls of the last turn that wait for an approval.
        usages: The tokens of other runs, which tools have made; any thread may append.
        watches: The watches of the run; None without any.
        meter: Counts what the run uses; None without limits.
        counts: The turns of the run.
        run_id: The id of a durable run; None for other runs.
        ending: The ids of the calls whose exceptions have ended the run.
    """

    meter: Optional[Meter] = None
    counts: TurnCounts

    def __init__(
        self,
        native: _native.NativeRun,
        agent: Optional[Agent],
        tools: Mapping[str, AnyTool],
        settings: Settings,
        decisions: Mapping[str, Decision],
        events: Optional[Deque[Event[Any]]],
    ) -> None:
        """Prepare the calls of a run.

        Args:
            native: The run.
            agent: For the `RunContext` of tools; may be None if there are no tools.
            tools: The tools that may be called, by name.
            settings: The run's.
            decisions: The decisions on calls that wait in the history, by their ids.
            events: Gets an event for each call and each result; None if they are not read.
        """
        self.turns: Dict[int, Dict[str, ToolCall]] = {}
        self.pending: List[str] = []
        self.usages: List[Usage] = []
        self.watches: Optional[Watches] = None
        self.run_id: Optional[str] = None
        self.ending: List[str] = []
        self._native = native
        self._agent = agent
        self._tools = tools
        self._settings = settings
        self._decisions = decisions
        self._read_messages = messages_reader(native)
        self._events = events
        self._arriving: List[ToolCall] = []  # of a turn whose other calls are still to come
        self._coming: List[ToolCall] = []  # of a whole turn, not begun
        self._open: Dict[str, Job] = {}  # begun, not answered
        self._attempts: Dict[str, int] = {}  # by tool: the number of turns with failed calls of it
        self._counted: Dict[str, int] = {}  # by tool: the last of these turns
        self._repeats = None if settings.loop_guard is None else RepeatCounter(settings.loop_guard)

    def work(self, timeout_ms: int = 0) -> None:
        """Begin the calls that have arrived and handle results, waiting for at most about `timeout_ms`.

        Raises:
            BaseException: A tool ended the run.
        """
        raise NotImplementedError

    @property
    def active(self) -> bool:
        """Whether the run waits for results."""
        return bool(self._coming or self._open)

    def take(self) -> None:
        """Handle the TOOL_CALL event that `native` has just returned."""
        call_id, name, calls_left = self._native.call()
        call = ToolCall.from_json(call_id, name, self._native.text())
        self._keep_call(call)
        self._arriving.append(call)
        if not calls_left:
            self._coming, self._arriving = self._arriving, []
            self._end_turn()

    def take_result(self) -> None:
        """Handle the TOOL_RESULT event that `native` has just returned: a call that the core answered itself.

        Raises:
            ToolRetryError: The core has refused calls of the tool in too many turns.
        """
        call, content, refused = self._read_result()
        turn = self._native.turns()
        self._end_turn()
        if not refused:
            self._take_builtin(call, content, turn)
        if refused and turn > 0:  # 0: a call of the history, which this run did not ask for
            reason = content.partition("Error: ")[2] or content
            error = self._count_attempt(call, self._tools.get(call.name), reason)
            if error is not None:
                raise error

    def _end_turn(self) -> None:
        self.counts.end_turn(self._native.measures())
        if self.meter is not None:
            self.meter.end_turn()

    def _take_builtin(self, call: ToolCall, content: str, turn: int) -> None:
        """Count a call of a built-in tool, which the core has answered already.

        Raises:
            ToolLoopError: The model has repeated it too often.
            UsageLimitError: There were too many calls.
        """
        problem: Optional[LuupError] = None
        if self._repeats is not None:
            problem = self._repeats.error(call, self._repeats.count(call, content, False, turn))
        if problem is None and self.meter is not None:
            problem = self.meter.tally.begin_calls(1)
        if problem is not None:
            self.counts.overcounted = True  # the core may have begun the next turn
            raise problem

    def _read_result(self) -> Tuple[ToolCall, str, bool]:
        call_id, name, arguments, is_error, refused = self._native.result()
        call, content = ToolCall.from_json(call_id, name, arguments), self._native.text()
        self._keep_call(call)
        self._keep_result(call, content, is_error)
        if self.watches is not None:
            self.watches.answered(call, content, is_error)
        return call, content, refused

    def take_last(self, kind: int) -> None:
        """Record an event of a run that has failed, without acting on it."""
        if kind == _native.EVENT_TOOL_CALL:
            call_id, name, _ = self._native.call()
            self._keep_call(ToolCall.from_json(call_id, name, self._native.text()))
        elif kind == _native.EVENT_TOOL_RESULT:
            self._read_result()

    def settle(self) -> None:
        """Handle the results that have arrived and were not handled, before the run fails."""
        raise NotImplementedError

    def calls(self, messages: Sequence[Message]) -> List[ToolCall]:
        """Return all calls with their results, in the order of the model.

        Args:
            messages: Those that the run has added to the conversation.
        """
        if not self.turns:
            return [call for message in messages for call in message.tool_calls]
        known = self.turns.get(0, {})
        later = iter([calls for turn, calls in self.turns.items() if turn > 0])
        found: List[ToolCall] = []
        turn = list(known.values())  # before its results
        answers: Dict[Optional[str], str] = {}
        for message in messages:
            if message.role == "tool":
                answers[message.tool_call_id] = message.content
            elif message.tool_calls:
                found += [_agreeing(call, answers) for call in turn]
                known = next(later, {})
                turn, answers = [_with_result(call, known.get(call.id)) for call in message.tool_calls], {}
        return found + [_agreeing(call, answers) for call in turn]

    def waiting(self) -> List[ToolCall]:
        """Return the calls that wait for an approval."""
        last = list(self.turns.values())[-1] if self.pending else {}
        return [call for call in last.values() if call.id in self.pending]

    def _begin_turn(self) -> Tuple[List[Job], List[Job]]:
        """Begin the calls that have come; return those to run, and those to ask `approve` about first."""
        to_run: List[Job] = []
        to_ask: List[Job] = []
        if self.meter is not None:
            self._check_calls(self.meter)
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
            elif self._settings.approve is not None and not job.tool._waits:
                to_ask.append(job)
            else:
                self.pending.append(job.call.id)
                del self._open[job.call.id]
        return to_run, to_ask

    def _check_calls(self, meter: Meter) -> None:
        problem = meter.tally.begin_calls(len(self._coming))
        if problem is not None:
            self.counts.overcounted = True
            raise problem

    def _job(self, call: ToolCall) -> Job:
        tool = self._tools.get(call.name)
        if tool is None:  # the history was made with other tools
            raise ToolNotFoundError(f"call {call.id!r} is for the tool {call.name!r}, which this run does not have")
        assert self._agent is not None
        attempts = self._attempts.get(call.name, 0) - (self._counted.get(call.name) == self._turn())
        context = RunContext(
            self._settings.deps, self._agent, call.name, call.id, attempts, self._read_messages, self.usages.append
        )
        context.run_id = self.run_id
        watch = None if self.watches is None else self.watches.call(call, tool)
        tally = None if self.meter is None else self.meter.tally
        return Job(call, tool, context, deadline_of(tool), watch, tally)

    def _decide(self, job: Job, decision: Decision) -> bool:
        """Tell whether `decision` lets the job run; answer the call if not."""
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
        """Hand the outcome to the core.

        Raises:
            BaseException: The outcome ends the run.
        """
        error, cause = outcome.error, outcome.retry
        if job.watch is not None:
            job.watch.end(outcome)
        if cause is not None:
            error = self._count_attempt(job.call, job.tool, text_of(cause).partition("\n")[0])
        if error is None:
            self._deliver(job.call, outcome)
            return
        del self._open[job.call.id]
        self.settle()
        self.counts.overcounted = True
        self._submit(job.call, outcome, ends_run=True)
        if cause is not None:
            raise error from cause
        raise error

    def _deliver(self, call: ToolCall, outcome: Outcome) -> None:
        """Hand the result to the core, which begins the next turn after the last one.

        Raises:
            ToolLoopError: The model has repeated the call too often.
            UsageLimitError: There must be no other turn.
        """
        problem: Optional[LuupError] = None
        if self._repeats is not None:
            count = self._repeats.count(call, outcome.content, outcome.is_error, self.counts.answers)
            if count >= self._repeats.least:
                problem = self._repeats.error(call, count)
                outcome = outcome._replace(content=outcome.content + self._repeats.hint(count))
        self._submit(call, outcome)
        last = not (self._open or self._coming or self.pending)
        if problem is None and last and self.meter is not None:
            problem = self.meter.next_turn()
        if problem is not None:
            self.counts.overcounted = True
            raise problem

    def _submit(self, call: ToolCall, outcome: Outcome, ends_run: bool = False) -> None:
        content, is_error = outcome.content, outcome.is_error
        if is_error and not content.startswith("Error"):
            content = f"Error: {content}"  # as the core would write it for the model
        if ends_run:
            self._native.fail_call(call.id, content)
            self.ending.append(call.id)
        else:
            self._native.submit_result(call.id, content, is_error)
        self._open.pop(call.id, None)
        self._keep_result(call, content, is_error)

    def _settle(self, job: Job, outcome: Outcome) -> None:
        """Hand the outcome to the core before the run fails for another reason."""
        if job.call.id in self._open:
            if job.watch is not None:
                job.watch.end(outcome)
            self._submit(job.call, outcome)

    def _turn(self) -> int:
        """Return the turn of the calls that came last."""
        return next(reversed(list(self.turns)), 0)

    def _keep_call(self, call: ToolCall) -> None:
        self.turns.setdefault(self._native.turns(), {})[call.id] = call
        if self._events is not None:
            self._events.append(ToolCallEvent(call=call))

    def _keep_result(self, call: ToolCall, content: str, is_error: bool) -> None:
        self.turns[self._turn()][call.id] = call.model_copy(update={"result": ToolResult(content, is_error)})
        if self._events is not None:
            self._events.append(ToolResultEvent(call_id=call.id, name=call.name, content=content, is_error=is_error))

    def _count_attempt(self, call: ToolCall, tool: Optional[AnyTool], problem: str) -> Optional[ToolRetryError]:
        """Count a turn with a failed call of a tool; return the error if there are too many such turns.

        Several calls of a tool in one turn count once: the model has not read about the first when it writes the next.
        """
        turn, name = self._turn(), call.name
        if self._counted.get(name) == turn:
            return None
        self._counted[name] = turn
        self._attempts[name] = self._attempts.get(name, 0) + 1
        allowed = self._settings.retries if tool is None or tool.retries is None else tool.retries
        if self._attempts[name] <= allowed:
            return None
        error = ToolRetryError(f"the tool {name!r} failed more than {allowed} times: {problem}")
        error.call = call
        return error

    def _suspend_if_due(self) -> None:
        """End the run if it waits for nothing but approvals."""
        if self.pending and not self.active:
            self._native.suspend()
