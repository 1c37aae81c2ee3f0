"""The function that asks the person who talks with an agent, for the agents that its tools ask.

A tool of an agent with such a function runs with it in a context variable, where the agents that it asks find it: in
the tool's own thread or task, and in those that copy its context, such as tasks and `asyncio.to_thread`.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from luup_agent._mcp.questions import AskUser

current: contextvars.ContextVar[Optional[AskUser]] = contextvars.ContextVar("luup_person", default=None)


def of(agent: object) -> Optional[AskUser]:
    """Return the function of an agent; None if it has none. Tools that are served to other programs have no agent."""
    found: Optional[AskUser] = getattr(agent, "_ask_user", None)
    return found
