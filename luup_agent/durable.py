"""Runs that survive their process: each step is on the disk before the next one begins.

Example:
    >>> from luup_agent import Agent, DurableRuns
    >>> runs = DurableRuns("runs")
    >>> response = runs.run("order-17", agent, "Book the flight and tell Ada.")  # the same line begins and resumes
    >>> response.text
    'Booked.'
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Tuple, TypeVar, Union, cast

from typing_extensions import Unpack

from luup_agent._durable.journal import Journal, whole_lines
from luup_agent._durable.progress import complete, read_progress
from luup_agent._durable.stepping import Plan, next_step
from luup_agent._files import read_regular, shorten_path
from luup_agent._native import encode_absolute_path
from luup_agent._run import sync_run
from luup_agent.agent import Agent
from luup_agent.errors import InvalidParamError, StorageError
from luup_agent.media import Content
from luup_agent.messages import AgentResponse
from luup_agent.settings import RunOptions

if TYPE_CHECKING:
    from luup_agent._run.tool_calls import Decision

__all__ = ["DurableRuns"]

T = TypeVar("T")
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\Z")
_SUFFIX = ".run"


class DurableRuns:
    """Runs in the files of a folder, with which another process goes on after a crash.

    An answer that is recorded is not asked for again, and a tool whose result is recorded is not called again. Each
    answer that calls tools is on the disk before the tools begin, and each result before the model reads it.

    If a process dies between the effect of a tool and the record of its result, no file can say whether the effect took
    place. `run` then calls the tool again, with the same `RunContext.run_id` and `RunContext.call_id`: by this key the
    tool, or the service that it calls, recognises the repetition. With ``repeat_calls=False`` the model gets an error
    as the result instead.

    Example:
        >>> runs = DurableRuns("runs")
        >>> @agent.tool
        ... def pay(ctx: RunContext, amount: int) -> str:
        ...     return bank.pay(amount, idempotency_key=f"{ctx.run_id}/{ctx.call_id}")
        >>> runs.run("order-17", agent, "Pay 20 euros.").text
        'Paid.'
    """

    def __init__(self, folder: Union[str, os.PathLike[str]]) -> None:
        """Use a folder, which is created when it is needed.

        Raises:
            InvalidParamError: It is not a path.
        """
        self._folder = os.fsdecode(encode_absolute_path("folder", folder))

    def run(
        self,
        id: str,  # noqa: A002  # its name everywhere
        agent: Agent[Any, Any],
        message: Optional[Content] = None,
        *,
        approvals: Optional[Mapping[str, Decision]] = None,
        repeat_calls: bool = True,
        output_type: Any = None,
        **options: Unpack[RunOptions],
    ) -> AgentResponse[Any]:
        """Begin a run, go on with one that a process has left, or return the response of one that has ended.

        A run that failed with an error goes on with the next call, from its last record.

        Args:
            id: Letters, digits, ".", "_" and "-", at most 100; the name of the file.
            agent: The agent that answers. The run has a copy of it, which begins with the agent's history; the agent
                itself stays as it is. To go on with a run it needs the same tools.
            message: The user's message; None to go on with a run.
            approvals: For calls that wait for an approval, see `Agent.resume`.
            repeat_calls: Whether a call that a process may have begun and has not recorded is made again. Otherwise
                the model gets an error as its result.
            output_type: As for `Agent.run`.
            **options: Settings for the run, see `RunOptions`. `timeout` and `retries` begin again with each process.

        Returns:
            The response of the whole run. Its `usage` lacks the tokens of processes that were killed. If calls wait for
            an approval, `pending` has them, and the run has not ended.

        Raises:
            InvalidParamError: An argument is wrong, the run began with another message, or there is none to go on with.
            BusyError: Another process or thread works on the run.
            StorageError: The file can't be used or is damaged.
            LuupError: As `Agent.run`.
        """
        plan = Plan(id, "run", agent, message, approvals, repeat_calls, output_type, options)
        with self._open(id, message) as journal:
            step = next_step(journal, plan)
            if step.run is None:
                return cast("AgentResponse[Any]", step.response)
            if step.begin is not None:
                journal.write("begin", **step.begin)
            return complete(sync_run.respond(step.run), read_progress(journal))

    async def run_async(
        self,
        id: str,  # noqa: A002
        agent: Agent[Any, Any],
        message: Optional[Content] = None,
        *,
        approvals: Optional[Mapping[str, Decision]] = None,
        repeat_calls: bool = True,
        output_type: Any = None,
        **options: Unpack[RunOptions],
    ) -> AgentResponse[Any]:
        """Do the same as `run`, under asyncio. The records are written in the thread of the event loop."""
        from luup_agent._run import async_run

        plan = Plan(id, "run_async", agent, message, approvals, repeat_calls, output_type, options)
        with self._open(id, message) as journal:
            step = next_step(journal, plan)
            if step.run is None:
                return cast("AgentResponse[Any]", step.response)
            if step.begin is not None:
                journal.write("begin", **step.begin)
            return complete(await async_run.respond(step.run), read_progress(journal))

    def unfinished(self) -> List[str]:
        """Return the ids of the runs that have not ended, the oldest first; `run` goes on with one.

        A run that another process works on is among them.

        Raises:
            StorageError: The folder or a file can't be read.
        """
        found: List[Tuple[float, str]] = []
        for name in self._names():
            path = os.path.join(self._folder, name)
            with self._typed_errors(path), contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                lines = whole_lines(read_regular(path)).splitlines()
                if lines and not lines[-1].startswith(b'{"kind": "end"'):
                    found.append((os.stat(path).st_mtime, name[: -len(_SUFFIX)]))
        return [run_id for _, run_id in sorted(found)]

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete the file of a run, if there is one.

        Raises:
            StorageError: It can't be deleted.
        """
        path = self._path(id)
        with self._typed_errors(path), contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def _names(self) -> List[str]:
        with self._typed_errors(self._folder), contextlib.suppress(FileNotFoundError):
            return [name for name in os.listdir(self._folder) if name.endswith(_SUFFIX)]
        return []

    def _path(self, run_id: str) -> str:
        if not isinstance(run_id, str):
            raise InvalidParamError(f"id must be a str, not {type(run_id).__name__}")
        if not _ID.match(run_id):
            raise InvalidParamError(
                "id must have 1 to 100 letters, digits, dots, underscores and hyphens, and not begin with a dot, got "
                f"{run_id[:120]!r}"
            )
        return os.path.join(self._folder, run_id + _SUFFIX)

    def _open(self, run_id: str, message: Optional[Content]) -> Journal:
        path = self._path(run_id)
        if message is None and not os.path.lexists(path):
            raise InvalidParamError(f"there is no run {run_id!r} to go on with: give its message to begin it")
        with self._typed_errors(path):
            os.makedirs(self._folder, exist_ok=True)
        return Journal(path, run_id)

    @contextlib.contextmanager
    def _typed_errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"the file of a run {shorten_path(path)} can't be used: {reason}") from error
