"""`LuupModel`: smolagents' agents on a model of this package. It needs ``pip install "luup-agent[smolagents]"``.

Example:
    >>> from smolagents import CodeAgent
    >>> from luup_agent.integrations.smolagents import LuupModel
    >>> agent = CodeAgent(tools=[], model=LuupModel(model, temperature=0, max_tokens=1024))
    >>> agent.run("What is 7 * 6?")
    42
"""

# Without smolagents, pyright takes this module for it; mypy checks this file with smolagents installed.
# pyright: reportMissingImports=false, reportIncompatibleMethodOverride=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, NoReturn, Optional

from luup_agent import _one_turn
from luup_agent._one_turn import ToolDefinition, Turn, TurnRequest
from luup_agent.errors import InvalidParamError, UnsupportedError
from luup_agent.integrations._shared import check_model, missing, name_of
from luup_agent.messages import Message, TextEvent
from luup_agent.model import Model as LocalOrRemote
from luup_agent.outputs import JSONSchema
from luup_agent.settings import RunOptions, Settings

try:
    from smolagents.models import (
        ChatMessage,
        ChatMessageStreamDelta,
        ChatMessageToolCall,
        ChatMessageToolCallFunction,
        ChatMessageToolCallStreamDelta,
        MessageRole,
        Model,
    )
    from smolagents.monitoring import TokenUsage
    from smolagents.tools import Tool
except ImportError as _error:
    raise missing("smolagents", _error) from _error

__all__ = ["LuupModel"]


class LuupModel(Model):
    """A model of smolagents that answers with a `luup_agent.Model`: a local file, a server, or a script for tests.

    Any number of agents may share it: those that run at the same time, in threads, are decoded together.
    `ToolCallingAgent` forces a call in every step, and `CodeAgent(use_structured_outputs_internally=True)` constrains
    its steps to their schema. Errors of this package reach an agent's caller as the cause of an `AgentGenerationError`.

    Attributes:
        model: The model that answers. It stays open when this object is deleted.
    """

    def __init__(
        self,
        model: LocalOrRemote,
        *,
        model_id: Optional[str] = None,
        tool_choice: str = "required",
        **options: Any,
    ) -> None:
        """Wrap a model.

        Args:
            model: The model that answers.
            model_id: The name that smolagents shows; by default the name of the file, or the server's.
            tool_choice: Whether an answer for which there are tools calls one: "required", or "auto".
            **options: Settings of `luup_agent.RunOptions`, such as ``temperature=0``. What they leave out has the
                defaults of `luup_agent.Agent`: 512 tokens for an answer, temperature 0.7.

        Raises:
            InvalidParamError: `model` is not a `luup_agent.Model`, or there is no such option.
        """
        self.model = check_model(model)
        self.tool_choice = tool_choice
        _check(options)
        super().__init__(model_id=model_id or name_of(model), **options)

    def generate(
        self,
        messages: List[Any],
        stop_sequences: Optional[List[str]] = None,
        response_format: Optional[Dict[str, Any]] = None,
        tools_to_call_from: Optional[List[Tool]] = None,
        **kwargs: Any,
    ) -> ChatMessage:
        """Return the model's answer; its `raw` is a dict with the thoughts and the reason of the end."""
        turn = _one_turn.answer(
            self.model, self._request(messages, stop_sequences, response_format, tools_to_call_from, kwargs)
        )
        calls = [
            ChatMessageToolCall(
                id=call.id,
                type="function",
                function=ChatMessageToolCallFunction(name=call.name, arguments=call.arguments_json),
            )
            for call in turn.tool_calls
        ]
        return ChatMessage(
            role=MessageRole.ASSISTANT,
            content=turn.text,
            tool_calls=calls or None,
            raw={"reasoning": turn.reasoning, "finish_reason": turn.finish_reason},
            token_usage=_usage(turn),
        )

    def generate_stream(
        self,
        messages: List[Any],
        stop_sequences: Optional[List[str]] = None,
        response_format: Optional[Dict[str, Any]] = None,
        tools_to_call_from: Optional[List[Tool]] = None,
        **kwargs: Any,
    ) -> Iterator[ChatMessageStreamDelta]:
        """Yield the model's answer piece by piece. Closing the iterator ends the computation."""
        pieces = _one_turn.stream(
            self.model, self._request(messages, stop_sequences, response_format, tools_to_call_from, kwargs)
        )
        try:
            for piece in pieces:
                if isinstance(piece, TextEvent):
                    yield ChatMessageStreamDelta(content=piece.text)
                elif isinstance(piece, Turn):
                    calls = [
                        ChatMessageToolCallStreamDelta(
                            index=index,
                            id=call.id,
                            type="function",
                            function=ChatMessageToolCallFunction(name=call.name, arguments=call.arguments_json),
                        )
                        for index, call in enumerate(piece.tool_calls)
                    ]
                    yield ChatMessageStreamDelta(content="", tool_calls=calls or None, token_usage=_usage(piece))
        finally:
            pieces.close()

    def _request(
        self,
        messages: List[Any],
        stop_sequences: Optional[List[str]],
        response_format: Optional[Dict[str, Any]],
        tools: Optional[List[Tool]],
        kwargs: Dict[str, Any],
    ) -> TurnRequest:
        wanted = self._prepare_completion_kwargs(
            messages=messages,
            stop_sequences=stop_sequences,
            response_format=response_format,
            tools_to_call_from=tools,
            **{"tool_choice": self.tool_choice, **kwargs},
        )
        conversation = [_message(each) for each in wanted.pop("messages")]
        definitions = [_definition(each["function"]) for each in wanted.pop("tools", ())]
        choice = wanted.pop("tool_choice", "auto")
        wanted_format = wanted.pop("response_format", None)
        output = None if wanted_format is None else JSONSchema(_schema_in(wanted_format))
        _check(wanted)
        options: RunOptions = wanted
        return TurnRequest(conversation, definitions, choice if definitions else "auto", output, options)

    @classmethod
    def from_dict(cls, model_dictionary: Dict[str, Any]) -> NoReturn:
        """Refuse: a model in memory can't be made from a dict.

        Raises:
            UnsupportedError: Always; the message has what to do instead.
        """
        raise UnsupportedError(
            "a LuupModel can't be loaded with an agent: load the luup_agent.Model, and pass model=LuupModel(model) to "
            "the agent's from_folder or from_hub"
        )


def _check(options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in Settings._fields or name in ("tools", "tool_choice"):
            raise InvalidParamError(
                f"LuupModel got an unexpected keyword {name!r}; allowed are the settings of luup_agent.RunOptions"
            )


def _message(message: Mapping[str, Any]) -> Message:
    content = message["content"]
    if not isinstance(content, str):
        content = "".join(map(_text, content or ()))
    return Message(role=MessageRole(message["role"]).value, content=content)


def _text(part: Mapping[str, Any]) -> str:
    if part.get("type") != "text":
        raise InvalidParamError(f"LuupModel takes text only, not a part of a message of the type {part.get('type')!r}")
    return str(part["text"])


def _definition(function: Mapping[str, Any]) -> ToolDefinition:
    parameters = dict(function["parameters"])
    parameters["properties"] = {name: _property(each) for name, each in parameters["properties"].items()}
    return ToolDefinition(function["name"], function["description"], parameters)


def _property(schema: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the JSON schema of an input of a tool; ``nullable`` is not a keyword of JSON schemas."""
    found = {key: value for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable"):
        kinds = found.get("type", [])
        found["type"] = [*(kinds if isinstance(kinds, list) else [kinds]), "null"]
        if "enum" in found and None not in found["enum"]:
            found["enum"] = [*found["enum"], None]
    return found


def _schema_in(response_format: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of OpenAI's ``response_format``."""
    if "json_schema" in response_format:
        schema: Mapping[str, Any] = response_format["json_schema"]["schema"]
        return schema
    if response_format.get("type") == "json_object":
        return {"type": "object"}
    raise InvalidParamError(
        f"response_format must have the type 'json_schema' or 'json_object', not {response_format.get('type')!r}"
    )


def _usage(turn: Turn) -> TokenUsage:
    return TokenUsage(input_tokens=turn.usage.prompt_tokens, output_tokens=turn.usage.completion_tokens)
