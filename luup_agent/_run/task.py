"""The task of a run, and the summary that a function of the user writes for it."""

from __future__ import annotations

from typing import Callable, Coroutine, List, Mapping, NamedTuple, Optional, Tuple

from luup_agent._run.tool_calls import Decision
from luup_agent._run.typed_output import AnySpec
from luup_agent._tools.results import clean
from luup_agent.errors import InvalidParamError
from luup_agent.messages import Message
from luup_agent.settings import Settings

Summarize = Callable[[List[Message]], str]


class Task(NamedTuple):
    """The task of a run.

    Attributes:
        message: The user's message; None answers the history.
        settings: The run's.
        output: The type of the answer; None for plain text.
        decisions: The decisions on calls that wait in the history, by their ids.
        choices: The answers to score, instead of generating one.
        summarize: Writes the summaries that the core requests.
        raw: Whether the message is the whole prompt, without the chat template.
    """

    message: Optional[str]
    settings: Settings
    output: Optional[AnySpec] = None
    decisions: Mapping[str, Decision] = {}
    choices: Tuple[str, ...] = ()
    summarize: Optional[Summarize] = None
    raw: bool = False


def write_summary(summarize: Summarize, messages: List[Message]) -> str:
    """Return the summary that a function of the user writes.

    Raises:
        InvalidParamError: It returned something else.
    """
    summary = summarize(messages)
    if not isinstance(summary, str):
        if isinstance(summary, Coroutine):
            summary.close()
        raise InvalidParamError(f"summarize must return a str, not {type(summary).__name__}")
    return clean(summary)
