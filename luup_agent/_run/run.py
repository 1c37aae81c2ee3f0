"""One run: it takes in the core's events, has tools called and results validated, and makes the response.

The drivers that advance a run are in `sync_run` and `async_run`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections import deque
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Deque,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from pydantic import ValidationError

from luup_agent import _native
from luup_agent._completions.exchange import Exchange, exchange_for
from luup_agent._run.record import Record, no_usage
from luup_agent._run.sync_calls import SyncCalls
from luup_agent._run.tool_calls import Decision, ToolCalls
from luup_agent._run.tool_source import RunTools, ToolSource
from luup_agent._run.typed_output import AnySpec, dotted, explain
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
    Timings,
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
Summarize = Callable[[List[Message]], str]


@functools.lru_cache(maxsize=None)
def _untyped(generic: Any) -> Any:
    """Return ``generic[Any]``, and keep it: pydantic builds it again once nothing refers to it."""
    return generic[Any]


class Task(NamedTuple):
    """The task of a run.

    Attributes:
        message: The user's message; None answers the history.
        settings: The run's.
        output: The type of the answer; None for plain text.
        decisions: On calls that wait in the history, by their ids.
        choices: The answers to score, instead of generating one.
        summarize: Writes the summaries that the core requests.
    """

    message: Optional[str]
    settings: Settings
    output: Optional[AnySpec] = None
    decisions: Mapping[str, Decision] = {}
    choices: Tuple[str, ...] = ()
    summarize: Optional[Summarize] = None


class Run(Watched):
    """One user message being answered.

    Every driver does the same: `start`, then `advance` until the event is a DONE one, and `close` in any case.

    Attributes:
        native: The core's run.
        calls: The tool calls; there from `start` on.
        events: The events so far, to be taken from the left; empty unless `want_events` was called.
        piece: The text of the last TEXT or REASONING event.
        record: What the run did, once it has failed or its calls wait for an approval.
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
        self._text: List[str] = []
        self._reasoning: List[str] = []
        self._logprobs: List[TokenLogprob] = []
        self._piece_logprobs: List[TokenLogprob] = []  # those of `piece`
        self._turn_over = False  # the text so far came before tool calls
        self._retried = False
        self._problem: Optional[Exception] = None  # of the last answer that was rejected
        self._partial: Union[PartialReader, JsonReader, None] = None
        self._wants_events = False
        self._output: Any = None
        self._summary: Optional[SummaryEvent] = None
        self._exchange: Optional[Exchange] = None  # the requests to a remote model
        self._begun = False
        self._usage: Optional[Usage] = None  # of the run that `record` describes
        self.record: Optional[Record] = None
        self.native = _native.NativeRun()
        self.events: Deque[Event[Any]] = deque()
        self.piece = ""

    def stop_thinking(self) -> None:
        """End the thoughts of the answer under way; from any thread."""
        self.native.stop_thinking()

    def want_events(self) -> None:
        """Fill `events` from now on."""
        self._wants_events = True
        if self._task.output is not None:
            self._partial = self._task.output.partial_reader()

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
        began = time.monotonic()
        self._tools = await self._source.read_async()
        self._spend(time.monotonic() - began)

    def _read_tools(self) -> RunTools:
        if self._tools is not None:
            return self._tools
        began = time.monotonic()
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
            task = self._task
            events = self.events if self._wants_events else None
            calls = calls_type(self.native, self._agent, tools, task.settings, task.decisions, events)
            self.calls = calls
            self._exchange = exchange_for(
                self.native, self._native_agent.responders, task.settings.timeout, calls_type is not SyncCalls
            )
            self._follow((tools, definitions))
            self._start_native(self._request(definitions))
            self._begun = True
            return calls
        except BaseException as error:
            if self._follower is not None:
                self._follower.end(error)
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
                if calls.active or self.events:
                    timeout_ms = 0
            return self.take(self.native.next(timeout_ms))
        except BaseException as error:
            self.fail(error)
            raise

    def fail(self, error: Optional[BaseException]) -> None:
        """End the run, and tell `error`, which ends it, what it did."""
        if self.record is None and self._begun:
            with contextlib.suppress(LuupError):  # the run was closed, or belongs to the parent process
                self.calls.settle()
            with contextlib.suppress(LuupError):
                self._end()
        if isinstance(error, LuupError):
            error.partial_text = self.text() or error.partial_text
        if error is not None and self.record is not None:
            self.record.attach_to(error)
        if self._follower is not None:
            self._follower.end(error or RunCancelledError("the run was closed"))

    def keep_record(self) -> None:
        """Cancel the run and keep what it did, before it is closed; from any thread."""
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
        """Take in an event of a run that is about to fail: keep what it tells, and do nothing."""
        if kind == _native.EVENT_TEXT:
            self._begin_turn()
            self._text.append(self.native.text())
        elif kind in (_native.EVENT_DONE, _native.EVENT_ERROR):
            self._usage = self._read_usage()
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
        """Take in the event of type `kind` that `native.next` has just returned, and return `kind`."""
        if self._follower is not None:
            self._follower.take(kind)
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
        elif kind == _native.EVENT_COMPLETION_REQUEST:
            self._begin_request()
        elif kind == _native.EVENT_ERROR:
            error = self.native.error(self.text())
            self._usage = self._read_usage()
            self._raise_failure(error)
            if isinstance(error, InvalidOutputError):
                error.__cause__ = self._problem
            raise _native.exit_quietly(error)
        elif kind == _native.EVENT_DONE:
            if self.calls.pending:
                self._usage = self._read_usage()
                self._make_record()
            else:
                self._begin_turn()  # an answer without text, after calls
                self._take_logprobs()
            if self._follower is not None:
                self._follower.end(None)
        if self._wants_events and kind != _native.EVENT_NONE:
            self._report(kind)
        return kind

    def _take_logprobs(self) -> None:
        self._piece_logprobs = read_logprobs(self.native.logprobs())
        self._logprobs.extend(self._piece_logprobs)

    def _raise_failure(self, error: LuupError) -> None:
        """Raise the exception that ended the answer of a remote model, if the core reports it as `error`."""
        failure = None if self._exchange is None else self._exchange.replaces(error)
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
            self.native.review(clean(explain(error)))
        else:
            self.native.review(None)
            if self._partial is not None:
                self.events.append(_untyped(PartialEvent)(output=self._output))

    def _summarize(self) -> None:
        """Have the user's function write the summary that the core waits for."""
        assert self._task.summarize is not None
        messages = [Message.from_dict("history", message) for message in json.loads(self.native.text())]
        summary = self._task.summarize(messages)
        if not isinstance(summary, str):
            if isinstance(summary, Coroutine):
                summary.close()
            raise InvalidParamError(f"summarize must return a str, not {type(summary).__name__}")
        self.native.submit_summary(clean(summary))

    def _report(self, kind: int) -> None:
        """Add the events for the core's event of type `kind`; `calls` adds those of tool calls."""
        if kind == _native.EVENT_TEXT:
            self.events.append(TextEvent(text=self.piece, logprobs=self._piece_logprobs))
            if self._partial is not None:
                self.events.extend(_untyped(PartialEvent)(output=value) for value in self._partial.feed(self.piece))
        elif kind == _native.EVENT_REASONING:
            self.events.append(ReasoningEvent(text=self.piece))
        elif kind == _native.EVENT_PROGRESS:
            done, total = self.native.progress()
            self.events.append(ProgressEvent(done=done, total=total))
        elif kind == _native.EVENT_RETRY:
            self.events.append(RetryEvent(reason=self.native.text()))
        elif kind == _native.EVENT_SUMMARIZED and self._summary is not None:
            self.events.append(self._summary)
        elif kind == _native.EVENT_DONE:
            response = self.response()
            self.events.append(_untyped(DoneEvent)(finish_reason=response.finish_reason, response=response))

    def was_closed(self) -> RunCancelledError:
        """Return the error for a reader whose stream was closed by another thread or task."""
        error = RunCancelledError("the stream was closed before the answer was complete")
        self.fail(error)
        return error

    def text(self) -> str:
        """Return the answer so far: the text since the last tool calls."""
        return "".join(self._text)

    def value(self) -> Any:
        """Return the answer, after the DONE event: the typed result, or the text.

        Raises:
            ApprovalRequiredError: Calls wait for an approval.
        """
        self.check_answered()
        return self.text() if self._task.output is None else self._output

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
        """Return the response, after the DONE event."""
        text = self.text()
        reasoning = "".join(self._reasoning) or None
        counts = self.native.measures()
        prompt, cached, answer = counts["prompt_tokens"], counts["cached_tokens"], counts["answer_tokens"]
        plain = self._task.output is None
        messages = self._messages(text, reasoning)
        response: AgentResponse[Any] = _untyped(AgentResponse)(
            output=text if plain else self._output,
            text=text,
            reasoning=reasoning,
            messages=messages,
            usage=self._read_usage(),
            timings=Timings(
                queue_seconds=counts["queue_seconds"],
                prefill_seconds=counts["prefill_seconds"],
                decode_seconds=counts["decode_seconds"],
                time_to_first_token=counts["first_token_seconds"],
                total_seconds=counts["total_seconds"],
                prefill_tokens=prompt - cached,
                decode_tokens=max(answer - 1, 0),
                recomputed_tokens=counts["recomputed_tokens"],
            ),
            finish_reason=self.native.finish_reason(),
            tool_calls=self.calls.calls(messages),
            pending=self.calls.waiting(),
            summary=None if self._summary is None else self._summary.text,
            logprobs=list(self._logprobs),
            confidence={dotted(pointer): value for pointer, value in self.native.confidence().items()},
        )
        response._turns = self.read_turns()
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

    def _read_usage(self) -> Usage:
        """Return the token counts of a DONE or ERROR event."""
        counts = self.native.measures()
        prompt, cached, answer = counts["prompt_tokens"], counts["cached_tokens"], counts["answer_tokens"]
        usage = Usage(
            prompt_tokens=prompt,
            cached_tokens=cached,
            completion_tokens=answer,
            total_tokens=prompt + answer,
            turns=counts["turns"],
            reasoning_tokens=counts["reasoning_tokens"],
        )
        return sum(self.calls.usages, usage)

    def close(self) -> None:
        """Cancel the run if it goes on, and release its memory."""
        self.drop_request()
        if self._follower is not None:
            self._follower.end(RunCancelledError("the run was closed"))
        self.native.close()

    def drop_request(self) -> None:
        """Drop the request to a remote model that is under way."""
        if self._exchange is not None:
            self._exchange.close()
