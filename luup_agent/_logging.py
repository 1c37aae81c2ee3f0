"""The package's one logger. The C library's records come to it through `_native.drain_logs()`."""

from __future__ import annotations

import logging
import sys

logger = logging.getLogger("luup_agent")
logger.addHandler(logging.NullHandler())


class StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment, so that redirecting it works."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record; errors go the way that `logging` defines for them."""
        try:
            if sys.stderr is not None:  # None in a program without a console
                sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def log_to_stderr() -> None:
    """Sends the package's records of level INFO and above to stderr; calling it twice changes nothing."""
    if not any(isinstance(handler, StderrHandler) for handler in logger.handlers):
        handler = StderrHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
