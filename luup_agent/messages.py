"""What goes in and comes out: messages, events, responses and measures, as frozen pydantic models."""

from __future__ import annotations

from typing import Any, Dict, Generic, List, Mapping, Optional, Tuple, TypeVar, Union

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import Literal

from luup_agent.errors import InvalidParamError

T = TypeVar("T")

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Frozen):
    """One message of a conversation.

    Attributes:
        role: Who speaks: "system", "user", "assistant" or "tool".
        content: The text.
        reasoning: What the model thought before it answered; None if it did not.

    Example:
        >>> Message(role="user", content="Hi").to_dict()
        {'role': 'user', 'content': 'Hi'}
    """

    role: Role
    content: str
    reasoning: Optional[str] = None

    def to_dict(self) -> Dict[str, Any]:
        """The message as OpenAI's chat API writes it; the reasoning as ``reasoning_content``."""
        values: Dict[str, Any] = {"role": self.role, "content": self.content}
        if self.reasoning is not None:
            values["reasoning_content"] = self.reasoning
        return values

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> Message:
        """The message from an OpenAI chat message; errors call it `name`.

        Raises:
            InvalidParamError: A key is unknown or missing, or a value is of the wrong type.
        """
        known = dict(values)
        if "reasoning_content" in known:
            known["reasoning"] = known.pop("reasoning_content")
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            problems = "; ".join(
                "{}: {}".format(".".join(str(part) for part in problem["loc"]), problem["msg"])
                for problem in error.errors()
            )
            raise InvalidParamError(f"{name} is not a chat message: {problems}") from None


class Usage(_Frozen):
    """The tokens of one run.

    Attributes:
        prompt_tokens: Of the whole prompt: system prompt, history, message and the template's text.
        cached_tokens: Those of the prompt that were in the context already and cost nothing.
        completion_tokens: Decoded, with reasoning and the final control token.
        total_tokens: `prompt_tokens` + `completion_tokens`.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_tokens: int


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
    """

    queue_seconds: float
    prefill_seconds: float
    decode_seconds: float
    time_to_first_token: float
    total_seconds: float
    prefill_tokens: int
    decode_tokens: int

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
    """

    total: int
    system: int
    history: int
    free: int


class AgentResponse(_Frozen, Generic[T]):
    """The answer of one run.

    Attributes:
        output: The answer as a value; for a plain run the same as `text`.
        text: The answer.
        reasoning: What the model thought before it answered; None if it did not.
        messages: The messages that this run added to the conversation.
        usage: Its tokens.
        timings: Its time.
        finish_reason: "stop" (the model ended, or a stop text came up) or "length" (`max_tokens` were decoded).

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

    def __reduce__(self) -> Tuple[Any, ...]:
        """Lets a parametrised class, which has no name to be found by, be pickled."""
        generic = type(self).__pydantic_generic_metadata__
        return _restore, (generic["origin"] or type(self), generic["args"], self.__getstate__())


def _restore(origin: Any, args: Tuple[Any, ...], state: Dict[Any, Any]) -> Any:
    cls = origin[args] if args else origin
    response = cls.__new__(cls)
    response.__setstate__(state)
    return response


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


class DoneEvent(_Frozen):
    """The last event of a run that answered."""

    type: Literal["done"] = "done"
    finish_reason: FinishReason
    response: AgentResponse[str]


Event = Union[TextEvent, ReasoningEvent, ProgressEvent, DoneEvent]
