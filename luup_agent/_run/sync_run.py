"""The synchronous drivers of a run: to the end, piece by piece, event by event."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import Any, Dict, Generator, Optional, Type, TypeVar

from luup_agent import _native
from luup_agent._run.run import Run
from luup_agent.errors import LuupError, RunCancelledError
from luup_agent.messages import AgentResponse, Event

T = TypeVar("T")

WAIT_SLICE_MS = 50  # the longest time until a Ctrl-C is seen


class Stream(Generator[T, None, None]):
    """The pieces or the events of a run: a generator. Closing it cancels the run, even if it was never iterated.

    Any thread may close it. Another one that reads it gets a `RunCancelledError`: the answer is not complete.
    """

    __module__ = "luup_agent"

    def __init__(self, run: Run, steps: Generator[T, None, None]) -> None:
        """Wrap `steps`, which advance `run`."""
        self._run = run
        self._steps = steps
        self._reader: Optional[int] = None  # the thread that reads
        # How the stream ended, and once: "cut off" is the thread that has to learn that another one closed the stream.
        self._end: Dict[str, Optional[int]] = {}

    def __next__(self) -> T:
        """Return the next piece."""
        return self.send(None)

    def send(self, value: None) -> T:
        """Return the next piece."""
        self._reader = me = threading.get_ident()
        try:
            return self._steps.send(value)
        except StopIteration:
            if self._end.setdefault("cut off", None) != me:  # one step: another thread may close the stream now
                raise
        except LuupError as error:
            self._end["cut off"] = None  # the error tells this thread
            if isinstance(error, RunCancelledError):
                self._run.fail(error)
            raise
        self._end["cut off"] = None
        raise self._run.was_closed()

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> T:
        """Raise an exception inside the generator."""
        return self._steps.throw(typ) if val is None and tb is None else self._steps.throw(typ, val, tb)

    @property
    def response(self) -> AgentResponse[Any]:
        """The response, once the stream was read to its end.

        Raises:
            InvalidParamError: It was not read to its end.
        """
        return self._run.final_response()

    def __enter__(self) -> Stream[T]:
        """Return the stream itself."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Cancel the run if it goes on."""
        self.close()

    def __repr__(self) -> str:
        """Return, for example, ``<Stream, 5 characters>``."""
        return f"<Stream, {len(self._run.text()):,} characters{', done' if self._run.streamed else ''}>"

    def stop_thinking(self) -> None:
        """End the model's thoughts, and let it answer; from any thread.

        The library writes the end of the thoughts in the model's own format. Does nothing if the model does not think,
        or the run has ended.

        Raises:
            UnsupportedError: The model is remote: its server thinks.
        """
        self._run.stop_thinking()

    def close(self) -> None:
        """Cancel the run if it goes on."""
        reader = self._reader
        if reader not in (None, threading.get_ident()) and getattr(self._steps, "gi_frame", None) is not None:
            self._run.keep_record()
            self._end.setdefault("cut off", reader)
        self._run.close()
        with contextlib.suppress(ValueError):  # it is being read: the reader finds the run cancelled
            self._steps.close()


def stream_text(run: Run) -> Stream[str]:
    """Return the pieces of the answer of a started run. Closing the stream cancels the run at once."""
    return Stream(run, _text_steps(run))


def stream_events(run: Run) -> Stream[Event[Any]]:
    """Return the events of a started run. Closing the stream cancels the run at once."""
    return Stream(run, _event_steps(run))


def _text_steps(run: Run) -> Generator[str, None, None]:
    advance = run.advance
    try:
        while True:
            kind = advance(WAIT_SLICE_MS)
            if kind == _native.EVENT_TEXT:
                yield run.piece
            elif kind == _native.EVENT_DONE:
                run.end_stream()
                run.check_answered()
                return
    finally:
        run.close()


def _event_steps(run: Run) -> Generator[Event[Any], None, None]:
    try:
        while True:
            try:
                kind = run.advance(WAIT_SLICE_MS)
            except Exception:
                yield from _rest(run)
                raise
            yield from _rest(run)
            if kind == _native.EVENT_DONE:
                return
    finally:
        run.close()


def _rest(run: Run) -> Generator[Event[Any], None, None]:
    while run.events:
        yield run.events.popleft()


def complete(run: Run) -> None:
    """Start a run and handle all its events. The caller closes the run."""
    run.start(thread_waits=True)
    try:
        kind = _native.EVENT_NONE
        while kind != _native.EVENT_DONE:
            # Each piece of the answer counts for some; else this thread is not woken for every token.
            each = run.counts_pieces
            if kind == _native.EVENT_NONE and not run.calls.active and not each:
                run.native.wait(WAIT_SLICE_MS)
            kind = run.advance(WAIT_SLICE_MS if run.calls.active or each else 0)
    except BaseException as error:
        run.fail(error)
        raise


def value(run: Run) -> Any:
    """Return the answer of a run: the typed result, or the text."""
    try:
        complete(run)
        return run.value()
    finally:
        run.close()


def respond(run: Run) -> AgentResponse[Any]:
    """Return the response of a run."""
    try:
        complete(run)
        return run.response()
    finally:
        run.close()
