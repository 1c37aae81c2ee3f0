"""The record of a run that did not end well: its messages, calls and counts, for the exception that ends it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Sequence

from luup_agent._native import NativeAgent
from luup_agent.errors import LuupError
from luup_agent.messages import Message, ToolCall, Usage

if TYPE_CHECKING:
    from luup_agent.turns import Turn

_MARK = "_luup_record"  # the record that an exception of another class got


class Record(NamedTuple):
    """The messages, calls and token counts of a run.

    Attributes:
        messages: The messages that it added to the conversation.
        tool_calls: Its calls with their results.
        usage: Its token counts; None if it did not begin.
        turns: Its requests to the model.
    """

    messages: List[Message]
    tool_calls: List[ToolCall]
    usage: Optional[Usage]
    turns: Sequence[Turn] = ()

    def attach_to(self, error: BaseException) -> None:
        """Set the attributes of `error`; of a foreign exception only those that it does not have itself."""
        earlier = None if isinstance(error, LuupError) else getattr(error, _MARK, None)
        for name in self._fields:
            if isinstance(error, LuupError) or not hasattr(error, name) or _is_of(earlier, error, name):
                _set(error, name, getattr(self, name))
        if not isinstance(error, LuupError):
            _set(error, _MARK, self)


def _is_of(record: Any, error: BaseException, name: str) -> bool:
    return isinstance(record, Record) and getattr(error, name) is getattr(record, name)


def _set(error: BaseException, name: str, value: object) -> None:
    with contextlib.suppress(Exception):  # the class forbids it
        setattr(error, name, value)


def no_usage() -> Usage:
    """Return the token counts of a run that asked no model."""
    return Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0, total_tokens=0, turns=0)


def take_back(agent: NativeAgent, added: int) -> None:
    """Take the messages of an answer out of the history, which the core had completed before a limit ended the run."""
    with contextlib.suppress(LuupError):  # another run has begun
        history = agent.get_history()
        agent.set_history(history[: max(len(history) - added, 0)])
