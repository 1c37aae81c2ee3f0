"""The questions of a server to the person who talks with the agent: at a terminal, or at the chat page.

The program that knows the person gives the agent a function (`Agent._ask_user`): `luup-agent chat` and the server do.
The agent of the call under way has it, or the agent whose tool asked that agent; without one the question is cancelled.
"""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable, Mapping, NamedTuple, Optional, Union

from luup_agent._logging import logger
from luup_agent._mcp.callers import Caller, Callers
from luup_agent._tools import person


class Question(NamedTuple):
    """The question of a server.

    Attributes:
        server: The server's name.
        message: The question.
        schema: The JSON schema of the form, an object of flat values; None for a page to visit.
        url: The address of the page to visit; None for a form.
    """

    server: str
    message: str
    schema: Optional[Mapping[str, Any]]
    url: Optional[str]


# The filled form, True for a page that was visited, False to decline, None to cancel.
UserAnswer = Union[Mapping[str, Any], bool, None]
AskUser = Callable[[Question], Awaitable[UserAnswer]]


class Questions:
    """Passes the questions of a server on. All of it runs in the background loop.

    Attributes:
        server: The server's name.
    """

    def __init__(self, callers: Callers) -> None:
        """Prepare to ask for these calls."""
        self.server = ""
        self._callers = callers

    async def __call__(self, params: Any) -> UserAnswer:
        """Ask the user: the SDK's `ElicitRequestParams`."""
        caller = self._callers.find(_asker)
        ask = None if caller is None else _asker(caller)
        if caller is None or ask is None:
            logger.warning(
                "the MCP server %s asked the user %r, and there is no one to ask: luup-agent chat and the chat page of "
                "luup-agent serve show questions",
                self.server,
                params.message[:200],
            )
            return None
        form = params.mode != "url"
        question = Question(
            self.server, params.message, params.requested_schema if form else None, None if form else params.url
        )
        return await caller.wait(asyncio.ensure_future(ask(question)))


def _asker(caller: Caller) -> Optional[AskUser]:
    """Return what asks the person of a call: that of its agent, or of the agent whose tool asked that one."""
    return person.of(caller.run.agent) or caller.context.get(person.current)
