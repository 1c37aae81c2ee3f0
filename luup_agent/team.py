"""`Team`: agents that hand a conversation over to one another."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, AsyncGenerator, Dict, Generator, Iterator, List, Mapping, Optional, Sequence

from typing_extensions import Unpack

from luup_agent import _native
from luup_agent._agent.history import check_approvals
from luup_agent._run.tool_calls import Decision
from luup_agent._team_work import TeamResponse, Work, answer, answer_async, without
from luup_agent.agent import Agent
from luup_agent.errors import BusyError, InvalidParamError
from luup_agent.handoffs import Handoff
from luup_agent.media import Content
from luup_agent.messages import DoneEvent, Event, Message, ToolCall
from luup_agent.settings import RunOptions

__all__ = ["Team", "TeamResponse"]


class Team:
    """Agents with one conversation, which they hand over to one another.

    The first agent answers until its model calls a handoff. Then the other agent goes on, with its own system prompt,
    model, tools and settings, and answers from there on, also later messages. The agents themselves remember nothing of
    it: the conversation belongs to the team, which answers one message at a time (`BusyError` otherwise). A message
    that fails leaves it unchanged, unless `keep_history` is "on_error".

    Example:
        >>> team = Team(
        ...     {"desk": desk, "billing": billing},
        ...     handoffs={"desk": [Handoff("billing", "For questions about bills.")]},
        ... )
        >>> response = team.run("Why is my bill so high?")
        >>> response.agent, response.handoffs[0].sender
        ('billing', 'desk')
    """

    def __init__(
        self,
        agents: Mapping[str, Agent[Any, Any]],
        *,
        handoffs: Mapping[str, Sequence[Handoff]],
        first: Optional[str] = None,
        max_handoffs: int = 8,
    ) -> None:
        """Put agents together.

        Args:
            agents: The agents by their names.
            handoffs: To whom each agent may hand over, by its name.
            first: The name of the agent that answers first; by default the first one of `agents`.
            max_handoffs: How often one message may be handed over; then it ends with `MaxTurnsError`.

        Raises:
            InvalidParamError: An argument is wrong; the message names the agent.
        """
        if not isinstance(agents, Mapping) or not agents:
            raise InvalidParamError("agents must be a dict of agents by their names, with one at least")
        for name, agent in agents.items():
            if not isinstance(agent, Agent):
                raise InvalidParamError(f"agents[{name!r}] must be an Agent, not {type(agent).__name__}")
            if not (agent.enable_history and agent.enable_tool_calling):
                raise InvalidParamError(f"agents[{name!r}] needs enable_history and enable_tool_calling")
        self._agents = dict(agents)
        self._handoffs = {name: _check_handoffs(name, agents, handoffs.get(name, ())) for name in agents}
        for name in handoffs:
            self._check_name("handoffs", name)
        self._first = next(iter(agents)) if first is None else first
        self._check_name("first", self._first)
        self._most = _native.encode_int("max_handoffs", max_handoffs, 0)
        self._agent = self._first
        self._messages: List[Message] = []
        self._lock = threading.Lock()

    def _check_name(self, what: str, name: str) -> None:
        if name not in self._agents:
            raise InvalidParamError(f"{what} names {name!r}, but the team has {', '.join(map(repr, self._agents))}")

    @property
    def agent(self) -> str:
        """The name of the agent that answers the next message."""
        return self._agent

    @property
    def messages(self) -> List[Message]:
        """The conversation, as the agent that answers next reads it, without its system prompt."""
        return list(self._messages)

    @property
    def pending(self) -> List[ToolCall]:
        """The calls at the end of the conversation that wait for an approval."""
        waiting: Dict[str, ToolCall] = {}
        for message in self._messages:
            if message.role == "tool":
                waiting.pop(message.tool_call_id or "", None)
            else:
                waiting = {call.id: call for call in message.tool_calls}
        return without(list(waiting.values()), self._handoffs[self._agent])

    def clear_history(self) -> None:
        """Empty the conversation; the first agent answers next."""
        with self._alone():
            self._messages, self._agent = [], self._first

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise BusyError("the team is answering another message")
        try:
            yield
        finally:
            self._lock.release()

    # -- answers -------------------------------------------------------------------------------------------------------

    def generate(self, message: Content, **options: Unpack[RunOptions]) -> Any:
        """Answer a message and return the answer; see `run`.

        Example:
            >>> team.generate("Why is my bill so high?")
            'You have called Australia.'
        """
        return self.run(message, **options).output

    async def generate_async(self, message: Content, **options: Unpack[RunOptions]) -> Any:
        """Do the same as `generate`, under asyncio."""
        return (await self.run_async(message, **options)).output

    def run(self, message: Content, **options: Unpack[RunOptions]) -> TeamResponse:
        """Answer a message.

        Args:
            message: The user's message.
            **options: Settings for this message, for all agents: see `RunOptions`. `tool_choice` is for the first one,
                and `usage_limits` bounds all of them together.

        Raises:
            MaxTurnsError: The message was handed over more than `max_handoffs` times.
            LuupError: As `Agent.run`. It reports what all agents did.
        """
        with self._alone():
            return answer(Work(self, message, options))

    async def run_async(self, message: Content, **options: Unpack[RunOptions]) -> TeamResponse:
        """Do the same as `run`, under asyncio."""
        with self._alone():
            return await answer_async(Work(self, message, options))

    def resume(self, approvals: Mapping[str, Decision], **options: Unpack[RunOptions]) -> TeamResponse:
        """Go on with calls that wait for an approval, see `Agent.resume`."""
        with self._alone():
            check_approvals(approvals, self.pending)
            return answer(Work(self, None, options, approvals))

    async def resume_async(self, approvals: Mapping[str, Decision], **options: Unpack[RunOptions]) -> TeamResponse:
        """Do the same as `resume`, under asyncio."""
        with self._alone():
            check_approvals(approvals, self.pending)
            return await answer_async(Work(self, None, options, approvals))

    def stream_events(self, message: Content, **options: Unpack[RunOptions]) -> Generator[Event[Any], None, None]:
        """Answer a message and yield an event for everything that happens, see `Agent.stream_events`.

        The run begins with the first event; closing the iterator ends it. The last event is the `DoneEvent` of the
        agent that answers; `agent` names it.
        """
        with self._alone():
            work = Work(self, message, options)
            goes_on = True
            while goes_on:
                with work.leg() as agent:
                    with work.counting():
                        stream = agent.stream_events(work.message, **work.options)
                    with contextlib.closing(stream):
                        for event in stream:
                            if isinstance(event, DoneEvent):
                                work.done = event
                            else:
                                yield event
                    goes_on = work.take(agent, work.last().response)
                    yield from work.results()
            work.finish()
            yield work.last()

    async def stream_events_async(
        self, message: Content, **options: Unpack[RunOptions]
    ) -> AsyncGenerator[Event[Any], None]:
        """Do the same as `stream_events`, under asyncio."""
        with self._alone():
            work = Work(self, message, options)
            goes_on = True
            while goes_on:
                with work.leg() as agent:
                    with work.counting():
                        stream = agent.stream_events_async(work.message, **work.options)
                    try:
                        async for event in stream:
                            if isinstance(event, DoneEvent):
                                work.done = event
                            else:
                                yield event
                    finally:
                        await stream.aclose()
                    goes_on = work.take(agent, work.last().response)
                    for result in work.results():
                        yield result
            work.finish()
            yield work.last()

    def generate_stream(self, message: Content, **options: Unpack[RunOptions]) -> Generator[str, None, None]:
        """Answer a message and yield the texts of the agents piece by piece."""
        with contextlib.closing(self.stream_events(message, **options)) as events:
            for event in events:
                if event.type == "text":
                    yield event.text

    async def generate_stream_async(self, message: Content, **options: Unpack[RunOptions]) -> AsyncGenerator[str, None]:
        """Do the same as `generate_stream`, under asyncio."""
        events = self.stream_events_async(message, **options)
        try:
            async for event in events:
                if event.type == "text":
                    yield event.text
        finally:
            await events.aclose()

    def __repr__(self) -> str:
        """Return, for example, ``<Team desk, billing>``."""
        return f"<Team {', '.join(self._agents)}>"


def _check_handoffs(name: str, agents: Mapping[str, Agent[Any, Any]], given: Sequence[Handoff]) -> Dict[str, Handoff]:
    found: Dict[str, Handoff] = {}
    for each in given:
        if not isinstance(each, Handoff):
            raise InvalidParamError(f"handoffs[{name!r}] must be a list of Handoff, but has {type(each).__name__}")
        if each.to not in agents or each.to == name:
            raise InvalidParamError(
                f"handoffs[{name!r}] has one to {each.to!r}; give the name of another agent of the team"
            )
        if each.tool.name in found or each.tool.name in agents[name].tools:
            raise InvalidParamError(f"agents[{name!r}] has two tools {each.tool.name!r}")
        found[each.tool.name] = each
    return found
