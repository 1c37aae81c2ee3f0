"""Parsers of response bodies: server-sent events, lines of JSON, whole JSON; incremental, bounded, and without I/O."""

from __future__ import annotations

import json
import zlib
from typing import Iterator, List, Optional

from luup_agent._completions.cut_characters import CharacterJoiner
from luup_agent._json import read_json
from luup_agent.errors import HTTPError

MAX_LINE = 8 << 20  # bytes of one event's data
MAX_BODY = 256 << 20  # bytes of one response, decompressed
_PIECE = 1 << 16  # bytes decompressed at once
_MAX_WHOLE = 16 << 20  # bytes of an answer that is not streamed
_KEPT = 2000  # bytes of a body that an error may show
_LONGEST_FIELD = 6  # bytes of the longest name of a field, "event:" or "retry:"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Body:
    """Decompresses the body of a response and limits its size."""

    def __init__(self, encoding: str, limit: int = MAX_BODY) -> None:
        """Choose the decompression by `encoding`, the value of the header Content-Encoding.

        Raises:
            HTTPError: The encoding is not gzip, deflate, identity or empty.
        """
        name = encoding.strip().lower()
        self._inflater: Optional[zlib._Decompress] = None
        if name in ("gzip", "x-gzip", "deflate"):
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif name not in ("", "identity"):
            raise HTTPError(
                f"the server's answer has the unsupported Content-Encoding {name[:40]!r}; "
                "gzip, deflate and identity were accepted"
            )
        self._left = limit
        self._limit = limit

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed bytes of `data`, at most 64 KiB at a time.

        Raises:
            HTTPError: The compressed data is damaged, or the body exceeds the limit.
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


class AnswerReader:
    """Yields the chunks in the body of an answer, whose form its first bytes show better than its Content-Type.

    The form is one of: server-sent events; a JSON value a line; one JSON value.

    Attributes:
        beginning: The first bytes, for an error.
        unreadable: Whether the body has something that belongs to none of the forms.
    """

    def __init__(self, content_type: str) -> None:
        self.beginning = b""
        self.unreadable = False
        self._type = content_type.partition(";")[0].strip().lower()
        self._form = ""  # "events", "lines", "whole" or "other"; "" before enough bytes came
        self._waiting = bytearray()  # of an unknown form, of a line, or of the whole value
        self._decoder = Decoder()
        self._joiner = CharacterJoiner()  # of lines
        self._last = ""
        self._count = 0

    def feed(self, piece: bytes) -> Iterator[str]:
        """Yield the chunks that `piece` completes.

        Raises:
            HTTPError: Something is too long, or not UTF-8.
        """
        if len(self.beginning) < _KEPT:
            self.beginning = (self.beginning + piece)[:_KEPT]
        if not self._form:
            self._waiting += piece
            self._form = self._find_form(last=False)
            if not self._form:
                return
            piece = bytes(self._waiting)
            self._waiting.clear()
        if self._form == "events":
            yield from self._decoder.feed(piece)
        elif self._form == "lines":
            yield from self._lines(piece)
        else:
            self._waiting += piece
            if len(self._waiting) > _MAX_WHOLE:
                raise HTTPError(f"the server's answer is longer than {_MAX_WHOLE} bytes")

    def finish(self) -> Iterator[str]:
        """Yield the chunks that the end of the body completes."""
        if not self._form:
            self._form = self._find_form(last=True)
            piece, self._waiting = bytes(self._waiting), bytearray()
            yield from self.feed(piece)
        if self._form == "events":
            rest = self._decoder.finish()
            if rest is not None and (rest.strip() == "[DONE]" or _is_json(rest)):
                yield rest
            self.unreadable = self._decoder.unknown
        elif self._form == "other":
            self.unreadable = True
        else:
            yield from self._finish_json()

    def _find_form(self, last: bool) -> str:
        head = bytes(self._waiting[: 4 * _LONGEST_FIELD]).lstrip(b"\xef\xbb\xbf \t\r\n")
        is_json = self._type in ("application/json", "text/json")
        if head.startswith(_FIELDS):
            return "events"
        if head.startswith((b"{", b"[{")):
            return "whole" if is_json or head.startswith(b"[") else "lines"
        if not last and len(head) < _LONGEST_FIELD and len(self._waiting) < _KEPT:
            return ""
        if is_json:
            return "whole"
        known = ("text/event-stream", "application/x-ndjson", "text/plain", "application/octet-stream", "")
        return "events" if self._type in known else "other"

    def _lines(self, piece: bytes) -> Iterator[str]:
        self._waiting += piece
        while self._form == "lines":
            end = self._waiting.find(b"\n")
            if end < 0:
                break
            line = self._joiner.decode(bytes(self._waiting[:end])).strip()
            if line and not _is_json(line):
                self._form = "whole"  # a value over several lines
                break
            del self._waiting[: end + 1]
            if line:
                yield self._note(line)
        if len(self._waiting) > (MAX_LINE if self._form == "lines" else _MAX_WHOLE):
            raise HTTPError(f"the server's answer has a line of more than {MAX_LINE} bytes")

    def _finish_json(self) -> Iterator[str]:
        if not self._waiting:
            self._joiner.finish()
        text = _decoded(bytes(self._waiting)).strip().lstrip("\ufeff")
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and not _is_json(text) and all(map(_is_json, lines)):
            for line in lines:
                yield self._note(line)
        elif text:
            yield self._note(text)
        if self._count == 1 and '"delta"' not in self._last:
            yield "[DONE]"  # a whole answer has no end marker

    def _note(self, text: str) -> str:
        self._count += 1
        self._last = text
        return text


class Decoder:
    """Decodes server-sent events from bytes that may be cut at any place.

    Attributes:
        unknown: Whether a line was something else than a field of an event.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.unknown = False
        self._limit = limit
        self._joiner = CharacterJoiner()
        self._line = bytearray()
        self._data: List[bytes] = []
        self._size = 0
        self._failed = False  # the event is named "error"
        self._after_cr = False
        self._first = True

    def feed(self, piece: bytes) -> Iterator[str]:
        """Yield the data of each event that `piece` completes.

        The data of an event with the name "error" becomes the field "error" of an object.

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
        """Return the data of a last event that no blank line ended, or None."""
        self._end_line()
        event = self._event()
        self._joiner.finish()
        return event

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
            # Some servers end events with one newline: then a value that is complete is an event.
            ended = self._event() if self._data and _begins_chunk(value) and self._is_complete() else None
            self._data.append(value)
            self._size += len(value) + 1
            return ended
        if name == b"event":
            self._failed = value.strip() == b"error"
        elif name not in (b"", b"id", b"retry"):  # "" is a comment
            self.unknown = True
        return None

    def _is_complete(self) -> bool:
        return self._data[-1].rstrip().endswith(b"}") and _is_json(b"\n".join(self._data).decode("utf-8", "replace"))

    def _event(self) -> Optional[str]:
        failed, self._failed = self._failed, False
        if not self._data:
            return None
        data = b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        text = self._joiner.decode(data)
        if failed and text.strip() != "[DONE]":
            return f'{{"error": {text if _is_json(text) else json.dumps(text)}}}'
        return text


def _begins_chunk(value: bytes) -> bool:
    return value.lstrip().startswith((b"{", b"[DONE]"))


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HTTPError(f"the server's answer is not UTF-8: {error.reason}") from None


def _is_json(text: str) -> bool:
    try:
        read_json("the chunk", text)
    except ValueError:
        return False
    return True


def _line_end(piece: bytes, begin: int) -> tuple[int, int]:
    """Return the index of the first line end after `begin`, or -1, and its length (LF and CR 1, CRLF 2)."""
    newline, carriage = piece.find(b"\n", begin), piece.find(b"\r", begin)
    if carriage >= 0 and (newline < 0 or carriage < newline):
        return carriage, 2 if newline == carriage + 1 else 1
    return newline, 1
