"""The exceptions of luup_agent.

Every exception is a `LuupError`, with one class for each error code of the C library. Where a builtin exception fits,
the class inherits from it too, so that `except ValueError`, `except FileNotFoundError` and `except TimeoutError` work.
Only Python raises the classes without a code::

    LuupError
    ├── the call is wrong
    │   ├── InvalidParamError    (ValueError)         -1   an argument is invalid; the message names it
    │   ├── ToolNotFoundError    (LookupError)        -5   there is no tool with this name
    │   ├── JSONParseError       (ValueError)         -6   a text is not valid JSON
    │   ├── InvalidSchemaError   (ValueError)        -11   a JSON schema is invalid, or not supported
    │   ├── BusyError                                -16   the agent is answering another message
    │   ├── SessionNotFoundError (LookupError)             there is no session with this id
    │   ├── ClosedError                              -15   the model or the agent is closed
    │   └── ForkedError                              -19   the model belongs to the parent process
    ├── the model can't be used
    │   ├── ModelNotFoundError   (FileNotFoundError)  -3   the file does not exist
    │   ├── ModelLoadError                            -9   the file is damaged, or its model can't generate text
    │   ├── ChatTemplateError    (ValueError)        -12   the model's chat template can't be used
    │   ├── BackendInitError                          -8   no CPU variant runs here, or the GPU is missing
    │   └── UnsupportedError                         -17   this model, machine or build can't do it
    └── the run failed               `messages`, `tool_calls`, `usage` and `partial_text` have what it did
        ├── ContextFullError                         -10   the text does not fit; the message has the token counts
        ├── RunCancelledError                        -13   the run or the load was cancelled
        ├── RunTimeoutError      (TimeoutError)      -14   a timeout passed
        ├── InvalidOutputError   (ValueError)        -21   the answer does not match `output_type`
        ├── MaxTurnsError                            -22   the model still called tools after `max_turns` turns
        ├── ToolRetryError                                 a tool failed more often than its `retries` allow
        ├── ToolLoopError                                  the model repeated a call with the same result
        ├── UsageLimitError                                the run reached one of its `usage_limits`
        ├── ApprovalRequiredError                          calls wait for approval; `pending` lists them
        ├── InferenceError                            -4   llama.cpp could not decode
        ├── HTTPError                                 -7   a request to a server failed
        ├── ToolsetError         (ConnectionError)         an MCP server can't be reached, or fails
        ├── OutOfMemoryError     (MemoryError)        -2   the memory can't be allocated
        ├── SessionConflictError                           another run has changed the session meanwhile
        ├── StorageError         (OSError)           -18   a file can't be read or written
        └── InternalError                            -20   a bug in luup_agent; please report it

The three groups are not classes.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Dict, Optional, Sequence, Tuple, Type

if TYPE_CHECKING:
    from luup_agent.messages import FinishReason, Message, ToolCall, Usage
    from luup_agent.turns import Turn

__all__ = [
    "ApprovalRequiredError",
    "BackendInitError",
    "BusyError",
    "ChatTemplateError",
    "ClosedError",
    "ContextFullError",
    "ForkedError",
    "HTTPError",
    "InferenceError",
    "InternalError",
    "InvalidOutputError",
    "InvalidParamError",
    "InvalidSchemaError",
    "JSONParseError",
    "LuupError",
    "MaxTurnsError",
    "ModelLoadError",
    "ModelNotFoundError",
    "OutOfMemoryError",
    "RunCancelledError",
    "RunTimeoutError",
    "SessionConflictError",
    "SessionNotFoundError",
    "StorageError",
    "ToolLoopError",
    "ToolNotFoundError",
    "ToolRetryError",
    "ToolsetError",
    "UnsupportedError",
    "UsageLimitError",
    "check_error",
]


class LuupError(Exception):
    """The base class of all exceptions of this package.

    Raised itself only for an error code that this version does not know.

    Attributes:
        code: The number of the C library's `luup_error`, such as -16; 0 for exceptions that only Python raises.
        code_name: Its name, such as ``"LUUP_ERROR_BUSY"``; "" for exceptions that only Python raises.
        partial_text: The text that a failed run had answered so far; else ``""``.
        messages: The messages that a failed run added to the conversation, as a history needs them to go on: a call
            without a result has an error as its result, and an answer that broke off is the last message. They enter
            the agent's history only with ``keep_history="on_error"``.
        tool_calls: All tool calls of a failed run with their results, in the model's order. `ToolCall.result` is None
            for a call that the run's end interrupted: it may have had its effect or not.
        usage: The token counts of a failed run; None for other errors, and if another thread closed the run.
        turns: The requests of a failed run to its model, see `Turn`; the last one may have broken off.

    An exception of another class that ends a run, such as one that a tool with ``on_error="raise"`` raised, gets the
    attributes `messages`, `tool_calls`, `usage` and `turns` too, unless it has attributes of these names.

    Example:
        >>> try:
        ...     agent.generate("Tell me a long story.", timeout=0)
        ... except luup_agent.LuupError as error:
        ...     print(error.code_name, repr(error.partial_text))
        LUUP_ERROR_TIMED_OUT ''
    """

    code: int = 0
    code_name: str = "LUUP_ERROR_UNKNOWN"
    partial_text: str = ""
    messages: Sequence[Message] = ()
    tool_calls: Sequence[ToolCall] = ()
    usage: Optional[Usage] = None
    turns: Sequence[Turn] = ()


class InvalidParamError(LuupError, ValueError):
    """An argument is invalid; the message names it."""

    code = -1
    code_name = "LUUP_ERROR_INVALID_PARAM"


class OutOfMemoryError(LuupError, MemoryError):
    """The memory for a model, a context or a text can't be allocated."""

    code = -2
    code_name = "LUUP_ERROR_OUT_OF_MEMORY"


class ModelNotFoundError(LuupError, FileNotFoundError):
    """The model file does not exist. `errno` is `errno.ENOENT`."""

    code = -3
    code_name = "LUUP_ERROR_MODEL_NOT_FOUND"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.errno = errno.ENOENT


class InferenceError(LuupError):
    """llama.cpp could not decode."""

    code = -4
    code_name = "LUUP_ERROR_INFERENCE_FAILED"


class ToolNotFoundError(LuupError, LookupError):
    """There is no tool with this name."""

    code = -5
    code_name = "LUUP_ERROR_TOOL_NOT_FOUND"


class JSONParseError(LuupError, ValueError):
    """A text is not valid JSON."""

    code = -6
    code_name = "LUUP_ERROR_JSON_PARSE_FAILED"


class HTTPError(LuupError):
    """A request to a server failed, or its answer can't be used.

    Attributes:
        status: The status of the response, such as 429; None if there was none.
        retry_after: The seconds to wait before the next request that the server asks for; None if it does not.
    """

    code = -7
    code_name = "LUUP_ERROR_HTTP_FAILED"
    status: Optional[int] = None
    retry_after: Optional[float] = None


class BackendInitError(LuupError):
    """No CPU variant runs on this machine, or the requested GPU is missing."""

    code = -8
    code_name = "LUUP_ERROR_BACKEND_INIT_FAILED"


class ModelLoadError(LuupError):
    """The file is damaged, or its model can't generate text."""

    code = -9
    code_name = "LUUP_ERROR_MODEL_LOAD_FAILED"


class ContextFullError(LuupError):
    """The text does not fit into the context; the message has the token counts."""

    code = -10
    code_name = "LUUP_ERROR_CONTEXT_FULL"


class InvalidSchemaError(LuupError, ValueError):
    """A JSON schema is invalid, or has a part that can be neither enforced nor checked."""

    code = -11
    code_name = "LUUP_ERROR_INVALID_SCHEMA"


class ChatTemplateError(LuupError, ValueError):
    """The model's chat template is wrong, refuses the messages, or computes, nests or allocates beyond its limits."""

    code = -12
    code_name = "LUUP_ERROR_CHAT_TEMPLATE"


class RunCancelledError(LuupError):
    """The run, or the load of a model, was cancelled."""

    code = -13
    code_name = "LUUP_ERROR_CANCELLED"


class RunTimeoutError(LuupError, TimeoutError):
    """The run's `timeout`, or a timeout of a remote model, passed before the answer was complete."""

    code = -14
    code_name = "LUUP_ERROR_TIMED_OUT"


class ClosedError(LuupError):
    """The model or the agent is closed."""

    code = -15
    code_name = "LUUP_ERROR_CLOSED"


class BusyError(LuupError):
    """The agent is answering another message. Finish or close that run first, or use a second agent."""

    code = -16
    code_name = "LUUP_ERROR_BUSY"


class UnsupportedError(LuupError):
    """This model, machine or build can't do what the call asks for."""

    code = -17
    code_name = "LUUP_ERROR_UNSUPPORTED"


class StorageError(LuupError, OSError):
    """A file can't be read or written."""

    code = -18
    code_name = "LUUP_ERROR_IO"


class ForkedError(LuupError):
    """The model was loaded by the parent process. Load it in this process, after the fork."""

    code = -19
    code_name = "LUUP_ERROR_FORKED"


class InternalError(LuupError):
    """A bug in luup_agent; please report it."""

    code = -20
    code_name = "LUUP_ERROR_INTERNAL"


class InvalidOutputError(LuupError, ValueError):
    """The answer does not match `output_type`: it was cut off, or still invalid after all `retries`.

    `partial_text` has the answer; `__cause__` is the last validation error, if there was one.

    Example:
        >>> try:
        ...     agent.generate("Describe a city.", output_type=dict, max_tokens=1)
        ... except luup_agent.InvalidOutputError as error:
        ...     print(error.finish_reason)
        length
    """

    code = -21
    code_name = "LUUP_ERROR_INVALID_OUTPUT"

    @property
    def finish_reason(self) -> Optional[FinishReason]:
        """How the last answer ended: "length" if `max_tokens` cut it off; None if it broke off or is not known."""
        return self.turns[-1].finish_reason if self.turns else None


class MaxTurnsError(LuupError):
    """The model still called tools after `max_turns` turns."""

    code = -22
    code_name = "LUUP_ERROR_MAX_TURNS"


class ToolRetryError(LuupError):
    """A tool raised `ModelRetry`, or its arguments were invalid, in more turns than its `retries` allow.

    Calls of a tool that does not exist count likewise. `__cause__` is the last `ModelRetry` or
    `pydantic.ValidationError`; None if the arguments did not fit the tool's schema.

    Attributes:
        call: The last call.
    """

    code_name = ""
    call: Optional[ToolCall] = None


class ToolLoopError(LuupError):
    """The model made the same call with the same result again and again, see `LoopGuard`.

    Attributes:
        call: The last of these calls.
        count: In how many turns the run had made it.
    """

    code_name = ""
    call: Optional[ToolCall] = None
    count: int = 0


class UsageLimitError(LuupError):
    """The run, together with the agents that its tools ran, reached one of its `usage_limits`, see `UsageLimits`.

    `messages`, `tool_calls` and `usage` have what the run did.

    Attributes:
        limit: The name of the limit, such as ``"output_tokens_limit"``.
        value: Its value.
        used: How much was used, sub-agents included. Of "turns_limit" and "tool_calls_limit" without the turn or the
            calls that were refused.
    """

    code_name = ""
    limit: str = ""
    value: float = 0
    used: float = 0


class ApprovalRequiredError(LuupError):
    """The model called tools that need approval, and there was no `approve` function to ask.

    The calls stay pending in the history; `Agent.resume` continues them. `Agent.run` does not raise this error: its
    response has the calls in `pending`.

    Attributes:
        pending: The calls that wait for approval.
    """

    code_name = ""
    pending: Tuple[ToolCall, ...] = ()


class ToolsetError(LuupError, ConnectionError):
    """An MCP server can't be started or reached, ended, or refused a request; the message names the server."""

    code_name = ""


class SessionNotFoundError(LuupError, LookupError):
    """There is no stored conversation with this id."""

    code_name = ""


class SessionConflictError(LuupError):
    """Another run, of any process, has changed the session while this run continued it.

    Nothing of this run was stored; `messages`, `tool_calls` and `usage` have what it did. The next run of the session
    continues the new version.
    """

    code_name = ""


_CLASS_OF_CODE: Dict[int, Type[LuupError]] = {cls.code: cls for cls in LuupError.__subclasses__() if cls.code}


def make_error(code: int, message: str, partial_text: str = "") -> LuupError:
    """Return the exception for `code`, without raising it."""
    error = _CLASS_OF_CODE.get(code, LuupError)(message)
    if type(error) is LuupError:
        error.code = code
    if partial_text:
        error.partial_text = partial_text
    return error


def check_error(code: int, message: Optional[str] = None) -> None:
    """Raise the exception for an error code of the C library; do nothing for ``LUUP_SUCCESS`` (0).

    Args:
        code: The result of a function of ``luup_agent.h``.
        message: The exception's text. By default the library's last message in this thread.

    Raises:
        LuupError: The subclass for `code`; `LuupError` itself for a code that this version does not know.

    Example:
        >>> check_error(0)
        >>> check_error(-16, "the agent is busy")
        Traceback (most recent call last):
        luup_agent.BusyError: the agent is busy
    """
    if code == 0:
        return
    if message is None:
        from luup_agent import _native

        message = _native.error_message(code)
    raise make_error(code, message)
