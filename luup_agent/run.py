"""One run: what it collects, and its synchronous drivers. The asynchronous ones are in `async_run`."""

from __future__ import annotations

from typing import Any, Generator, List, Optional, TypeVar

from luup_agent import _native
from luup_agent.messages import (
    AgentResponse,
    DoneEvent,
    Event,
    Message,
    ProgressEvent,
    ReasoningEvent,
    TextEvent,
    Timings,
    Usage,
)
from luup_agent.sampling import Settings

T = TypeVar("T")

WAIT_SLICE_MS = 50  # the longest that a Ctrl-C goes unseen


class Run:
    """One user message being answered.

    Every driver does the same: `start`, then `advance` until the event is a DONE one, and `close` whatever happens.
    """

    def __init__(self, agent: _native.NativeAgent, message: Optional[str], settings: Settings, owner: object) -> None:
        """Prepares the run; `owner`, the `Agent`, is kept alive with it."""
        self._agent = agent
        self._message = message
        self._settings = settings
        self._owner = owner
        self._text: List[str] = []
        self._reasoning: List[str] = []
        self.native = _native.NativeRun()
        self.piece = ""  # the text of the last TEXT or REASONING event

    def start(self) -> None:
        """Begins to answer."""
        try:
            self.native.start(self._agent, self._message, self._settings)
        except BaseException:
            self.close()
            raise

    def advance(self, timeout_ms: int) -> int:
        """Waits up to `timeout_ms` for an event, takes it in and gives its type.

        Raises:
            LuupError: The run failed.
        """
        return self.take(self.native.next(timeout_ms))

    def take(self, kind: int) -> int:
        """Takes in the event of type `kind` that `native.next` has just given, and gives `kind`."""
        if kind == _native.EVENT_TEXT:
            self.piece = self.native.text()
            self._text.append(self.piece)
        elif kind == _native.EVENT_REASONING:
            self.piece = self.native.text()
            self._reasoning.append(self.piece)
        elif kind == _native.EVENT_ERROR:
            raise _native.exit_quietly(self.native.error(self.text()))
        return kind

    def text(self) -> str:
        """The answer so far."""
        return "".join(self._text)

    def event(self, kind: int) -> Event:
        """The event of type `kind` that was just taken in, for the user."""
        if kind == _native.EVENT_TEXT:
            return TextEvent(text=self.piece)
        if kind == _native.EVENT_REASONING:
            return ReasoningEvent(text=self.piece)
        if kind == _native.EVENT_PROGRESS:
            done, total = self.native.progress()
            return ProgressEvent(done=done, total=total)
        response = self.response()
        return DoneEvent(finish_reason=response.finish_reason, response=response)

    def response(self) -> AgentResponse[str]:
        """What came out, after the DONE event."""
        text = self.text()
        reasoning = "".join(self._reasoning) or None
        messages = [] if self._message is None else [Message(role="user", content=self._message)]
        messages.append(Message(role="assistant", content=text, reasoning=reasoning))
        counts = self.native.measures()
        prompt, cached, answer = counts["prompt_tokens"], counts["cached_tokens"], counts["answer_tokens"]
        return AgentResponse[str](
            output=text,
            text=text,
            reasoning=reasoning,
            messages=messages,
            usage=Usage(
                prompt_tokens=prompt,
                cached_tokens=cached,
                completion_tokens=answer,
                total_tokens=prompt + answer,
            ),
            timings=Timings(
                queue_seconds=counts["queue_seconds"],
                prefill_seconds=counts["prefill_seconds"],
                decode_seconds=counts["decode_seconds"],
                time_to_first_token=counts["first_token_seconds"],
                total_seconds=counts["total_seconds"],
                prefill_tokens=prompt - cached,
                decode_tokens=max(answer - 1, 0),
            ),
            finish_reason=self.native.finish_reason(),
        )

    def close(self) -> None:
        """Cancels the run if it goes on, and gives the handle back."""
        self.native.close()


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


def stream_events(run: Run) -> Stream[Event]:
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
                return
    finally:
        run.close()


def _event_steps(run: Run) -> Generator[Event, None, None]:
    try:
        while True:
            kind = run.advance(WAIT_SLICE_MS)
            if kind != _native.EVENT_NONE:
                yield run.event(kind)
            if kind == _native.EVENT_DONE:
                return
    finally:
        run.close()


def complete(run: Run) -> None:
    """Starts a run and takes in all its events but the last; `run` still has to be closed."""
    run.start()
    while not run.native.wait(WAIT_SLICE_MS):  # this thread is not woken for every token
        pass
    while run.advance(0) != _native.EVENT_DONE:
        pass
