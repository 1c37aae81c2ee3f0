"""The next step of a durable run, given its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Optional

from luup_agent._agent.history import check_approvals
from luup_agent._durable.journal import VERSION, Records
from luup_agent._durable.progress import INTERRUPTED, Recorder, read_progress
from luup_agent._native import encode_text
from luup_agent._run.typed_output import output_spec
from luup_agent.agent import Agent
from luup_agent.errors import InvalidOutputError, InvalidParamError, MaxTurnsError
from luup_agent.media import Content, read_content, written
from luup_agent.messages import AgentResponse, ToolResult
from luup_agent.settings import RunOptions

if TYPE_CHECKING:
    from luup_agent._run.run import Run
    from luup_agent._run.tool_calls import Decision


class Plan(NamedTuple):
    """The request of a caller.

    Attributes:
        run_id: The id of the run.
        caller: The name of the function that was called, for errors.
        agent: The agent that answers.
        message: The user's message; None to go on.
        approvals: For calls that wait for an approval.
        repeat_calls: Whether a call without a recorded result is made again.
        output_type: As for `Agent.run`.
        options: Settings for the run.
    """

    run_id: str
    caller: str
    agent: Agent[Any, Any]
    message: Optional[Content]
    approvals: Optional[Mapping[str, Decision]]
    repeat_calls: bool
    output_type: Any
    options: RunOptions


class Step(NamedTuple):
    """The next thing to do for a run.

    Attributes:
        run: The run to drive; None if it has ended before.
        response: The response of a run that has ended before.
        begin: The values of the record to write before `run` is driven; None for a run that goes on.
    """

    run: Optional[Run]
    response: Optional[AgentResponse[Any]] = None
    begin: Optional[Dict[str, Any]] = None


def next_step(records: Records, plan: Plan) -> Step:
    """Return the step that follows the records.

    Raises:
        InvalidParamError: An argument is wrong, the run began with another message, or there is none to go on with.
        MaxTurnsError: The run has had all of its turns.
        StorageError: The records do not belong together.
    """
    run_id, agent, options = plan.run_id, plan.agent, plan.options
    if not isinstance(agent, Agent):
        raise InvalidParamError(f"agent must be a luup_agent.Agent, not {type(agent).__name__}")
    if not agent.enable_history:
        raise InvalidParamError("agent has enable_history=False: a durable run needs an agent that remembers")
    message: Optional[str] = read_content("message", plan.message)
    copy: Agent[Any, Any] = agent.fork()
    settings = agent._parts.settings.override(plan.caller, options)
    if not records.records:
        if message is None:
            raise InvalidParamError(f"there is no run {run_id!r} to go on with: give its message to begin it")
        if not encode_text("message", message) and written(message) == "":
            raise InvalidParamError("message must not be empty")
        run = copy._new_run(plan.caller, message, options, plan.output_type)
        begin = {"version": VERSION, "message": written(message), "history": copy._parts.handle.native.get_history()}
        return Step(_recorded(run, records, run_id), begin=begin)
    progress = read_progress(records)
    if message is not None and written(message) != written(progress.message):
        raise InvalidParamError(f"the run {run_id!r} began with another message: give it another id, or no message")
    if progress.end is not None:
        return Step(None, _ended(records, progress.end, plan))
    if not progress.turns:
        copy.set_history(progress.history)
        new = copy._new_run(plan.caller, progress.message, options, plan.output_type)
        return Step(_recorded(new, records, run_id))
    if progress.turns >= settings.max_turns and not progress.unanswered:
        raise MaxTurnsError(f"the model still called tools after {progress.turns} turns")
    copy.set_history([*progress.history, *progress.messages])
    decisions = dict(plan.approvals or {})
    if plan.approvals is not None:
        check_approvals(plan.approvals, copy.pending)
    if not plan.repeat_calls:
        for call in progress.unanswered:
            tool = agent.tools.get(call.name)
            if tool is None or not tool.requires_approval:
                decisions.setdefault(call.id, ToolResult(INTERRUPTED, True))
    rest = {**options, "max_turns": max(1, settings.max_turns - progress.turns)}
    if settings.tool_choice != "none":
        rest["tool_choice"] = "auto"  # the first answer has called what it had to
    return Step(_recorded(copy._new_run(plan.caller, None, rest, plan.output_type, decisions), records, run_id))


def _recorded(run: Run, records: Records, run_id: str) -> Run:
    run.run_id = run_id
    run.following.followers.insert(0, Recorder(run, records))
    return run


def _ended(records: Records, end: Dict[str, Any], plan: Plan) -> AgentResponse[Any]:
    try:
        response: AgentResponse[Any] = AgentResponse[Any](output=None, **end)
    except (AttributeError, TypeError, ValueError) as error:
        raise records.damaged(error) from None
    spec = plan.agent._parts.output if plan.output_type is None else output_spec(plan.output_type)
    text = response.text
    try:
        output = text if spec is None else spec.validate(text)
    except Exception as error:
        raise InvalidOutputError(
            f"the run {plan.run_id!r} has ended with an answer that is not of this output_type: {text[:200]}"
        ) from error
    return response.model_copy(update={"output": output})
