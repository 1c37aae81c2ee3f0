"""The methods of `Agent` that copy and save agents."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Iterator, Type, TypeVar, Union, overload

from typing_extensions import Unpack

from luup_agent._agent import saving
from luup_agent._agent.parts import Parts, check_model
from luup_agent._agent.state import AgentState
from luup_agent._run.typed_output import check_for_model, output_spec
from luup_agent.model import Model
from luup_agent.outputs import Output
from luup_agent.settings import RunOptions

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from luup_agent.agent import Agent

T = TypeVar("T")
_Agent = TypeVar("_Agent", bound="Copying")


class Copying(AgentState):
    """Methods of `Agent` that make other agents: forks, and agents in files."""

    def fork(self: _Agent) -> _Agent:
        """Return an agent that continues from here by itself, with the settings, tools and history of this one.

        Both share the toolsets, and so the connections to MCP servers.

        The tokens that both have in common stay in the context once, so a fork prefills nothing but its own next
        message. Use it for several answers to the same question, or to try a branch of a conversation.

        Returns:
            The other agent. A message that this one is answering right now is not in its history.

        Raises:
            ClosedError: The model or the agent was closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> branches = [agent.fork() for _ in range(3)]
            >>> answers = [branch.generate("Suggest a name for a cat.", seed=n) for n, branch in enumerate(branches)]
            >>> len(answers)
            3
        """
        return self._with_parts(self._parts.fork())

    @contextlib.contextmanager
    def override(self: _Agent, *, model: Model) -> Iterator[_Agent]:
        """Answer with another model inside a ``with`` block, such as a scripted one in a test.

        In the block the conversation continues; after it the agent is as it was before, with its history and its tools.
        Not for an agent that several threads use.

        Args:
            model: The model to answer with.

        Raises:
            InvalidParamError: It is not a `Model`.
            ClosedError: A model or the agent was closed.

        Example:
            >>> from luup_agent.testing import ScriptedModel
            >>> with agent.override(model=ScriptedModel(["Hello!"])):
            ...     print(agent.generate("Hi"))
            Hello!
        """
        before = self._parts, self.enable_history, self.enable_tool_calling, self.enable_builtin_tools
        self._parts = self._parts.fork(check_model(model))
        try:
            yield self
        finally:
            self._parts, self.enable_history, self.enable_tool_calling, self.enable_builtin_tools = before

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Save the system prompt, the settings, the history and its part of the context to a file.

        Tools, toolsets, `deps`, `approve` and an `output_type` that is a Python type are objects of this process and
        are not saved; built-in tools have files of their own, and have to be switched on again after `load`. An
        existing file is replaced at once, or stays as it is if this fails.

        Args:
            path: The file. It is as large as the conversation's part of the KV cache.

        Raises:
            BusyError: The agent is answering a message.
            StorageError: The file can't be written.
            ClosedError: The model or the agent was closed.

        Example:
            >>> agent.save("ada.agent")
            >>> Agent.load("ada.agent", model).get_history() == agent.get_history()
            True
        """
        parts = self._parts
        values = saving.SavedAgent(
            parts.system_prompt,
            parts.settings,
            self.enable_tool_calling,
            self.enable_builtin_tools,
            None if parts.output is None else parts.output.type,
        )
        saving.save(parts.handle.native, path, values)

    @overload
    @classmethod
    def load(
        cls: Type[_Agent],
        path: Union[str, os.PathLike[str]],
        model: Model,
        *,
        output_type: None = None,
        **options: Unpack[RunOptions],
    ) -> _Agent: ...
    @overload
    @classmethod
    def load(
        cls,
        path: Union[str, os.PathLike[str]],
        model: Model,
        *,
        output_type: TypeForm[T],
        **options: Unpack[RunOptions],
    ) -> Agent[Any, T]: ...
    @overload
    @classmethod
    def load(
        cls,
        path: Union[str, os.PathLike[str]],
        model: Model,
        *,
        output_type: Output[T],
        **options: Unpack[RunOptions],
    ) -> Agent[Any, T]: ...
    @overload
    @classmethod
    def load(
        cls, path: Union[str, os.PathLike[str]], model: Model, *, output_type: Any, **options: Unpack[RunOptions]
    ) -> Agent[Any, Any]: ...
    @classmethod
    def load(
        cls,
        path: Union[str, os.PathLike[str]],
        model: Model,
        *,
        output_type: Any = None,
        **options: Unpack[RunOptions],
    ) -> Any:
        """Return an agent from a file that `save` wrote.

        With the same model file, chat template and build of this library its next answer needs no prefill of the
        conversation. Otherwise, or if that part of the file is damaged, the conversation is computed again, and a
        warning in the log gives the reason.

        Args:
            path: The file. It is trusted as a model's file is: load none from a stranger.
            model: The model to answer with.
            output_type: Replaces the saved one. An agent that was saved with a Python type needs it.
            **options: Settings that replace the saved ones, the tools and the toolsets.

        Returns:
            The agent, with the history of the saved one.

        Raises:
            StorageError: The file can't be read, is not a saved agent, or its history is damaged.
            InvalidParamError: An option is wrong, or `output_type` is missing.
            ClosedError: The model was closed.

        Example:
            >>> agent.save("ada.agent")
            >>> Agent.load("ada.agent", model, temperature=0).generate("What is the capital of France?")
            'The capital of France is Paris.'
        """
        native, saved = saving.load(check_model(model)._native_model, path, options, output_type)
        output = output_spec(saved.output_type)
        check_for_model(output, model._native_model)
        parts = Parts(model, native, saved.system_prompt, saved.settings._replace(tools=(), toolsets=()), output)
        agent = object.__new__(cls)
        agent._set_up(parts, True, saved.enable_tool_calling, saved.enable_builtin_tools)
        agent._equip(saved.settings.tools, saved.settings.toolsets)
        return agent
