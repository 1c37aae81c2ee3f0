"""A plugin of the program and library ``llm``, which finds it: ``pip install "luup-agent[llm]"``.

``llm -m luup/smollm2 "…"`` answers with a model of this package's catalog. The file ``luup-models.json`` in the folder
of ``llm``'s configuration (that of ``llm logs path``) adds others; the values are paths and names that
`luup_agent.catalog.resolve` accepts, or objects with ``path`` and keywords of `Model.from_local`::

    {
      "models": {"qwen": "ollama:qwen3:4b", "long": {"path": "~/models/long.gguf", "context_size": 32768}},
      "embedding_models": {"minilm": "~/models/minilm.gguf"}
    }

Example:
    >>> from luup_agent.integrations.llm import LuupModel
    >>> LuupModel("mine", model).prompt("What is the capital of France?", temperature=0).text()
    'The capital of France is Paris.'
"""

# Without llm, pyright takes this module for it; mypy checks this file with llm installed.
# pyright: reportMissingImports=false, reportIncompatibleMethodOverride=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncGenerator,
    Callable,
    Dict,
    Generic,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    TypeVar,
    Union,
)

from pydantic import Field
from typing_extensions import Annotated

from luup_agent.errors import InvalidParamError, LuupError
from luup_agent.integrations._shared import missing

if TYPE_CHECKING:  # `llm` imports its plugins whenever it starts
    from luup_agent._one_turn import Piece, Turn, TurnRequest
    from luup_agent.embeddings import Embedder
    from luup_agent.messages import Message
    from luup_agent.model import Model

try:
    import click  # a dependency of llm
    import llm
    from llm import hookimpl
    from llm.errors import ModelError
    from llm.models import EmbeddingModel
    from llm.parts import StreamEvent
except ImportError as _error:
    raise missing("llm", _error) from _error

__all__ = ["AsyncLuupModel", "LuupEmbeddingModel", "LuupModel", "register_embedding_models", "register_models"]

T = TypeVar("T")

MODELS_FILE = "luup-models.json"


class LuupModelError(ModelError, click.ClickException):
    """An error of this package, which all commands of the program show without a traceback."""


class ModelsFileError(LuupModelError):
    """The user's file of models can't be used."""


class Once(Generic[T]):
    """A model that is loaded when it is used for the first time, and stays in memory.

    Attributes:
        load: Loads it.
    """

    def __init__(self, load: Callable[[], T]) -> None:
        self.load = load
        self._lock = threading.Lock()
        self._value: Optional[T] = None

    def get(self) -> T:
        """Return the model."""
        with self._lock:
            if self._value is None:
                self._value = self.load()
            return self._value


class LuupOptions(llm.Options):
    """The options of ``-o``. A missing one has the default of `luup_agent.Agent`: 512 tokens, temperature 0.7."""

    temperature: Annotated[Optional[float], Field(description="0 always takes the likeliest token")] = None
    max_tokens: Annotated[Optional[int], Field(description="The most tokens of the answer")] = None
    top_p: Annotated[Optional[float], Field(description="Keep the likeliest tokens of this probability")] = None
    top_k: Annotated[Optional[int], Field(description="Keep this many of the likeliest tokens")] = None
    min_p: Annotated[Optional[float], Field(description="Keep tokens at least this probable")] = None
    repeat_penalty: Annotated[Optional[float], Field(description="Makes repetitions less likely; 1 is off")] = None
    presence_penalty: Annotated[Optional[float], Field(description="-2 to 2")] = None
    frequency_penalty: Annotated[Optional[float], Field(description="-2 to 2")] = None
    seed: Annotated[Optional[int], Field(description="For the same answer to the same conversation")] = None
    stop: Annotated[Union[str, List[str], None], Field(description="The answer ends before this text")] = None
    timeout: Annotated[Optional[float], Field(description="Seconds for an answer")] = None
    reasoning: Annotated[
        Union[bool, int, str, None], Field(description="true, false, low, medium, high, or at most this many tokens")
    ] = None
    tool_choice: Annotated[
        Optional[str], Field(description="auto, required, none, or the name of a tool; for the first answer")
    ] = None


class _Shared:
    """The parts that both kinds of models share."""

    can_stream = True
    supports_schema = True
    supports_tools = True
    model_id: str

    def __init__(self, model_id: str, model: Union[Model, Once[Model]]) -> None:
        """Wrap a model.

        Args:
            model_id: The name for ``-m``.
            model: The model that answers, or one that is loaded when it is used. Any number of conversations may share
                it: those that run at the same time are decoded together.
        """
        self.model_id = model_id
        self._model = model if isinstance(model, Once) else Once(lambda: model)

    @property
    def model(self) -> Model:
        """The model that answers; it is loaded now if it was not."""
        from luup_agent.integrations._shared import check_model

        return check_model(self._model.get())


class LuupModel(_Shared, llm.Model):
    """A model of ``llm`` that answers with a `luup_agent.Model`."""

    class Options(LuupOptions):
        """The options of ``-o``."""

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: Optional[llm.Conversation]
    ) -> Iterator[StreamEvent]:
        """Yield the pieces of an answer."""
        from luup_agent import _one_turn

        with _errors():
            request = _request(prompt)
            if not stream:
                yield from _whole(_one_turn.answer(self.model, request), response)
                return
            pieces = _one_turn.stream(self.model, request)
            try:
                for piece in pieces:
                    yield from _events(piece, response)
            finally:
                pieces.close()


class AsyncLuupModel(_Shared, llm.AsyncModel):
    """An asynchronous model of ``llm`` that answers with a `luup_agent.Model`."""

    class Options(LuupOptions):
        """The options of ``-o``."""

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: Optional[llm.AsyncConversation],
    ) -> AsyncGenerator[StreamEvent, None]:
        """Yield the pieces of an answer."""
        import asyncio

        from luup_agent import _one_turn

        with _errors():
            request = _request(prompt)
            model = await asyncio.get_running_loop().run_in_executor(None, lambda: self.model)  # it may have to load
            if not stream:
                for event in _whole(await _one_turn.answer_async(model, request), response):
                    yield event
                return
            pieces = _one_turn.stream_async(model, request)
            try:
                async for piece in pieces:
                    for event in _events(piece, response):
                        yield event
            finally:
                pieces.close()


class LuupEmbeddingModel(EmbeddingModel):
    """An embedding model of ``llm`` that computes with a `luup_agent.Embedder`."""

    batch_size = 64

    def __init__(self, model_id: str, embedder: Union[Embedder, Once[Embedder]]) -> None:
        """Wrap an embedder.

        Args:
            model_id: The name for ``-m``.
            embedder: It computes the vectors; or one that is loaded when it is used.
        """
        self.model_id = model_id
        self._embedder = embedder if isinstance(embedder, Once) else Once(lambda: embedder)

    def embed_batch(self, items: Iterable[Union[str, bytes]], *, key: Optional[str] = None) -> Iterator[List[float]]:
        """Yield a vector for each text."""
        texts = [item if isinstance(item, str) else item.decode() for item in items]
        with _errors():
            yield from self._embedder.get().embed(texts).tolist()


@hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register the models of the catalog and of the user's file; nothing is loaded or downloaded yet."""
    from luup_agent import catalog

    named: Dict[str, Any] = {each.name: each.name for each in catalog.available()}
    for name, value in {**named, **_file("models")}.items():
        model = Once(partial(_load_model, value))
        register(LuupModel(f"luup/{name}", model), AsyncLuupModel(f"luup/{name}", model))


@hookimpl
def register_embedding_models(register: Callable[..., None]) -> None:
    """Register the embedding models of the user's file."""
    for name, value in _file("embedding_models").items():
        register(LuupEmbeddingModel(f"luup/{name}", Once(partial(_load_embedder, value))))


# -- the user's file ---------------------------------------------------------------------------------------------------


def _file(kind: str) -> Dict[str, Any]:
    """Return the models of a kind in the user's file, by name."""
    folder: Callable[[], Path] = llm.user_dir
    path = folder() / MODELS_FILE
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelsFileError(f"{path} is not valid JSON: {error}") from None
    models = found.get(kind, {}) if isinstance(found, dict) else None
    if not isinstance(models, dict) or not set(found) <= {"models", "embedding_models"}:
        raise ModelsFileError(f'{path} must be an object with "models" and "embedding_models", each an object')
    for name, value in models.items():
        if not isinstance(value, str) and not (isinstance(value, dict) and isinstance(value.get("path"), str)):
            raise ModelsFileError(f'{path}: {name!r} must be a path, or an object with a "path", not {value!r}')
    return models


def _load_model(value: Union[str, Mapping[str, Any]]) -> Model:
    from luup_agent.model import Model

    path, options = _path_and_options(value)
    return Model.from_local(path, **options)


def _load_embedder(value: Union[str, Mapping[str, Any]]) -> Embedder:
    from luup_agent.embeddings import Embedder

    path, options = _path_and_options(value)
    return Embedder.from_local(path, **options)


def _path_and_options(value: Union[str, Mapping[str, Any]]) -> Any:
    from luup_agent import catalog

    options = {} if isinstance(value, str) else {key: each for key, each in value.items() if key != "path"}
    path = value if isinstance(value, str) else value["path"]
    return catalog.resolve(Path(path).expanduser() if path.startswith("~") else path), options


# -- to this package ---------------------------------------------------------------------------------------------------


def _request(prompt: llm.Prompt) -> TurnRequest:
    from luup_agent._one_turn import ToolDefinition, TurnRequest
    from luup_agent.outputs import JSONSchema

    options = {name: value for name, value in prompt.options.model_dump().items() if value is not None}
    choice = options.pop("tool_choice", "auto")
    messages: List[Message] = []
    for each in prompt.messages:
        messages += _messages(each)
    tools = [
        ToolDefinition(tool.name, tool.description or "", tool.input_schema or {"type": "object", "properties": {}})
        for tool in prompt.tools
    ]
    if not tools or (messages and messages[-1].role == "tool" and choice != "none"):
        choice = "auto"  # a tool that was asked for has been called
    output = JSONSchema(prompt.schema) if isinstance(prompt.schema, Mapping) else None
    return TurnRequest(messages, tools, choice, output, options)  # type: ignore[arg-type]  # names of RunOptions


def _messages(message: Any) -> List[Message]:
    """Return the messages that a message of ``llm`` is for this package: the results of several tools are several."""
    from luup_agent.messages import Message, ToolCall

    texts: List[str] = []
    thoughts: List[str] = []
    calls: List[ToolCall] = []
    results: List[Message] = []
    for part in message.parts:
        if isinstance(part, llm.parts.TextPart):
            texts.append(part.text)
        elif isinstance(part, llm.parts.ReasoningPart):
            thoughts.append(part.text)
        elif isinstance(part, llm.parts.ToolCallPart):
            made = ToolCall.from_json(part.tool_call_id or "", part.name, json.dumps(part.arguments))
            extra = (part.provider_metadata or {}).get("luup")
            calls.append(made.model_copy(update={"extra": extra}) if extra else made)
        elif isinstance(part, llm.parts.ToolResultPart):
            text = part.output if part.exception is None or part.output.startswith("Error") else f"Error: {part.output}"
            results.append(Message(role="tool", content=text, tool_call_id=part.tool_call_id, name=part.name))
        else:
            raise InvalidParamError(f"the models of luup-agent take text only, not a {type(part).__name__}")
    if results:
        return results
    reasoning = "".join(thoughts) or None
    assistant = message.role == "assistant"
    return [
        Message(
            role=message.role,
            content="".join(texts),
            reasoning=reasoning if assistant else None,
            tool_calls=tuple(calls) if assistant else (),
        )
    ]


# -- from this package -------------------------------------------------------------------------------------------------


def _whole(turn: Turn, response: Any) -> Iterator[StreamEvent]:
    if turn.reasoning:
        yield StreamEvent(type="reasoning", chunk=turn.reasoning)
    if turn.text:
        yield StreamEvent(type="text", chunk=turn.text)
    yield from _events(turn, response)


def _events(piece: Piece, response: Any) -> Iterator[StreamEvent]:
    from luup_agent.messages import ProgressEvent, ReasoningEvent, TextEvent

    if isinstance(piece, TextEvent):
        yield StreamEvent(type="text", chunk=piece.text)
    elif isinstance(piece, ReasoningEvent):
        yield StreamEvent(type="reasoning", chunk=piece.text)
    elif not isinstance(piece, ProgressEvent):
        for call in piece.tool_calls:
            extra = {"luup": call.extra} if call.extra else None
            yield StreamEvent(type="tool_call_name", chunk=call.name, tool_call_id=call.id, provider_metadata=extra)
            yield StreamEvent(type="tool_call_args", chunk=call.arguments_json, tool_call_id=call.id)
            response.add_tool_call(llm.ToolCall(name=call.name, arguments=call.arguments, tool_call_id=call.id))
        usage = piece.usage
        details = {"cached": usage.cached_tokens, "reasoning": usage.reasoning_tokens}
        response.set_usage(
            input=usage.prompt_tokens,
            output=usage.completion_tokens,
            details={name: count for name, count in details.items() if count} or None,
        )
        response.response_json = {"finish_reason": piece.finish_reason}


@contextmanager
def _errors() -> Iterator[None]:
    """Raise an error of ``llm``."""
    try:
        yield
    except LuupError as error:
        raise LuupModelError(str(error)) from error
