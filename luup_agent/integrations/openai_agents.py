"""`LuupModelProvider`: OpenAI's Agents SDK on models of this package; `LuupModel` is one of them.

It needs ``pip install "luup-agent[openai-agents]"``.

Example:
    >>> from agents import Agent, RunConfig, Runner
    >>> from luup_agent.integrations.openai_agents import LuupModelProvider
    >>> config = RunConfig(model_provider=LuupModelProvider(model), tracing_disabled=True)
    >>> agent = Agent("assistant", instructions="You are a helpful assistant.")
    >>> Runner.run_sync(agent, "What is the capital of France?", run_config=config).final_output
    'The capital of France is Paris.'
"""

# pyright: reportMissingImports=false, reportIncompatibleMethodOverride=false, reportAttributeAccessIssue=false
from __future__ import annotations

import secrets
import string
import time
from contextlib import contextmanager
from typing import Any, AsyncIterator, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from luup_agent import _one_turn
from luup_agent._one_turn import AsyncTurnStream, ToolDefinition, Turn, TurnRequest
from luup_agent.errors import (
    InvalidOutputError,
    InvalidParamError,
    InvalidSchemaError,
    RunTimeoutError,
    UnsupportedError,
)
from luup_agent.integrations._shared import check_model, missing, name_of
from luup_agent.messages import Message, ReasoningEvent, TextEvent, TokenLogprob, ToolCall
from luup_agent.model import Model as LocalOrRemote
from luup_agent.outputs import JSONSchema
from luup_agent.settings import Reasoning, RunOptions, Settings

try:
    from agents.exceptions import ModelBehaviorError, ModelTimeoutError, UserError
    from agents.items import ModelResponse, TResponseInputItem, TResponseStreamEvent
    from agents.model_settings import ModelSettings
    from agents.models.chatcmpl_converter import Converter
    from agents.models.chatcmpl_helpers import ChatCmplHelpers
    from agents.models.chatcmpl_stream_handler import ChatCmplStreamHandler
    from agents.models.default_models import get_default_model_settings
    from agents.models.fake_id import FAKE_RESPONSES_ID
    from agents.models.interface import Model, ModelProvider, ModelTracing
    from agents.tracing import Span, SpanError, generation_span
    from agents.usage import Usage
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessage, ChatCompletionTokenLogprob
    from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta, ChoiceLogprobs
    from openai.types.responses import Response, ResponseOutputMessage, ResponseOutputText
except ImportError as _error:
    raise missing("openai-agents", _error) from _error

__all__ = ["LuupModel", "LuupModelProvider"]

_REASONING: Dict[str, Reasoning] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_SAME_NAMES = (
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "max_tokens",
    "parallel_tool_calls",
    "top_logprobs",
    "timeout",
)
# Settings of OpenAI's servers that change the answer. Others, such as `store` and `metadata`, have no effect here.
_REFUSED = ("truncation", "extra_query", "extra_body", "extra_headers", "context_management")
_SHORTEST_ID = 9  # characters: shorter ids, such as "call_0", are not unique in a run
_ALPHABET = string.ascii_letters + string.digits


class LuupModelProvider(ModelProvider):
    """The models of this package by name, for `agents.RunConfig.model_provider`.

    Any number of runs may share it: those that run at the same time are decoded together.
    """

    def __init__(self, models: Union[LocalOrRemote, Mapping[str, LocalOrRemote]], **options: Any) -> None:
        """Wrap a model, or several.

        Args:
            models: The model that answers; or the models by the names that agents have in `Agent.model`. The first is
                for agents without one.
            **options: Settings of `luup_agent.RunOptions` for all requests, such as ``min_p=0.1``; those of an agent's
                `ModelSettings` win. Without a setting, the defaults of `luup_agent.Agent` are used: 512 tokens for an
                answer, temperature 0.7.

        Raises:
            InvalidParamError: There is no model, a value is not a `luup_agent.Model`, or there is no such option.
        """
        named = models if isinstance(models, Mapping) else {name_of(check_model(models)): models}
        if not named:
            raise InvalidParamError("models must have at least one luup_agent.Model")
        self._models = {name: LuupModel(model, name=name, **options) for name, model in named.items()}

    def get_model(self, model_name: Optional[str]) -> LuupModel:
        """Return the model of this name; the first one for None.

        Raises:
            UserError: There is no model of this name.
        """
        if model_name is None:
            return next(iter(self._models.values()))
        if model_name not in self._models:
            raise UserError(f"there is no model {model_name!r}; the LuupModelProvider has {', '.join(self._models)}")
        return self._models[model_name]


class LuupModel(Model):
    """A model of the Agents SDK that answers with a `luup_agent.Model`.

    Attributes:
        model: The model that answers. It stays open when this object is deleted.
        name: Its name in traces.
    """

    def __init__(self, model: LocalOrRemote, *, name: Optional[str] = None, **options: Any) -> None:
        """Wrap a model; see `LuupModelProvider`."""
        self.model = check_model(model)
        self.name = name or name_of(model)
        _check(options)
        self._options = options

    async def get_response(
        self,
        system_instructions: Optional[str],
        input: Union[str, List[TResponseInputItem]],  # noqa: A002  # the SDK's name
        model_settings: ModelSettings,
        tools: List[Any],
        output_schema: Any,
        handoffs: List[Any],
        tracing: ModelTracing,
        *,
        previous_response_id: Optional[str] = None,
        conversation_id: Optional[str] = None,
        prompt: Any = None,
    ) -> ModelResponse:
        """Return the model's answer."""
        _refuse(previous_response_id=previous_response_id, conversation_id=conversation_id, prompt=prompt)
        with self._span(model_settings, tracing) as span, _errors(model_settings):
            request = self._request(system_instructions, input, model_settings, tools, output_schema, handoffs)
            turn = _checked(await _one_turn.answer_async(self.model, request))
            message = _message_of(turn)
            _record(span, tracing, request, turn, message)
            items = Converter.message_to_output_items(message, provider_data={"model": self.name})
            logprobs = ChatCmplHelpers.convert_logprobs_for_output_text(_logprobs(turn.logprobs))
            for part in (part for item in items if isinstance(item, ResponseOutputMessage) for part in item.content):
                if logprobs and isinstance(part, ResponseOutputText):
                    part.logprobs = logprobs
            return ModelResponse(output=items, usage=_usage(turn), response_id=None)

    async def stream_response(
        self,
        system_instructions: Optional[str],
        input: Union[str, List[TResponseInputItem]],  # noqa: A002  # the SDK's name
        model_settings: ModelSettings,
        tools: List[Any],
        output_schema: Any,
        handoffs: List[Any],
        tracing: ModelTracing,
        *,
        previous_response_id: Optional[str] = None,
        conversation_id: Optional[str] = None,
        prompt: Any = None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Yield the model's answer as events. Closing the iterator ends the computation."""
        _refuse(previous_response_id=previous_response_id, conversation_id=conversation_id, prompt=prompt)
        with self._span(model_settings, tracing) as span, _errors(model_settings):
            request = self._request(system_instructions, input, model_settings, tools, output_schema, handoffs)
            pieces = _one_turn.stream_async(self.model, request)

            async def chunks() -> AsyncIterator[ChatCompletionChunk]:
                async for chunk in self._chunks(pieces, span, tracing, request):
                    yield chunk

            response = Response(
                id=FAKE_RESPONSES_ID,
                created_at=time.time(),
                model=self.name,
                object="response",
                output=[],
                tool_choice="auto",
                tools=[],
                parallel_tool_calls=bool(model_settings.parallel_tool_calls),
                temperature=model_settings.temperature,
                top_p=model_settings.top_p,
            )
            source: Any = chunks()
            try:
                async for event in ChatCmplStreamHandler.handle_stream(response, source, model=self.name):
                    yield event
            finally:
                pieces.close()

    async def _chunks(
        self, pieces: AsyncTurnStream, span: Span[Any], tracing: ModelTracing, request: TurnRequest
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Yield an answer as a server streams it, for the SDK's own reader of streams."""
        async for piece in pieces:
            if isinstance(piece, TextEvent):
                yield self._chunk({"content": piece.text}, logprobs=_logprobs(piece.logprobs))
            elif isinstance(piece, ReasoningEvent):
                yield self._chunk({"reasoning_content": piece.text})
            elif isinstance(piece, Turn):
                turn = _checked(piece)
                message = _message_of(turn)
                _record(span, tracing, request, turn, message)
                for index, call in enumerate(message.tool_calls or ()):
                    yield self._chunk({"tool_calls": [{"index": index, **call.model_dump()}]})
                yield self._chunk({}, finish_reason=turn.finish_reason, usage=_completion_usage(turn))

    def _chunk(
        self,
        delta: Mapping[str, Any],
        finish_reason: Any = None,
        usage: Optional[CompletionUsage] = None,
        logprobs: Optional[List[ChatCompletionTokenLogprob]] = None,
    ) -> ChatCompletionChunk:
        choice = Choice(
            index=0,
            delta=ChoiceDelta.model_validate({"role": "assistant", **delta}),
            finish_reason=finish_reason,
            logprobs=ChoiceLogprobs(content=logprobs) if logprobs else None,
        )
        return ChatCompletionChunk(
            id="",
            choices=[choice],
            created=int(time.time()),
            model=self.name,
            object="chat.completion.chunk",
            usage=usage,
        )

    def _request(
        self,
        system_instructions: Optional[str],
        items: Union[str, List[TResponseInputItem]],
        settings: ModelSettings,
        tools: Sequence[Any],
        output_schema: Any,
        handoffs: Sequence[Any],
    ) -> TurnRequest:
        converted = Converter.items_to_messages(
            items, model=self.name, should_replay_reasoning_content=lambda _: True, strict_feature_validation=True
        )
        messages: List[Message] = []
        for index, each in enumerate(converted):
            values: Dict[str, Any] = dict(each)
            messages.append(Message.from_dict(f"input[{index}]", values))
        if system_instructions:
            messages.insert(0, Message(role="system", content=system_instructions))
        offered: List[Any] = [Converter.tool_to_openai(tool) for tool in tools]
        offered += [Converter.convert_handoff_tool(handoff) for handoff in handoffs]
        definitions = [
            ToolDefinition(each["function"]["name"], each["function"]["description"], each["function"]["parameters"])
            for each in offered
        ]
        choice = settings.tool_choice or "auto"
        if not isinstance(choice, str):
            raise UserError("LuupModel has no hosted MCP tools: tool_choice must be a str")
        output = None
        if output_schema is not None and not output_schema.is_plain_text():
            output = JSONSchema(output_schema.json_schema())
        options = self._settings(settings)
        return TurnRequest(messages, definitions, choice if definitions else "auto", output, options)

    def _settings(self, settings: ModelSettings) -> RunOptions:
        for name in _REFUSED:
            if getattr(settings, name, None):
                raise UserError(f"LuupModel does not support the setting {name!r} of ModelSettings")
        options: Dict[str, Any] = dict(self._options)
        for name in _SAME_NAMES:
            if getattr(settings, name) is not None:
                options[name] = getattr(settings, name)
        # An agent without a model has the settings of OpenAI's newest one, which were not chosen for this model.
        if settings.reasoning is not None and settings.reasoning != get_default_model_settings().reasoning:
            effort = settings.reasoning.effort
            if effort is not None:
                options["reasoning"] = _REASONING[effort]
        _check(settings.extra_args or {})
        found: RunOptions = {**options, **(settings.extra_args or {})}  # type: ignore[typeddict-item]
        return found

    @contextmanager
    def _span(self, settings: ModelSettings, tracing: ModelTracing) -> Iterator[Span[Any]]:
        """Open the span of an answer in the SDK's traces."""
        options = {name: getattr(settings, name) for name in _SAME_NAMES}
        with generation_span(model=self.name, model_config=options, disabled=tracing.is_disabled()) as span:
            try:
                yield span
            except Exception as error:
                text = str(error) if tracing.include_data() else type(error).__name__
                span.set_error(SpanError(message="Error getting response", data={"error": text}))
                raise


# -- to this package ---------------------------------------------------------------------------------------------------


def _check(options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in Settings._fields or name in ("tools", "tool_choice"):
            raise InvalidParamError(
                f"LuupModel got an unexpected setting {name!r}; allowed are those of luup_agent.RunOptions"
            )


def _refuse(**arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise UserError(f"LuupModel does not support {name}: only OpenAI's servers have it")


# -- from this package -------------------------------------------------------------------------------------------------


def _checked(turn: Turn) -> Turn:
    """Return `turn` unless it was cut off before it had anything.

    Raises:
        ModelBehaviorError: It was cut off.
    """
    if turn.finish_reason == "length" and not turn.text and not turn.tool_calls:
        raise ModelBehaviorError(
            f"the answer was cut off after {turn.usage.completion_tokens} tokens, before any text or whole tool call; "
            "max_tokens is too small for it"
        )
    return turn


def _message_of(turn: Turn) -> ChatCompletionMessage:
    """Return an answer as OpenAI's message, with ids of calls that are unique in a run."""
    values: Dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if turn.reasoning:
        values["reasoning_content"] = turn.reasoning
    if turn.tool_calls:
        values["tool_calls"] = [{**call.to_dict(), "id": _unique(call)} for call in turn.tool_calls]
    return ChatCompletionMessage.model_validate(values)


def _unique(call: ToolCall) -> str:
    """Return the id of a call; another one if a server counts, because a handoff may hide its earlier ids."""
    return call.id if len(call.id) >= _SHORTEST_ID else "".join(secrets.choice(_ALPHABET) for _ in range(_SHORTEST_ID))


def _logprobs(tokens: Sequence[TokenLogprob]) -> List[ChatCompletionTokenLogprob]:
    return [
        ChatCompletionTokenLogprob.model_validate(
            {
                "token": token.text,
                "logprob": token.logprob,
                "bytes": token.bytes,
                "top_logprobs": [{"token": top.text, "logprob": top.logprob, "bytes": top.bytes} for top in token.top],
            }
        )
        for token in tokens
    ]


def _completion_usage(turn: Turn) -> CompletionUsage:
    usage = turn.usage
    return CompletionUsage.model_validate(
        {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }
    )


def _usage(turn: Turn) -> Usage:
    usage = _completion_usage(turn)
    details: Any = (usage.prompt_tokens_details, usage.completion_tokens_details)
    return Usage(
        requests=1,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        input_tokens_details=details[0],
        output_tokens_details=details[1],
    )


def _record(
    span: Span[Any], tracing: ModelTracing, request: TurnRequest, turn: Turn, message: ChatCompletionMessage
) -> None:
    """Write an answer into the SDK's trace."""
    span.span_data.usage = {"input_tokens": turn.usage.prompt_tokens, "output_tokens": turn.usage.completion_tokens}
    if tracing.include_data():
        span.span_data.input = [each.to_dict() for each in request.messages]
        span.span_data.output = [message.model_dump()]


@contextmanager
def _errors(settings: ModelSettings) -> Iterator[None]:
    """Raise the SDK's exceptions where it has one; others stay this package's."""
    try:
        yield
    except (InvalidParamError, InvalidSchemaError, UnsupportedError) as error:
        raise UserError(str(error)) from error
    except InvalidOutputError as error:
        raise ModelBehaviorError(str(error)) from error
    except RunTimeoutError as error:
        if settings.timeout is None:  # that of a server
            raise
        raise ModelTimeoutError(settings.timeout) from error
