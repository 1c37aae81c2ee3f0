"""Server-sent events and response bodies, byte by byte and within bounds; no input or output of its own."""

from __future__ import annotations

import zlib
from typing import Iterator, List, Optional

from luup_agent.errors import HTTPError

MAX_LINE = 8 << 20  # bytes of one event's data
MAX_BODY = 256 << 20  # bytes of one response, decompressed
_PIECE = 1 << 16  # bytes that are decompressed at once


class Body:
    """Undoes the compression of a response's body, and counts what comes out."""

    def __init__(self, encoding: str, limit: int = MAX_BODY) -> None:
        """Takes the value of the header Content-Encoding.

        Raises:
            HTTPError: It is neither gzip nor deflate nor nothing.
        """
        name = encoding.strip().lower()
        self._inflater: Optional[zlib._Decompress] = None
        if name in ("gzip", "x-gzip", "deflate"):
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif name not in ("", "identity"):
            raise HTTPError(f"the server's answer is compressed in a way that was not asked for: {name[:40]}")
        self._left = limit
        self._limit = limit

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the bytes from the connection stand for, a bounded piece at a time.

        Raises:
            HTTPError: It is damaged, or more than the limit.
        """
        if self._inflater is None:
            yield self._count(data)
            return
        while data:
            try:
                piece = self._inflater.decompress(data, _PIECE)
            except zlib.error as error:
                raise HTTPError(f"the server's answer can't be decompressed: {error}") from None
            data = self._inflater.unconsumed_tail
            yield self._count(piece)

    def _count(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise HTTPError(f"the server's answer is longer than {self._limit} bytes")
        return piece


class Decoder:
    """Makes the data of events out of bytes, wherever these are cut."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._line = bytearray()
        self._data: List[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, piece: bytes) -> Iterator[str]:
        """The data of the events that are complete now.

        Raises:
            HTTPError: A line or an event is too long, or not UTF-8.
        """
        if self._after_cr and piece:
            self._after_cr = False
            if piece[:1] == b"\n":
                piece = piece[1:]
        begin = 0
        while True:
            end, width = _line_end(piece, begin)
            if end < 0:
                break
            self._after_cr = width == 1 and piece[end : end + 1] == b"\r" and end + 1 == len(piece)
            self._take(piece[begin:end])
            begin = end + width
            event = self._end_line()
            if event is not None:
                yield event
        self._take(piece[begin:])

    def finish(self) -> Optional[str]:
        """The data of an event whose end is missing; None if there is none."""
        self._end_line()
        return self._event()

    def _take(self, part: bytes) -> None:
        if self._size + len(self._line) + len(part) > self._limit:
            raise HTTPError(f"the server's answer has a line of more than {self._limit} bytes")
        self._line += part

    def _end_line(self) -> Optional[str]:
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            self._first = False
            if line.startswith(b"\xef\xbb\xbf"):
                line = line[3:]
        if not line:
            return self._event()
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value[1:] if value[:1] == b" " else value
            self._data.append(value)
            self._size += len(value) + 1
        return None  # comments and other fields say nothing to us

    def _event(self) -> Optional[str]:
        if not self._data:
            return None
        data = b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise HTTPError(f"the server's answer is not UTF-8: {error.reason}") from None


def _line_end(piece: bytes, begin: int) -> tuple[int, int]:
    """Where the line from `begin` on ends, and the length of its end (LF, CRLF or CR); -1 if it does not."""
    newline, carriage = piece.find(b"\n", begin), piece.find(b"\r", begin)
    if carriage >= 0 and (newline < 0 or carriage < newline):
        return carriage, 2 if newline == carriage + 1 else 1
    return newline, 1
