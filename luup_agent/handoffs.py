"""`Handoff`: a way for an agent to hand a conversation over to another one of its `Team`."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Optional, Sequence, Union

from typing_extensions import Literal

from luup_agent import _native
from luup_agent._json import read_json
from luup_agent._run.typed_output import output_spec
from luup_agent.errors import InvalidParamError
from luup_agent.messages import Message, ToolCall
from luup_agent.tools import AnyTool, Tool

__all__ = ["HandedOver", "Handoff"]

History = Union[Literal["all", "texts"], Callable[[List[Message]], Sequence[Message]]]
_OPEN: Dict[str, Any] = {"type": "object", "properties": {}}


def _never_called(**arguments: Any) -> NoReturn:
    raise AssertionError("the team answers the call")


class Handoff:
    """A way for an agent to hand the conversation over to another one of its team.

    Its model sees a tool, ``transfer_to_billing`` for the agent "billing".

    Attributes:
        to: The name of the other agent.
        tool: The tool.

    Example:
        >>> class Complaint(BaseModel):
        ...     reason: str
        >>> Handoff("manager", "For complaints.", input_type=Complaint, history="texts")
        <Handoff to manager>
    """

    def __init__(
        self,
        to: str,
        description: str,
        *,
        input_type: Any = None,
        on_handoff: Optional[Callable[[Any], object]] = None,
        history: History = "all",
    ) -> None:
        """Describe a handoff.

        Args:
            to: The name of the other agent: letters, digits, "_" and "-".
            description: When to hand over, for the model.
            input_type: What the model has to tell about it: a pydantic model, a dataclass or a TypedDict; see
                `HandedOver.input`. None for nothing.
            on_handoff: Called at each handoff with the value of `input_type`, or None.
            history: What the other agent reads of the conversation: "all"; "texts" for the messages of the user and the
                answers, without calls, their results and what was said beside a call; or a function of the list of
                messages that returns the list.

        Raises:
            InvalidParamError: An argument is wrong.
            InvalidSchemaError: `input_type` has no JSON schema of an object, or one that can't be enforced.
        """
        spec = output_spec(input_type)
        schema = _OPEN if spec is None else read_json("input_type", spec.request.text)
        if on_handoff is not None and not callable(on_handoff):
            raise InvalidParamError(f"on_handoff must be callable, not {type(on_handoff).__name__}")
        if history not in ("all", "texts") and not callable(history):
            raise InvalidParamError(f"history must be 'all', 'texts' or a function of the messages, not {history!r}")
        if not isinstance(schema, dict) or schema.get("type", "object") != "object":
            raise InvalidParamError("input_type must be a type with fields, such as a pydantic model")
        _native.encode_text("to", to)
        self.to = to
        self.tool: AnyTool = Tool(
            _never_called,
            name=f"transfer_to_{to}",
            description=description,
            parameters={"type": "object", **schema},
            requires_approval=True,
        )
        self.tool._waits = True  # its calls end a run, and the team answers them
        self._spec = spec
        self._on_handoff = on_handoff
        self._history = history

    def take(self, call: ToolCall) -> Any:
        """Return the input of a call.

        Raises:
            pydantic.ValidationError: It is not valid.
            ModelRetry: A validator raised it.
        """
        value = None if self._spec is None else self._spec.validate(call.arguments_json)
        if self._on_handoff is not None:
            self._on_handoff(value)
        return value

    def read(self, messages: List[Message]) -> List[Message]:
        """Return what the other agent reads."""
        if self._history == "all":
            return messages
        if not callable(self._history):
            return [message for message in messages if message.role != "tool" and not message.tool_calls]
        chosen = list(self._history(list(messages)))
        if not chosen or not isinstance(chosen[-1], Message) or chosen[-1].role == "assistant":
            raise InvalidParamError(
                f"history of the handoff to {self.to!r} must return messages that end with one of the user or with "
                "the results of tools"
            )
        return chosen

    def __repr__(self) -> str:
        """Return, for example, ``<Handoff to billing>``."""
        return f"<Handoff to {self.to}>"


class HandedOver(NamedTuple):
    """A handoff that has happened.

    Attributes:
        sender: The name of the agent that handed over.
        receiver: The name of the other one.
        input: The value of `input_type`; None without one.
    """

    sender: str
    receiver: str
    input: Any
