"""Writing to stdout and stderr: notes, the loss of a reader, and characters that a terminal must not get."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
from typing import Optional, TextIO

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

# Control characters except tab and newline. A terminal would obey them: they move the cursor, set the title or the
# clipboard. Models and tools write what a web page or a file told them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def note(text: str, end: str = "\n") -> None:
    """Write to stderr, after flushing stdout so that the order is kept."""
    with contextlib.suppress(OSError, AttributeError):  # stdout may be closed
        sys.stdout.flush()
    write_note(text + end)


def write_note(text: str) -> None:
    """Write to stderr; if nothing can be written there, drop it: answers and exit codes do not depend on notes."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
    flush_notes()


def flush_notes() -> None:
    """Write what stderr still holds, or drop it. Python would report a failure at exit, with the exit code 120."""
    try:
        sys.stderr.flush()
    except OSError:  # such as a full disk, or a reader that has gone
        _drop(sys.stderr)


def prepare() -> None:
    """Open what the caller closed, and write "?" for a character that the terminal's encoding lacks.

    Raises:
        OSError: Stdout is closed.
    """
    if sys.stderr is None:  # closed with 2>&-
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # for the whole process
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop_output() -> None:
    """Drop the rest of stdout, or Python would report the error again when it closes stdout."""
    _drop(sys.stdout)


def _drop(stream: Optional[TextIO]) -> None:
    """Let a stream write to the null device."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())  # type: ignore[union-attr]  # None is an AttributeError
        finally:
            os.close(null)


def printable(text: str) -> str:
    r"""Return the text with a visible replacement for each control character that a terminal would obey.

    Example:
        >>> printable("a\x1b]0;title\x07b")
        'a␛]0;title␇b'
    """
    return _CONTROLS.sub(lambda match: _picture(ord(match.group())), text)


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)  # the block of control pictures
    return "\u2421" if code == 0x7F else "\ufffd"


def is_terminal(stream: object) -> bool:
    """Return whether a stream is open and is a terminal."""
    try:
        return bool(stream is not None and stream.isatty())  # type: ignore[attr-defined]
    except ValueError:  # closed
        return False


def can_encode(text: str, stream: Optional[TextIO] = None) -> bool:
    """Return whether the encoding of a stream, stderr by default, has all characters of a text."""
    try:
        text.encode(getattr(stream or sys.stderr, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
