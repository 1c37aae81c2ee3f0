"""The library's error codes as exceptions, and its logs as `logging` records."""

from __future__ import annotations

import threading
from typing import Dict

from luup_agent._logging import core_logger
from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.values import to_text
from luup_agent.errors import ClosedError, LuupError, make_error

_LOG_CAPACITY = 4096  # bytes of one record
_LOG_RECORDS = 1000  # records that the library keeps, at most
_LOG_LEVELS: Dict[int, int] = {  # the library's level -> the level of logging
    lib.LUUP_LOG_DEBUG: 10,
    lib.LUUP_LOG_INFO: 20,
    lib.LUUP_LOG_WARN: 30,
    lib.LUUP_LOG_ERROR: 40,
}


def error_message(code: int) -> str:
    """Return the message of this thread's last failed call if its code was `code`, else the general text of `code`."""
    if lib.luup_last_error_code() == code:
        message = to_text(lib.luup_last_error_message())
        if message:
            return message
    return to_text(lib.luup_error_text(code))


def check(code: int) -> None:
    """Raise the exception for `code`, after draining the logs, unless it is ``LUUP_SUCCESS``."""
    if code:
        error = make_error(code, error_message(code))
        drain_logs()
        raise exit_quietly(error)


def exit_quietly(error: LuupError) -> BaseException:
    """Return `error`, or SystemExit for a daemon thread whose model was closed because the interpreter exits.

    Python is about to freeze such a thread; a traceback from it would only confuse.
    """
    if isinstance(error, ClosedError) and not threading.main_thread().is_alive() and threading.current_thread().daemon:
        return SystemExit()
    return error


def set_log_level() -> None:
    """Set the library's log level to that of its logger."""
    lib.luup_log_set_level(log_level_of(core_logger.getEffectiveLevel()))


def log_level_of(wanted: int) -> int:
    """Return the library's level for level `wanted` of `logging`."""
    return min((native for native, level in _LOG_LEVELS.items() if level >= wanted), default=int(lib.LUUP_LOG_NONE))


def drain_logs() -> None:
    """Pass the library's pending records to `logging.getLogger("luup_agent")`."""
    level = ffi.new("luup_log_level *")
    text = ffi.new("char[]", _LOG_CAPACITY)
    for _ in range(_LOG_RECORDS):
        if not lib.luup_log_next(level, text, _LOG_CAPACITY):
            return
        core_logger.log(_LOG_LEVELS.get(int(level[0]), 40), "%s", to_text(text).rstrip("\n"))
