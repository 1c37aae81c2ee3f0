"""The conversation of an agent: reading it, writing it, counting it."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

from luup_agent import _native
from luup_agent.agent_base import AgentBase
from luup_agent.errors import InvalidParamError
from luup_agent.messages import ContextUsage, Message, ToolCall


class Conversation(AgentBase):
    """The part of `Agent` that keeps the conversation."""

    def add_message(self, role: str, content: str) -> None:
        """Appends a message to the history.

        Args:
            role: "user" or "assistant".
            content: The text.

        Raises:
            InvalidParamError: The role is another one, or the text is empty or not text.
            BusyError: The agent is answering a message.

        Example:
            >>> agent.add_message("user", "My name is Ada.")
            >>> agent.add_message("assistant", "Nice to meet you, Ada.")
        """
        self._native_agent.add_message(role, content)

    def clear_history(self) -> None:
        """Empties the history; the system prompt stays.

        Raises:
            BusyError: The agent is answering a message.

        Example:
            >>> agent.clear_history()
        """
        self._native_agent.clear_history()

    def get_history(self) -> List[Dict[str, Any]]:
        """The conversation as OpenAI chat messages, the system prompt first if there is one.

        JSON keeps all of it: with `set_history` another process goes on, calls that wait for an approval included.

        Example:
            >>> agent.get_history()[-1]
            {'role': 'assistant', 'content': 'Hello!'}
        """
        history = self._native_agent.get_history()
        if self._system_prompt is not None:
            history.insert(0, {"role": "system", "content": self._system_prompt})
        return history

    def set_history(self, messages: Iterable[Union[Message, Mapping[str, Any]]]) -> None:
        """Replaces the history; on failure it stays as it was.

        Args:
            messages: `Message` objects or OpenAI chat messages, as `get_history` gives them. A system message may only
                come first, and must be the agent's own.

        Raises:
            InvalidParamError: It is not a list of messages; the error names the first that is wrong.
            BusyError: The agent is answering a message.

        Example:
            >>> other = Agent(model, agent.system_prompt)
            >>> other.set_history(agent.get_history())
        """
        if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
            raise InvalidParamError(f"messages must be a list of messages, not {type(messages).__name__}")
        history: List[Dict[str, Any]] = []
        for index, item in enumerate(messages):
            name = f"messages[{index}]"
            if not isinstance(item, (Message, Mapping)):
                raise InvalidParamError(f"{name} must be a Message or a dict, not {type(item).__name__}")
            message = item if isinstance(item, Message) else Message.from_dict(name, item)
            if message.role == "system":
                if index or message.content != self._system_prompt:
                    raise InvalidParamError(f"{name} is a system message, but not the agent's own, first")
                continue
            values = message.to_dict()
            _check_texts(name, values)
            history.append(values)
        self._native_agent.set_history(history)

    @property
    def messages(self) -> List[Message]:
        """The conversation as `Message` objects, the system prompt first if there is one."""
        return [Message.from_dict("history", message) for message in self.get_history()]

    @property
    def pending(self) -> List[ToolCall]:
        """The calls at the end of the history that wait for an approval; see `resume`."""
        waiting: Dict[str, ToolCall] = {}
        for message in self.messages:
            if message.role == "tool":
                waiting.pop(message.tool_call_id or "", None)
            else:
                waiting = {call.id: call for call in message.tool_calls}
        return list(waiting.values())

    @property
    def context(self) -> ContextUsage:
        """How the context of the next run would be filled, in exact tokens.

        Raises:
            ClosedError: The model or the agent was closed.
        """
        return ContextUsage(**self._native_agent.context())

    @property
    def system_prompt(self) -> Optional[str]:
        """What the model is told before the conversation; None for nothing."""
        return self._system_prompt

    def _prompt_tokens(self, message: Optional[str]) -> List[int]:
        """The tokens that a run of `message` would prefill."""
        return self._native_agent.prompt_tokens(message)


def _check_texts(name: str, value: Any) -> None:
    """Refuses texts that the core could not take, by their place in a message."""
    if isinstance(value, dict):
        for key, part in value.items():
            _check_texts(f"{name}.{key}", part)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _check_texts(f"{name}[{index}]", part)
    else:
        _native.encode_text(name, value)
