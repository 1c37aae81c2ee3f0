"""Messages, events, responses, token counts and timings, as frozen pydantic models."""

from __future__ import annotations

import html
import math
from collections import abc
from typing import TYPE_CHECKING, Any, Dict, Generic, Iterator, List, Mapping, Optional, Tuple, Union

from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import from_json
from typing_extensions import Literal, TypeVar

from luup_agent._data import Data
from luup_agent._json import write_json
from luup_agent._shown import Short, cell
from luup_agent.errors import InvalidParamError
from luup_agent.media import Audio, Image, read_content, read_parts, text_of, write_parts

if TYPE_CHECKING:
    from luup_agent.turns import Turn

T = TypeVar("T", default=str)

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls"]


class _Frozen(Data):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # defer_build makes the import faster

    def __repr_name__(self) -> str:
        """Return the name of the class: that of ``AgentResponse[Any]`` is ``AgentResponse``."""
        origin = type(self).__pydantic_generic_metadata__["origin"]
        return (origin or type(self)).__name__

    def __repr_args__(self) -> Iterator[Tuple[Optional[str], Any]]:
        """Yield the fields that differ from their defaults; long values are cut, with a mark."""
        fields = type(self).model_fields
        for name, value in super().__repr_args__():
            field = fields.get(name or "")
            if field is None or field.is_required() or value != field.get_default(call_default_factory=True):
                yield name, Short(value)

    def __reduce__(self) -> Tuple[Any, ...]:
        """Pickle an instance of a parametrised class, which pickle can't find by its name."""
        generic = type(self).__pydantic_generic_metadata__
        return _restore, (generic["origin"] or type(self), generic["args"], self.__getstate__())


def _restore(origin: Any, args: Tuple[Any, ...], state: Dict[Any, Any]) -> Any:
    cls = origin[args] if args else origin
    value = cls.__new__(cls)
    value.__setstate__(state)
    return value


class ToolResult(_Frozen):
    """The result of a tool, as text for the model.

    Passed to `Agent.resume`, it answers a pending call without running the tool. A tool may return one, to report an
    error without an exception.

    Attributes:
        content: The text.
        is_error: Whether the tool failed, and the text is the reason.

    Example:
        >>> ToolResult("It is sunny.")
        ToolResult(content='It is sunny.')
    """

    content: str
    is_error: bool = False

    def __init__(self, content: str, is_error: bool = False) -> None:
        values: Dict[str, Any] = {"content": content, "is_error": is_error}
        super().__init__(**values)


class ToolCall(_Frozen):
    """A tool called by the model.

    Attributes:
        id: The id of the call, unique in its conversation.
        name: The name of the tool.
        arguments: The arguments as JSON values; the tool gets Python objects made from them.
        arguments_json: The arguments as the model wrote them.
        result: The result of the tool; None if it has not finished.
        extra: Fields of the call that only its server knows, such as ``extra_content``; they go back to it.

    Example:
        >>> ToolCall.from_json("call_1", "add", '{"a": 5, "b": 3}').arguments
        {'a': 5, 'b': 3}
    """

    id: str
    name: str
    arguments: Dict[str, Any]
    arguments_json: str
    result: Optional[ToolResult] = None
    extra: Dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def from_json(cls, id: str, name: str, arguments_json: str) -> ToolCall:  # noqa: A002  # its name everywhere
        """Return the call with the arguments in `arguments_json`.

        Raises:
            InvalidParamError: `arguments_json` is not a JSON object.
        """
        try:
            arguments = from_json(arguments_json)
        except (TypeError, ValueError):  # TypeError: a lone surrogate
            arguments = None
        if not isinstance(arguments, dict):
            raise InvalidParamError(
                f"the arguments of the call {id!r} must be a JSON object, got {arguments_json[:200]}"
            )
        return cls(id=id, name=name, arguments=arguments, arguments_json=arguments_json)

    def to_dict(self) -> Dict[str, Any]:
        """Return the call in the format of OpenAI's chat API, where the result is a message of its own."""
        function = {"name": self.name, "arguments": self.arguments_json}
        extra = dict(self.extra)
        return {"id": self.id, "type": "function", "function": {**extra.pop("function", {}), **function}, **extra}


class Message(_Frozen):
    """One message of a conversation.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        content: The text; of a message with pictures or sounds its texts, joined.
        reasoning: The model's reasoning before the answer; None if there is none.
        tool_calls: The tool calls of an assistant message.
        tool_call_id: The id of the call that a tool message answers; None for other roles.
        name: The tool's name in a tool message; None if unknown, and for other roles.
        extra: Fields of an assistant message that only its server knows, such as ``reasoning_details``; they go back
            to it.
        parts: Of a user's message with pictures or sounds: these and the texts between them, in order; else ().

    Example:
        >>> Message(role="user", content="Hi").to_dict()
        {'role': 'user', 'content': 'Hi'}
    """

    role: Role
    content: str
    reasoning: Optional[str] = None
    tool_calls: Tuple[ToolCall, ...] = ()
    tool_call_id: Optional[str] = None
    name: Optional[str] = None
    extra: Dict[str, Any] = Field(default_factory=dict)
    parts: Tuple[Union[str, Image, Audio], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _take_parts(cls, values: Any) -> Any:
        """Take a content in parts, and make the text of parts."""
        if not isinstance(values, dict):
            return values
        content = read_content("content", values.get("content"))
        parts = getattr(content, "parts", ()) or tuple(values.get("parts") or ())
        if not any(isinstance(part, (Image, Audio, dict)) for part in parts):
            return {**values, "content": content} if content is not values.get("content") else values
        if values.get("role") != "user":
            raise ValueError("only messages of the user may have pictures or sounds")
        return {**values, "content": text_of(parts), "parts": parts}

    def to_dict(self) -> Dict[str, Any]:
        """Return the message in the format of OpenAI's chat API, with the reasoning as ``reasoning_content``."""
        content = write_parts(self.parts) if self.parts else self.content
        values: Dict[str, Any] = {**self.extra, "role": self.role, "content": content}
        if self.reasoning is not None:
            values["reasoning_content"] = self.reasoning
        if self.tool_calls:
            values["tool_calls"] = [call.to_dict() for call in self.tool_calls]
        if self.tool_call_id is not None:
            values["tool_call_id"] = self.tool_call_id
        if self.name is not None:
            values["name"] = self.name
        return values

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> Message:
        """Convert an OpenAI chat message; error messages call it `name`.

        None and empty lists count as missing, because OpenAI's client writes them. Text parts are joined, those with
        pictures (``image_url``) and sounds (``input_audio``) become `parts`, a refusal is
        appended to the text, and the role "developer" becomes "system". Unknown keys of an assistant message become
        `extra`.

        Raises:
            InvalidParamError: A key is unknown or missing, or a value has the wrong type.
        """
        known = {key: value for key, value in values.items() if value is not None and value != []}
        if isinstance(known.get("content"), list):
            known["content"] = read_content(f"{name}.content", read_parts(f"{name}.content", known["content"]))
        if known.get("role") == "developer":
            known["role"] = "system"
        if isinstance(known.get("refusal"), str) and isinstance(known.get("content", ""), str):
            known["content"] = known.get("content", "") + known.pop("refusal")
        if "reasoning_content" in known:
            known["reasoning"] = known.pop("reasoning_content")
        if "tool_calls" in known:
            known["tool_calls"] = _read_calls(f"{name}.tool_calls", known["tool_calls"])
            known.setdefault("content", "")  # OpenAI writes None if the message only calls tools
        if known.get("role") == "assistant" and "extra" not in known:
            extra = {key: known.pop(key) for key in list(known) if key not in cls.model_fields and key not in _UNKEPT}
            if extra:
                known["extra"] = extra
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            problems = "; ".join(
                "{}: {}".format(".".join(str(part) for part in problem["loc"]), problem["msg"])
                for problem in error.errors()
            )
            raise InvalidParamError(f"{name} is not a valid chat message: {problems}") from None


_UNKEPT = ("audio", "function_call")  # fields of a message that have a meaning here, but no place


def _read_calls(name: str, calls: Any) -> List[ToolCall]:
    """Convert the tool calls of an OpenAI chat message; error messages call them `name`."""
    if not isinstance(calls, (list, tuple)):
        raise InvalidParamError(f"{name} must be a list, not {type(calls).__name__}")
    found: List[ToolCall] = []
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, abc.Mapping) else None
        parts: List[Any] = []
        if isinstance(function, abc.Mapping):
            arguments = function.get("arguments")
            place = f"{name}[{index}].function.arguments"
            text = write_json(place, arguments) if isinstance(arguments, abc.Mapping) else arguments
            parts = [call.get("id"), function.get("name"), text]
        if not parts or not all(isinstance(part, str) for part in parts):
            raise InvalidParamError(f"{name}[{index}] must be a tool call with an id, a function name and arguments")
        made = ToolCall.from_json(*parts)
        extra = _extra_of(call, ("id", "type", "index", "function"))
        inner = _extra_of(call["function"], ("name", "arguments"))
        if inner:
            extra["function"] = inner
        found.append(made.model_copy(update={"extra": extra}) if extra else made)
    return found


def _extra_of(values: Mapping[str, Any], known: Tuple[str, ...]) -> Dict[str, Any]:
    return {key: value for key, value in values.items() if key not in known and value is not None}


class Usage(_Frozen):
    """The tokens of one run, with those of the agents that its tools asked (`RunContext.add_usage`).

    Attributes:
        prompt_tokens: Tokens of the prompt: system prompt, tools, history, message and the template's own text.
        cached_tokens: Those of the prompt that were in the KV cache already, and needed no prefill.
        completion_tokens: Decoded tokens, including reasoning and the final control token.
        total_tokens: `prompt_tokens` + `completion_tokens`.
        turns: Number of answers of the model, including those that called tools.
        reasoning_tokens: Those of `completion_tokens` that were the model's reasoning.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_tokens: int
    turns: int = 1
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Return the sums of the counts of two runs."""
        mine, others = self.model_dump(), other.model_dump()
        return Usage(**{name: count + others[name] for name, count in mine.items()})


class Timings(_Frozen):
    """The timings of one run, in seconds.

    Attributes:
        queue_seconds: Time until the run got a sequence.
        prefill_seconds: Time from then to the first token.
        decode_seconds: Time from the first token to the last.
        time_to_first_token: Time from the start to the first token; 0 if there was none.
        total_seconds: Time from the start to the end.
        prefill_tokens: Tokens computed in `prefill_seconds`: the prompt without its cached tokens.
        decode_tokens: Tokens decoded in `decode_seconds`: the answer without its first token.
        recomputed_tokens: Those of `prefill_tokens` that earlier turns of this agent had already computed. They were
            evicted from the context, or the model can't keep them when a conversation branches (sliding windows,
            recurrent models).
    """

    queue_seconds: float
    prefill_seconds: float
    decode_seconds: float
    time_to_first_token: float
    total_seconds: float
    prefill_tokens: int
    decode_tokens: int
    recomputed_tokens: int = 0

    @property
    def prefill_tokens_per_second(self) -> float:
        """The speed of the prefill; 0.0 without a prefill."""
        return self.prefill_tokens / self.prefill_seconds if self.prefill_seconds > 0 else 0.0

    @property
    def decode_tokens_per_second(self) -> float:
        """The speed of decoding; 0.0 for an answer of one token."""
        return self.decode_tokens / self.decode_seconds if self.decode_seconds > 0 else 0.0


class ContextUsage(_Frozen):
    """The use of the context by an agent's next run, in tokens.

    Attributes:
        total: Size of the model's context.
        system: The system prompt, with the template's text around it.
        history: The messages.
        free: Tokens left for the next message and its answer.
        tools: The descriptions of the agent's tools.
    """

    total: int
    system: int
    history: int
    free: int
    tools: int


class TopLogprob(_Frozen):
    """A token, and how probable it was at a place of an answer.

    Attributes:
        text: The token's text; U+FFFD for bytes that are a part of a character.
        logprob: The natural logarithm of its probability.
        bytes: Its bytes, as numbers.
        id: Its number in the vocabulary; None if a server does not send it.
    """

    text: str
    logprob: float
    bytes: List[int] = Field(default_factory=list)
    id: Optional[int] = None

    @property
    def probability(self) -> float:
        """The probability, 0 to 1."""
        return math.exp(min(self.logprob, 0.0))


class TokenLogprob(TopLogprob):
    """A token of an answer, and how probable it was.

    Attributes:
        top: The likeliest tokens at its place, the likeliest first, as many as `top_logprobs` says; the token itself
            may be among them.

    Example:
        >>> response = agent.run("What is the capital of France?", top_logprobs=2)
        >>> first = response.logprobs[0]
        >>> first.text, first.top[0].text, 0 < first.probability < 1
        ('The', 'The', True)
    """

    top: List[TopLogprob] = Field(default_factory=list)


def read_logprobs(entries: List[Dict[str, Any]]) -> List[TokenLogprob]:
    """Return the tokens of entries in the form of OpenAI's ``logprobs.content``."""
    return [
        TokenLogprob(**_logprob(each), top=[TopLogprob(**_logprob(top)) for top in each["top_logprobs"]])
        for each in entries
    ]


def _logprob(entry: Dict[str, Any]) -> Dict[str, Any]:
    return {"text": entry["token"], "logprob": entry["logprob"], "bytes": entry["bytes"], "id": entry.get("id")}


class AgentResponse(_Frozen, Generic[T]):
    """The result of one run.

    Attributes:
        output: The answer as a value of `output_type`; the same as `text` without one. None in a typed run whose calls
            are still pending.
        text: The answer; after tool calls, the text that followed the last of them.
        reasoning: The model's reasoning before the answer; None if there was none.
        messages: The messages that this run added to the conversation.
        usage: The token counts.
        timings: The timings.
        finish_reason: "stop" (the model ended its answer, or a stop text occurred), "length" (`max_tokens` were
            decoded) or "tool_calls" (calls wait for approval, see `pending`).
        tool_calls: All tool calls of this run with their results, in the model's order.
        pending: The calls that wait for approval; `Agent.resume` continues them.
        summary: The summary that replaced the oldest messages because the context was full; None if none were
            replaced.
        confidence: The model's confidence, 0 to 1, in each enum and bool of a typed result, by the path of the field,
            such as "sentiment" or "items.0.kind"; the path is "" if the result itself is an enum, a bool or a `Choice`.
        logprobs: With the setting `logprobs` or `top_logprobs`, the tokens of `text` with their probabilities. They are
            the model's own, in the softmax of its whole vocabulary: before penalties, `logit_bias`, the grammar and the
            temperature. Thoughts and tool calls have none. Empty for a server that sends none.

    Example:
        >>> response = agent.run("What is the capital of France?")
        >>> response.text, response.usage.completion_tokens
        ('The capital of France is Paris.', 8)
    """

    output: T
    text: str
    reasoning: Optional[str]
    messages: List[Message]
    usage: Usage
    timings: Timings
    finish_reason: FinishReason
    tool_calls: List[ToolCall] = Field(default_factory=list)
    pending: List[ToolCall] = Field(default_factory=list)
    confidence: Dict[str, float] = Field(default_factory=dict)
    summary: Optional[str] = None
    logprobs: List[TokenLogprob] = Field(default_factory=list)
    _turns: str = PrivateAttr("[]")  # as JSON: most programs never look

    @property
    def turns(self) -> List[Turn]:
        """The requests of this run to its model, one after the other; made of JSON each time, and not a field.

        Their prompts are there with the setting `record_prompts`.

        Example:
            >>> response = agent.run("What is the capital of France?")
            >>> [(turn.raw, turn.usage.completion_tokens) for turn in response.turns]
            [('The capital of France is Paris.', 8)]
        """
        from luup_agent.turns import parse_turns

        return parse_turns(self._turns, self.tool_calls)

    def __eq__(self, other: object) -> bool:
        """Compare the fields: a response that was stored and read again equals the first, which has turns."""
        return self.__dict__ == other.__dict__ if isinstance(other, AgentResponse) else NotImplemented

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    def __repr_args__(self) -> Iterator[Tuple[Optional[str], Any]]:
        """Yield the output, how it ended, and the counts."""
        yield "output", Short(self.output)
        yield "finish_reason", self.finish_reason
        if self.tool_calls:
            yield "tool_calls", [call.name for call in self.tool_calls]
        if self.pending:
            yield "pending", [call.name for call in self.pending]
        yield "tokens", self.usage.total_tokens
        yield "seconds", round(self.timings.total_seconds, 3)

    def _repr_html_(self) -> str:
        """Return the answer, its tool calls and the counts, for a notebook."""
        calls = "".join(
            f"<li><code>{cell(call.name)}({cell(call.arguments_json)})</code>: "
            f"{cell(None if call.result is None else call.result.content)}</li>"
            for call in self.tool_calls
        )
        counts = f"{self.usage.total_tokens:,} tokens, {self.timings.total_seconds:.2f} s, {self.finish_reason}"
        return (
            f'<div style="white-space: pre-wrap">{html.escape(self.text)}</div>'
            + (f"<ul>{calls}</ul>" if calls else "")
            + f"<div><small>{counts}</small></div>"
        )


class TextEvent(_Frozen):
    """A piece of the answer, which never splits a character.

    Attributes:
        text: The text.
        logprobs: Its tokens, see `AgentResponse.logprobs`. A token that ends in the middle of a character, or of a text
            that may become a stop text, comes with the piece that has the rest.
    """

    type: Literal["text"] = "text"
    text: str
    logprobs: List[TokenLogprob] = Field(default_factory=list)


class ReasoningEvent(_Frozen):
    """A piece of the model's reasoning before the answer."""

    type: Literal["reasoning"] = "reasoning"
    text: str


class ProgressEvent(_Frozen):
    """The progress of the prefill: `done` of `total` prompt tokens are computed."""

    type: Literal["progress"] = "progress"
    done: int
    total: int


class ToolCallEvent(_Frozen):
    """The model has called a tool, which has not started yet; a built-in tool has already finished.

    A call of a tool that does not exist, or with arguments that its schema refuses, is followed at once by a
    `ToolResultEvent` with the reason.
    """

    type: Literal["tool_call"] = "tool_call"
    call: ToolCall


class ToolResultEvent(_Frozen):
    """A tool has finished; `content` is the text that the model gets."""

    type: Literal["tool_result"] = "tool_result"
    call_id: str
    name: str
    content: str
    is_error: bool


class SummaryEvent(_Frozen):
    """The conversation filled the context, and a summary replaces its oldest messages.

    The history itself changes only when the run succeeds.

    Attributes:
        text: The summary.
        replaced: The number of messages that it replaces.
        kept: The number of messages that stay.
    """

    type: Literal["summary"] = "summary"
    text: str
    replaced: int
    kept: int


class PartialEvent(_Frozen, Generic[T]):
    """Another part of a typed result is complete; the last event of a run has the whole result.

    Attributes:
        output: For a list, the complete items. For a model, a dataclass or a TypedDict, an instance with the complete
            fields, each validated on its own, and the beginning of the current field if that is a container. A missing
            field has its default. Without a default it is absent from a model (see ``model_fields_set``) and from a
            TypedDict, and None in a dataclass. Validators that are methods of the class run only on the whole result.
    """

    type: Literal["partial"] = "partial"
    output: T


class RetryEvent(_Frozen):
    """The text so far was rejected, and the model answers again; `reason` is the text that it gets."""

    type: Literal["retry"] = "retry"
    reason: str


class DoneEvent(_Frozen, Generic[T]):
    """The last event of a successful run."""

    type: Literal["done"] = "done"
    finish_reason: FinishReason
    response: AgentResponse[T]


Event = Union[
    TextEvent,
    ReasoningEvent,
    ProgressEvent,
    ToolCallEvent,
    ToolResultEvent,
    SummaryEvent,
    PartialEvent[T],
    RetryEvent,
    DoneEvent[T],
]
