"""Reading messages from stdin where it is not a terminal."""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
import sys
import threading
from typing import Iterator, Optional, TextIO

from luup_agent.cli import output
from luup_agent.errors import InvalidParamError, StorageError

MAX_BYTES = 16 << 20  # more than the largest context holds
_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # as the error handler "surrogateescape" writes bytes
_WAIT_SECONDS = 5.0  # until a note says what the program waits for


def has_text() -> bool:
    """Return whether stdin is a pipe, a file or a socket, so that its text belongs to the message."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or replaced by an object without a file
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def message_of(argument: Optional[str]) -> Optional[str]:
    """Return the message of a command line: its argument, with the text of a pipe or a file before it.

    Raises:
        InvalidParamError: Stdin is not UTF-8, too long, or empty where it is the whole message.
        StorageError: Stdin can't be read.
    """
    if argument is None:
        return None
    if argument == "-":
        text = read_all().strip("\n")
        if not text.strip():
            raise InvalidParamError("message is -, but stdin is empty")
        return text
    piped = read_all().strip("\n") if has_text() else ""
    return f"{piped}\n\n{argument}" if piped.strip() else argument


def read_all() -> str:
    """Return the text of stdin.

    Raises:
        InvalidParamError: It is not UTF-8, or longer than `MAX_BYTES`.
        StorageError: It can't be read.
    """
    timer = threading.Timer(_WAIT_SECONDS, output.note, ["luup-agent: reading stdin to its end; </dev/null skips it"])
    timer.daemon = True
    timer.start()
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        raise StorageError(f"stdin can't be read: {error.strerror or error}") from None
    finally:
        timer.cancel()
    if len(data) > MAX_BYTES:
        raise InvalidParamError(
            f"stdin has more than {MAX_BYTES >> 20} MiB: pass on a part of it, such as `head -c 1M`"
        )
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(data[error.start], f"at offset {error.start}") from None


def _not_utf8(byte: int, place: str) -> InvalidParamError:
    return InvalidParamError(
        f"stdin is not UTF-8: byte 0x{byte:02x} {place}; convert the text first, for example with "
        "`iconv -f LATIN1 -t UTF-8`"
    )


def lines_of(stream: TextIO) -> Iterator[str]:
    """Yield the lines of `stream` that are not blank."""
    if isinstance(stream, io.TextIOWrapper):
        # Bytes that are not UTF-8 become lone surrogates, whose line is refused: earlier lines are answered.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline(MAX_BYTES + 1)
        except OSError as error:
            raise StorageError(f"stdin can't be read: {error.strerror or error}") from None
        if not line:
            return
        if len(line) > MAX_BYTES:
            raise InvalidParamError(f"a line of stdin has more than {MAX_BYTES >> 20} MiB")
        lost = _NOT_UTF8.search(line)
        if lost is not None:
            raise _not_utf8(ord(lost.group()) - 0xDC00, f"in line {number}")
        if line.strip():
            yield line.strip()
