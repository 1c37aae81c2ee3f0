"""The library's errors as exceptions, and its logs as records of `logging`."""

from __future__ import annotations

import threading
from typing import Dict

from luup_agent._logging import logger
from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.values import to_text
from luup_agent.errors import ClosedError, LuupError, make_error

_LOG_CAPACITY = 4096  # bytes of one record
_LOG_RECORDS = 1000  # the library keeps no more
_LOG_LEVELS: Dict[int, int] = {  # of the library: of logging
    lib.LUUP_LOG_DEBUG: 10,
    lib.LUUP_LOG_INFO: 20,
    lib.LUUP_LOG_WARN: 30,
    lib.LUUP_LOG_ERROR: 40,
}


def error_message(code: int) -> str:
    """The message of this thread's last failed call if it failed with `code`, else the general text of `code`."""
    if lib.luup_last_error_code() == code:
        message = to_text(lib.luup_last_error_message())
        if message:
            return message
    return to_text(lib.luup_error_text(code))


def error_name(code: int) -> str:
    """The name of a code, such as ``"LUUP_ERROR_BUSY"``."""
    return to_text(lib.luup_error_name(code))


def check(code: int) -> None:
    """Raises the exception for `code` unless it is ``LUUP_SUCCESS``, and drains the logs then."""
    if code:
        error = make_error(code, error_message(code))
        drain_logs()
        raise exit_quietly(error)


def exit_quietly(error: LuupError) -> BaseException:
    """`error`, or SystemExit in a daemon thread whose model was closed because the interpreter exits.

    Such a thread is about to be frozen wherever it stands; a traceback of it would only confuse.
    """
    if isinstance(error, ClosedError) and not threading.main_thread().is_alive() and threading.current_thread().daemon:
        return SystemExit()
    return error


def set_log_level() -> None:
    """Lets the library keep what the package's logger would pass on."""
    lib.luup_log_set_level(log_level_of(logger.getEffectiveLevel()))


def log_level_of(wanted: int) -> int:
    """The library's level that lets through what `logging` would at level `wanted`."""
    return min((native for native, level in _LOG_LEVELS.items() if level >= wanted), default=int(lib.LUUP_LOG_NONE))


def drain_logs() -> None:
    """Hands the library's waiting records to `logging.getLogger("luup_agent")`."""
    level = ffi.new("luup_log_level *")
    text = ffi.new("char[]", _LOG_CAPACITY)
    for _ in range(_LOG_RECORDS):
        if not lib.luup_log_next(level, text, _LOG_CAPACITY):
            return
        logger.log(_LOG_LEVELS.get(int(level[0]), 40), "%s", to_text(text).rstrip("\n"))
