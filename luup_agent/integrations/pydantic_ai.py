"""`LuupModel`: pydantic-ai's agents on a model of this package. It needs ``pip install "luup-agent[pydantic-ai]"``.

Example:
    >>> from pydantic_ai import Agent
    >>> from luup_agent.integrations.pydantic_ai import LuupModel
    >>> agent = Agent(LuupModel(model), instructions="You are a helpful assistant.", model_settings={"temperature": 0})
    >>> agent.run_sync("What is the capital of France?").output
    'The capital of France is Paris.'
"""

# Without pydantic-ai, pyright takes this module for it; mypy checks this file with pydantic-ai installed.
# pyright: reportMissingImports=false, reportIncompatibleMethodOverride=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, AsyncIterator, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

from luup_agent import _one_turn
from luup_agent._one_turn import AsyncTurnStream, Piece, ToolDefinition, Turn, TurnRequest
from luup_agent.errors import (
    BusyError,
    ContextFullError,
    HTTPError,
    InvalidOutputError,
    InvalidParamError,
    InvalidSchemaError,
    LuupError,
    RunTimeoutError,
    UnsupportedError,
)
from luup_agent.integrations._shared import check_model, missing, name_of
from luup_agent.messages import FinishReason, Message, ReasoningEvent, TextEvent, ToolCall, Usage
from luup_agent.model import Model as LocalOrRemote
from luup_agent.outputs import JSONSchema
from luup_agent.settings import Reasoning, RunOptions

try:
    from pydantic_ai import exceptions
    from pydantic_ai import messages as parts
    from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests
    from pydantic_ai.models._tool_choice import resolve_tool_choice
    from pydantic_ai.profiles import ModelProfile, ModelProfileSpec
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.usage import RequestUsage
except ImportError as _error:
    raise missing("pydantic-ai", _error) from _error

__all__ = ["LuupModel", "LuupModelSettings"]

_SYSTEM = "luup"
# Fields of a server's answer that it wants back, in the `provider_details` of a response and of a call.
_EXTRA = "extra"
_ERROR_OUTCOMES = ("failed", "retried")  # of a ToolReturnPart
_FINISH: Dict[FinishReason, parts.FinishReason] = {"stop": "stop", "length": "length", "tool_calls": "tool_call"}
_SAME_NAMES = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
)
_REASONING: Dict[str, Reasoning] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


_THEIRS: Dict[Type[LuupError], str] = {
    ContextFullError: "ModelContextWindowExceededError",
    RunTimeoutError: "ModelTimeoutError",
    BusyError: "ModelOverloadedError",
    HTTPError: "ModelConnectionError",  # without a status
}


class LuupModelSettings(ModelSettings, total=False):  # type: ignore[call-arg]  # without pydantic-ai
    """pydantic-ai's settings, and those that only this package has.

    Attributes:
        luup_options: Settings of `luup_agent.RunOptions`, such as ``{"min_p": 0.1, "adapter": "sql"}``. They replace
            pydantic-ai's own.
    """

    luup_options: RunOptions


class LuupModel(Model):
    """A model of pydantic-ai that answers with a `luup_agent.Model`: a local file, a server, or a script for tests.

    Any number of agents may share it: those that run at the same time are decoded together. Structured output is
    native by default: decoding is constrained by the schema.

    Attributes:
        model: The model that answers. It stays open when this object is deleted.
    """

    unsupported_settings = frozenset({"extra_body", "extra_headers", "service_tier", "max_retries"})

    def __init__(
        self,
        model: LocalOrRemote,
        *,
        model_name: Optional[str] = None,
        settings: Optional[ModelSettings] = None,
        profile: Optional[ModelProfileSpec] = None,
    ) -> None:
        """Wrap a model.

        Args:
            model: The model that answers.
            model_name: The name that pydantic-ai shows; by default the name of the file, or the server's.
            settings: Defaults for all requests. What they leave out has the defaults of `luup_agent.Agent`: 512 tokens
                for an answer, temperature 0.7.
            profile: Replaces the profile.

        Raises:
            InvalidParamError: `model` is not a `luup_agent.Model`.
        """
        self.model = check_model(model)
        self._name = model_name or name_of(model)
        super().__init__(settings=settings, profile=_profile(model) if profile is None else profile)

    @property
    def provider(self) -> None:
        """None: there is no client to enter or to close."""
        return None

    @property
    def model_name(self) -> str:
        """The name of the model."""
        return self._name

    @property
    def system(self) -> str:
        """The name of the provider, "luup"."""
        return _SYSTEM

    async def request(
        self,
        messages: List[parts.ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> parts.ModelResponse:
        """Return the model's answer."""
        check_allow_model_requests()
        with _errors(self._name):
            request, _ = self._turn(messages, model_settings, model_request_parameters)
            turn = await _one_turn.answer_async(self.model, request)
        return parts.ModelResponse(
            parts=list(_parts_of(turn)),
            usage=_usage(turn.usage),
            model_name=self._name,
            provider_name=_SYSTEM,
            provider_details=_details(turn),
            finish_reason=_FINISH[turn.finish_reason],
        )

    @asynccontextmanager
    async def request_stream(
        self,
        messages: List[parts.ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncIterator[StreamedResponse]:
        """Yield the model's answer as a stream. Leaving the context ends the computation."""
        check_allow_model_requests()
        with _errors(self._name):
            request, resolved = self._turn(messages, model_settings, model_request_parameters)
            pieces = _one_turn.stream_async(self.model, request)
        try:
            with _errors(self._name):  # those of a request that fails at once are raised here
                first = await _first(pieces)
            yield _Stream(model_request_parameters=resolved, _name=self._name, _pieces=pieces, _first=first)
        finally:
            pieces.close()

    async def count_tokens(
        self,
        messages: List[parts.ModelMessage],
        model_settings: Optional[ModelSettings],
        model_request_parameters: ModelRequestParameters,
    ) -> RequestUsage:
        """Return the tokens of the prompt of a local model, without the schema of a native output."""
        with _errors(self._name):
            request, _ = self._turn(messages, model_settings, model_request_parameters)
            return RequestUsage(input_tokens=_one_turn.count_tokens(self.model, request))

    def _turn(
        self,
        messages: Sequence[parts.ModelMessage],
        model_settings: Optional[ModelSettings],
        parameters: ModelRequestParameters,
    ) -> Tuple[TurnRequest, ModelRequestParameters]:
        """Return the request, and pydantic-ai's parameters after its own preparation."""
        settings, parameters = self.prepare_request(model_settings, parameters)
        values: Mapping[str, Any] = settings or {}
        tools, choice = _tools(values, parameters)
        output = None if parameters.output_object is None else JSONSchema(parameters.output_object.json_schema)
        options = _options(values, parameters.thinking)
        return TurnRequest(_conversation(messages, parameters), tools, choice, output, options), parameters


@dataclass
class _Stream(StreamedResponse):
    """The stream of an answer."""

    _name: str
    _pieces: AsyncTurnStream
    _first: Piece
    _timestamp: datetime = field(default_factory=lambda: datetime.now(tz=timezone.utc))

    async def _get_event_iterator(self) -> AsyncIterator[parts.ModelResponseStreamEvent]:
        for event in self._events(self._first):
            yield event
        with _errors(self._name):
            async for piece in self._pieces:
                for event in self._events(piece):
                    yield event

    def _events(self, piece: Piece) -> Iterator[parts.ModelResponseStreamEvent]:
        manager = self._parts_manager
        if isinstance(piece, TextEvent):
            yield from manager.handle_text_delta(vendor_part_id="text", content=piece.text)
        elif isinstance(piece, ReasoningEvent):
            yield from manager.handle_thinking_delta(vendor_part_id="thinking", content=piece.text)
        elif isinstance(piece, Turn):
            for call in piece.tool_calls:
                values: Dict[str, Any] = {
                    "vendor_part_id": call.id,
                    "tool_name": call.name,
                    "args": call.arguments_json,
                    "tool_call_id": call.id,
                    "provider_name": _SYSTEM if call.extra else None,
                    "provider_details": {_EXTRA: call.extra} if call.extra else None,
                }
                if hasattr(manager, "handle_tool_call_delta_events"):
                    yield from manager.handle_tool_call_delta_events(**values)
                else:  # the last pydantic-ai for Python 3.10: the whole call is one event
                    yield manager.handle_tool_call_delta(**values)
            self._usage = _usage(piece.usage)
            self.provider_details = _details(piece)
            self.finish_reason = _FINISH[piece.finish_reason]

    async def close_stream(self) -> None:
        self._pieces.close()

    @property
    def model_name(self) -> str:
        return self._name

    @property
    def provider_name(self) -> str:
        return _SYSTEM

    @property
    def provider_url(self) -> None:
        return None

    @property
    def timestamp(self) -> datetime:
        return self._timestamp


# -- to this package ---------------------------------------------------------------------------------------------------


def _profile(model: LocalOrRemote) -> ModelProfile:
    profile = ModelProfile(
        supports_tools=True,
        supports_json_schema_output=True,
        supports_json_object_output=True,
        default_structured_output_mode="native",
        supports_thinking=True,
        supports_inline_system_prompts=True,
        supports_image_input=False,
        supports_document_input=False,
        supports_audio_file_input=False,
        supports_video_input=False,
    )
    context_size = model.get_info().context_size
    if context_size:
        profile["context_window"] = context_size
    return profile


def _options(settings: Mapping[str, Any], thinking: Any) -> RunOptions:
    options: Dict[str, Any] = {name: settings[name] for name in _SAME_NAMES if settings.get(name) is not None}
    if settings.get("stop_sequences"):
        options["stop"] = list(settings["stop_sequences"])
    if settings.get("logit_bias"):
        options["logit_bias"] = {
            int(token) if token.isdigit() else token: bias for token, bias in settings["logit_bias"].items()
        }
    timeout = settings.get("timeout")
    if timeout is not None:
        if not isinstance(timeout, (int, float)):
            raise exceptions.UserError(f"timeout must be a number of seconds for LuupModel, not {timeout!r}")
        options["timeout"] = timeout
    if thinking is not None:
        options["reasoning"] = thinking if isinstance(thinking, bool) else _REASONING[thinking]
    found: RunOptions = {**options, **settings.get("luup_options", {})}  # type: ignore[typeddict-item]
    return found


def _tools(settings: Any, parameters: ModelRequestParameters) -> Tuple[List[ToolDefinition], str]:
    """Return the tools that the model may call, and whether it has to."""
    choice = resolve_tool_choice(settings, parameters)
    tools = dict(parameters.declared_tool_defs)
    if isinstance(choice, tuple):
        choice, names = choice
        tools = {name: tool for name, tool in tools.items() if name in names}
    found = [ToolDefinition(tool.name, tool.description or "", tool.parameters_json_schema) for tool in tools.values()]
    return found, choice if found else "auto"


def _conversation(messages: Sequence[parts.ModelMessage], parameters: ModelRequestParameters) -> List[Message]:
    found: List[Message] = []
    for message in messages:
        found += _asked(message) if isinstance(message, parts.ModelRequest) else _answered(message)
    at = next((index for index, message in enumerate(found) if message.role != "system"), len(found))
    system = [Message(role="system", content=text) for text in _instructions(messages, parameters)]
    head = [*found[:at], *system]
    if head:  # one message, as most chat templates have only one
        head = [Message(role="system", content="\n\n".join(message.content for message in head))]
    return [*head, *found[at:]]


def _instructions(messages: Sequence[parts.ModelMessage], parameters: ModelRequestParameters) -> List[str]:
    if parameters.instruction_parts is not None:
        return [part.content for part in parameters.instruction_parts]
    asked = [message.instructions for message in messages if isinstance(message, parts.ModelRequest)]
    return [text for text in asked if text][-1:]  # of a request that no agent makes


def _asked(message: parts.ModelRequest) -> Iterator[Message]:
    for part in message.parts:
        if isinstance(part, parts.SystemPromptPart):
            yield Message(role="system", content=part.content)
        elif isinstance(part, parts.UserPromptPart):
            yield Message(role="user", content=_text(part.content))
        elif isinstance(part, parts.ToolReturnPart):
            if part.files:
                raise exceptions.UserError(f"the tool {part.tool_name!r} returned files, which LuupModel can't pass on")
            text = part.model_response_str(wrap_if_error=False)
            if part.outcome in _ERROR_OUTCOMES and not text.startswith("Error"):
                text = f"Error: {text}"
            yield Message(role="tool", content=text, tool_call_id=part.tool_call_id, name=part.tool_name)
        elif isinstance(part, parts.RetryPromptPart):  # of the last pydantic-ai for Python 3.10, and of old histories
            text = part.model_response()
            if part.tool_name is None:
                yield Message(role="user", content=text)
            else:
                content = text if text.startswith("Error") else f"Error: {text}"
                yield Message(role="tool", content=content, tool_call_id=part.tool_call_id, name=part.tool_name)
        else:
            raise exceptions.UserError(
                f"LuupModel can't pass on a {type(part).__name__}: call model.prepare_messages(messages) before "
                "model.request(), as an agent does"
            )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts: List[str] = []
    for item in content:
        if isinstance(item, (str, parts.TextContent)):
            texts.append(item if isinstance(item, str) else item.content)
        elif not isinstance(item, parts.CachePoint):
            raise exceptions.UserError(f"LuupModel takes text only, not {type(item).__name__}")
    return "\n\n".join(texts)


def _answered(message: parts.ModelResponse) -> Iterator[Message]:
    mine = message.provider_name == _SYSTEM
    texts = [part.content for part in message.parts if isinstance(part, parts.TextPart)]
    thoughts = [part.content for part in message.parts if isinstance(part, parts.ThinkingPart)]
    calls = [_call(part) for part in message.parts if isinstance(part, parts.ToolCallPart)]
    if texts or calls:
        yield Message(
            role="assistant",
            content="\n\n".join(texts),
            reasoning="\n\n".join(thoughts) or None,
            tool_calls=tuple(calls),
            extra=(message.provider_details or {}).get(_EXTRA, {}) if mine else {},
        )


def _call(part: parts.ToolCallPart) -> ToolCall:
    call = ToolCall.from_json(part.tool_call_id, part.tool_name, part.args_as_json_str())
    extra = (part.provider_details or {}).get(_EXTRA) if part.provider_name == _SYSTEM else None
    return call.model_copy(update={"extra": extra}) if extra else call


# -- from this package -------------------------------------------------------------------------------------------------


async def _first(pieces: AsyncTurnStream) -> Piece:
    async for piece in pieces:
        if isinstance(piece, (TextEvent, ReasoningEvent, Turn)):
            return piece
    raise exceptions.UnexpectedModelBehavior("the stream was closed before the answer began")


def _parts_of(turn: Turn) -> Iterator[parts.ModelResponsePart]:
    if turn.reasoning:
        yield parts.ThinkingPart(turn.reasoning)
    if turn.text:
        yield parts.TextPart(turn.text)
    for call in turn.tool_calls:
        yield parts.ToolCallPart(
            tool_name=call.name,
            args=call.arguments_json,
            tool_call_id=call.id,
            provider_name=_SYSTEM if call.extra else None,
            provider_details={_EXTRA: call.extra} if call.extra else None,
        )


def _details(turn: Turn) -> Optional[Dict[str, Any]]:
    details: Dict[str, Any] = {}
    if turn.message.extra:
        details[_EXTRA] = turn.message.extra
    if turn.logprobs:
        details["logprobs"] = [each.model_dump() for each in turn.logprobs]
    return details or None


def _usage(usage: Usage) -> RequestUsage:
    return RequestUsage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cached_tokens,
        output_tokens=usage.completion_tokens,
        details={"reasoning_tokens": usage.reasoning_tokens} if usage.reasoning_tokens else {},
    )


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Raise pydantic-ai's exceptions in place of this package's."""
    try:
        yield
    except LuupError as error:
        raise _error_of(name, error) from error


def _error_of(name: str, error: LuupError) -> Exception:
    text = str(error)
    if isinstance(error, (InvalidParamError, InvalidSchemaError, UnsupportedError)):
        return exceptions.UserError(text)
    if isinstance(error, InvalidOutputError):
        return exceptions.UnexpectedModelBehavior(text, error.partial_text or None)
    if isinstance(error, HTTPError) and error.status is not None:
        return exceptions.ModelHTTPError(error.status, name, text)
    found = next((theirs for ours, theirs in _THEIRS.items() if isinstance(error, ours)), "ModelAPIError")
    # The last pydantic-ai for Python 3.10 has fewer classes.
    kind: Type[Exception] = getattr(exceptions, found, exceptions.ModelAPIError)
    return kind(name, text)
