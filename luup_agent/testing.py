"""Models for testing your own agents: you script the answers, and everything else is real.

Requests and answers pass through the same code as those of a remote model, without the network. History, tools,
approvals, typed results, retries, streaming and errors behave as with any model.

Example:
    >>> model = ScriptedModel([tool_call("add", a=5, b=3), "It is 8."])
    >>> agent = Agent(model, tools=[Tool(lambda a, b: a + b, name="add", parameters={"type": "object"})])
    >>> agent.generate("What is 5 + 3?")
    'It is 8.'
    >>> model.requests[1].messages[-1].content
    '8'
    >>> model.assert_complete()
"""

from __future__ import annotations

import os
from typing import Any, Callable, List, Optional, Sequence, Union

from typing_extensions import Literal

from luup_agent import _native
from luup_agent._completions.cassette import Cassette, CassetteError, Player, Recorder
from luup_agent._completions.exchange import Responder
from luup_agent._completions.local import LocalResponder
from luup_agent._completions.scripted import FunctionResponder, Reply, Request, ScriptedCall, reply_of, tool_call
from luup_agent._files import check_replaceable, shorten_path
from luup_agent._threads import Lock
from luup_agent.errors import InvalidParamError, StorageError
from luup_agent.model import Model

__all__ = [
    "CassetteError",
    "FunctionModel",
    "RecordedModel",
    "Reply",
    "Request",
    "ScriptedCall",
    "ScriptedModel",
    "tool_call",
]

RecordMode = Literal["once", "none", "all"]

for _public in (CassetteError, Reply, Request, ScriptedCall, tool_call):
    setattr(_public, "__module__", __name__)  # noqa: B010  # tracebacks show where users import it from


class FunctionModel(Model):
    """A model whose answers come from a Python function.

    The function takes a `Request` and returns a text, a `tool_call`, a list of these, a `Reply`, a value of the type
    that a typed run asks for, or an iterator of texts to stream. An exception that it raises ends the run. In
    asynchronous runs it may be asynchronous.

    Example:
        >>> model = FunctionModel(lambda request: request.prompt.upper())
        >>> Agent(model).generate("hello")
        'HELLO'
    """

    def __init__(self, function: Callable[[Request], Any]) -> None:
        if not callable(function):
            raise InvalidParamError(f"function must be callable, not {type(function).__name__}")
        name = getattr(function, "__name__", type(function).__name__)
        self._set_up(f"FunctionModel({name})", FunctionResponder(function))

    def _set_up(self, name: str, responder: Responder) -> None:
        self._native_model = _native.NativeModel.remote(_native.RemoteSettings(name), responder)
        self._closed = False
        self._label = repr(name)


class ScriptedModel(FunctionModel):
    """A model that gives prepared answers, one for each request.

    Example:
        >>> model = ScriptedModel(["Hello!", HTTPError("the server is busy"), {"name": "Ada", "age": 36}])
        >>> Agent(model).generate("Hi")
        'Hello!'
        >>> Agent(model).generate("Hi")
        Traceback (most recent call last):
        luup_agent.HTTPError: the server is busy
        >>> Agent(model).generate("Who?", output_type=dict)
        {'name': 'Ada', 'age': 36}
        >>> model.assert_complete()
    """

    def __init__(self, replies: Sequence[Any]) -> None:
        """Prepare the answers.

        Args:
            replies: For each request a text, a `tool_call`, a list of these, a `Reply`, a value of the type that a
                typed run asks for, or an exception to raise.

        Raises:
            InvalidParamError: `replies` is not a list, or one of its items is of another type.
        """
        if isinstance(replies, (str, bytes)) or not isinstance(replies, Sequence):
            raise InvalidParamError(f"replies must be a list, not {type(replies).__name__}")
        for index, reply in enumerate(replies):
            if not _is_exception(reply):
                try:
                    reply_of(reply)
                except InvalidParamError as error:
                    raise InvalidParamError(f"replies[{index}]: {error}") from None
        self._replies = list(replies)
        self._requests: List[Request] = []
        self._lock = Lock()
        self._set_up("ScriptedModel", FunctionResponder(self._answer))

    def _answer(self, request: Request) -> Any:
        with self._lock:
            self._requests.append(request)
            number = len(self._requests)
        if number > len(self._replies):
            raise AssertionError(
                f"the script has {len(self._replies)} replies, and this is request {number}: {request}"
            )
        reply = self._replies[number - 1]
        if _is_exception(reply):
            raise reply
        return reply_of(reply)

    @property
    def requests(self) -> List[Request]:
        """The requests so far."""
        with self._lock:
            return list(self._requests)

    def assert_complete(self) -> None:
        """Raise AssertionError unless all prepared answers were used."""
        asked = len(self.requests)
        if asked < len(self._replies):
            raise AssertionError(
                f"only {asked} of {len(self._replies)} replies were used; the next one: {self._replies[asked]!r}"
            )


def _is_kept(path: str, mode: RecordMode) -> bool:
    """Return whether the cassette exists and is replayed.

    Raises:
        StorageError: It does not exist or is to be replaced, and can't be written.
    """
    if mode == "once" and os.path.isfile(path):
        return True
    try:
        check_replaceable(path)
    except OSError as error:
        raise StorageError(f"the cassette {shorten_path(path)} can't be written: {error.strerror}") from error
    return False


def _is_exception(value: Any) -> bool:
    return isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException))


class RecordedModel(Model):
    """A model that records the answers of a real one in a file, a cassette, and replays them later.

    A replay needs neither the network nor the real model. Agents, tools, typed results, events and errors are real,
    and the answers are the recorded ones. A request that was not recorded fails with `CassetteError`, which shows the
    first difference. Answers that were cancelled or timed out are not recorded.

    The cassette is a JSON file, meant to be committed next to the test and read in a diff. It is rewritten atomically
    after each answer. It contains the requests with their messages, but never an API key.

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

    def __init__(
        self,
        path: Union[str, os.PathLike[str]],
        model: Union[Model, Callable[[], Model], None] = None,
        *,
        mode: RecordMode = "once",
    ) -> None:
        """Open a cassette, or begin a new one.

        Args:
            path: The file. Missing folders are created.
            model: The model to record: a local or a remote one, or a function that returns one. The function is called
                only to record, and its model is closed together with this one.
            mode: "once" records if the file does not exist, and replays it otherwise; "none" never records; "all"
                always records and replaces the file.

        Raises:
            CassetteError: The file is not a cassette; or it does not exist, and there is no model to record.
            StorageError: No cassette can be written there. A run raises it if that is found out later.
            InvalidParamError: An argument is wrong.
        """
        if mode not in ("once", "none", "all"):
            raise InvalidParamError(f"mode must be 'once', 'none' or 'all', not {mode!r}")
        if model is not None and not isinstance(model, Model) and not callable(model):
            raise InvalidParamError(f"model must be a Model or a function that returns one, not {type(model).__name__}")
        name = os.fsdecode(_native.encode_absolute_path("path", path))
        self._recorded: Optional[Model] = None  # a model that the function made; closed with this one
        self.recording = mode != "none" and (model is not None or mode == "all") and not _is_kept(name, mode)
        if mode == "all" and model is None:
            raise CassetteError(f"mode 'all' needs a model to record the cassette {name}; pass one as model")
        if self.recording and model is not None:
            responder = self._record(name, model)
        else:
            self._cassette = Cassette.read(name)
            responder = Player(self._cassette)
        self._native_model = _native.NativeModel.remote(self._cassette.settings, responder)
        self._closed = False
        self._label = f"{'recording' if self.recording else 'replay'} of {self._cassette.settings.name!r}"

    def _record(self, path: str, model: Union[Model, Callable[[], Model]]) -> Responder:
        real = model if isinstance(model, Model) else model()
        if not isinstance(real, Model):
            raise InvalidParamError(f"the function must return a Model, not {type(real).__name__}")
        if real is not model:
            self._recorded = real
        if real._parts:
            raise InvalidParamError("a fallback can't be recorded; record its models, and make a fallback of these")
        native = real._native_model
        if native.settings is None:
            settings = _native.RemoteSettings(os.path.basename(real.get_info().path))
            inner: Responder = LocalResponder(native)
        else:
            settings, inner = native.settings, native.responders[0]
        self._cassette = Cassette(path, settings, [])
        return Recorder(self._cassette, inner)

    def assert_complete(self) -> None:
        """Raise `CassetteError` unless all recorded answers were used."""
        if not self.recording:
            self._cassette.assert_complete()

    def close(self) -> None:
        """End every run with `ClosedError`, and close the recorded model if the `model` function made it."""
        super().close()
        if self._recorded is not None:
            self._recorded.close()
