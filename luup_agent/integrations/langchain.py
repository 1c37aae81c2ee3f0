"""`ChatLuup`: a chat model of LangChain on a model of this package. It needs ``pip install "luup-agent[langchain]"``.

Example:
    >>> from luup_agent.integrations.langchain import ChatLuup
    >>> chat = ChatLuup(model=model, temperature=0)
    >>> chat.invoke([("system", "You are a helpful assistant."), ("user", "What is the capital of France?")]).content
    'The capital of France is Paris.'
"""

# pyright: reportMissingImports=false, reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
from __future__ import annotations

import json
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, AsyncIterator, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from pydantic import ConfigDict, Field

from luup_agent import _one_turn
from luup_agent._one_turn import Piece, ToolDefinition, Turn, TurnRequest
from luup_agent.errors import (
    ContextFullError,
    HTTPError,
    InvalidOutputError,
    InvalidParamError,
    LuupError,
    RunTimeoutError,
)
from luup_agent.integrations._shared import check_model, missing, name_of
from luup_agent.messages import Message, ReasoningEvent, TextEvent, ToolCall
from luup_agent.model import Model
from luup_agent.outputs import JSONSchema
from luup_agent.settings import Reasoning, RunOptions, Settings

try:
    from langchain_core import exceptions
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        BaseMessage,
        ChatMessage,
        HumanMessage,
        SystemMessage,
        ToolMessage,
    )
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.messages.tool import tool_call, tool_call_chunk
    from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
    from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
    from langchain_core.utils.pydantic import is_basemodel_subclass
except ImportError as _error:
    raise missing("langchain", _error) from _error

__all__ = ["ChatLuup"]

_FIELDS = ("temperature", "max_tokens", "top_p", "top_k", "seed", "timeout", "reasoning")
_OWN = "luup"  # in `additional_kwargs`: fields that only a server knows and wants back
_CHOICES = {"any": "required", "required": "required", "auto": "auto", "none": "none"}
_TEXTS = ("text", "text-plain")
_CALLS = ("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "input_json_delta")  # of an `AIMessage`
_THOUGHTS = ("reasoning", "thinking")
_ERRORS = {
    401: exceptions.ModelAuthenticationError,
    403: exceptions.ModelPermissionDeniedError,
    404: exceptions.ModelNotFoundError,
    429: exceptions.ModelRateLimitError,
}


class ChatLuup(BaseChatModel):
    """A chat model of LangChain that answers with a `luup_agent.Model`: a local file, a server, or a script for tests.

    Any number of chains and threads may share it: those that run at the same time are decoded together. A setting that
    is None has the default of `luup_agent.Agent`: 512 tokens for an answer, temperature 0.7. Every call accepts the
    settings of `RunOptions` as keywords, such as ``chat.invoke("Hi", temperature=0, min_p=0.1)``.

    Attributes:
        model: The model that answers. It stays open when this object is deleted.
        model_name: The name that LangChain shows; by default the name of the file, or the server's.
        temperature: 0 always takes the likeliest token.
        max_tokens: The most tokens of an answer.
        top_p: Keep the likeliest tokens that make up this probability.
        top_k: Keep this many of the likeliest tokens.
        seed: For the same answer to the same conversation.
        stop: The answer ends before any of these texts.
        timeout: Seconds for an answer.
        reasoning: How much the model thinks: True, False, "low", "medium", "high", or at most this many tokens.
        options: More settings of `RunOptions`, such as ``{"min_p": 0.1, "adapter": "sql"}``.
        streaming: Whether `invoke` streams too, so that callbacks get the pieces of the answer.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: Model = Field(exclude=True)
    model_name: str = ""
    temperature: Optional[float] = None
    max_tokens: Optional[int] = None
    top_p: Optional[float] = None
    top_k: Optional[int] = None
    seed: Optional[int] = None
    stop: Optional[List[str]] = None
    timeout: Optional[float] = None
    reasoning: Optional[Reasoning] = None
    options: Dict[str, Any] = Field(default_factory=dict)
    streaming: bool = False

    def model_post_init(self, context: Any, /) -> None:
        """Find the name of the model."""
        super().model_post_init(context)
        self.model_name = self.model_name or name_of(check_model(self.model))

    @property
    def _llm_type(self) -> str:
        return "luup"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        fields = {name: getattr(self, name) for name in (*_FIELDS, "stop")}
        return {"model_name": self.model_name, **fields, "options": self.options}

    def _get_ls_params(self, stop: Optional[List[str]] = None, **kwargs: Any) -> LangSmithParams:
        found = super()._get_ls_params(stop=stop, **kwargs)
        found["ls_provider"] = "luup"
        if "model" not in kwargs:
            found["ls_model_name"] = self.model_name
        if stop or self.stop:
            found["ls_stop"] = stop or self.stop
        return found

    def _resolve_model_profile(self) -> Any:
        profile: Dict[str, Any] = {"text_inputs": True, "text_outputs": True, "tool_calling": True}
        profile.update(tool_choice=True, structured_output=True)
        context_size = self.model.get_info().context_size
        return {**profile, "max_input_tokens": context_size} if context_size else profile

    # -- answers -------------------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        with _errors():
            return self._result(_one_turn.answer(self.model, self._request(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[AsyncCallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        with _errors():
            return self._result(await _one_turn.answer_async(self.model, self._request(messages, stop, kwargs)))

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with _errors():
            pieces = _one_turn.stream(self.model, self._request(messages, stop, kwargs))
            try:
                for chunk in filter(None, map(self._chunk, pieces)):
                    if run_manager is not None:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
            finally:
                pieces.close()

    async def _astream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[AsyncCallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with _errors():
            pieces = _one_turn.stream_async(self.model, self._request(messages, stop, kwargs))
            try:
                async for piece in pieces:
                    chunk = self._chunk(piece)
                    if chunk is None:
                        continue
                    if run_manager is not None:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
            finally:
                pieces.close()

    def _result(self, turn: Turn) -> ChatResult:
        message = AIMessage(
            content=turn.text,
            additional_kwargs=_own_fields(turn, turn.reasoning),
            tool_calls=[tool_call(name=call.name, args=call.arguments, id=call.id) for call in turn.tool_calls],
            usage_metadata=_usage(turn),
            response_metadata=self._metadata(turn),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, piece: Piece) -> Optional[ChatGenerationChunk]:
        if isinstance(piece, TextEvent):
            return ChatGenerationChunk(message=AIMessageChunk(content=piece.text))
        if isinstance(piece, ReasoningEvent):
            thought = AIMessageChunk(content="", additional_kwargs={"reasoning_content": piece.text})
            return ChatGenerationChunk(message=thought)
        if not isinstance(piece, Turn):
            return None
        calls = [
            tool_call_chunk(name=call.name, args=call.arguments_json, id=call.id, index=index)
            for index, call in enumerate(piece.tool_calls)
        ]
        message = AIMessageChunk(
            content="",
            additional_kwargs=_own_fields(piece),
            tool_call_chunks=calls,
            usage_metadata=_usage(piece),
            response_metadata=self._metadata(piece),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _metadata(self, turn: Turn) -> Dict[str, Any]:
        found: Dict[str, Any] = {"model_name": self.model_name, "finish_reason": turn.finish_reason}
        if turn.logprobs:
            found["logprobs"] = {"content": [each.model_dump() for each in turn.logprobs]}
        return found

    def _request(
        self, messages: Sequence[BaseMessage], stop: Optional[List[str]], kwargs: Dict[str, Any]
    ) -> TurnRequest:
        options: Dict[str, Any] = {name: getattr(self, name) for name in _FIELDS if getattr(self, name) is not None}
        options.update(self.options)
        if stop or self.stop:
            options["stop"] = list(stop or self.stop or ())
        tools = [_definition(each) for each in kwargs.pop("tools", None) or ()]
        choice = _choice(kwargs.pop("tool_choice", None), tools)
        schema = kwargs.pop("response_format", None)
        for name in kwargs:
            if name not in Settings._fields:
                raise InvalidParamError(
                    f"ChatLuup got an unexpected keyword {name!r}; allowed are tools, tool_choice, response_format and "
                    "the settings of luup_agent.RunOptions"
                )
        found: RunOptions = {**options, **kwargs}  # type: ignore[typeddict-item]
        output = None if schema is None else JSONSchema(_schema_in(schema))
        return TurnRequest([_message(each) for each in messages], tools, choice, output, found)

    # -- tools and schemas ---------------------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: Union[str, bool, Mapping[str, Any], None] = None,
        strict: Optional[bool] = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with tools.

        Args:
            tools: LangChain's tools, functions, pydantic classes, TypedDicts, or OpenAI's definitions.
            tool_choice: "auto" (the default), "any", "required" or True for at least one call, "none", or the name of a
                tool, also as ``{"type": "function", "function": {"name": …}}``.
            strict: No difference: a local model writes only arguments that the schema allows, in any case.
            **kwargs: Settings of `RunOptions`, such as ``parallel_tool_calls=False``.

        Raises:
            InvalidParamError: There is no such tool.
        """
        definitions = [convert_to_openai_tool(each) for each in tools]
        if tool_choice is not None:
            kwargs["tool_choice"] = _choice(tool_choice, [_definition(each) for each in definitions])
        return self.bind(tools=definitions, **kwargs)

    def with_structured_output(
        self,
        schema: Any,
        *,
        include_raw: bool = False,
        method: str = "json_schema",
        strict: Optional[bool] = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose result is a value of a schema.

        Args:
            schema: A pydantic class, a TypedDict, a JSON schema or OpenAI's definition of a function. A pydantic class
                gives instances, the others dicts.
            include_raw: Return a dict with "raw", "parsed" and "parsing_error" instead.
            method: "json_schema" constrains the answer to the schema, "function_calling" forces a call; "json_mode" is
                the same as "json_schema".
            strict: No difference: decoding is constrained in any case.
            **kwargs: Settings of `RunOptions`.

        Raises:
            InvalidParamError: There is no such method.
        """
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if method not in ("json_schema", "json_mode"):
            raise InvalidParamError(f"method must be 'json_schema', 'function_calling' or 'json_mode', not {method!r}")
        llm = self.bind(
            response_format=_json_schema(schema),
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
            **kwargs,
        )
        typed = isinstance(schema, type) and is_basemodel_subclass(schema)
        parser: Any = PydanticOutputParser(pydantic_object=schema) if typed else JsonOutputParser()
        if not include_raw:
            return llm | parser
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=llm) | parsed.with_fallbacks([failed], exception_key="parsing_error")

    # -- tokens --------------------------------------------------------------------------------------------------------

    def get_token_ids(self, text: str) -> List[int]:
        """Return the tokens of a text. Only local models can."""
        return self.model.tokenize(text)

    def get_num_tokens_from_messages(self, messages: List[BaseMessage], tools: Optional[Sequence[Any]] = None) -> int:
        """Return the tokens of the prompt that these messages and tools make. Only local models can."""
        definitions = [convert_to_openai_tool(each) for each in tools or ()]
        return _one_turn.count_tokens(self.model, self._request(messages, None, {"tools": definitions}))


# -- to this package ---------------------------------------------------------------------------------------------------


def _message(message: BaseMessage) -> Message:
    role = message.role if isinstance(message, ChatMessage) else message.type
    role = {"human": "user", "ai": "assistant", "developer": "system"}.get(role, role)
    text = _text(message)
    if isinstance(message, AIMessage):
        return _answer(message, text)
    if isinstance(message, ToolMessage):
        if message.status == "error" and not text.startswith("Error"):
            text = f"Error: {text}"
        return Message(role="tool", content=text, tool_call_id=message.tool_call_id, name=message.name)
    if not isinstance(message, (HumanMessage, SystemMessage, ChatMessage)) or role not in (
        "user",
        "system",
        "assistant",
    ):
        raise InvalidParamError(f"ChatLuup can't pass on a {type(message).__name__} with the role {role!r}")
    return Message.from_dict("message", {"role": role, "content": text})


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    texts: List[str] = []
    for block in message.content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if isinstance(block, str):
            texts.append(block)
        elif kind in _TEXTS:
            texts.append(str(block.get("text", "")))
        elif not isinstance(message, AIMessage) or kind not in (*_CALLS, *_THOUGHTS):
            raise InvalidParamError(f"ChatLuup takes text only, not a content block of the type {kind!r}")
    return "".join(texts)


def _answer(message: AIMessage, text: str) -> Message:
    own: Mapping[str, Any] = message.additional_kwargs.get(_OWN, {})
    extras: Mapping[str, Any] = own.get("calls", {})
    calls: List[ToolCall] = []
    for call in message.tool_calls:
        made = ToolCall.from_json(call["id"] or "", call["name"], json.dumps(call["args"], ensure_ascii=False))
        calls.append(made.model_copy(update={"extra": extras[made.id]}) if made.id in extras else made)
    thoughts = [block["reasoning"] for block in message.content_blocks if block["type"] == "reasoning"]
    return Message(
        role="assistant",
        content=text,
        reasoning="".join(thoughts) or None,
        tool_calls=tuple(calls),
        extra=own.get("message", {}),
    )


def _definition(tool: Mapping[str, Any]) -> ToolDefinition:
    function = tool.get("function", {})
    if "name" not in function:
        raise InvalidParamError(f"tools must be OpenAI's definitions of functions, not {dict(tool)!r}")
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    return ToolDefinition(function["name"], function.get("description", ""), parameters)


def _choice(choice: Any, tools: Sequence[ToolDefinition]) -> str:
    if choice is None or choice is False or not tools:
        return "auto"
    if isinstance(choice, Mapping):
        choice = choice.get("function", {}).get("name")
    name = "required" if choice is True else choice
    names = [tool.name for tool in tools]
    if name in _CHOICES and name not in names:
        return _CHOICES[name]
    if name not in names:
        raise InvalidParamError(f"tool_choice must be 'auto', 'any', 'none' or one of {names}, not {choice!r}")
    return str(name)


def _schema_in(response_format: Any) -> Mapping[str, Any]:
    """Return the schema of a ``response_format``, which may be OpenAI's, or the schema itself."""
    if isinstance(response_format, Mapping):
        if "json_schema" in response_format:
            schema: Mapping[str, Any] = response_format["json_schema"]["schema"]
            return schema
        return {"type": "object"} if response_format.get("type") == "json_object" else response_format
    return _json_schema(response_format)


def _json_schema(schema: Any) -> Mapping[str, Any]:
    if isinstance(schema, type) and hasattr(schema, "model_json_schema"):
        found: Mapping[str, Any] = schema.model_json_schema()
        return found
    return convert_to_json_schema(schema)


# -- from this package -------------------------------------------------------------------------------------------------


def _own_fields(turn: Turn, reasoning: Optional[str] = None) -> Dict[str, Any]:
    found: Dict[str, Any] = {"reasoning_content": reasoning} if reasoning else {}
    calls = {call.id: call.extra for call in turn.tool_calls if call.extra}
    if turn.message.extra or calls:
        found[_OWN] = {"message": turn.message.extra, "calls": calls}
    return found


def _usage(turn: Turn) -> UsageMetadata:
    usage = turn.usage
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        input_token_details={"cache_read": usage.cached_tokens},
        output_token_details={"reasoning": usage.reasoning_tokens},
    )


@contextmanager
def _errors() -> Iterator[None]:
    """Raise LangChain's exceptions where it has one; others stay this package's."""
    try:
        yield
    except LuupError as error:
        found = _error_of(error)
        if found is error:
            raise
        raise found from error


def _error_of(error: LuupError) -> Exception:
    text = str(error)
    if isinstance(error, ContextFullError):
        return exceptions.ContextOverflowError(text)
    if isinstance(error, RunTimeoutError):
        return exceptions.ModelTimeoutError(text)
    if isinstance(error, InvalidOutputError):
        return exceptions.OutputParserException(text, llm_output=error.partial_text)
    if isinstance(error, HTTPError):
        if error.status is None:
            return exceptions.ModelConnectionError(text)
        if error.status >= 500:
            return exceptions.ModelAPIError(text)
        return _ERRORS.get(error.status, exceptions.ModelInvalidRequestError)(text)
    return error
