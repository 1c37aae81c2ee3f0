"""Cassettes: what a real model answered, kept in a file, and given again without the model."""

from __future__ import annotations

import contextlib
import json
import os
import textwrap
import threading
import uuid
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Union

from typing_extensions import Literal

from luup_agent import _native, errors
from luup_agent.errors import InvalidParamError, LuupError, RunTimeoutError
from luup_agent.exchange import Responder, Sink
from luup_agent.local_responder import LocalResponder
from luup_agent.model import Model

RecordMode = Literal["once", "none", "all"]

_VERSION = 1
_SHOWN = 60  # characters of a value in an error


class CassetteError(AssertionError):
    """A request is not what was recorded, or a cassette can't be used. The message tells where it differs.

    It is no `LuupError`, so that nothing that handles a model's failures hides it from the test.
    """

    __module__ = "luup_agent.testing"


class Exchanged(NamedTuple):
    """A request and its answer.

    Attributes:
        request: The body that was posted.
        chunks: What came back, JSON values; a text is a chunk as it was, such as the end marker "[DONE]".
        error: What ended the answer instead of its end marker: the exception's `type`, `message` and more.
    """

    request: Dict[str, Any]
    chunks: List[Any]
    error: Optional[Dict[str, Any]] = None


class Cassette:
    """The file, and which of its answers were given. Safe to use from any thread.

    Attributes:
        settings: Those of the model whose answers are in it.
    """

    def __init__(self, path: str, settings: _native.RemoteSettings, exchanges: List[Exchanged]) -> None:
        self.settings = settings
        self._path = path
        self._exchanges = exchanges
        self._unused = list(range(len(exchanges)))
        self._lock = threading.Lock()

    @classmethod
    def read(cls, path: str) -> Cassette:
        """The cassette at `path`.

        Raises:
            CassetteError: There is none, or the file is something else.
        """
        try:
            with open(path, encoding="utf-8") as file:
                value = json.load(file)
        except FileNotFoundError:
            raise CassetteError(f"there is no cassette {path}; mode 'once' with a model records it") from None
        except (OSError, ValueError) as error:
            raise CassetteError(f"the cassette {path} can't be read: {error}") from None
        try:
            if value["version"] != _VERSION:
                raise CassetteError(f"the cassette {path} is of version {value['version']}, not {_VERSION}")
            settings = _native.RemoteSettings(value["model"], value["extra_body"], value["response_format"])
            exchanges = [Exchanged(**each) for each in value["exchanges"]]
        except (KeyError, TypeError) as error:
            raise CassetteError(f"{path} is no cassette: {error}") from None
        return cls(path, settings, exchanges)

    def add(self, exchange: Exchanged) -> None:
        """Appends an answer and writes the file, whole or not at all."""
        with self._lock:
            self._exchanges.append(exchange)
            _write_whole(self._path, _text_of(self.settings, self._exchanges))

    def take(self, body: str) -> Exchanged:
        """The first answer to this request that was not given yet.

        Raises:
            CassetteError: There is none.
        """
        request = read_request(body)
        with self._lock:
            for place, index in enumerate(self._unused):
                if self._exchanges[index].request == request:
                    del self._unused[place]
                    return self._exchanges[index]
            if not self._unused:
                raise CassetteError(
                    f"the cassette {self._path} has {len(self._exchanges)} answers, which were all given; record it "
                    f"again for one more request: {_shorten(request['messages'][-1:])}"
                )
            index = self._unused[0]
            difference = first_difference(self._exchanges[index].request, request)
        raise CassetteError(
            f"the cassette {self._path} has no answer to this request. Request {index + 1}, the next one, differs at "
            f"{difference}. Record it again if that is right: mode 'all'"
        )

    def assert_complete(self) -> None:
        """Raises CassetteError unless all answers were given."""
        with self._lock:
            if self._unused:
                raise CassetteError(
                    f"{len(self._unused)} of the {len(self._exchanges)} answers of {self._path} were not asked for"
                )


def read_request(body: str) -> Dict[str, Any]:
    """A request without what differs each time: the ids of calls are numbered."""
    request: Dict[str, Any] = json.loads(body)
    ids: Dict[Any, str] = {}
    for message in request["messages"]:
        for call in message.get("tool_calls", ()):
            call["id"] = ids.setdefault(call["id"], f"call_{len(ids) + 1}")
        if "tool_call_id" in message:
            message["tool_call_id"] = ids.get(message["tool_call_id"], message["tool_call_id"])
    return request


def first_difference(recorded: Any, asked: Any, place: str = "") -> str:
    """Where two JSON values differ, and how; "" if they don't."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for key in [*recorded, *(key for key in asked if key not in recorded)]:
            inner = f"{place}.{key}" if place else key
            if key not in asked:
                return f"{inner}: recorded as {_shorten(recorded[key])}, now not there"
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
            return f"{place}[{min(len(recorded), len(asked))}]: only {which} there: {_shorten(longer[-1])}"
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


def _text_of(settings: _native.RemoteSettings, exchanges: List[Exchanged]) -> str:
    """The file's text: made to be read in a diff, a chunk a line."""
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


def _write_whole(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


# ---------------------------------------------------------------------------------------------------------------------
# Who records, and who plays
# ---------------------------------------------------------------------------------------------------------------------


class _Recorder(Responder):
    """Has another one answer, and keeps what it says."""

    def __init__(self, cassette: Cassette, inner: Responder) -> None:
        self._cassette = cassette
        self._inner = inner
        self._redact: Callable[[str], str] = getattr(inner, "redact", str)

    def respond(self, body: str, sink: Sink) -> None:
        """Pushes the other one's chunks."""
        take = _Take(self, body, sink)
        try:
            self._inner.respond(body, sink)
        except LuupError as error:
            take.fail(error)
            raise
        take.finish()

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Does what `respond` does, under asyncio."""
        take = _Take(self, body, sink)
        try:
            await self._inner.respond_async(body, sink)
        except LuupError as error:
            take.fail(error)
            raise
        take.finish()

    def keep(self, body: str, chunks: List[str], error: Optional[Dict[str, Any]] = None) -> None:
        """Writes an answer down; keys are not in it."""
        request = read_request(self._redact(body))
        self._cassette.add(Exchanged(request, [_parse(self._redact(chunk)) for chunk in chunks], error))

    def redact(self, text: str) -> str:
        """The text without the keys."""
        return self._redact(text)


class _Take:
    """One answer that is being recorded. One that nobody waits for any more is not kept."""

    def __init__(self, recorder: _Recorder, body: str, sink: Sink) -> None:
        self._recorder = recorder
        self._body = body
        self._sink = sink
        self._chunks: List[str] = []
        self._kept = False
        sink.on_chunk = self._take

    def _take(self, chunk: str) -> None:
        self._chunks.append(chunk)
        value = _parse(chunk)
        if not isinstance(value, dict) or value.get("error") or value.get("object") == "error":
            self._keep()  # now: this one ends the answer, and whoever waits for it may look at the file

    def fail(self, error: LuupError) -> None:
        told = {"type": type(error).__name__, "message": self._recorder.redact(str(error))}
        more = {name: getattr(error, name, None) for name in ("status", "retry_after")}
        if not isinstance(error, RunTimeoutError):
            self._keep({**told, **{name: value for name, value in more.items() if value is not None}})

    def finish(self) -> None:
        self._keep()

    def _keep(self, error: Optional[Dict[str, Any]] = None) -> None:
        if not self._kept and not self._sink.cancelled.is_set():
            self._kept = True
            self._recorder.keep(self._body, self._chunks, error)


def _parse(chunk: str) -> Any:
    """The JSON object of a chunk; a chunk that is none stays a text."""
    with contextlib.suppress(ValueError):
        value = json.loads(chunk)
        if isinstance(value, dict):
            return value
    return chunk


class _Player(Responder):
    """Answers with what was recorded."""

    is_python = True

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    def respond(self, body: str, sink: Sink) -> None:
        """Pushes the recorded chunks."""
        exchange = self._cassette.take(body)
        for chunk in exchange.chunks:
            if not sink.push(chunk if isinstance(chunk, str) else json.dumps(chunk)):
                return
        if exchange.error is not None:
            raise _error_of(exchange.error)

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Does what `respond` does: nothing of it waits."""
        self.respond(body, sink)


def _error_of(told: Dict[str, Any]) -> LuupError:
    kind = getattr(errors, str(told.get("type")), LuupError)
    error: LuupError = kind(told.get("message", ""))
    for name in ("status", "retry_after"):
        if name in told:
            setattr(error, name, told[name])
    return error


class RecordedModel(Model):
    """A real model whose answers are recorded in a file, a cassette, and come from there the next time.

    The replay needs neither the network nor a model: agents, tools, typed results, events and errors are the real
    ones, and the answers are those that were given once. A request that was not recorded fails with `CassetteError`,
    which shows the first difference. Answers that were cancelled, or whose time passed, are not recorded.

    The file is JSON, to be kept beside the test and read in a diff; it is written whole or not at all, after each
    answer. It has the requests, messages included, and never an API key.

    Example:
        >>> recorded = RecordedModel("capital.json", lambda: Model.from_local("model.gguf"))
        >>> prompt = "You are a helpful assistant."
        >>> Agent(recorded, prompt, temperature=0).generate("What is the capital of France?")
        'The capital of France is Paris.'
        >>> replayed = RecordedModel("capital.json", mode="none")  # without a model
        >>> Agent(replayed, prompt, temperature=0).generate("What is the capital of France?")
        'The capital of France is Paris.'
        >>> replayed.assert_complete()
        >>> recorded.close()
    """

    __module__ = "luup_agent.testing"

    def __init__(
        self,
        path: Union[str, os.PathLike[str]],
        model: Union[Model, Callable[[], Model], None] = None,
        *,
        mode: RecordMode = "once",
    ) -> None:
        """Opens a cassette, or begins one.

        Args:
            path: The file. Its folder is made if it is not there.
            model: What answers while recording: a local or a remote model, or a function that makes one, which is
                called only then; what it gives is closed with this model.
            mode: "once" records if there is no such file, and else only plays it; "none" never records; "all" records
                anew.

        Raises:
            CassetteError: The file is no cassette; or it is not there, and there is no model to record.
            InvalidParamError: An argument is wrong.
        """
        if mode not in ("once", "none", "all"):
            raise InvalidParamError(f"mode must be 'once', 'none' or 'all', not {mode!r}")
        if model is not None and not isinstance(model, Model) and not callable(model):
            raise InvalidParamError(f"model must be a Model or a function that makes one, not {type(model).__name__}")
        name = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._recorded: Optional[Model] = None  # one that is ours to close
        self.recording = mode == "all" or (mode == "once" and not os.path.exists(name))
        if mode == "all" and model is None:
            raise CassetteError(f"there is no model to record the cassette {name} with")
        if self.recording and model is not None:
            responder = self._record(name, model)
        else:
            self._cassette = Cassette.read(name)
            responder = _Player(self._cassette)
        self._native_model = _native.NativeModel.remote(self._cassette.settings, responder)
        self._closed = False
        self._label = f"{'recording' if self.recording else 'replay'} of {self._cassette.settings.name!r}"

    def _record(self, path: str, model: Union[Model, Callable[[], Model]]) -> Responder:
        real = model if isinstance(model, Model) else model()
        if not isinstance(real, Model):
            raise InvalidParamError(f"the function must give a Model, not {type(real).__name__}")
        if real is not model:
            self._recorded = real
        if real._parts:
            raise InvalidParamError("a fallback can't be recorded: record its models, and make a fallback of these")
        native = real._native_model
        if native.settings is None:
            settings = _native.RemoteSettings(os.path.basename(real.get_info().path))
            inner: Responder = LocalResponder(native)
        else:
            settings, inner = native.settings, native.responders[0]
        self._cassette = Cassette(path, settings, [])
        return _Recorder(self._cassette, inner)

    def assert_complete(self) -> None:
        """Raises `CassetteError` unless all recorded answers were asked for."""
        if not self.recording:
            self._cassette.assert_complete()

    def close(self) -> None:
        """Ends every run with `ClosedError`, and closes the real model if it was made for this one."""
        super().close()
        if self._recorded is not None:
            self._recorded.close()
