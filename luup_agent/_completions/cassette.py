"""Cassettes: files that keep the answers of a real model, to replay them without it."""

from __future__ import annotations

import contextlib
import json
import re
import textwrap
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from luup_agent import _native, errors
from luup_agent._completions.exchange import Responder, Sink
from luup_agent._files import read_regular, replace_file, shorten_path
from luup_agent._json import read_json
from luup_agent._threads import Lock
from luup_agent.errors import LuupError, RunTimeoutError, StorageError

_VERSION = 1
_SHOWN = 60  # characters of a value that an error shows
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # a server may have written one as an escape
_ERROR_FIELDS: Dict[str, Any] = {"type": str, "message": str, "status": int, "retry_after": (int, float)}


class CassetteError(AssertionError):
    """A request differs from the recorded one, or a cassette can't be used. The message shows the difference.

    It is not a `LuupError`, so that code which handles a model's failures does not hide it from the test.
    """


class Exchanged(NamedTuple):
    """A recorded request and its answer.

    Attributes:
        request: The body of the request.
        chunks: The chunks of the answer: JSON objects, and texts for chunks that are not, such as "[DONE]".
        error: The exception that ended the answer instead of "[DONE]": its `type`, `message` and other attributes.
    """

    request: Dict[str, Any]
    chunks: List[Any]
    error: Optional[Dict[str, Any]] = None


class Cassette:
    """A cassette file and the answers in it that are still unused. Safe to use from any thread.

    Attributes:
        settings: The settings of the recorded model.
    """

    def __init__(self, path: str, settings: _native.RemoteSettings, exchanges: List[Exchanged]) -> None:
        self.settings = settings
        self._path = path
        self._shown = shorten_path(path)
        self._exchanges = exchanges
        self._unused = list(range(len(exchanges)))
        self._lock = Lock()

    @classmethod
    def read(cls, path: str) -> Cassette:
        """Read the cassette at `path`.

        Raises:
            CassetteError: The file does not exist, or is not a cassette.
        """
        shown = shorten_path(path)
        try:
            value = read_json("it", read_regular(path))
        except FileNotFoundError:
            raise CassetteError(
                f"there is no cassette {shown}; to record it, pass a model and use mode 'once'"
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CassetteError(f"the cassette {shown} can't be read: {reason}") from None
        try:
            if value["version"] != _VERSION:
                raise CassetteError(
                    f"the cassette {shown} has the format version {value['version']}, but only {_VERSION} can be read; "
                    "record it again with mode 'all'"
                )
            settings = _native.RemoteSettings(value["model"], value["extra_body"], value["response_format"])
            exchanges = [_check(Exchanged(**each)) for each in value["exchanges"]]
            _native.NativeModel.remote(settings, Responder()).close()  # checks them
        except (KeyError, TypeError, LuupError) as error:
            raise CassetteError(f"{shown} is not a cassette: {error}") from None
        return cls(path, settings, exchanges)

    def add(self, exchange: Exchanged) -> None:
        """Append an answer and rewrite the file atomically.

        Raises:
            StorageError: The file can't be written; it has the content that it had.
        """
        with self._lock:
            exchanges = [*self._exchanges, exchange]
            text = _text_of(self.settings, exchanges)
            text = _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
            try:
                replace_file(self._path, text.encode("utf-8"))
            except OSError as error:
                reason = error.strerror or error
                raise StorageError(f"the cassette {self._shown} can't be written: {reason}") from error
            self._exchanges = exchanges

    def take(self, body: str) -> Exchanged:
        """Return the first unused answer to the request `body`, and mark it as used.

        Raises:
            CassetteError: There is no unused answer to it.
        """
        request = read_request(body)
        with self._lock:
            for place, index in enumerate(self._unused):
                if self._exchanges[index].request == request:
                    del self._unused[place]
                    return self._exchanges[index]
            if not self._unused:
                raise CassetteError(
                    f"the {len(self._exchanges)} answers of the cassette {self._shown} are all used; record it again "
                    f"with mode 'all' for one more request: {_shorten(request['messages'][-1:])}"
                )
            index = self._unused[0]
            difference = first_difference(self._exchanges[index].request, request)
        raise CassetteError(
            f"the cassette {self._shown} has no answer to this request. Request {index + 1}, the next one, differs at "
            f"{difference}. If the new request is right, record the cassette again with mode 'all'"
        )

    def assert_complete(self) -> None:
        """Raise CassetteError unless all answers were used."""
        with self._lock:
            if self._unused:
                raise CassetteError(
                    f"{len(self._unused)} of the {len(self._exchanges)} answers of {self._shown} were not used"
                )


def read_request(body: str) -> Dict[str, Any]:
    """Parse a request, and number the ids of its tool calls, which differ each time."""
    request: Dict[str, Any] = read_json("the request", body)
    ids: Dict[Any, str] = {}
    for message in request["messages"]:
        for call in message.get("tool_calls", ()):
            call["id"] = ids.setdefault(call["id"], f"call_{len(ids) + 1}")
        if message.get("tool_calls"):
            message["content"] = message.get("content") or ""  # its other forms, null and none, mean the same
        if "tool_call_id" in message:
            message["tool_call_id"] = ids.get(message["tool_call_id"], message["tool_call_id"])
    return request


def first_difference(recorded: Any, asked: Any, place: str = "") -> str:
    """Describe the first difference of two JSON values; "" if they are equal."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for key in [*recorded, *(key for key in asked if key not in recorded)]:
            inner = f"{place}.{key}" if place else key
            if key not in asked:
                return f"{inner}: recorded as {_shorten(recorded[key])}, now missing"
            if key not in recorded:
                return f"{inner}: not recorded, now {_shorten(asked[key])}"
            found = first_difference(recorded[key], asked[key], inner)
            if found:
                return found
        return ""
    if isinstance(recorded, list) and isinstance(asked, list):
        for index, (one, other) in enumerate(zip(recorded, asked)):
            found = first_difference(one, other, f"{place}[{index}]")
            if found:
                return found
        if len(recorded) != len(asked):
            longer = recorded if len(recorded) > len(asked) else asked
            which = "recorded" if longer is recorded else "now"
            return f"{place}[{min(len(recorded), len(asked))}]: only {which}: {_shorten(longer[-1])}"
        return ""
    if recorded == asked and isinstance(recorded, bool) == isinstance(asked, bool):
        return ""
    if isinstance(recorded, str) and isinstance(asked, str):
        shorter = min(len(recorded), len(asked))
        same = next((index for index in range(shorter) if recorded[index] != asked[index]), shorter)
        begin = max(0, same - _SHOWN // 3)
        return f"{place}, character {same}: recorded as {_shorten(recorded[begin:])}, now {_shorten(asked[begin:])}"
    return f"{place}: recorded as {_shorten(recorded)}, now {_shorten(asked)}"


def _shorten(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 2] + " …"


def _check(exchange: Exchanged) -> Exchanged:
    """Return an answer of a file.

    Raises:
        TypeError: A part has another type, or a text that no server can have sent.
    """
    if not isinstance(exchange.request, dict) or not isinstance(exchange.request.get("messages"), list):
        raise TypeError("the request of an exchange must be an object with messages")
    if not isinstance(exchange.chunks, list) or not all(isinstance(each, (dict, str)) for each in exchange.chunks):
        raise TypeError("the chunks of an exchange must be a list of objects and texts")
    for chunk in exchange.chunks:
        if isinstance(chunk, str):
            _native.encode_text("a chunk", chunk)
    if exchange.error is not None:
        _error_of(exchange.error)
    return exchange


def _text_of(settings: _native.RemoteSettings, exchanges: List[Exchanged]) -> str:
    """Return the text of the file, one chunk a line, so that diffs are readable."""
    parts = []
    for exchange in exchanges:
        request = textwrap.indent(json.dumps(exchange.request, indent=2, ensure_ascii=False), "    ").lstrip()
        chunks = ",\n      ".join(json.dumps(chunk, ensure_ascii=False) for chunk in exchange.chunks)
        fields = [f'"request": {request}', f'"chunks": [\n      {chunks}\n    ]' if chunks else '"chunks": []']
        if exchange.error is not None:
            fields.append(f'"error": {json.dumps(exchange.error, ensure_ascii=False)}')
        parts.append("{\n    " + ",\n    ".join(fields) + "\n  }")
    head = {
        "version": _VERSION,
        "model": settings.name,
        "extra_body": settings.extra_body,
        "response_format": settings.response_format,
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()]
    lines.append('"exchanges": [' + ", ".join(parts) + "]")
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


class Recorder(Responder):
    """Lets another responder answer, and records its chunks."""

    def __init__(self, cassette: Cassette, inner: Responder) -> None:
        self._cassette = cassette
        self._inner = inner
        self._redact: Callable[[str], str] = inner.redact

    def respond(self, body: str, sink: Sink) -> None:
        """Push the chunks of the other responder."""
        take = _Take(self, body, sink)
        try:
            self._inner.respond(body, sink)
        except LuupError as error:
            take.fail(error)
            raise
        take.finish()

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Do the same as `respond`, under asyncio."""
        take = _Take(self, body, sink)
        try:
            await self._inner.respond_async(body, sink)
        except LuupError as error:
            take.fail(error)
            raise
        take.finish()

    def keep(self, body: str, chunks: List[str], error: Optional[Dict[str, Any]] = None) -> None:
        """Add an answer to the cassette, without API keys."""
        request = read_request(self._redact(body))
        self._cassette.add(Exchanged(request, [_parse(self._redact(chunk)) for chunk in chunks], error))

    def redact(self, text: str) -> str:
        """Return `text` without API keys."""
        return self._redact(text)


class _Take:
    """Records one answer; a cancelled answer is dropped.

    The chunk with the finish reason, and those after it, are held back until the answer is in the file: the run that
    gets them succeeds.
    """

    def __init__(self, recorder: Recorder, body: str, sink: Sink) -> None:
        self._recorder = recorder
        self._body = body
        self._sink = sink
        self._chunks: List[str] = []
        self._held: List[str] = []
        self._kept = False
        sink.on_chunk = self._take

    def _take(self, chunk: str) -> List[str]:
        self._chunks.append(chunk)
        value = _parse(chunk)
        if not isinstance(value, dict) or value.get("error") or value.get("object") == "error":
            self._keep()  # at once: this chunk ends the run, and its caller may read the file then
            return [*self._release(), chunk]
        if self._held or _has_finish_reason(value):
            self._held.append(chunk)
            return []
        return [chunk]

    def _release(self) -> List[str]:
        held, self._held = self._held, []
        return held

    def fail(self, error: LuupError) -> None:
        fields = {"type": type(error).__name__, "message": self._recorder.redact(str(error))}
        more = {name: getattr(error, name, None) for name in ("status", "retry_after")}
        if not isinstance(error, RunTimeoutError):
            self._keep({**fields, **{name: value for name, value in more.items() if value is not None}})
        self._push_held()

    def finish(self) -> None:
        self._keep()
        self._push_held()

    def _push_held(self) -> None:
        self._sink.on_chunk = None
        for chunk in self._release():
            self._sink.push(chunk)

    def _keep(self, error: Optional[Dict[str, Any]] = None) -> None:
        if not self._kept and not self._sink.cancelled.is_set():
            self._kept = True
            held = self._release()  # dropped if the file can't be written
            self._recorder.keep(self._body, self._chunks, error)
            self._held = held


def _has_finish_reason(value: Dict[str, Any]) -> bool:
    choices = value.get("choices")
    return isinstance(choices, list) and any(isinstance(each, dict) and each.get("finish_reason") for each in choices)


def _parse(chunk: str) -> Any:
    """Return the JSON object in `chunk`, or the text itself if it contains none."""
    with contextlib.suppress(ValueError):
        value = read_json("the chunk", chunk)
        if isinstance(value, dict):
            return value
    return chunk


class Player(Responder):
    """Answers requests from a cassette."""

    is_python = True

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    def respond(self, body: str, sink: Sink) -> None:
        """Push the recorded chunks."""
        exchange = self._cassette.take(body)
        for chunk in exchange.chunks:
            if not sink.push(chunk if isinstance(chunk, str) else json.dumps(chunk)):
                return
        if exchange.error is not None:
            raise _error_of(exchange.error)

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Do the same as `respond`, which never waits."""
        self.respond(body, sink)


def _error_of(fields: Dict[str, Any]) -> LuupError:
    """Return the exception that ended an answer.

    Raises:
        TypeError: A field has another type.
    """
    if not isinstance(fields, dict):
        raise TypeError(f"an error must be an object, not {type(fields).__name__}")
    for name, types in _ERROR_FIELDS.items():
        if name in fields and (not isinstance(fields[name], types) or isinstance(fields[name], bool)):
            raise TypeError(f"the {name} of an error can't be {_shorten(fields[name])}")
    kind = getattr(errors, fields.get("type", ""), None)
    if not isinstance(kind, type) or not issubclass(kind, LuupError):
        kind = LuupError  # of another version
    message: str = fields.get("message", "")
    _native.encode_text("the message of an error", message)
    error: LuupError = kind(message)
    for name in ("status", "retry_after"):
        if name in fields:
            setattr(error, name, fields[name])
    return error
