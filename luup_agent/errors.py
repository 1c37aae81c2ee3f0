"""The exceptions of luup_agent.

Every failure is a `LuupError`, one class for each code of the C library, and at the same time the builtin exception
that it is, so `except ValueError`, `except FileNotFoundError` or `except TimeoutError` work as anywhere else. The two
without a number are raised by Python alone::

    LuupError
    ├── your call is wrong
    │   ├── InvalidParamError    (ValueError)         -1   an argument is wrong; the message names it
    │   ├── ToolNotFoundError    (LookupError)        -5
    │   ├── JSONParseError       (ValueError)         -6
    │   ├── InvalidSchemaError   (ValueError)        -11
    │   ├── BusyError                                -16   the agent is answering another message
    │   ├── ClosedError                              -15   the model or the agent was closed
    │   └── ForkedError                              -19   the model was loaded by the parent process
    ├── the model can't be had
    │   ├── ModelNotFoundError   (FileNotFoundError)  -3   no such file
    │   ├── ModelLoadError                            -9   not a model that generates text, or damaged
    │   ├── ChatTemplateError    (ValueError)        -12   the model's chat template can't be used
    │   ├── BackendInitError                          -8   no CPU variant runs here, or no such GPU
    │   └── UnsupportedError                         -17
    └── the run failed                                     `partial_text` holds what was answered until then
        ├── ContextFullError                         -10   the text does not fit; the message tells the counts
        ├── RunCancelledError                        -13
        ├── RunTimeoutError      (TimeoutError)      -14
        ├── InvalidOutputError   (ValueError)        -21   the answer is not what `output_type` asks for
        ├── MaxTurnsError                            -22   the model still called tools after `max_turns` turns
        ├── ToolRetryError                                 a tool failed more often than its `retries` allow
        ├── ApprovalRequiredError                          calls wait for an approval; `pending` has them
        ├── InferenceError                            -4
        ├── HTTPError                                 -7
        ├── OutOfMemoryError     (MemoryError)        -2
        ├── StorageError         (OSError)           -18
        └── InternalError                            -20   a bug in luup_agent; please report it

The groups are a reading aid, not classes.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Dict, Optional, Tuple, Type

if TYPE_CHECKING:
    from luup_agent.messages import ToolCall

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
    "StorageError",
    "ToolNotFoundError",
    "ToolRetryError",
    "UnsupportedError",
    "check_error",
]


class LuupError(Exception):
    """The base of all exceptions of this package.

    Raised itself only for a code that this version does not know.

    Attributes:
        code: The number of the C library's `luup_error`, such as -16; 0 for what Python alone raises.
        code_name: Its name, such as ``"LUUP_ERROR_BUSY"``; "" for what Python alone raises.
        partial_text: For a run that failed on its way, the text that was answered until then; else ``""``.

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


class InvalidParamError(LuupError, ValueError):
    """An argument is wrong; the message names it."""

    code = -1
    code_name = "LUUP_ERROR_INVALID_PARAM"


class OutOfMemoryError(LuupError, MemoryError):
    """The memory for a model, a context or a text can't be had."""

    code = -2
    code_name = "LUUP_ERROR_OUT_OF_MEMORY"


class ModelNotFoundError(LuupError, FileNotFoundError):
    """There is no such model file. `errno` is `errno.ENOENT`."""

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
    """There is no tool of that name."""

    code = -5
    code_name = "LUUP_ERROR_TOOL_NOT_FOUND"


class JSONParseError(LuupError, ValueError):
    """A text that should be JSON is not."""

    code = -6
    code_name = "LUUP_ERROR_JSON_PARSE_FAILED"


class HTTPError(LuupError):
    """A request to a server failed, or its answer is none.

    Attributes:
        status: What the server answered, such as 429; None if it did not, or something else was wrong.
        retry_after: The seconds after which it wants to be asked again; None if it did not say.
    """

    code = -7
    code_name = "LUUP_ERROR_HTTP_FAILED"
    status: Optional[int] = None
    retry_after: Optional[float] = None


class BackendInitError(LuupError):
    """No CPU variant runs on this machine, or the GPU that was asked for is not there."""

    code = -8
    code_name = "LUUP_ERROR_BACKEND_INIT_FAILED"


class ModelLoadError(LuupError):
    """The file is not a model that can generate text, or it is damaged."""

    code = -9
    code_name = "LUUP_ERROR_MODEL_LOAD_FAILED"


class ContextFullError(LuupError):
    """The text does not fit into the context; the message tells the counts in tokens."""

    code = -10
    code_name = "LUUP_ERROR_CONTEXT_FULL"


class InvalidSchemaError(LuupError, ValueError):
    """A JSON Schema is wrong, or has a part that can be neither enforced nor checked."""

    code = -11
    code_name = "LUUP_ERROR_INVALID_SCHEMA"


class ChatTemplateError(LuupError, ValueError):
    """The model's chat template can't be used."""

    code = -12
    code_name = "LUUP_ERROR_CHAT_TEMPLATE"


class RunCancelledError(LuupError):
    """The run, or the load of a model, was cancelled."""

    code = -13
    code_name = "LUUP_ERROR_CANCELLED"


class RunTimeoutError(LuupError, TimeoutError):
    """The run's `timeout`, or one of a remote model, passed before the answer was complete."""

    code = -14
    code_name = "LUUP_ERROR_TIMED_OUT"


class ClosedError(LuupError):
    """The model or the agent was closed."""

    code = -15
    code_name = "LUUP_ERROR_CLOSED"


class BusyError(LuupError):
    """The agent is answering another message. Finish or close that run first, or use a second agent."""

    code = -16
    code_name = "LUUP_ERROR_BUSY"


class UnsupportedError(LuupError):
    """This model, machine or build can't do what was asked for."""

    code = -17
    code_name = "LUUP_ERROR_UNSUPPORTED"


class StorageError(LuupError, OSError):
    """Reading or writing a file failed."""

    code = -18
    code_name = "LUUP_ERROR_IO"


class ForkedError(LuupError):
    """The model was loaded by the parent of this process. Load it in this process after the fork."""

    code = -19
    code_name = "LUUP_ERROR_FORKED"


class InternalError(LuupError):
    """A bug in luup_agent; please report it."""

    code = -20
    code_name = "LUUP_ERROR_INTERNAL"


class InvalidOutputError(LuupError, ValueError):
    """The answer is not what `output_type` asks for: it was cut off, or still wrong after all `retries`.

    `partial_text` has the answer; `__cause__` is what the last check found, if there was one.
    """

    code = -21
    code_name = "LUUP_ERROR_INVALID_OUTPUT"


class MaxTurnsError(LuupError):
    """The model still called tools after `max_turns` turns."""

    code = -22
    code_name = "LUUP_ERROR_MAX_TURNS"


class ToolRetryError(LuupError):
    """A tool asked for a better call, or its arguments were invalid, more often than its `retries` allow.

    `__cause__` is the last `ModelRetry` or `pydantic.ValidationError`.

    Attributes:
        call: The last call.
    """

    code_name = ""
    call: Optional[ToolCall] = None


class ApprovalRequiredError(LuupError):
    """The model called tools that need an approval, and there was no `approve` to ask.

    The history has the calls: `Agent.resume` goes on with them. `Agent.run` does not raise this; its response has
    them in `pending`.

    Attributes:
        pending: The calls that wait.
    """

    code_name = ""
    pending: Tuple[ToolCall, ...] = ()


_CLASS_OF_CODE: Dict[int, Type[LuupError]] = {cls.code: cls for cls in LuupError.__subclasses__() if cls.code}


def make_error(code: int, message: str, partial_text: str = "") -> LuupError:
    """Gives, without raising it, the exception for `code`."""
    error = _CLASS_OF_CODE.get(code, LuupError)(message)
    if type(error) is LuupError:
        error.code = code
    if partial_text:
        error.partial_text = partial_text
    return error


def check_error(code: int, message: Optional[str] = None) -> None:
    """Raises the exception for a code of the C library; does nothing for ``LUUP_SUCCESS`` (0).

    Args:
        code: What a function of ``luup_agent.h`` returned.
        message: The exception's text. By default the message that the library left for this thread.

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
