"""The package's loggers.

`logger` has no handler of its own, so that a program that configures no logging sees warnings, such as a tool's
failure, on stderr: Python's `logging.lastResort` writes them. `core_logger` is for the C library's records, which
`_native.drain_logs()` passes it: the exception has the error already, so these records are shown only where logging is
configured. `runs_logger` has a record of level DEBUG for everything that a run does, with the contents: prompts,
answers, arguments and results of tools.
"""

from __future__ import annotations

import logging
import sys

logger = logging.getLogger("luup_agent")
runs_logger = logging.getLogger("luup_agent.runs")
core_logger = logging.getLogger("luup_agent.core")
core_logger.addHandler(logging.NullHandler())


class StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`, so that redirecting it works."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; pass errors to `logging.Handler.handleError`."""
        try:
            if sys.stderr is not None:  # None in a program without a console
                sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def log_to_stderr() -> None:
    """Send the package's records of level INFO and above to stderr. A second call changes nothing."""
    if not any(isinstance(handler, StderrHandler) for handler in logger.handlers):
        handler = StderrHandler()
        handler.setFormatter(logging.Formatter("luup_agent: %(message)s"))
        logger.addHandler(handler)
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
