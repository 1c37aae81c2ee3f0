"""`DBOSRun`: a run of an agent as a part of a workflow of DBOS. It needs ``pip install "luup-agent[dbos]"``.

Example:
    >>> from dbos import DBOS
    >>> from luup_agent.integrations.dbos import DBOSRun
    >>> @DBOS.workflow()
    ... def order(number: int) -> str:
    ...     return DBOSRun(agent).run(f"Book order {number}.").text
"""

# Without DBOS, pyright takes this module for it.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, cast

from typing_extensions import Unpack

from luup_agent._durable.journal import Records
from luup_agent._durable.progress import complete, read_progress
from luup_agent._durable.stepping import Plan, next_step
from luup_agent._run import async_run, sync_run
from luup_agent.agent import Agent
from luup_agent.errors import InvalidParamError, StorageError
from luup_agent.integrations._shared import missing
from luup_agent.messages import AgentResponse
from luup_agent.settings import RunOptions

try:
    from dbos import DBOS
except ImportError as _error:
    raise missing("dbos", _error) from _error

if TYPE_CHECKING:
    from luup_agent._run.tool_calls import Decision

__all__ = ["DBOSRun"]


class DBOSRun:
    """A run of an agent inside a workflow of DBOS, whose steps are in the database of DBOS.

    Each answer that calls tools and each result is the output of a step of the workflow, before the run goes on. When
    DBOS recovers the workflow after a crash, on this machine or another one, recorded answers are not asked for again,
    and tools whose results are recorded are not called again. A tool that a process has begun and not recorded is
    called again with the same `RunContext.run_id` and `RunContext.call_id`.

    Make it in the function of the workflow. Tools run between the steps: they must not call steps of DBOS themselves.

    Example:
        >>> @DBOS.workflow()
        ... def order(number: int) -> str:
        ...     run = DBOSRun(agent)
        ...     response = run.run(f"Book order {number}.")
        ...     while response.pending:
        ...         response = run.run(approvals=DBOS.recv("approvals"))
        ...     return response.text
    """

    def __init__(self, agent: Agent[Any, Any], *, name: str = "run", repeat_calls: bool = True) -> None:
        """Prepare a run of the workflow that calls this.

        Args:
            agent: The agent that answers. The run has a copy of it, which begins with the agent's history.
            name: Tells the runs of one workflow apart.
            repeat_calls: Whether a call that a process may have begun and has not recorded is made again. Otherwise the
                model gets an error as its result.

        Raises:
            InvalidParamError: `name` is not a str with a character at least, or no workflow of DBOS is running here.
        """
        if not isinstance(name, str) or not name:
            raise InvalidParamError(f"name must be a str with at least one character, got {name!r}")
        workflow = DBOS.workflow_id
        if workflow is None:
            raise InvalidParamError("a DBOSRun is made in a function with @DBOS.workflow(), while a workflow runs it")
        self._agent = agent
        self._workflow: str = workflow
        self._records = _Steps(f"luup_agent.{name}")
        self._run_id = f"{workflow}/{name}"
        self._repeat_calls = repeat_calls
        self._failed = False

    def run(
        self,
        message: Optional[str] = None,
        *,
        approvals: Optional[Mapping[str, Decision]] = None,
        output_type: Any = None,
        **options: Unpack[RunOptions],
    ) -> AgentResponse[Any]:
        """Answer a message, from where the process that DBOS recovers has come.

        Args:
            message: The user's message; None to go on after calls that waited for an approval.
            approvals: For these calls, see `Agent.resume`.
            output_type: As for `Agent.run`.
            **options: Settings for the run, see `RunOptions`.

        Returns:
            The response of the whole run. If calls wait for an approval, `pending` has them.

        Raises:
            InvalidParamError: An argument is wrong, or the run has failed before in this workflow: let the workflow
                fail, and have DBOS fork or resume it.
            LuupError: As `Agent.run`.
        """
        records = self._records
        repeated = records.group(_list_steps(self._workflow))
        for record in repeated:
            records.write(**record)
        if repeated and repeated[-1]["kind"] == "pending":
            return _pending(repeated[-1]["response"])
        approvals = _open(approvals, repeated)
        step = next_step(records, self._plan("run", message, approvals, output_type, options))
        if step.run is None:
            return cast("AgentResponse[Any]", step.response)
        self._failed = True  # until it has an answer
        if step.begin is not None:
            records.write("begin", **step.begin)
        response = complete(sync_run.respond(step.run), read_progress(records))
        self._failed = False
        return response

    async def run_async(
        self,
        message: Optional[str] = None,
        *,
        approvals: Optional[Mapping[str, Decision]] = None,
        output_type: Any = None,
        **options: Unpack[RunOptions],
    ) -> AgentResponse[Any]:
        """Do the same as `run` in an asynchronous workflow."""
        records = self._records
        steps = await asyncio.get_running_loop().run_in_executor(None, _list_steps, self._workflow)
        repeated = records.group(steps)
        for record in repeated:
            await records.write_async(**record)
        if repeated and repeated[-1]["kind"] == "pending":
            return _pending(repeated[-1]["response"])
        approvals = _open(approvals, repeated)
        step = next_step(records, self._plan("run_async", message, approvals, output_type, options))
        if step.run is None:
            return cast("AgentResponse[Any]", step.response)
        self._failed = True
        if step.begin is not None:
            await records.write_async("begin", **step.begin)
        response = complete(await async_run.respond(step.run), read_progress(records))
        self._failed = False
        return response

    def _plan(
        self,
        caller: str,
        message: Optional[str],
        approvals: Optional[Mapping[str, Decision]],
        output_type: Any,
        options: RunOptions,
    ) -> Plan:
        if self._failed:
            raise InvalidParamError(
                f"the run {self._run_id!r} has failed in this workflow, which must repeat the same steps: let the "
                "workflow fail, then have DBOS fork or resume it"
            )
        return Plan(self._run_id, caller, self._agent, message, approvals, self._repeat_calls, output_type, options)


class _Steps(Records):
    """The records of a run as outputs of steps of its workflow, all with one name."""

    keeps_all_ends = True

    def __init__(self, name: str) -> None:
        self._name = name
        self.records: List[Dict[str, Any]] = []

    def group(self, steps: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
        """Return the records of the next call that an earlier process has written, up to that call's end."""
        written = [step["output"] for step in steps if step["function_name"] == self._name][len(self.records) :]
        for number, record in enumerate(written, 1):
            if record["kind"] in ("end", "pending"):
                return written[:number]
        return written

    def write(self, kind: str, **values: Any) -> None:
        """Make the record the output of a step; a step that has an output keeps it."""
        record = {"kind": kind, **values}
        self.records.append(DBOS.run_step({"name": self._name}, lambda: record))

    async def write_async(self, kind: str, **values: Any) -> None:
        """Do the same in an asynchronous workflow."""
        record = {"kind": kind, **values}
        self.records.append(await DBOS.run_step_async({"name": self._name}, lambda: record))

    def damaged(self, problem: object) -> StorageError:
        """Return the error for records that do not belong together."""
        return StorageError(f"the steps {self._name!r} of the workflow do not belong together: {problem}")


def _open(
    approvals: Optional[Mapping[str, Decision]], repeated: List[Dict[str, Any]]
) -> Optional[Mapping[str, Decision]]:
    """Return the approvals of calls that an earlier process has not answered."""
    if not isinstance(approvals, Mapping):
        return approvals
    answered = {record["id"] for record in repeated if record["kind"] == "result"}
    return {call_id: decision for call_id, decision in approvals.items() if call_id not in answered} or None


def _pending(response: Dict[str, Any]) -> AgentResponse[Any]:
    """Return the response of a call whose calls of tools waited for an approval."""
    made: AgentResponse[Any] = AgentResponse[Any](output=None, **response)
    return made


def _list_steps(workflow: str) -> List[Dict[str, Any]]:
    """Return the steps of a workflow. In its own context this would be a step itself, with a recorded output."""
    return cast("List[Dict[str, Any]]", contextvars.Context().run(DBOS.list_workflow_steps, workflow))
