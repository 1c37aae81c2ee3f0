"""One run: what it collects, and its synchronous drivers. The asynchronous ones are in `async_run`."""

from __future__ import annotations

import json
from collections import deque
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Deque,
    Generator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    TypeVar,
)

from pydantic import ValidationError

from luup_agent import _native
from luup_agent.errors import (
    ApprovalRequiredError,
    InvalidOutputError,
    InvalidParamError,
    LuupError,
    ToolRetryError,
)
from luup_agent.exchange import exchange_for
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
    Usage,
)
from luup_agent.output import OutputSpec, dotted, explain
from luup_agent.sampling import Settings
from luup_agent.tool_calls import Decision, SyncCalls
from luup_agent.tool_context import ModelRetry
from luup_agent.tool_results import clean
from luup_agent.tools import AnyTool

if TYPE_CHECKING:
    from luup_agent.async_calls import AsyncCalls
    from luup_agent.partial import PartialReader

T = TypeVar("T")

WAIT_SLICE_MS = 50  # the longest that a Ctrl-C goes unseen


Summarize = Callable[[List[Message]], str]


class Task(NamedTuple):
    """What a run is asked for.

    Attributes:
        message: The user's; None answers the history.
        settings: Of this run.
        output: What the answer is held to; None for plain text.
        decisions: On calls that wait in the history, by their ids.
        choices: Answers to be scored instead of generating one.
        summarize: What writes the summaries that the core asks for.
    """

    message: Optional[str]
    settings: Settings
    output: Optional[OutputSpec] = None
    decisions: Mapping[str, Decision] = {}
    choices: Tuple[str, ...] = ()
    summarize: Optional[Summarize] = None


ReadTools = Callable[[], Tuple[Mapping[str, AnyTool], Optional[str]]]


class Run:
    """One user message being answered.

    Every driver does the same: `start`, then `advance` until the event is a DONE one, and `close` whatever happens.

    Attributes:
        events: What happened, for drivers that were asked for events (see `want_events`), to be taken from the left.
    """

    def __init__(self, agent: _native.NativeAgent, task: Task, owner: object, read_tools: ReadTools) -> None:
        """Prepares the run; `owner`, the `Agent`, is kept alive with it. `read_tools` is asked when it starts."""
        self._agent = agent
        self._task = task
        self._owner = owner
        self._read_tools = read_tools
        self._text: List[str] = []
        self._reasoning: List[str] = []
        self._turn_over = False  # the text so far came before calls
        self._retried = False
        self._problem: Optional[Exception] = None  # what the last review found
        self._partial: Optional[PartialReader] = None
        self._wants_events = False
        self._output: Any = None
        self._summary: Optional[SummaryEvent] = None
        self.events: Deque[Event[Any]] = deque()
        self.native = _native.NativeRun()
        self.calls: Any = None
        self._exchange: Any = None  # for what a remote model is asked; None for a local one
        self.piece = ""  # the text of the last TEXT or REASONING event

    def want_events(self) -> None:
        """From now on `events` is filled."""
        self._wants_events = True
        if self._task.output is not None:
            self._partial = self._task.output.partial_reader()

    def start(self, thread_waits: bool = False) -> None:
        """Begins to answer; a thread drives the run, which `thread_waits` for: it does nothing else before the end."""
        self._start(SyncCalls)
        if self._exchange is not None:
            self._exchange.thread_waits = thread_waits

    def start_async(self) -> AsyncCalls:
        """Begins to answer; an event loop drives the run."""
        from luup_agent.async_calls import AsyncCalls

        self._start(AsyncCalls)
        calls: AsyncCalls = self.calls
        return calls

    def _start(self, calls_type: Any) -> None:
        task = self._task
        try:
            tools, definitions = self._read_tools()
            schema = None if task.output is None else task.output.schema
            self.calls = calls_type(
                self.native, self._owner, task.settings, task.decisions, self.events if self._wants_events else None
            )
            self.calls.tools = tools
            is_async = calls_type is not SyncCalls
            self._exchange = exchange_for(self.native, self._agent.responders, task.settings.timeout, is_async)
            self.native.start(
                self._agent, task.settings, _native.RunRequest(task.message, definitions, schema, task.choices)
            )
        except BaseException:
            self.close()
            raise

    def advance(self, timeout_ms: int) -> int:
        """Does what the run waits for, or waits up to `timeout_ms` for an event; takes it in and gives its type.

        Raises:
            LuupError: The run failed.
            BaseException: A tool ended it.
        """
        calls = self.calls
        if calls.active:
            try:
                calls.work(timeout_ms)
            except BaseException as error:
                self.with_partial_text(error)
                raise
            if calls.active or self.events:
                timeout_ms = 0
        return self.take(self.native.next(timeout_ms))

    def take(self, kind: int) -> int:
        """Takes in the event of type `kind` that `native.next` has just given, and gives `kind`."""
        if kind == _native.EVENT_TEXT:
            self.piece = self.native.text()
            self._begin_turn()
            self._text.append(self.piece)
        elif kind == _native.EVENT_REASONING:
            self.piece = self.native.text()
            self._begin_turn()
            self._reasoning.append(self.piece)
        elif kind == _native.EVENT_TOOL_CALL:
            self._turn_over = True
            self.calls.take()
        elif kind == _native.EVENT_TOOL_RESULT:
            self._turn_over = True
            self.calls.take_builtin()
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
            self._exchange.begin()
        elif kind == _native.EVENT_ERROR:
            error = self.native.error(self.text())
            self._raise_failure(error)
            if isinstance(error, InvalidOutputError):
                error.__cause__ = self._problem
            raise _native.exit_quietly(error)
        elif kind == _native.EVENT_DONE and not self.calls.pending:
            self._begin_turn()  # an answer without text, after calls
        if self._wants_events and kind != _native.EVENT_NONE:
            self._tell(kind)
        return kind

    def _raise_failure(self, error: LuupError) -> None:
        """Raises what ended the answer of a remote model, if that is what `error` tells."""
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
            if self._partial is not None and self._task.output is not None:
                self._partial = self._task.output.partial_reader()

    def _review(self) -> None:
        """Validates the answer and tells the core what it is worth."""
        assert self._task.output is not None
        try:
            self._output = self._task.output.validate(self.native.text())
        except (ValidationError, ModelRetry) as error:
            self._problem = error
            self.native.review(clean(explain(error)))
        else:
            self.native.review(None)
            if self._wants_events:
                self.events.append(PartialEvent[Any](output=self._output))

    def _summarize(self) -> None:
        """Lets the user's function write the summary that the core waits for."""
        assert self._task.summarize is not None
        messages = [Message.from_dict("history", message) for message in json.loads(self.native.text())]
        summary = self._task.summarize(messages)
        if not isinstance(summary, str):
            if isinstance(summary, Coroutine):
                summary.close()
            raise InvalidParamError(f"summarize must return a str, not {type(summary).__name__}")
        self.native.submit_summary(clean(summary))

    def _tell(self, kind: int) -> None:
        """Adds the events for what was just taken in; those of calls are added by `calls`."""
        if kind == _native.EVENT_TEXT:
            self.events.append(TextEvent(text=self.piece))
            if self._partial is not None:
                self.events.extend(PartialEvent[Any](output=value) for value in self._partial.feed(self.piece))
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
            self.events.append(DoneEvent[Any](finish_reason=response.finish_reason, response=response))

    def with_partial_text(self, error: BaseException) -> BaseException:
        """`error`, which ends the run; one of this package has the answer so far then."""
        if isinstance(error, ToolRetryError):
            error.partial_text = self.text()
        return error

    def text(self) -> str:
        """The answer so far: what the model said since the last calls."""
        return "".join(self._text)

    def value(self) -> Any:
        """The answer, after the DONE event: the typed result, or the text.

        Raises:
            ApprovalRequiredError: There is none, because calls wait for an approval.
        """
        self.check_answered()
        return self.text() if self._task.output is None else self._output

    def check_answered(self) -> None:
        """Raises `ApprovalRequiredError` if calls wait for an approval."""
        pending = self.calls.waiting()
        if pending:
            names = ", ".join(call.name for call in pending)
            error = ApprovalRequiredError(f"calls wait for an approval: {names}; Agent.resume goes on with them")
            error.pending = tuple(pending)
            error.partial_text = self.text()
            raise error

    def response(self) -> AgentResponse[Any]:
        """What came out, after the DONE event."""
        text = self.text()
        reasoning = "".join(self._reasoning) or None
        counts = self.native.measures()
        prompt, cached, answer = counts["prompt_tokens"], counts["cached_tokens"], counts["answer_tokens"]
        plain = self._task.output is None
        return AgentResponse[Any](
            output=text if plain else self._output,
            text=text,
            reasoning=reasoning,
            messages=self._messages(text, reasoning),
            usage=Usage(
                prompt_tokens=prompt,
                cached_tokens=cached,
                completion_tokens=answer,
                total_tokens=prompt + answer,
                turns=counts["turns"],
            ),
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
            tool_calls=self.calls.calls(),
            pending=self.calls.waiting(),
            summary=None if self._summary is None else self._summary.text,
            confidence={dotted(pointer): value for pointer, value in self.native.confidence().items()},
        )

    def _messages(self, text: str, reasoning: Optional[str]) -> List[Message]:
        """The messages that the run has added; the core is asked only if there are more than two."""
        if self.calls.log or self._retried:
            return [Message.from_dict("history", message) for message in self.native.messages()]
        message = self._task.message
        asked = [] if message is None else [Message(role="user", content=message)]
        return [*asked, Message(role="assistant", content=text, reasoning=reasoning)]

    def close(self) -> None:
        """Cancels the run if it goes on, and gives the handle back."""
        self.drop_request()
        self.native.close()

    def drop_request(self) -> None:
        """Lets go of what a remote model is asked."""
        if self._exchange is not None:
            self._exchange.close()


class Stream(Generator[T, None, None]):
    """A generator over a started run, closed together with it.

    A bare generator that was never asked for anything would keep its run going when it is closed.
    """

    def __init__(self, run: Run, steps: Generator[T, None, None]) -> None:
        """Wraps `steps`, which advance `run`."""
        self._run = run
        self._steps = steps

    def __next__(self) -> T:
        """Gives the next piece."""
        return next(self._steps)

    def send(self, value: None) -> T:
        """Gives the next piece."""
        return self._steps.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> T:
        """Raises an exception where the generator stands."""
        return self._steps.throw(typ) if val is None and tb is None else self._steps.throw(typ, val, tb)

    def close(self) -> None:
        """Cancels the run if it goes on."""
        self._steps.close()
        self._run.close()


def stream_text(run: Run) -> Stream[str]:
    """The pieces of the answer of a started run. Closing the stream cancels the run at once."""
    return Stream(run, _text_steps(run))


def stream_events(run: Run) -> Stream[Event[Any]]:
    """All events of a started run. Closing the stream cancels the run at once."""
    return Stream(run, _event_steps(run))


def _text_steps(run: Run) -> Generator[str, None, None]:
    advance = run.advance
    try:
        while True:
            kind = advance(WAIT_SLICE_MS)
            if kind == _native.EVENT_TEXT:
                yield run.piece
            elif kind == _native.EVENT_DONE:
                run.check_answered()
                return
    finally:
        run.close()


def _event_steps(run: Run) -> Generator[Event[Any], None, None]:
    try:
        while True:
            kind = run.advance(WAIT_SLICE_MS)
            while run.events:
                yield run.events.popleft()
            if kind == _native.EVENT_DONE:
                return
    finally:
        run.close()


def complete(run: Run) -> None:
    """Starts a run and takes in all its events; `run` still has to be closed."""
    run.start(thread_waits=True)
    kind = _native.EVENT_NONE
    while kind != _native.EVENT_DONE:
        if kind == _native.EVENT_NONE and not run.calls.active:
            run.native.wait(WAIT_SLICE_MS)  # this thread is not woken for every token
        kind = run.advance(WAIT_SLICE_MS if run.calls.active else 0)
