"""`NativeRun`, the handle of a ``luup_run``, which pulls its events."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Tuple

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.agents import NativeAgent
from luup_agent._native.diagnostics import check, drain_logs, error_message
from luup_agent._native.handles import Owner, take_string
from luup_agent._native.settings import RunRequest, run_params
from luup_agent._native.values import encode_text, to_text
from luup_agent._native.wakers import NativeWaker
from luup_agent.errors import ClosedError, LuupError, RunCancelledError, make_error
from luup_agent.messages import FinishReason
from luup_agent.settings import Settings

EVENT_NONE: int = lib.LUUP_EVENT_NONE
EVENT_TEXT: int = lib.LUUP_EVENT_TEXT
EVENT_REASONING: int = lib.LUUP_EVENT_REASONING
EVENT_PROGRESS: int = lib.LUUP_EVENT_PROGRESS
EVENT_TOOL_CALL: int = lib.LUUP_EVENT_TOOL_CALL
EVENT_OUTPUT: int = lib.LUUP_EVENT_OUTPUT
EVENT_RETRY: int = lib.LUUP_EVENT_RETRY
EVENT_COMPLETION_REQUEST: int = lib.LUUP_EVENT_COMPLETION_REQUEST
EVENT_TOOL_RESULT: int = lib.LUUP_EVENT_TOOL_RESULT
EVENT_SUMMARY_REQUEST: int = lib.LUUP_EVENT_SUMMARY_REQUEST
EVENT_SUMMARIZED: int = lib.LUUP_EVENT_SUMMARIZED
EVENT_DONE: int = lib.LUUP_EVENT_DONE
EVENT_ERROR: int = lib.LUUP_EVENT_ERROR
_ABOUT_CALLS = (EVENT_TOOL_CALL, EVENT_TOOL_RESULT)
_FINISH_REASONS: Dict[int, FinishReason] = {
    lib.LUUP_FINISH_STOP: "stop",
    lib.LUUP_FINISH_LENGTH: "length",
    lib.LUUP_FINISH_TOOL_CALLS: "tool_calls",
}


class NativeRun:
    """A ``luup_run`` and its current event: `next` pulls an event, and other methods read it.

    Only one thread at a time may use a run, but `close`, `cancel`, `stop_thinking`, `messages`, `push_chunk` and
    `end_completion` may be called from any thread. A thread that calls the library holds a reference to the handle's
    owner, and `next` copies what the event refers to: so `close` can't free what another thread uses.
    """

    __slots__ = ("__weakref__", "_event", "_keep", "_logprobs", "_owner", "_text", "_texts", "_wants_logprobs")

    def __init__(self) -> None:
        """Prepare a run that has not started; `close` may be called from now on."""
        self._keep: List[object] = []
        self._owner: Optional[Owner] = Owner("run", lib.luup_run_destroy, self._keep)
        self._event: Any = ffi.new("luup_event *")
        self._text = ""  # the event's
        self._logprobs = ""  # the event's
        self._wants_logprobs = False
        self._texts: Tuple[str, str, str] = ("", "", "")  # of an event about a call: its id, its tool, its arguments

    def _live(self) -> Owner:
        """Return the owner of the handle. The caller keeps it in a variable while it uses the handle.

        Raises:
            RunCancelledError: The run was closed.
        """
        owner = self._owner
        if owner is None:
            raise RunCancelledError("the run was closed")
        return owner

    def start(self, agent: NativeAgent, settings: Settings, request: RunRequest) -> None:
        """Start the run, without waiting for the model."""
        params = run_params(settings, agent.settings, request)
        c_message = ffi.NULL if request.message is None else encode_text("message", request.message)
        self._wants_logprobs = settings.logprobs or settings.top_logprobs > 0
        owner = self._live()
        check(lib.luup_run_start(agent.handle, c_message, params.pointer, owner.cell))
        if self._owner is None:  # closed meanwhile, when there was nothing to cancel yet
            lib.luup_run_cancel(owner.pointer)

    def next(self, timeout_ms: int) -> int:
        """Wait up to `timeout_ms` for the next event and return its type. Releases the GIL."""
        owner = self._live()
        event = self._event
        code = lib.luup_run_next(owner.pointer, timeout_ms, event)
        if code:
            check(code)
        kind: int = event.type
        if kind != EVENT_NONE:
            length = event.text_length
            self._text = ffi.unpack(event.text, length).decode("utf-8") if length else ""
            if kind in _ABOUT_CALLS:
                self._texts = (to_text(event.call_id), to_text(event.tool_name), to_text(event.arguments))
            elif kind == EVENT_DONE:
                self._texts = (to_text(event.confidence), "", "")
            if self._wants_logprobs:
                self._logprobs = to_text(event.logprobs)
        return kind

    def wait(self, timeout_ms: int) -> bool:
        """Wait up to `timeout_ms` until the run ends or waits for its driver; return whether it has ended.

        Events stay queued for `next` meanwhile, so that the tokens of an answer do not wake this thread one by one.
        """
        ended = ffi.new("bool *")
        owner = self._live()
        check(lib.luup_run_wait(owner.pointer, timeout_ms, ended))
        return bool(ended[0])

    def text(self) -> str:
        """Return the event's text: of a TOOL_CALL the arguments, of a TOOL_RESULT the result for the model."""
        return self._text

    def logprobs(self) -> List[Dict[str, Any]]:
        """Return the tokens of a TEXT or DONE event, in the form of OpenAI's ``logprobs.content``."""
        entries: List[Dict[str, Any]] = json.loads(self._logprobs) if self._logprobs else []
        return entries

    def error(self, partial_text: str) -> LuupError:
        """Return the exception for an ERROR event."""
        return make_error(self._event.error, self._text or error_message(self._event.error), partial_text)

    def progress(self) -> Tuple[int, int]:
        """Return done and total: of a PROGRESS event prompt tokens, of a SUMMARIZED one messages (done = replaced)."""
        return self._event.progress_done, self._event.progress_total

    def call(self) -> Tuple[str, str, int]:
        """Return the id and the tool's name of a TOOL_CALL event, and how many calls of the turn follow it."""
        call_id, tool_name, _ = self._texts
        return call_id, tool_name, self._event.calls_left

    def result(self) -> Tuple[str, str, str, bool, bool]:
        """Return the call's id, the tool's name, the arguments, whether the call failed, and whether it was refused.

        Of a TOOL_RESULT event.
        """
        return (*self._texts, bool(self._event.is_error), bool(self._event.refused))

    def turns(self) -> int:
        """Return the number of the model's answers so far, the one under way included."""
        turns: int = self._event.turns
        return turns

    def submit_summary(self, summary: str) -> None:
        """Answer a SUMMARY_REQUEST event."""
        owner = self._live()
        check(lib.luup_run_submit_summary(owner.pointer, encode_text("summary", summary)))

    def finish_reason(self) -> FinishReason:
        """Return the finish reason of a DONE event: "stop", "length" or "tool_calls"."""
        return _FINISH_REASONS[self._event.finish_reason]

    def confidence(self) -> Dict[str, float]:
        """Return the model's confidence in each enum and bool of its answer, by JSON pointer, of a DONE event."""
        text = self._texts[0]
        values: Dict[str, float] = json.loads(text) if text else {}
        return values

    def tokens(self) -> Tuple[int, int]:
        """Return how many tokens the prompts and the answers have so far; of a server those of the ended turns."""
        return self._event.prompt_tokens, self._event.answer_tokens

    def measures(self) -> Dict[str, Any]:
        """Return the token counts and turns so far by field; of a DONE or ERROR event also the seconds."""
        return {
            name: getattr(self._event, name)
            for name, _ in ffi.typeof("luup_event").fields
            if name.endswith(("_tokens", "_seconds", "turns"))
        }

    def submit_result(self, call_id: str, content: str, is_error: bool) -> None:
        """Answer a TOOL_CALL event."""
        owner = self._live()
        c_id, c_content = encode_text("call_id", call_id), encode_text("content", content)
        check(lib.luup_run_submit_tool_result(owner.pointer, c_id, c_content, is_error))

    def fail_call(self, call_id: str, content: str) -> None:
        """Answer a TOOL_CALL event with an error, and end the run, whose ERROR event comes soon."""
        owner = self._live()
        check(
            lib.luup_run_fail_tool_call(owner.pointer, encode_text("call_id", call_id), encode_text("content", content))
        )

    def model_index(self) -> int:
        """Return the index of the model that a COMPLETION_REQUEST event is for, which is 0 except in a fallback."""
        index: int = self._event.model_index
        return index

    def push_chunk(self, chunk: str) -> bool:
        """Pass the run a chunk of the answer to its request. Return False once the run needs no more."""
        more = ffi.new("bool *")
        text = encode_text("chunk", chunk)
        owner = self._owner
        if owner is None:
            return False
        check(lib.luup_run_push_chunk(owner.pointer, text, more))
        return bool(more[0])

    def end_completion(self, code: int, message: str) -> None:
        """End the answer to the run's request; `code` is 0 if the answer is complete, else an error."""
        text = encode_text("message", message.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8"))
        owner = self._owner
        if owner is not None:
            check(lib.luup_run_end_completion(owner.pointer, code, text))

    def review(self, problem: Optional[str]) -> None:
        """Answer an OUTPUT event: None accepts the answer, a text is the problem to tell the model."""
        owner = self._live()
        c_problem = ffi.NULL if problem is None else encode_text("problem", problem)
        check(lib.luup_run_review_output(owner.pointer, c_problem))

    def suspend(self) -> None:
        """End a run that waits for tool results with a DONE event; the calls stay pending in the history."""
        owner = self._live()
        check(lib.luup_run_suspend(owner.pointer))

    def messages(self) -> List[Dict[str, Any]]:
        """Return the messages that the run has added so far, as OpenAI chat messages."""
        owner = self._owner
        if owner is None or not owner.cell[0]:
            raise ClosedError("the run has ended")
        handle = owner.pointer
        text = take_string(lambda text: lib.luup_run_get_messages(handle, text))
        messages: List[Dict[str, Any]] = json.loads(text)
        return messages

    def log(self, first: int = 0) -> str:
        """Return the requests to a model that have ended, from number `first` on, as JSON; see `turns.parse_turns`."""
        owner = self._owner
        if owner is None or not owner.cell[0]:
            raise ClosedError("the run has ended")
        handle = owner.pointer
        return take_string(lambda text: lib.luup_run_get_turns(handle, first, text))

    def set_waker(self, waker: NativeWaker, tag: int, for_text: bool) -> None:
        """Have `waker` return `tag` when the run has events; without `for_text`, only when it needs its driver."""
        self._keep.append(waker)
        owner = self._live()
        check(lib.luup_run_set_waker(owner.pointer, waker.pointer, tag, for_text))
        del self._keep[:-1]

    def stop_thinking(self) -> None:
        """End the thoughts of the answer under way, from any thread."""
        owner = self._owner
        if owner is not None and owner.cell[0]:
            check(lib.luup_run_stop_thinking(owner.pointer))

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._owner is None

    def cancel(self) -> None:
        """Cancel the run, which ends soon with an ERROR event."""
        owner = self._owner
        if owner is not None and owner.cell[0]:
            lib.luup_run_cancel(owner.pointer)

    def close(self) -> None:
        """Cancel the run if it has not ended, and release the handle, from any thread.

        A thread that is inside another method meanwhile finds that the run was cancelled, and releases the handle.
        """
        owner, self._owner = self._owner, None
        if owner is not None:
            if owner.cell[0]:  # there is a run: a Ctrl-C may have come before `start` returned
                lib.luup_run_cancel(owner.pointer)
            self._keep = []
            del owner
            drain_logs()
