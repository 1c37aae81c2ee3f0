"""The methods of a run for its preview, its turns and its watches."""

from __future__ import annotations

import json
import logging
import weakref
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence, Tuple

from luup_agent import _native
from luup_agent._logging import runs_logger
from luup_agent._run import watch
from luup_agent._run.tool_calls import ToolCalls, messages_reader
from luup_agent._run.tool_source import RunTools
from luup_agent.errors import ClosedError, RunCancelledError

if TYPE_CHECKING:
    from luup_agent._completions.exchange import Exchange, Responder
    from luup_agent._run.task import Task
    from luup_agent._run.watch import Watches
    from luup_agent.agent import Agent
    from luup_agent.messages import Message, ToolCall
    from luup_agent.turns import Prompt, Turn


class Watched:
    """The methods of `Run` for previews, turns and watches. `Run` sets the attributes.

    Attributes:
        native: The core's run.
        calls: The tool calls.
    """

    native: _native.NativeRun
    calls: ToolCalls
    system_prompt: Optional[str]
    history: Optional[List[Message]]
    _native_agent: _native.NativeAgent
    _task: Task
    _agent: Optional[Agent[Any, Any]]
    _exchange: Optional[Exchange]
    _read_tools: Callable[[], RunTools]
    _watches: Optional[Watches] = None
    _turn_log: Optional[str] = None  # what read_turns() returned at the end of a stream

    def _request(self, definitions: Optional[str]) -> _native.RunRequest:
        task = self._task
        output = None if task.output is None else task.output.request
        history = None if self.history is None else json.dumps([each.to_dict() for each in self.history])
        return _native.RunRequest(
            task.message, definitions, output, task.choices, self.system_prompt, history, task.raw
        )

    def preview(self) -> Prompt:
        """Return what the model would get first, without starting the run."""
        from luup_agent.turns import Prompt

        request = self._request(self._read_tools()[1])
        text, tokens = self._native_agent.preview(self._task.settings, request)
        return Prompt(text=text if tokens else self._redact(text), tokens=tokens)

    def read_turns(self, first: int = 0) -> str:
        """Return the requests to a model that have ended, from number `first` on, as JSON without secrets."""
        try:
            return self._redact(self.native.log(first))
        except ClosedError:
            raise RunCancelledError("the run was closed") from None

    def turns(self, calls: Sequence[ToolCall]) -> List[Turn]:
        """Return the requests to a model that have ended. `calls` are the run's, with their results."""
        from luup_agent.turns import parse_turns

        return parse_turns(self.read_turns(), calls)

    def _redact(self, text: str) -> str:
        return _redacted(self._native_agent.responders, text)

    def _follow(self, tools: RunTools) -> None:
        """Begin the watches of this run. They do not keep it alive: a run that is dropped ends."""
        makers = watch.makers
        if runs_logger.isEnabledFor(logging.DEBUG):
            from luup_agent._run.log_watch import LogWatch

            makers += (LogWatch,)
        if not makers or self._agent is None or self._task.choices:
            return
        prompt = self._agent._parts.system_prompt if self.system_prompt is None else self.system_prompt
        facts = watch.Facts(self._agent, self._task, tools, messages_reader(self.native), prompt)
        watches = watch.begin(makers, facts, _turns_reader(self.native, self._native_agent.responders))
        if watches is not None:
            self._watches = self.calls.watches = watches
            if watches.wants_prompts:
                settings = self._task.settings._replace(record_prompts=True)
                self._task = self._task._replace(settings=settings)

    def _begin_request(self) -> None:
        assert self._exchange is not None
        if self._watches is None:
            self._exchange.begin()
            return
        index = self.native.model_index()
        with self._watches.requesting(self._native_agent.responders[index], index):
            self._exchange.begin()


def _redacted(responders: Tuple[Responder, ...], text: str) -> str:
    for responder in responders:
        text = responder.redact(text)
    return text


def _turns_reader(native: _native.NativeRun, responders: Tuple[Responder, ...]) -> Callable[[int], str]:
    run = weakref.ref(native)

    def read(first: int) -> str:
        native = run()
        if native is None:
            raise ClosedError("the run has ended")
        return _redacted(responders, native.log(first))

    return read
