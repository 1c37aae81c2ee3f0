"""What goes in and comes out: messages, events, responses and measures, as frozen pydantic models."""

from __future__ import annotations

import json
from typing import Any, Dict, Generic, List, Mapping, Optional, Tuple, Union

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json
from typing_extensions import Literal, TypeVar

from luup_agent.errors import InvalidParamError

T = TypeVar("T", default=str)

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # imports are quick then

    def __reduce__(self) -> Tuple[Any, ...]:
        """Lets a parametrised class, which has no name to be found by, be pickled."""
        generic = type(self).__pydantic_generic_metadata__
        return _restore, (generic["origin"] or type(self), generic["args"], self.__getstate__())


def _restore(origin: Any, args: Tuple[Any, ...], state: Dict[Any, Any]) -> Any:
    cls = origin[args] if args else origin
    value = cls.__new__(cls)
    value.__setstate__(state)
    return value


class ToolResult(_Frozen):
    """What a tool gave, as text for the model.

    As a value for `Agent.resume`, it answers a call without running the tool.

    Attributes:
        content: The text.
        is_error: Whether it tells why the tool failed.

    Example:
        >>> ToolResult("It is sunny.")
        ToolResult(content='It is sunny.', is_error=False)
    """

    content: str
    is_error: bool = False

    def __init__(self, content: str, is_error: bool = False) -> None:
        values: Dict[str, Any] = {"content": content, "is_error": is_error}
        super().__init__(**values)


class ToolCall(_Frozen):
    """A tool called by the model.

    Attributes:
        id: Tells the call from the others of its conversation.
        name: The tool.
        arguments: What the tool was called with, as JSON values; the tool itself gets Python objects made of them.
        arguments_json: The same as the model wrote it.
        result: What the tool gave; None if it has not answered.

    Example:
        >>> ToolCall.from_json("call_1", "add", '{"a": 5, "b": 3}').arguments
        {'a': 5, 'b': 3}
    """

    id: str
    name: str
    arguments: Dict[str, Any]
    arguments_json: str
    result: Optional[ToolResult] = None

    @classmethod
    def from_json(cls, id: str, name: str, arguments_json: str) -> ToolCall:  # noqa: A002  # its name everywhere
        """The call with the arguments that `arguments_json` holds.

        Raises:
            InvalidParamError: It is not the JSON text of an object.
        """
        try:
            arguments = from_json(arguments_json)
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise InvalidParamError(f"the arguments of the call {id!r} are not a JSON object: {arguments_json[:200]}")
        return cls(id=id, name=name, arguments=arguments, arguments_json=arguments_json)

    def to_dict(self) -> Dict[str, Any]:
        """The call as OpenAI's chat API writes it; without the result, which is a message of its own there."""
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments_json},
        }


class Message(_Frozen):
    """One message of a conversation.

    Attributes:
        role: Who speaks: "system", "user", "assistant" or "tool".
        content: The text.
        reasoning: What the model thought before it answered; None if it did not.
        tool_calls: The tools that an assistant's message calls.
        tool_call_id: The call that a tool's message answers; None for the other roles.
        name: The tool that a tool's message comes from; None if it was not told.

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

    def to_dict(self) -> Dict[str, Any]:
        """The message as OpenAI's chat API writes it; the reasoning as ``reasoning_content``."""
        values: Dict[str, Any] = {"role": self.role, "content": self.content}
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
        """The message from an OpenAI chat message; errors call it `name`.

        What is None or an empty list is as good as not there, as OpenAI's own client writes it; a content of text parts
        is their text, and so is a refusal. The role "developer" is "system" by another name.

        Raises:
            InvalidParamError: A key is unknown or missing, or a value is of the wrong type.
        """
        known = {key: value for key, value in values.items() if value is not None and value != []}
        if isinstance(known.get("content"), list):
            known["content"] = _join_parts(f"{name}.content", known["content"])
        if known.get("role") == "developer":
            known["role"] = "system"
        if isinstance(known.get("refusal"), str) and isinstance(known.get("content", ""), str):
            known["content"] = known.get("content", "") + known.pop("refusal")
        if "reasoning_content" in known:
            known["reasoning"] = known.pop("reasoning_content")
        if "tool_calls" in known:
            known["tool_calls"] = _read_calls(f"{name}.tool_calls", known["tool_calls"])
            known.setdefault("content", "")  # OpenAI writes None there if the message only calls tools
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            problems = "; ".join(
                "{}: {}".format(".".join(str(part) for part in problem["loc"]), problem["msg"])
                for problem in error.errors()
            )
            raise InvalidParamError(f"{name} is not a chat message: {problems}") from None


def _join_parts(name: str, parts: List[Any]) -> str:
    """The text of a content in parts; errors call it `name`."""
    for part in parts:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise InvalidParamError(f"{name} must be a text or a list of text parts; other parts can't be kept")
    return "".join(part["text"] for part in parts)


def _read_calls(name: str, calls: Any) -> List[ToolCall]:
    """The calls of an OpenAI chat message; errors call them `name`."""
    if not isinstance(calls, (list, tuple)):
        raise InvalidParamError(f"{name} must be a list, not {type(calls).__name__}")
    found: List[ToolCall] = []
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, Mapping) else None
        parts: List[Any] = []
        if isinstance(function, Mapping):
            arguments = function.get("arguments")
            text = json.dumps(arguments) if isinstance(arguments, Mapping) else arguments
            parts = [call.get("id"), function.get("name"), text]
        if not parts or not all(isinstance(part, str) for part in parts):
            raise InvalidParamError(f"{name}[{index}] is not a tool call with an id, a function's name and arguments")
        found.append(ToolCall.from_json(*parts))
    return found


class Usage(_Frozen):
    """The tokens of one run.

    Attributes:
        prompt_tokens: Of the whole prompt: system prompt, history, message and the template's text.
        cached_tokens: Those of the prompt that were in the context already and cost nothing.
        completion_tokens: Decoded, with reasoning and the final control token.
        total_tokens: `prompt_tokens` + `completion_tokens`.
        turns: Answers of the model, those that called tools included.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_tokens: int
    turns: int = 1


class Timings(_Frozen):
    """Where the time of one run went, in seconds.

    Attributes:
        queue_seconds: Waited for a free sequence.
        prefill_seconds: From then to the first token.
        decode_seconds: From the first token to the last.
        time_to_first_token: From the start to the first token; 0 if there was none.
        total_seconds: From the start to the end.
        prefill_tokens: Computed in `prefill_seconds`: the prompt without what was cached.
        decode_tokens: Decoded in `decode_seconds`: the answer without its first token.
        recomputed_tokens: Of `prefill_tokens`, those that this agent's last turns had computed already. The context had
            no room for them any more, or the model can't keep them where a conversation goes another way (sliding
            windows, recurrent models).
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
        """The speed of the prefill; 0.0 if there was none."""
        return self.prefill_tokens / self.prefill_seconds if self.prefill_seconds > 0 else 0.0

    @property
    def decode_tokens_per_second(self) -> float:
        """The speed of the decoding; 0.0 for an answer of one token."""
        return self.decode_tokens / self.decode_seconds if self.decode_seconds > 0 else 0.0


class ContextUsage(_Frozen):
    """How the context of an agent's next run would be filled, in tokens.

    Attributes:
        total: The model's context.
        system: The system prompt with the template's text around it.
        history: The messages.
        free: What is left for the next message and its answer.
        tools: The agent's tools, as the model is told of them.
    """

    total: int
    system: int
    history: int
    free: int
    tools: int


class AgentResponse(_Frozen, Generic[T]):
    """The answer of one run.

    Attributes:
        output: The answer as a value of `output_type`; for a plain run the same as `text`. While calls are pending
            there is none yet: None for a typed run.
        text: The answer; of a run that called tools, what the model said after the last of them.
        reasoning: What the model thought before it answered; None if it did not.
        messages: The messages that this run added to the conversation.
        usage: Its tokens.
        timings: Its time.
        finish_reason: "stop" (the model ended, or a stop text came up), "length" (`max_tokens` were decoded) or
            "tool_calls" (calls wait for an approval, see `pending`).
        tool_calls: All calls of this run, in the order of the model, with their results.
        pending: Those that wait for an approval; `Agent.resume` goes on with them.
        summary: What took the place of the oldest messages before this run was answered, because they filled the
            context; None if all of them are still there.
        confidence: How sure the model was of each enum and bool in a typed result, 0 to 1, by the path of the field,
            such as "sentiment" or "items.0.kind"; the path of a result that is itself one is "".

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
    tool_calls: List[ToolCall] = []
    pending: List[ToolCall] = []
    confidence: Dict[str, float] = {}
    summary: Optional[str] = None


class TextEvent(_Frozen):
    """A piece of the answer; whole characters only."""

    type: Literal["text"] = "text"
    text: str


class ReasoningEvent(_Frozen):
    """A piece of what the model thinks before it answers."""

    type: Literal["reasoning"] = "reasoning"
    text: str


class ProgressEvent(_Frozen):
    """The prefill goes on: `done` of `total` prompt tokens are computed."""

    type: Literal["progress"] = "progress"
    done: int
    total: int


class ToolCallEvent(_Frozen):
    """The model has called a tool, which has not begun yet; a built-in one has answered already."""

    type: Literal["tool_call"] = "tool_call"
    call: ToolCall


class ToolResultEvent(_Frozen):
    """A tool has answered: what the model is told."""

    type: Literal["tool_result"] = "tool_result"
    call_id: str
    name: str
    content: str
    is_error: bool


class SummaryEvent(_Frozen):
    """The conversation filled the context: a summary takes the place of its oldest messages.

    The history itself changes when the run ends well.

    Attributes:
        text: The summary.
        replaced: How many messages it stands for.
        kept: How many stay as they are.
    """

    type: Literal["summary"] = "summary"
    text: str
    replaced: int
    kept: int


class PartialEvent(_Frozen, Generic[T]):
    """More of a typed result is complete; the last one of a run has the whole result.

    Attributes:
        output: For a model, a dataclass or a TypedDict: an instance that has the fields which are complete, validated
            one by one, and the beginning of the one that is being written if that is a container itself. A field that
            is not there yet has its default; without one it is missing in a model (``model_fields_set`` tells what is
            there) and in a TypedDict, and None in a dataclass. For a list: the complete items. Validators that are
            methods of the class see the whole only.
    """

    type: Literal["partial"] = "partial"
    output: T


class RetryEvent(_Frozen):
    """The text so far was rejected, and the model answers anew; `reason` is what it is told."""

    type: Literal["retry"] = "retry"
    reason: str


class DoneEvent(_Frozen, Generic[T]):
    """The last event of a run that answered."""

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
