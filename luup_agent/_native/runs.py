"""Runs: the handle and its pump."""

from __future__ import annotations

import json
import threading
from typing import Any, Dict, List, Optional, Tuple

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.agents import NativeAgent
from luup_agent._native.diagnostics import check, drain_logs, error_message
from luup_agent._native.handles import new_cell, take_string
from luup_agent._native.settings import RunRequest, run_params
from luup_agent._native.values import encode_text, to_text
from luup_agent.errors import ClosedError, LuupError, make_error
from luup_agent.messages import FinishReason
from luup_agent.sampling import Settings

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
_FINISH_REASONS: Dict[int, FinishReason] = {
    lib.LUUP_FINISH_STOP: "stop",
    lib.LUUP_FINISH_LENGTH: "length",
    lib.LUUP_FINISH_TOOL_CALLS: "tool_calls",
}


class NativeRun:
    """A ``luup_run`` and its pump: `next` fills the event, the properties and methods read it.

    One thread at a time may use it; `cancel` and `messages` may come from any.
    """

    __slots__ = ("__weakref__", "_cell", "_event", "_guard", "_handle", "_keep")

    def __init__(self) -> None:
        """Makes an empty one, which `close` may be called on from now on."""
        self._keep: List[object] = []
        self._cell: Any = new_cell("luup_run", lib.luup_run_destroy, self._keep)
        self._handle: Any = ffi.NULL
        self._event: Any = ffi.new("luup_event *")
        self._guard = threading.RLock()  # between `close` and a tool's thread that asks for the messages

    def start(self, agent: NativeAgent, settings: Settings, request: RunRequest) -> None:
        """Begins to answer; never waits for the model."""
        params = run_params(settings, agent.settings, request)
        c_message = ffi.NULL if request.message is None else encode_text("message", request.message)
        check(lib.luup_run_start(agent.handle, c_message, params.pointer, self._cell))
        self._handle = self._cell[0]

    def next(self, timeout_ms: int) -> int:
        """Waits up to `timeout_ms` for an event and gives its type. The GIL is free meanwhile."""
        code = lib.luup_run_next(self._handle, timeout_ms, self._event)
        if code:
            check(code)
        kind: int = self._event.type
        return kind

    def wait(self, timeout_ms: int) -> bool:
        """Waits up to `timeout_ms` for the run's end, whatever events come, and tells whether it is there."""
        ended = ffi.new("bool *")
        check(lib.luup_run_wait(self._handle, timeout_ms, ended))
        return bool(ended[0])

    def text(self) -> str:
        """The text of the last event: of a TOOL_CALL its arguments, of a TOOL_RESULT what the model is told."""
        event = self._event
        text: str = ffi.unpack(event.text, event.text_length).decode("utf-8")
        return text

    def error(self, partial_text: str) -> LuupError:
        """The exception for an ERROR event."""
        return make_error(self._event.error, self.text() or error_message(self._event.error), partial_text)

    def progress(self) -> Tuple[int, int]:
        """Prompt tokens done and in total, of a PROGRESS event; messages replaced and in total, of a SUMMARIZED one."""
        return self._event.progress_done, self._event.progress_total

    def call(self) -> Tuple[str, str, int]:
        """Of a TOOL_CALL event: the id, the tool's name, and how many more calls of the turn follow."""
        event = self._event
        return to_text(event.call_id), to_text(event.tool_name), event.calls_left

    def builtin_result(self) -> Tuple[str, str, str, bool]:
        """Of a TOOL_RESULT event: the call's id, the tool's name, the arguments, and whether the call failed."""
        event = self._event
        return to_text(event.call_id), to_text(event.tool_name), to_text(event.arguments), bool(event.is_error)

    def submit_summary(self, summary: str) -> None:
        """Answers a SUMMARY_REQUEST event."""
        check(lib.luup_run_submit_summary(self._handle, encode_text("summary", summary)))

    def finish_reason(self) -> FinishReason:
        """Of a DONE event: "stop", "length" or "tool_calls"."""
        return _FINISH_REASONS[self._event.finish_reason]

    def confidence(self) -> Dict[str, float]:
        """Of a DONE event: how sure the model was of the enums and bools in its answer, by JSON pointer."""
        text = to_text(self._event.confidence)
        values: Dict[str, float] = json.loads(text) if text else {}
        return values

    def measures(self) -> Dict[str, Any]:
        """The token counts, turns and seconds of a DONE event, by field."""
        return {
            name: getattr(self._event, name)
            for name, _ in ffi.typeof("luup_event").fields
            if name.endswith(("_tokens", "_seconds", "turns"))
        }

    def submit_result(self, call_id: str, content: str, is_error: bool) -> None:
        """Answers a TOOL_CALL event."""
        check(
            lib.luup_run_submit_tool_result(
                self._handle, encode_text("call_id", call_id), encode_text("content", content), is_error
            )
        )

    def model_index(self) -> int:
        """Of a COMPLETION_REQUEST event: which of a fallback's models is asked."""
        index: int = self._event.model_index
        return index

    def push_chunk(self, chunk: str) -> bool:
        """Gives the run a chunk of the answer to its request, from any thread; False once no more are wanted."""
        more = ffi.new("bool *")
        text = encode_text("chunk", chunk)
        with self._guard:
            if self._handle == ffi.NULL:
                return False
            check(lib.luup_run_push_chunk(self._handle, text, more))
        return bool(more[0])

    def end_completion(self, code: int, message: str) -> None:
        """Ends the answer to the run's request, from any thread; 0 if it came whole."""
        text = encode_text("message", message.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8"))
        with self._guard:
            if self._handle != ffi.NULL:
                check(lib.luup_run_end_completion(self._handle, code, text))

    def review(self, problem: Optional[str]) -> None:
        """Answers an OUTPUT event; None accepts the answer."""
        check(
            lib.luup_run_review_output(self._handle, ffi.NULL if problem is None else encode_text("problem", problem))
        )

    def suspend(self) -> None:
        """Ends a run that waits for tool results with a DONE event; the calls wait in the history."""
        check(lib.luup_run_suspend(self._handle))

    def messages(self) -> List[Dict[str, Any]]:
        """The messages that the run has added so far, as OpenAI chat messages."""
        with self._guard:
            if self._handle == ffi.NULL:
                raise ClosedError("the run has ended")
            text = take_string(lambda text: lib.luup_run_get_messages(self._handle, text))
        messages: List[Dict[str, Any]] = json.loads(text)
        return messages

    def set_wakeup(self, descriptor: int, owner: object) -> None:
        """Lets the library write a byte to `descriptor` when events come; `owner` is kept until the run is gone."""
        self._keep.append(owner)
        check(lib.luup_run_set_wakeup_fd(self._handle, descriptor))
        del self._keep[:-1]

    def cancel(self) -> None:
        """Ends the run soon, with an ERROR event."""
        if self._handle != ffi.NULL:
            lib.luup_run_cancel(self._handle)

    def close(self) -> None:
        """Cancels the run if it goes on, and gives the handle back. No method may be called afterwards but this."""
        with self._guard:
            cell, self._cell, self._handle = self._cell, None, ffi.NULL
            if cell is not None:
                ffi.release(cell)
        if cell is not None:
            self._keep.clear()
            drain_logs()
