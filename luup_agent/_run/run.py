"""One run: it handles the core's events, has tools called and results validated, and makes the response.

The drivers that advance a run are in `sync_run` and `async_run`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, List, Optional, Type, TypeVar, Union

from pydantic import ValidationError

from luup_agent import _native
from luup_agent._completions.exchange import Exchange, exchange_for
from luup_agent._run.counts import TurnCounts, timings_of
from luup_agent._run.cut_warning import UNCHOSEN_MAX_TOKENS, warn_of_cut
from luup_agent._run.following import Following
from luup_agent._run.metering import Meter, begin_clock, meter_for
from luup_agent._run.record import Record, no_usage, take_back
from luup_agent._run.sync_calls import SyncCalls
from luup_agent._run.task import Task, write_summary
from luup_agent._run.tool_calls import ToolCalls
from luup_agent._run.tool_source import RunTools, ToolSource
from luup_agent._run.typed_output import dotted, explain
from luup_agent._run.watched import Watched
from luup_agent._tools.context import ModelRetry
from luup_agent._tools.results import clean
from luup_agent.errors import (
    ApprovalRequiredError,
    BusyError,
    ClosedError,
    ForkedError,
    InvalidOutputError,
    InvalidParamError,
    LuupError,
    RunCancelledError,
    RunTimeoutError,
    UsageLimitError,
)
from luup_agent.messages import (
    AgentResponse,
    DoneEvent,
    Event,
    Message,
    PartialEvent,
    ProgressEvent,
    ReasoningEvent,
    RetryEvent,
    SummaryEvent,
    TextEvent,
    TokenLogprob,
    Usage,
    read_logprobs,
)
from luup_agent.settings import Settings

if TYPE_CHECKING:
    from luup_agent._run.async_calls import AsyncCalls
    from luup_agent._run.json_prefix import JsonReader
    from luup_agent._run.partial_output import PartialReader
    from luup_agent.agent import Agent

_TURN_ENDS = (_native.EVENT_TOOL_CALL, _native.EVENT_TOOL_RESULT, _native.EVENT_RETRY)
Calls = TypeVar("Calls", bound=ToolCalls)


@functools.lru_cache(maxsize=None)
def _untyped(generic: Any) -> Any:
    """Return ``generic[Any]``, and keep it: pydantic builds it again once nothing refers to it."""
    return generic[Any]


class Run(Watched):
    """One user message being answered.

    Every driver does the same: `start`, then `advance` until the event is a DONE one, and `close` in any case.

    Attributes:
        native: The core's run.
        calls: The tool calls; set by `start`.
        events: The events so far, to be taken from the left; empty unless `want_events` was called.
        following: What else takes part; its followers are set before the run starts.
        is_read: Whether a reader takes `events`.
        system_prompt: In place of the agent's; None for that.
        history: Messages in place of the agent's history; None for that.
        run_id: The id of a durable run; None for other runs.
        piece: The text of the last TEXT or REASONING event.
        final: The response, once it was made.
        streamed: Whether a stream was read to its end.
        record: What the run did, once it has failed or its calls wait for an approval.
        meter: Counts what the run uses; None without limits.
    """

    calls: ToolCalls

    def __init__(
        self,
        native_agent: _native.NativeAgent,
        task: Task,
        agent: Optional[Agent] = None,
        tools: Optional[ToolSource] = None,
    ) -> None:
        """Prepare a run.

        Args:
            native_agent: The core's agent that answers.
            task: The message and the options.
            agent: For the `RunContext` of tools. It lives at least as long as the run.
            tools: Asked for the tools when the run starts.
        """
        self._native_agent = native_agent
        self._task = task
        self._agent = agent
        self._source = ToolSource() if tools is None else tools
        self._tools: Optional[RunTools] = None  # once `fetch_tools` has read them
        self._counts = TurnCounts()
        self._text: List[str] = []
        self._reasoning: List[str] = []
        self._logprobs: List[TokenLogprob] = []
        self._piece_logprobs: List[TokenLogprob] = []  # those of `piece`
        self._turn_over = False  # the text so far came before tool calls
        self._retried = False
        self._answered = False  # but the answer came too late to be one
        self._problem: Optional[Exception] = None  # of the last answer that was rejected
        self._partial: Union[PartialReader, JsonReader, None] = None
        self._output: Any = None
        self._summary: Optional[SummaryEvent] = None
        self._exchange: Optional[Exchange] = None  # the requests to a remote model
        self._begun = False
        self._usage: Optional[Usage] = None  # of the run that `record` describes
        self.final: Optional[AgentResponse[Any]] = None
        self.streamed = False
        self.record: Optional[Record] = None
        self.meter = meter_for(task.settings)
        self.native = _native.NativeRun()
        self.events: Deque[Event[Any]] = deque()
        self.is_read = False
        self.following = Following(self.events)
        self.system_prompt: Optional[str] = None
        self.history: Optional[List[Message]] = None
        self.run_id: Optional[str] = None
        self.piece = ""

    def stop_thinking(self) -> None:
        """End the thoughts of the answer under way; from any thread."""
        self.native.stop_thinking()

    def want_events(self) -> None:
        """Fill `events` from now on."""
        self.is_read = True

    @property
    def summarized(self) -> Optional[SummaryEvent]:
        """The summary that replaced messages of the agent's history; None if there is none."""
        return self._summary if self.history is None else None

    @property
    def settings(self) -> Settings:
        """The run's settings."""
        return self._task.settings

    def usage(self) -> Usage:
        """Return the token counts of a run that has ended."""
        if self._usage is not None:
            return self._usage
        return self._read_usage() if self._begun else no_usage()

    @property
    def has_events(self) -> bool:
        """Whether events wait for a follower or for the reader."""
        return bool(self.events or self.following.fresh)

    @property
    def _collects_events(self) -> bool:
        return self.is_read or self.following.wants_events

    @property
    def counts_pieces(self) -> bool:
        """Whether each piece of the answer matters when it comes, also to a driver that wants the whole."""
        return self.following.wants_events or (self.meter is not None and self.meter.watches_output)

    def start(self, thread_waits: bool = False) -> None:
        """Begin to answer; a thread drives the run.

        Args:
            thread_waits: Whether the thread does nothing else until the run's end.
        """
        self._start(SyncCalls)
        if self._exchange is not None:
            self._exchange.thread_waits = thread_waits

    def start_async(self) -> AsyncCalls:
        """Begin to answer; an event loop drives the run."""
        from luup_agent._run.async_calls import AsyncCalls

        return self._start(AsyncCalls)

    async def fetch_tools(self) -> None:
        """Read the tools before `start_async`: toolsets may have to wait for servers."""
        began = begin_clock(self.meter)
        await self.following.begin_async(self)
        self._tools = await self._source.read_async()
        self._spend(time.monotonic() - began)

    def _read_tools(self) -> RunTools:
        if self._tools is not None:
            return self._tools
        began = begin_clock(self.meter)
        self.following.begin(self)
        tools = self._source.read()
        self._spend(time.monotonic() - began)
        return tools

    def _spend(self, seconds: float) -> None:
        """Take time off the run's timeout, which begins with its tools."""
        timeout = self._task.settings.timeout
        if isinstance(timeout, (int, float)) and timeout > 0 and seconds >= 0.001:  # the core counts milliseconds
            settings = self._task.settings._replace(timeout=max(0.0, timeout - seconds))
            self._task = self._task._replace(settings=settings)

    def _start(self, calls_type: Type[Calls]) -> Calls:
        try:
            tools, definitions = self._read_tools()
            if self.meter is not None:
                self._task = self._task._replace(settings=self.meter.start(self._task))
            task = self._task
            events = self.following.fresh if self._collects_events else None
            calls = calls_type(self.native, self._agent, tools, task.settings, task.decisions, events)
            calls.run_id = self.run_id
            self.calls = calls
            self.calls.meter, self.calls.counts = self.meter, self._counts
            self._exchange = exchange_for(
                self.native, self._native_agent.responders, task.settings.timeout, calls_type is not SyncCalls
            )
            if self._exchange is not None and self.meter is not None:
                self._exchange.watch = self.meter.watch
            if self._collects_events and task.output is not None:
                self._partial = task.output.partial_reader()
            self._follow((tools, definitions))
            self._start_native(self._request(definitions))
            self._begun = True
            return calls
        except BaseException as error:
            if self._watches is not None:
                self._watches.end(error)
            self.close()
            raise

    def _start_native(self, request: _native.RunRequest) -> None:
        try:
            self.native.start(self._native_agent, self._task.settings, request)
        except (InvalidParamError, BusyError, ClosedError, ForkedError):  # there was no run
            raise
        except LuupError as error:
            Record(self._asked(), [], no_usage()).attach_to(error)
            raise

    def advance(self, timeout_ms: int) -> int:
        """Do the work that the run waits for, or wait up to `timeout_ms` for an event; handle it and return its type.

        Raises:
            LuupError: The run failed.
            BaseException: A tool ended it.
        """
        calls = self.calls
        try:
            if calls.active:
                calls.work(timeout_ms)
                self.following.publish(self)
                if calls.active or self.events:
                    timeout_ms = 0
            kind = self.take(self.native.next(timeout_ms))
            self.following.publish(self, kind == _native.EVENT_DONE)
            return kind
        except BaseException as error:
            self.fail(error)
            self.following.fail(self)
            raise

    def fail(self, error: Optional[BaseException]) -> None:
        """End the run, and add its record to `error`, which ends it."""
        if self.record is None and self._begun:
            with contextlib.suppress(LuupError):  # the run was closed, or belongs to the parent process
                self.calls.settle()
            with contextlib.suppress(LuupError):
                self._end()
        if isinstance(error, LuupError):
            error.partial_text = self.text() or error.partial_text
            if self._answered and isinstance(error, UsageLimitError):
                self._answered = False
                if self.record is not None and self._task.settings.keep_history == "on_success":
                    take_back(self._native_agent, len(self.record.messages))
        if error is not None and self.record is not None:
            self.record.attach_to(error)
        if self._watches is not None:
            self._watches.end(error or RunCancelledError("the run was closed"))

    def keep_record(self) -> None:
        """Cancel the run and keep its record, before it is closed; from any thread."""
        if self._begun and self.record is None:
            with contextlib.suppress(LuupError, RuntimeError):  # closed already, or calls come in another thread
                self.native.cancel()
                self._make_record()

    def _end(self) -> None:
        self.native.cancel()
        kind = self.native.next(0)
        while kind != _native.EVENT_NONE:  # what came before the end
            self.take_last(kind)
            kind = self.native.next(0)
        self._make_record()

    def take_last(self, kind: int) -> None:
        """Record an event of a run that is about to fail, without acting on it."""
        if kind == _native.EVENT_TEXT:
            self._begin_turn()
            self._text.append(self.native.text())
        elif kind in (_native.EVENT_DONE, _native.EVENT_ERROR):
            self._usage = self._read_usage()
            self._answered = kind == _native.EVENT_DONE
        elif kind == _native.EVENT_REASONING:
            self._begin_turn()
        else:
            self._turn_over = self._turn_over or kind in _TURN_ENDS
            self.calls.take_last(kind)

    def _make_record(self) -> None:
        messages = self._read_messages()
        calls = self.calls.calls(messages)
        self.record = Record(messages, calls, self._usage, self.turns(calls))

    def take(self, kind: int) -> int:
        """Handle the event of type `kind` that `native.next` has just returned, and return `kind`."""
        if self._watches is not None:
            self._watches.take(kind)
        if self.meter is not None:
            self._measure(kind, self.meter)
        if kind == _native.EVENT_TEXT:
            self.piece = self.native.text()
            self._begin_turn()
            self._text.append(self.piece)
            self._take_logprobs()
        elif kind == _native.EVENT_REASONING:
            self.piece = self.native.text()
            self._begin_turn()
            self._reasoning.append(self.piece)
        elif kind == _native.EVENT_TOOL_CALL:
            self._turn_over = True
            self.calls.take()
        elif kind == _native.EVENT_TOOL_RESULT:
            self._turn_over = True
            self.calls.take_result()
        elif kind == _native.EVENT_OUTPUT:
            self._review()
        elif kind == _native.EVENT_SUMMARY_REQUEST:
            self._summarize()
        elif kind == _native.EVENT_SUMMARIZED:
            replaced, before = self.native.progress()
            self._summary = SummaryEvent(text=self.native.text(), replaced=replaced, kept=before - replaced)
        elif kind == _native.EVENT_RETRY:
            self._turn_over = self._retried = True
            self._counts.end_turn(self.native.measures())
        elif kind == _native.EVENT_COMPLETION_REQUEST:
            self._begin_request()
        elif kind == _native.EVENT_ERROR:
            error = self.native.error(self.text())
            self._usage = self._read_usage()
            self._raise_failure(error)
            if self.meter is not None:
                self.meter.explain(error)
            if isinstance(error, InvalidOutputError):
                error.__cause__ = self._problem
            raise _native.exit_quietly(error)
        elif kind == _native.EVENT_DONE:
            if self.meter is not None or self.calls.pending or self.following.followers:
                self._usage = self._read_usage()
            if self.calls.pending:
                self._make_record()
            else:
                self._begin_turn()  # an answer without text, after calls
                self._take_logprobs()
                if self.meter is not None and self.meter.cut and self.native.finish_reason() == "length":
                    self.take_last(kind)
                    self.meter.check_cut()
            if self._watches is not None:
                self._watches.end(None)
        if kind != _native.EVENT_NONE and self._collects_events:
            self._report(kind)
        return kind

    def _measure(self, kind: int, meter: Meter) -> None:
        """Count an event against the limits, before anything else is done with it."""
        try:
            meter.take(kind, self.native)
        except UsageLimitError:
            self._counts.overcounted = self._counts.overcounted or meter.turn_refused
            self.take_last(kind)
            raise

    def _take_logprobs(self) -> None:
        self._piece_logprobs = read_logprobs(self.native.logprobs())
        self._logprobs.extend(self._piece_logprobs)

    def _raise_failure(self, error: LuupError) -> None:
        """Raise the exception that ended the answer of a remote model, if the core reports it as `error`."""
        failure = None if self._exchange is None else self._exchange.replaces(error)
        if isinstance(failure, RunTimeoutError) and self.meter is not None:
            self.meter.explain(failure)
        if failure is not None:
            if isinstance(failure, LuupError):
                failure.partial_text = error.partial_text
            raise failure

    def _begin_turn(self) -> None:
        if self._turn_over:
            self._turn_over = False
            self._text.clear()
            self._reasoning.clear()
            self._logprobs.clear()
            if self._partial is not None and self._task.output is not None:
                self._partial = self._task.output.partial_reader()

    def _review(self) -> None:
        """Validate the answer, and accept or reject it."""
        assert self._task.output is not None
        try:
            self._output = self._task.output.validate(self.native.text())
        except (ValidationError, ModelRetry) as error:
            self._problem = error
            self._counts.end_turn(self.native.measures())
            if self.meter is not None:
                self.meter.begin_turn()
            self.native.review(clean(explain(error)))
        else:
            self.native.review(None)
            if self._partial is not None:
                self.following.fresh.append(_untyped(PartialEvent)(output=self._output))

    def _summarize(self) -> None:
        """Have the user's function write the summary that the core waits for."""
        assert self._task.summarize is not None
        messages = [Message.from_dict("history", message) for message in json.loads(self.native.text())]
        self.native.submit_summary(write_summary(self._task.summarize, messages))

    def _report(self, kind: int) -> None:
        """Add the events for the core's event of type `kind`; `calls` adds those of tool calls."""
        if kind == _native.EVENT_TEXT:
            self.following.fresh.append(TextEvent(text=self.piece, logprobs=self._piece_logprobs))
            if self._partial is not None:
                self.following.fresh.extend(
                    _untyped(PartialEvent)(output=value) for value in self._partial.feed(self.piece)
                )
        elif kind == _native.EVENT_REASONING:
            self.following.fresh.append(ReasoningEvent(text=self.piece))
        elif kind == _native.EVENT_PROGRESS:
            done, total = self.native.progress()
            self.following.fresh.append(ProgressEvent(done=done, total=total))
        elif kind == _native.EVENT_RETRY:
            self.following.fresh.append(RetryEvent(reason=self.native.text()))
        elif kind == _native.EVENT_SUMMARIZED and self._summary is not None:
            self.following.fresh.append(self._summary)
        elif kind == _native.EVENT_DONE:
            response = self.response()
            self.streamed = True
            self.following.fresh.append(_untyped(DoneEvent)(finish_reason=response.finish_reason, response=response))

    def was_closed(self) -> RunCancelledError:
        """Return the error for a reader whose stream was closed by another thread or task."""
        error = RunCancelledError("the stream was closed before the answer was complete")
        self.fail(error)
        return error

    def text(self) -> str:
        """Return the answer so far: the text since the last tool calls."""
        return "".join(self._text)

    def final_response(self) -> AgentResponse[Any]:
        """Return the response of a stream that was read to its end.

        Raises:
            InvalidParamError: It was not read to its end.
        """
        if not self.streamed:
            raise InvalidParamError("the stream has no response yet: read it to its end")
        return self.response()

    def end_stream(self) -> None:
        """Keep what `final_response` needs, after the DONE event and before the run is closed."""
        self.streamed = True
        with contextlib.suppress(RunCancelledError):  # another thread closed it: the reader will hear of that
            self._turn_log = self.read_turns()
            if self.calls.turns or self._retried or self._exchange is not None:  # the core has the messages
                self.response()

    def value(self) -> Any:
        """Return the answer, after the DONE event: the typed result, or the text.

        Raises:
            ApprovalRequiredError: Calls wait for an approval.
        """
        self.check_answered()
        if self._task.output is not None:
            return self._output
        if self.native.finish_reason() == "length" and self._task.settings.max_tokens == UNCHOSEN_MAX_TOKENS:
            warn_of_cut()
        return self.text()

    def check_answered(self) -> None:
        """Raise `ApprovalRequiredError` if calls wait for an approval."""
        pending = self.calls.waiting()
        if pending:
            names = ", ".join(call.name for call in pending)
            error = ApprovalRequiredError(f"calls wait for an approval: {names}; Agent.resume goes on with them")
            error.pending = tuple(pending)
            self.fail(error)
            raise error

    def response(self) -> AgentResponse[Any]:
        """Return the response, after the DONE event; it is `final` then."""
        if self.final is not None:
            return self.final
        text = self.text()
        reasoning = "".join(self._reasoning) or None
        plain = self._task.output is None
        messages = self._messages(text, reasoning)
        response: AgentResponse[Any] = _untyped(AgentResponse)(
            output=text if plain else self._output,
            text=text,
            reasoning=reasoning,
            messages=messages,
            usage=self._read_usage(),
            timings=timings_of(self.native.measures()),
            finish_reason=self.native.finish_reason(),
            tool_calls=self.calls.calls(messages),
            pending=self.calls.waiting(),
            summary=None if self._summary is None else self._summary.text,
            logprobs=list(self._logprobs),
            confidence={dotted(pointer): value for pointer, value in self.native.confidence().items()},
        )
        response._turns = self.read_turns() if self._turn_log is None else self._turn_log
        self.final = response
        return response

    def _messages(self, text: str, reasoning: Optional[str]) -> List[Message]:
        """Return the messages that the run has added; more than two come from the core."""
        if self.calls.turns or self._retried or self._exchange is not None:  # a server may add fields of its own
            return self._read_messages()
        return [*self._asked(), Message(role="assistant", content=text, reasoning=reasoning)]

    def _asked(self) -> List[Message]:
        message = self._task.message
        return [] if message is None else [Message(role="user", content=message)]

    def _read_messages(self) -> List[Message]:
        try:
            messages = self.native.messages()
        except ClosedError:  # another thread closed the stream
            raise RunCancelledError("the run was closed") from None
        return [Message.from_dict("history", message) for message in messages]

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.native.closed

    def _read_usage(self) -> Usage:
        """Return the token counts of a DONE or ERROR event."""
        usage = self._counts.usage(self.native.measures())
        if self.meter is not None:
            usage = self.meter.finish(usage)
        return sum(self.calls.usages, usage)

    def close(self) -> None:
        """Cancel the run if it goes on, and release its memory."""
        self.drop_request()
        if self._watches is not None:
            self._watches.end(RunCancelledError("the run was closed"))
        self.native.close()
        self.following.close()

    def drop_request(self) -> None:
        """Drop the request to a remote model that is under way."""
        if self._exchange is not None:
            self._exchange.close()
