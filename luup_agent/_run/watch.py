"""The watches of a run: they observe it for logs and telemetry, and change nothing.

`makers` makes those of telemetry; runs are logged by `log_watch`. A run without a watch pays for one comparison an
event.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Iterator, List, NamedTuple, Optional, Tuple

from luup_agent import _native
from luup_agent._logging import logger
from luup_agent._threads import Lock
from luup_agent.errors import LuupError, RunCancelledError
from luup_agent.messages import Message, ToolCall
from luup_agent.tools import AnyTool

if TYPE_CHECKING:
    from luup_agent._completions.exchange import Responder
    from luup_agent._run.perform import Outcome
    from luup_agent._run.task import Task
    from luup_agent._run.tool_source import RunTools
    from luup_agent.agent import Agent
    from luup_agent.turns import Turn


class Facts(NamedTuple):
    """The facts about a run that is about to begin.

    Attributes:
        agent: The agent.
        task: The message and the settings.
        tools: The tools by name, and their definitions.
        messages: Returns the messages that the run has added so far.
        system_prompt: The system prompt of this run; None if there is none.
    """

    agent: Agent[Any, Any]
    task: Task
    tools: RunTools
    messages: Callable[[], List[Message]]
    system_prompt: Optional[str] = None


class CallWatch:
    """Watches the call of a tool: the ``with`` block is around its function, in the function's own thread or task."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        """Leave the function; with `error` if its task was cancelled."""

    def end(self, outcome: Outcome) -> None:
        """Take the outcome: after the function, or before it if that takes too long. May come twice."""


class Watch:
    """Watches one run, which has begun.

    Attributes:
        wants_prompts: Whether the turns are to have their prompts.
    """

    wants_prompts = False

    def requesting(self, responder: Responder, index: int) -> ContextManager[None]:
        """Return a context in which a request to a remote model begins; `index` is the model's in a fallback."""
        return contextlib.nullcontext()

    def turn(self, turn: Turn) -> None:
        """Take a turn that has ended."""

    def call(self, call: ToolCall, tool: AnyTool) -> Optional[CallWatch]:
        """Return a watch for a call that is about to begin; None for none."""
        return None

    def answered(self, call: ToolCall, content: str, is_error: bool) -> None:
        """Take a call that the library has answered itself: of a built-in tool, or one that it refused."""

    def end(self, error: Optional[BaseException]) -> None:
        """Take the end of the run: None if it ended well."""


Maker = Callable[[Facts], Optional[Watch]]
makers: Tuple[Maker, ...] = ()


class Watches:
    """The watches of a run. An error of a watch is logged, and the run goes on."""

    def __init__(self, watches: List[Watch], read_turns: Callable[[int], str]) -> None:
        """Watch a run.

        Args:
            watches: At least one.
            read_turns: Returns the turns that have ended, from a number on, as JSON.
        """
        self._watches = watches
        self._read_turns = read_turns
        self._seen = 0
        self._ended = False
        self._lock = Lock()  # another thread may close the run

    @property
    def wants_prompts(self) -> bool:
        """Whether the turns are to have their prompts."""
        return any(watch.wants_prompts for watch in self._watches)

    def take(self, kind: int) -> None:
        """Take an event of the core: report the turns that have ended."""
        if kind <= _native.EVENT_PROGRESS:
            return
        with self._lock:
            if not self._ended:
                self._report_turns()

    def _report_turns(self) -> None:
        from luup_agent.turns import parse_turns

        with contextlib.suppress(LuupError):  # the run was closed
            for turn in parse_turns(self._read_turns(self._seen)):
                self._seen += 1
                for watch in self._watches:
                    _guarded(watch.turn, turn)

    @contextlib.contextmanager
    def requesting(self, responder: Responder, index: int) -> Iterator[None]:
        """Return a context in which a request to a remote model begins."""
        with contextlib.ExitStack() as stack:
            for watch in self._watches:
                context = _guarded(watch.requesting, responder, index)
                if context is not None:
                    stack.enter_context(context)
            yield

    def call(self, call: ToolCall, tool: AnyTool) -> Optional[CallWatch]:
        """Return a watch for a call that is about to begin; None for none."""
        found = [_guarded(watch.call, call, tool) for watch in self._watches]
        watches = [watch for watch in found if watch is not None]
        return _CallWatches(watches) if watches else None

    def answered(self, call: ToolCall, content: str, is_error: bool) -> None:
        """Report a call that the library has answered itself."""
        for watch in self._watches:
            _guarded(watch.answered, call, content, is_error)

    def end(self, error: Optional[BaseException]) -> None:
        """Report the end of the run, once; from any thread."""
        with self._lock:
            if not self._ended:
                self._report_turns()
                self._ended = True
                for watch in self._watches:
                    _guarded(watch.end, error)

    def __del__(self) -> None:
        """End with a run that was dropped."""
        self.end(RunCancelledError("the run was dropped"))


class _CallWatches(CallWatch):
    """Several watches of a call as one."""

    def __init__(self, watches: List[CallWatch]) -> None:
        self._watches = watches

    def __enter__(self) -> None:
        for watch in self._watches:
            _guarded(watch.__enter__)

    def __exit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        for watch in reversed(self._watches):
            _guarded(watch.__exit__, kind, error, traceback)

    def end(self, outcome: Outcome) -> None:
        for watch in self._watches:
            _guarded(watch.end, outcome)


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception:
        logger.warning("a watch of the run failed; the run goes on", exc_info=True)
        return None


def begin(makers: Tuple[Maker, ...], facts: Facts, read_turns: Callable[[int], str]) -> Optional[Watches]:
    """Return the watches that `makers` make for a run that is about to begin; None without any."""
    watches = [_guarded(make, facts) for make in makers]
    found = [watch for watch in watches if watch is not None]
    return Watches(found, read_turns) if found else None
