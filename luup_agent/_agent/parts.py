"""The parts of an open agent, and the one way to put them together."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional, Tuple, Union

from luup_agent import _native
from luup_agent._agent.builtins import Builtins
from luup_agent._agent.classify import Classifier
from luup_agent._agent.handle import Handle
from luup_agent._agent.history import History
from luup_agent._agent.toolbox import Toolbox
from luup_agent._run.typed_output import AnySpec, check_for_model
from luup_agent.errors import InvalidParamError
from luup_agent.model import Model
from luup_agent.settings import Settings
from luup_agent.tools import AnyTool


class Parts:
    """The state of an `Agent`: its model, its settings, the core's agent and the Python objects around it.

    Attributes:
        model: The model that the agent answers with.
        system_prompt: The system prompt; None if there is none.
        settings: The settings of its runs.
        output: The type of its answers, unless a run has another; None for text.
        handle: The core's agent.
        history: The conversation.
        toolbox: The tools.
        builtins: The built-in tools.
        classifier: Scores labels.
        prompt_function: Makes the system prompt of each run; None if it is a text.
    """

    def __init__(
        self,
        model: Model,
        native: _native.NativeAgent,
        system_prompt: Optional[str],
        settings: Settings,
        output: Optional[AnySpec] = None,
        tools: Optional[Mapping[str, AnyTool]] = None,
        builtins: Optional[Builtins] = None,
    ) -> None:
        """Put the parts around the core's agent `native`.

        Args:
            model: The model that `native` answers with.
            native: The core's agent.
            system_prompt: Its system prompt.
            settings: The settings of its runs.
            output: The type of its answers, unless a run has another.
            tools: The tools that `native` has already.
            builtins: Those of the agent that `native` was forked from.
        """
        self.model = model
        self.system_prompt = system_prompt
        self.settings = settings
        self.output = output
        self.handle = Handle(native)
        self.history = History(self.handle, system_prompt)
        self.toolbox = Toolbox(self.handle, tools or {})
        self.builtins = Builtins(self.handle, builtins)
        self.classifier = Classifier(model, system_prompt, settings)
        self.prompt_function: Optional[Callable[..., Any]] = None

    def set_prompt(self, system_prompt: Optional[str]) -> None:
        """Replace the system prompt of later runs.

        Raises:
            BusyError: The agent is answering a message.
        """
        if system_prompt != self.system_prompt:
            self.handle.native.set_system_prompt(system_prompt)
            self.system_prompt = self.history.system_prompt = system_prompt

    def set_prompt_source(self, source: Union[str, Callable[..., Any], None]) -> None:
        """Replace the system prompt of later runs, or the function that makes it.

        Raises:
            BusyError: The agent is answering a message.
            InvalidParamError: It is something else.
        """
        text, function = read_prompt(source)
        if function is None:
            self.handle.native.set_system_prompt(text)
            self.system_prompt = self.history.system_prompt = text
        else:
            self.handle.native.set_system_prompt(self.system_prompt)  # raises if the agent is busy
        self.prompt_function, self.history.prompt_changes = function, function is not None

    def classifier_with(self, system_prompt: Optional[str]) -> Classifier:
        """Return the classifier for a system prompt; the last one is kept, with its probabilities."""
        if self.classifier.system_prompt != system_prompt:
            self.classifier = Classifier(self.model, system_prompt, self.settings)
        return self.classifier

    def fork(self, model: Optional[Model] = None) -> Parts:
        """Return the parts of an agent that continues from here, with the same model or another one."""
        with self.toolbox.lock:
            native = self.handle.native.fork(None if model is None else model._native_model)
            tools = self.toolbox.tools()
        target = self.model if model is None else model
        check_for_model(self.output, target._native_model)
        fork = Parts(target, native, self.system_prompt, self.settings, self.output, tools, self.builtins)
        fork.toolbox.toolsets = self.toolbox.toolsets
        fork.prompt_function, fork.history.prompt_changes = self.prompt_function, self.history.prompt_changes
        if model is None:
            fork.classifier = self.classifier  # with the probabilities that it keeps
        return fork


def read_prompt(source: object) -> Tuple[Optional[str], Optional[Callable[..., Any]]]:
    """Return the text of a system prompt, or the function that makes it.

    Raises:
        InvalidParamError: It is neither, nor None.
    """
    if source is None or source == "":
        return None, None
    if callable(source):
        return None, source
    if not isinstance(source, str):
        raise InvalidParamError(f"system_prompt must be a str, a function or None, not {type(source).__name__}")
    return source, None


def check_model(model: object) -> Model:
    """Return `model` if it is one.

    Raises:
        InvalidParamError: It is something else.
    """
    if not isinstance(model, Model):
        raise InvalidParamError(f"model must be a luup_agent.Model, not {type(model).__name__}")
    return model
