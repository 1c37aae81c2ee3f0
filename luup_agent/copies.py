"""Copies of an agent: another one that goes on from the same point, or a file that a later process goes on from."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import Any, Dict, Iterator, List, Optional, Tuple, Type, TypeVar, Union

from typing_extensions import Unpack

from luup_agent import _native
from luup_agent.errors import InvalidParamError, StorageError
from luup_agent.model import Model
from luup_agent.sampling import RunOptions, Settings
from luup_agent.toolbox import Toolbox, read_tools

_Agent = TypeVar("_Agent", bound="Copies")

_NOT_SAVED = ("tools", "deps", "approve")  # of the settings: objects of this process


class Copies(Toolbox):
    """The part of `Agent` that makes copies of it."""

    enable_history: bool
    enable_builtin_tools: bool
    _scorer: Optional[_native.NativeAgent]
    _priors: Optional[Dict[Tuple[str, Tuple[str, ...]], List[float]]]

    def fork(self: _Agent) -> _Agent:
        """Makes an agent that goes on from here by itself: with the settings, the tools and the history of this one.

        What both have in common stays in the context once, so a fork prefills nothing but its own next message. Use it
        for several answers to the same question, or to try a branch of a conversation.

        Returns:
            The other agent. What this one is answering right now is not in its history.

        Raises:
            ClosedError: The model or the agent was closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> branches = [agent.fork() for _ in range(3)]
            >>> answers = [branch.generate("Suggest a name for a cat.", seed=n) for n, branch in enumerate(branches)]
            >>> len(answers)
            3
        """
        native = self._native_agent.fork()
        fork = object.__new__(type(self))
        fork.__dict__.update(self.__dict__)
        fork._agent = native
        with self._tools_lock:
            fork._tools = dict(self._tools)
        fork._tools_lock = threading.Lock()
        return fork

    @contextlib.contextmanager
    def override(self: _Agent, *, model: Model) -> Iterator[_Agent]:
        """Lets the agent answer with another model for a while, such as a scripted one in a test.

        In the block the conversation goes on from what was said; after it the agent is as it was before, its history
        and its tools included. Not for an agent that several threads use.

        Args:
            model: The model to answer with.

        Raises:
            InvalidParamError: It is no `Model`.
            ClosedError: A model or the agent was closed.

        Example:
            >>> from luup_agent.testing import ScriptedModel
            >>> with agent.override(model=ScriptedModel(["Hello!"])):
            ...     print(agent.generate("Hi"))
            Hello!
        """
        if not isinstance(model, Model):
            raise InvalidParamError(f"model must be a luup_agent.Model, not {type(model).__name__}")
        native = self._native_agent.fork(model._native_model)
        before = dict(self.__dict__)
        with self._tools_lock:
            before["_tools"] = dict(self._tools)
        self._model, self._agent = model, native
        self._scorer, self._priors = None, None
        try:
            yield self
        finally:
            self.__dict__.clear()
            self.__dict__.update(before)

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Saves the system prompt, the settings, the history, and what the context holds of it, to a file.

        Tools, `deps` and `approve` are objects of this process and are not saved; built-in tools have files of their
        own, and are switched on again by whoever loads the agent. A file that is there already is
        replaced at once, or stays as it is if this fails.

        Args:
            path: The file. It takes as much room as the conversation's part of the KV cache.

        Raises:
            BusyError: The agent is answering a message.
            StorageError: The file can't be written.
            ClosedError: The model or the agent was closed.

        Example:
            >>> agent.save("ada.agent")
            >>> Agent.load("ada.agent", model).get_history() == agent.get_history()
            True
        """
        settings = {name: value for name, value in self._settings._asdict().items() if name not in _NOT_SAVED}
        values = {
            "system_prompt": self._system_prompt,
            "settings": settings,
            "enable_tool_calling": self.enable_tool_calling,
            "enable_builtin_tools": self.enable_builtin_tools,
        }
        self._native_agent.save(path, json.dumps(values))

    @classmethod
    def load(
        cls: Type[_Agent], path: Union[str, os.PathLike[str]], model: Model, **options: Unpack[RunOptions]
    ) -> _Agent:
        """Makes an agent of a file that `save` wrote.

        With the same model file, chat template and build of this library its next answer needs no prefill of what was
        said; else, or if that part of the file is damaged, a warning in the log tells why, and it is computed again.

        Args:
            path: The file. It is trusted as a model's is: load none that a stranger made.
            model: The model to answer with.
            **options: Settings that shall differ from the saved ones, and the tools.

        Returns:
            The agent, which remembers whatever the saved one did.

        Raises:
            StorageError: The file can't be read, is not a saved agent, or its history is damaged.
            InvalidParamError: An option is wrong.
            ClosedError: The model was closed.

        Example:
            >>> agent.save("ada.agent")
            >>> Agent.load("ada.agent", model, temperature=0).generate("What is the capital of France?")
            'The capital of France is Paris.'
        """
        if not isinstance(model, Model):
            raise InvalidParamError(f"model must be a luup_agent.Model, not {type(model).__name__}")
        native, extra = _native.NativeAgent.load(model._native_model, path)
        try:
            values: Dict[str, Any] = json.loads(extra)
            saved = Settings(**values["settings"])
        except (ValueError, TypeError, KeyError):
            raise StorageError(f"{os.fspath(path)} was not saved by Agent.save") from None
        settings = saved.override("load", options)
        _native.check_settings(model._native_model, settings)
        agent = object.__new__(cls)
        agent._model = model
        agent._agent = native
        agent._system_prompt = values["system_prompt"]
        agent._settings = settings._replace(tools=())
        agent.enable_history = True
        agent.enable_tool_calling = bool(values["enable_tool_calling"])
        agent.enable_builtin_tools = bool(values.get("enable_builtin_tools", True))
        if agent.enable_builtin_tools:
            native.enable_summarization()
        agent._tools = {}
        agent._tools_lock = threading.Lock()
        for tool in read_tools(settings.tools):
            agent.add_tool(tool)
        return agent
