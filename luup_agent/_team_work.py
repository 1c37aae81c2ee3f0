"""A message that a team answers, agent by agent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Collection, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from pydantic import ValidationError

from luup_agent._run.record import Record, no_usage
from luup_agent._run.tally import Tally, current, tally_for
from luup_agent._run.tool_calls import Decision
from luup_agent._run.typed_output import explain
from luup_agent._tools.context import ModelRetry
from luup_agent.agent import Agent
from luup_agent.errors import MaxTurnsError, RunCancelledError
from luup_agent.handoffs import HandedOver, Handoff
from luup_agent.limits import check_limits
from luup_agent.media import Content
from luup_agent.messages import AgentResponse, DoneEvent, Message, ToolCall, ToolResult, ToolResultEvent, Usage

if TYPE_CHECKING:
    from luup_agent.team import Team


class TeamResponse(NamedTuple):
    """The answer of a team.

    Attributes:
        agent: The name of the agent that answered. It answers the next message too.
        output: Its answer, see `AgentResponse.output`.
        text: The same as text.
        messages: The messages that the run added, those of all agents.
        usage: The token counts of all agents.
        tool_calls: The calls of all agents with their results; a handoff is a call.
        pending: The calls that wait for an approval; `Team.resume` continues them.
        handoffs: The handoffs.
        responses: The responses of the agents, one for each run of one.
    """

    agent: str
    output: Any
    text: str
    messages: List[Message]
    usage: Usage
    tool_calls: List[ToolCall]
    pending: List[ToolCall]
    handoffs: List[HandedOver]
    responses: List[AgentResponse[Any]]


def without(calls: List[ToolCall], names: Collection[str]) -> List[ToolCall]:
    """Return the calls of other tools."""
    return [call for call in calls if call.name not in names]


def answer(work: Work) -> TeamResponse:
    goes_on = True
    while goes_on:
        with work.leg() as agent, work.counting():
            if work.approvals is None:
                response = agent.run(work.message, **work.options)
            else:
                response = agent.resume(work.approvals, **work.options)
            goes_on = work.take(agent, response)
    return work.finish()


async def answer_async(work: Work) -> TeamResponse:
    goes_on = True
    while goes_on:
        with work.leg() as agent, work.counting():
            if work.approvals is None:
                response = await agent.run_async(work.message, **work.options)
            else:
                response = await agent.resume_async(work.approvals, **work.options)
            goes_on = work.take(agent, response)
    return work.finish()


class Work:
    """One message that a team answers, agent by agent.

    Attributes:
        message: The message for the next agent; None if it goes on with the conversation.
        approvals: For the next agent; None if it resumes nothing.
        options: The options of its run.
        done: The last event of the agent before, in a stream.
    """

    def __init__(
        self,
        team: Team,
        message: Optional[Content],
        options: Mapping[str, Any],
        approvals: Optional[Mapping[str, Decision]] = None,
    ) -> None:
        self.message = message
        self.approvals = approvals
        self.options: Any = {}
        self.done: Optional[DoneEvent[Any]] = None
        self._given = dict(options)
        limits = self._given.pop("usage_limits", None)
        check_limits(limits, None)
        self._tally: Optional[Tally] = tally_for(limits)
        self._team = team
        self._name = team._agent
        self._view = team._messages
        self._responses: List[AgentResponse[Any]] = []
        self._messages: List[Message] = []
        self._calls: List[ToolCall] = []
        self._handed: List[HandedOver] = []
        self._results: List[Tuple[ToolCall, ToolResult]] = []
        self._transfers = 0

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Have the runs that are made here count in the limits of the team."""
        token = current.set(self._tally)
        try:
            yield
        finally:
            current.reset(token)

    @contextlib.contextmanager
    def leg(self) -> Iterator[Agent[Any, Any]]:
        """Return the next agent, with the conversation; an error of it reports what all agents did."""
        handoffs = self._team._handoffs[self._name]
        own = [each.tool for each in handoffs.values()]
        self.options = {**self._given, "tools": [*self._given.get("tools", ()), *own]}
        self.done = None
        with self._team._agents[self._name].fork() as agent:
            agent.set_history(self._view)
            done = len(self._responses)
            try:
                yield agent
            except GeneratorExit:
                raise
            except BaseException as error:
                failed_run = len(self._responses) == done
                record = Record(
                    [*self._messages, *(getattr(error, "messages", ()) if failed_run else ())],
                    [*self._calls, *(getattr(error, "tool_calls", ()) if failed_run else ())],
                    sum(self._usages(), getattr(error, "usage", None) or no_usage()) if failed_run else self._usage(),
                )
                record.attach_to(error)
                keeps = self._given.get("keep_history", agent._parts.settings.keep_history)
                if keeps == "on_error":
                    self._team._messages, self._team._agent = _without_system(agent), self._name
                raise
        self.message = self.approvals = None
        self._given.pop("tool_choice", None)

    def last(self) -> DoneEvent[Any]:
        """Return the last event of the agent before.

        Raises:
            RunCancelledError: Its stream was closed before.
        """
        if self.done is None:
            raise RunCancelledError("the stream was closed before the answer was complete")
        return self.done

    def take(self, agent: Agent[Any, Any], response: AgentResponse[Any]) -> bool:
        """Record the response of an agent; return whether another agent goes on.

        Raises:
            MaxTurnsError: There were too many handoffs.
        """
        self._responses.append(response)
        self._view = _without_system(agent)
        self._messages += response.messages
        handoffs = self._team._handoffs[self._name]
        transfers = [call for call in response.pending if call.name in handoffs]
        if not transfers or len(transfers) < len(response.pending):
            self._calls += response.tool_calls
            return False
        self._answer(transfers, handoffs)
        results = {call.id: result for call, result in self._results}
        self._calls += [
            call.model_copy(update={"result": results.get(call.id, call.result)}) for call in response.tool_calls
        ]
        if self._transfers > self._team._most:
            raise MaxTurnsError(
                f"the agents of the team have handed the message over {self._team._most} times, and "
                f"{self._name!r} wants to hand it over again; max_handoffs allows no more"
            )
        return True

    def _answer(self, transfers: List[ToolCall], handoffs: Mapping[str, Handoff]) -> None:
        """Hand over with the first call, and answer them all."""
        self._transfers += 1
        first, handoff = transfers[0], handoffs[transfers[0].name]
        results: List[ToolResult] = []
        try:
            value = handoff.take(first)
        except (ValidationError, ModelRetry) as error:
            results.append(ToolResult(f"Error: the arguments are not valid:\n{explain(error)}", True))
        else:
            self._handed.append(HandedOver(self._name, handoff.to, value))
            results.append(ToolResult(f"The conversation was handed over to {handoff.to}."))
            if self._transfers <= self._team._most:
                self._name = handoff.to
        results += [ToolResult("Error: there can be one handoff at a time", True)] * (len(transfers) - 1)
        self._results = list(zip(transfers, results))
        told = [
            Message(role="tool", content=result.content, tool_call_id=call.id, name=call.name)
            for call, result in self._results
        ]
        self._messages += told
        self._view = [*self._view, *told]
        if not results[0].is_error:
            self._view = handoff.read(self._view)

    def results(self) -> Iterator[ToolResultEvent]:
        """Return the events for the handoffs of the last agent."""
        results, self._results = self._results, []
        for call, result in results:
            yield ToolResultEvent(call_id=call.id, name=call.name, content=result.content, is_error=result.is_error)

    def finish(self) -> TeamResponse:
        """Keep the conversation, and return the response."""
        self._team._messages, self._team._agent = self._view, self._name
        last = self._responses[-1]
        return TeamResponse(
            self._name,
            last.output,
            last.text,
            self._messages,
            self._usage(),
            self._calls,
            without(last.pending, self._team._handoffs[self._name]),
            self._handed,
            self._responses,
        )

    def _usages(self) -> List[Usage]:
        return [response.usage for response in self._responses]

    def _usage(self) -> Usage:
        usages = self._usages()
        return sum(usages[1:], usages[0]) if usages else no_usage()


def _without_system(agent: Agent[Any, Any]) -> List[Message]:
    """Return the conversation of an agent without its system prompt."""
    messages = agent.messages
    return messages[1:] if agent._parts.system_prompt else messages
