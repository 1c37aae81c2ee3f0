"""A conversation of the terminal: an agent, the settings that the user changed, and the steps that can be undone."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from luup_agent import Agent
from luup_agent._files import read_regular, replace_file, shorten_path
from luup_agent._json import read_json
from luup_agent.cli import questions
from luup_agent.cli.media import File
from luup_agent.cli.view import View
from luup_agent.errors import InvalidParamError, LuupError, StorageError
from luup_agent.media import MessageText
from luup_agent.messages import AgentResponse, Message, ToolCall

_FORMAT = "luup-agent conversation"
_MAX_FILE = 256 << 20


class _Step(NamedTuple):
    """The state before a step, and the message of the step; None if it was a command."""

    system_prompt: Optional[str]
    history: Tuple[Message, ...]
    message: Optional[str]


class Conversation:
    """An agent whose last steps can be repeated and undone.

    Attributes:
        agent: The agent; `set_system` makes another one.
        settings: The run options that the command line and ``/set`` gave.
        last: The response to the last message; None if there is none.
        attached: Pictures and sounds for the next message.
    """

    def __init__(self, agent: Agent[Any, Any], settings: Mapping[str, Any], output_type: Any = None) -> None:
        self.agent = agent
        self.settings: Dict[str, Any] = dict(settings)
        self.last: Optional[AgentResponse[Any]] = None
        self.attached: List[File] = []
        self._output_type = output_type
        self._steps: List[_Step] = []
        self._unsent: Optional[str] = None  # the message of a run that failed

    def ask(self, message: str, view: View, approve: Optional[Callable[[ToolCall], bool]] = None) -> AgentResponse[Any]:
        """Answer a message.

        If Ctrl-C stops an answer, its text so far stays in the conversation; a run that fails leaves no trace.

        Raises:
            KeyboardInterrupt: The answer was stopped.
            LuupError: The run failed.
        """
        if self.attached:
            message = MessageText((*self.attached, message))
            self.attached = []
        before = self._state(message)
        options = {**self.settings, "keep_history": "on_error"}
        if approve is not None and self.agent._parts.settings.approve is None:
            options["approve"] = approve
        self._unsent = message
        self.agent._ask_user = questions.asker(view)
        events = self.agent.stream_events(message, output_type=self._output_type, **options)
        try:
            self.last = view.show(events)
        except Exception:  # also one of a tool
            events.close()
            self._restore(before)
            raise
        except BaseException:
            events.close()
            if len(self.agent.messages) == len(before.history) + bool(before.system_prompt):
                raise  # Ctrl-C before the run began
            self._add(before)
            raise
        finally:
            events.close()
        self._add(before)
        return self.last

    def undo(self) -> Optional[str]:
        """Take back the last step, and return its message; "" if it was a command, None if there is no step."""
        if not self._steps:
            return None
        step = self._steps.pop()
        self._restore(step)
        self._unsent = None
        return step.message or ""

    def take_last(self) -> Optional[str]:
        """Take back the last message, and return it to be asked again; None if there is none."""
        if self._unsent is not None:
            return self._unsent
        if not self._steps or self._steps[-1].message is None:
            return None
        return self.undo()

    def clear(self) -> None:
        """Forget the conversation; `undo` brings it back."""
        if self.agent.messages:
            before = self._state()
            self.agent.clear_history()
            self._add(before)
        self.last = None

    def set_system(self, text: str) -> None:
        """Replace the system prompt; "" removes it.

        Raises:
            InvalidParamError: The text can't be one.
        """
        before = self._state()
        self.agent = with_system(self.agent, text)
        self.agent.set_history(before.history)
        self._add(before)

    def change(self, name: str, value: Any) -> None:
        """Set an option for the runs from now on.

        Raises:
            InvalidParamError: The value is not allowed.
        """
        changed = {**self.settings, name: value}
        Agent(self.agent.model, **{**self._own_settings(), **changed}).close()  # checks the values
        self.settings = changed

    def reset(self, name: str) -> None:
        """Give an option the value that the agent has."""
        self.settings.pop(name, None)

    def value(self, name: str) -> Any:
        """Return the value of an option."""
        return self.settings[name] if name in self.settings else getattr(self.agent._parts.settings, name)

    def save(self, path: str) -> int:
        """Write the conversation to a file, and return the number of messages.

        Raises:
            StorageError: The file can't be written.
        """
        value = {"format": _FORMAT, "settings": _plain(self.settings), "messages": self.agent.get_history()}
        text = json.dumps(value, ensure_ascii=False, indent=1)
        try:
            replace_file(os.path.expanduser(path), text.encode("utf-8", "surrogatepass"))
        except (OSError, ValueError) as error:
            raise _storage_error(path, "written", error) from None
        return len(value["messages"])

    def load(self, path: str) -> int:
        """Continue the conversation of a file, and return the number of messages; `undo` goes back.

        The file is one of `save`, or a list of OpenAI chat messages.

        Raises:
            StorageError: The file can't be read.
            JSONParseError: It is not JSON.
            InvalidParamError: It has no conversation.
        """
        try:
            content = read_regular(os.path.expanduser(path), _MAX_FILE)
        except (OSError, ValueError) as error:
            raise _storage_error(path, "read", error) from None
        value = read_json(shorten_path(path), content)
        messages = value.get("messages") if isinstance(value, dict) else value
        if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
            raise InvalidParamError(f"{shorten_path(path)} has no list of messages, as /save writes it")
        system = None
        if messages and messages[0].get("role") in ("system", "developer"):
            system = Message.from_dict("messages[0]", messages[0]).content
            messages = messages[1:]
        settings = value.get("settings", {}) if isinstance(value, dict) else {}
        agent = with_system(self.agent, system or "")
        agent.set_history(messages)
        before = self._state()
        self.agent, replaced = agent, self.settings
        try:
            for name, each in settings.items() if isinstance(settings, dict) else ():
                if name in agent._parts.settings._fields:
                    self.change(name, each)
        except LuupError:
            self.settings = replaced
            self._restore(before)
            raise
        self._add(before)
        return len(messages)

    def _state(self, message: Optional[str] = None) -> _Step:
        messages = self.agent.messages
        system = self.agent._parts.system_prompt
        return _Step(system, tuple(messages[1:] if system is not None else messages), message)

    def _restore(self, step: _Step) -> None:
        if step.system_prompt != self.agent._parts.system_prompt:
            self.agent = with_system(self.agent, step.system_prompt or "")
        self.agent.set_history(step.history)

    def _add(self, step: _Step) -> None:
        self._steps.append(step)
        self._unsent = None

    def _own_settings(self) -> Dict[str, Any]:
        return {**self.agent._parts.settings._asdict(), "tools": (), "toolsets": ()}


def with_system(agent: Agent[Any, Any], text: str) -> Agent[Any, Any]:
    """Return an agent with another system prompt, the same settings and tools, and no history.

    Raises:
        InvalidParamError: The text can't be a system prompt.
    """
    options: Dict[str, Any] = {
        **agent._parts.settings._asdict(),
        "tools": list(agent.tools.values()),
        "toolsets": agent.toolsets,
        "output_type": agent.output_type,
        "enable_history": agent.enable_history,
        "enable_tool_calling": agent.enable_tool_calling,
        "enable_builtin_tools": agent.enable_builtin_tools,
    }
    return Agent(agent.model, text or None, **options)


def _plain(settings: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the settings that JSON can hold."""
    return {
        name: value
        for name, value in settings.items()
        if value is None or isinstance(value, (bool, int, float, str, list))
    }


def _storage_error(path: str, verb: str, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or error
    return StorageError(f"{shorten_path(path)} can't be {verb}: {reason}")
