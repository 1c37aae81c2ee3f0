"""The questions of a server to the person who talks with the agent: at a terminal, or at the chat page.

The program that knows the person gives the agent a function (`Agent._ask_user`): `luup-agent chat` and the server do.
The agent of the call under way has it; without one the question is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import Any, Awaitable, Callable, Iterator, List, Mapping, NamedTuple, Optional, Set, Union

from luup_agent._logging import logger
from luup_agent._tools.context import RunContext


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


class _Caller:
    """A call that is under way, and the questions for it."""

    def __init__(self, run: RunContext[Any]) -> None:
        self.run = run
        self.tasks: Set[asyncio.Future[UserAnswer]] = set()


_calling: contextvars.ContextVar[Optional[_Caller]] = contextvars.ContextVar("luup_mcp_asking", default=None)


class Questions:
    """Passes the questions of a server on. All of it runs in the background loop.

    Attributes:
        server: The server's name.
    """

    def __init__(self) -> None:
        """Prepare to ask."""
        self.server = ""
        self._callers: List[_Caller] = []

    @contextlib.contextmanager
    def calling(self, run: RunContext[Any]) -> Iterator[None]:
        """Note that a call is under way. Its end is the end of the questions for it."""
        caller = _Caller(run)
        token = _calling.set(caller)
        self._callers.append(caller)
        try:
            yield
        finally:
            self._callers.remove(caller)
            for task in caller.tasks:
                task.cancel()
            with contextlib.suppress(ValueError):  # closed by the garbage collector, in another context
                _calling.reset(token)

    async def __call__(self, params: Any) -> UserAnswer:
        """Ask the user: the SDK's `ElicitRequestParams`."""
        caller = self._find()
        ask: Optional[AskUser] = None if caller is None else caller.run.agent._ask_user
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
        task = asyncio.ensure_future(ask(question))
        caller.tasks.add(task)
        task.add_done_callback(caller.tasks.discard)
        return await task

    def _find(self) -> Optional[_Caller]:
        """Return the call that the question belongs to; None if that is not known."""
        caller = _calling.get()
        if caller is not None:
            return caller
        # A server of an older protocol does not say for which call it asks.
        agents = {id(each.run.agent) for each in self._callers}
        return self._callers[-1] if len(agents) == 1 else None
