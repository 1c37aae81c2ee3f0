"""The conversation of an agent: read, replaced, counted."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

from luup_agent import _native
from luup_agent._agent.handle import Handle
from luup_agent.errors import InvalidParamError
from luup_agent.media import MessageText
from luup_agent.messages import Message, ToolCall


class History:
    """The conversation of an agent, the system prompt included.

    Attributes:
        system_prompt: The system prompt; None if there is none.
        prompt_changes: Whether each run makes the system prompt again.
    """

    def __init__(self, handle: Handle, system_prompt: Optional[str]) -> None:
        self._handle = handle
        self.system_prompt = system_prompt
        self.prompt_changes = False

    def get(self) -> List[Dict[str, Any]]:
        """Return the conversation as OpenAI chat messages, the system prompt first if there is one."""
        history = self._handle.native.get_history()
        if self.system_prompt is not None:
            history.insert(0, {"role": "system", "content": self.system_prompt})
        return history

    def set(self, messages: Iterable[Union[Message, Mapping[str, Any]]]) -> None:
        """Replace the conversation; on failure it stays as it was."""
        if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
            raise InvalidParamError(f"messages must be a list of messages, not {type(messages).__name__}")
        history: List[Dict[str, Any]] = []
        for index, item in enumerate(messages):
            plain = _plain(item)
            if plain is not None:
                history.append(plain)
                continue
            name = f"messages[{index}]"
            if not isinstance(item, (Message, Mapping)):
                raise InvalidParamError(f"{name} must be a Message or a dict, not {type(item).__name__}")
            message = item if isinstance(item, Message) else Message.from_dict(name, item)
            if message.role == "system" and not index:
                if message.content != self.system_prompt and not self.prompt_changes:
                    raise InvalidParamError(
                        f"{name} is a system message, but not the agent's system_prompt; only later ones may differ"
                    )
                continue
            values = message.to_dict()
            if not _has_right_texts(values):
                _check_texts(name, values)
            history.append(values)
        self._handle.native.set_history(history)

    def append(self, role: str, content: MessageText) -> None:
        """Append a message with pictures or sounds.

        Raises:
            InvalidParamError: The role is not "user".
        """
        if role != "user":
            raise InvalidParamError(f"role must be 'user' for a message with pictures or sounds, not {role!r}")
        native = self._handle.native
        native.set_history([*native.get_history(), Message(role="user", content=content).to_dict()])

    def messages(self) -> List[Message]:
        """Return the conversation as `Message` objects, the system prompt first if there is one."""
        return [Message.from_dict("history", message) for message in self.get()]

    def pending(self) -> List[ToolCall]:
        """Return the calls at the end of the conversation that have no result."""
        waiting: Dict[str, ToolCall] = {}
        for message in self.messages():
            if message.role == "tool":
                waiting.pop(message.tool_call_id or "", None)
            else:
                waiting = {call.id: call for call in message.tool_calls}
        return list(waiting.values())


def _plain(item: Any) -> Optional[Dict[str, str]]:
    """Return a message that is nothing but the text of a user or of the model, as most are: it needs no reading."""
    if type(item) is not dict or len(item) != 2:
        return None
    role, content = item.get("role"), item.get("content")
    if type(role) is not str or role not in ("user", "assistant") or type(content) is not str:
        return None
    return {"role": role, "content": content} if _has_right_texts(content) else None


def _has_right_texts(value: Any) -> bool:
    """Tell whether all texts of a message can be given to the core: quickly, without their places."""
    if type(value) is str:
        return "\0" not in value and (value.isascii() or _is_encodable(value))
    if type(value) is dict:
        return all(map(_has_right_texts, value.values()))
    return all(map(_has_right_texts, value)) if type(value) is list else not isinstance(value, (str, dict, list))


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _check_texts(name: str, value: Any) -> None:
    """Check the texts of a message; an error names the place of the text."""
    if isinstance(value, dict):
        for key, part in value.items():
            _check_texts(f"{name}.{key}", part)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _check_texts(f"{name}[{index}]", part)
    elif isinstance(value, str):  # the fields that only a server knows have other values too
        _native.encode_text(name, value)


def check_approvals(approvals: Mapping[str, Any], pending: Iterable[ToolCall]) -> None:
    """Check that `approvals` are for pending calls.

    Raises:
        InvalidParamError: No call is pending, or none under an id of `approvals`.
    """
    if not isinstance(approvals, Mapping):
        raise InvalidParamError(f"approvals must be a dict, not {type(approvals).__name__}")
    waiting = {call.id: call.name for call in pending}
    for call_id in approvals:
        if call_id not in waiting:
            raise InvalidParamError(f"no call {call_id!r} waits for an approval")
    if not waiting:
        raise InvalidParamError("no call waits for an approval")
