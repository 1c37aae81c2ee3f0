"""Answering without a conversation: one message, or each line of stdin."""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, Iterable, Optional

from luup_agent import Agent
from luup_agent.cli import output, questions
from luup_agent.cli.view import View, describe
from luup_agent.errors import ApprovalRequiredError
from luup_agent.messages import ToolCall


def answer_all(
    agent: Agent[Any, Any],
    messages: Iterable[str],
    view: View,
    options: Dict[str, Any],
    output_type: Any = None,
    allow_all: bool = False,
) -> None:
    """Answer messages one after the other, as turns of one conversation.

    Raises:
        ApprovalRequiredError: A tool needs an approval, and there is no terminal to ask the user.
        LuupError: A run failed.
    """
    approve = _approval(view, allow_all)
    if approve is not None and agent._parts.settings.approve is None:
        options = {**options, "approve": approve}
    agent._ask_user = questions.asker(view)
    for message in messages:
        events = agent.stream_events(message, output_type=output_type, **options)
        try:
            response = view.show(events)
        finally:
            events.close()
        if response.pending:
            raise ApprovalRequiredError(
                f"the model wants to call {describe(response.pending[0])}, which needs an approval: add --yes to allow "
                "all calls, or answer in a terminal"
            )


def _approval(view: View, allow_all: bool) -> Optional[Callable[[ToolCall], bool]]:
    """Return the function to ask for approvals; None if there is no terminal to ask at."""
    if allow_all:
        return lambda call: True
    if output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr):
        return view.confirm
    return None
