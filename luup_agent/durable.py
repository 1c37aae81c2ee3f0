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
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, NamedTuple, Optional, Tuple, TypeVar, Union, cast

from typing_extensions import Unpack

from luup_agent._agent.history import check_approvals
from luup_agent._durable.journal import VERSION, Journal
from luup_agent._durable.progress import INTERRUPTED, Progress, Recorder, complete, read_progress
from luup_agent._files import shorten_path
from luup_agent._native import encode_absolute_path, encode_text
from luup_agent._run import sync_run
from luup_agent._run.typed_output import output_spec
from luup_agent.agent import Agent
from luup_agent.errors import InvalidOutputError, InvalidParamError, MaxTurnsError, StorageError
from luup_agent.media import Content, read_content, written
from luup_agent.messages import AgentResponse, ToolResult
from luup_agent.settings import RunOptions

if TYPE_CHECKING:
    from luup_agent._run.run import Run
    from luup_agent._run.tool_calls import Decision

__all__ = ["DurableRuns"]

T = TypeVar("T")
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\Z")
_SUFFIX = ".run"


class _Step(NamedTuple):
    """The next thing to do for a run.

    Attributes:
        run: The run to drive; None if it has ended before.
        response: The response of a run that has ended before.
    """

    run: Optional[Run]
    response: Optional[AgentResponse[Any]] = None


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
        agent: Agent[Any],
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
            agent: Answers. The run has a copy of it, which begins with the agent's history; the agent itself stays as
                it is. To go on with a run it needs the same tools.
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
        arguments = (agent, message, approvals, repeat_calls, output_type, options)
        with self._open(id, message) as journal:
            step = _prepare(journal, id, "run", *arguments)
            if step.run is None:
                return cast("AgentResponse[Any]", step.response)
            return complete(sync_run.respond(step.run), read_progress(journal))

    async def run_async(
        self,
        id: str,  # noqa: A002
        agent: Agent[Any],
        message: Optional[Content] = None,
        *,
        approvals: Optional[Mapping[str, Decision]] = None,
        repeat_calls: bool = True,
        output_type: Any = None,
        **options: Unpack[RunOptions],
    ) -> AgentResponse[Any]:
        """Do the same as `run`, under asyncio. The records are written in the thread of the event loop."""
        from luup_agent._run import async_run

        arguments = (agent, message, approvals, repeat_calls, output_type, options)
        with self._open(id, message) as journal:
            step = _prepare(journal, id, "run_async", *arguments)
            if step.run is None:
                return cast("AgentResponse[Any]", step.response)
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
            with self._typed_errors(path), open(path, "rb") as file:
                lines = file.read().splitlines()
                if lines and not lines[-1].startswith(b'{"kind": "end"'):
                    found.append((os.fstat(file.fileno()).st_mtime, name[: -len(_SUFFIX)]))
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


def _prepare(
    journal: Journal,
    run_id: str,
    caller: str,
    agent: Agent[Any],
    message: Optional[Content],
    approvals: Optional[Mapping[str, Decision]],
    repeat_calls: bool,
    output_type: Any,
    options: RunOptions,
) -> _Step:
    if not isinstance(agent, Agent):
        raise InvalidParamError(f"agent must be a luup_agent.Agent, not {type(agent).__name__}")
    if not agent.enable_history:
        raise InvalidParamError("agent has enable_history=False: a durable run needs an agent that remembers")
    text: Optional[str] = read_content("message", message)
    copy: Agent[Any] = agent.fork()
    settings = agent._parts.settings.override(caller, options)
    if not journal.records:
        if text is None:
            raise InvalidParamError(f"there is no run {run_id!r} to go on with: give its message to begin it")
        if not encode_text("message", text) and written(text) == "":
            raise InvalidParamError("message must not be empty")
        run = copy._new_run(caller, text, options, output_type)
        journal.write("begin", version=VERSION, message=written(text), history=copy._parts.handle.native.get_history())
        return _Step(_recorded(run, journal, run_id))
    progress = read_progress(journal)
    if text is not None and written(text) != written(progress.message):
        raise InvalidParamError(f"the run {run_id!r} began with another message: give it another id, or no message")
    if progress.end is not None:
        return _Step(None, _ended(run_id, agent, progress, output_type))
    if not progress.turns:
        copy.set_history(progress.history)
        return _Step(_recorded(copy._new_run(caller, progress.message, options, output_type), journal, run_id))
    if progress.turns >= settings.max_turns and not progress.unanswered:
        raise MaxTurnsError(f"the model still called tools after {progress.turns} turns")
    copy.set_history([*progress.history, *progress.messages])
    decisions = dict(approvals or {})
    if approvals is not None:
        check_approvals(approvals, copy.pending)
    if not repeat_calls:
        for call in progress.unanswered:
            tool = agent.tools.get(call.name)
            if tool is None or not tool.requires_approval:
                decisions.setdefault(call.id, ToolResult(INTERRUPTED, True))
    rest = {**options, "max_turns": max(1, settings.max_turns - progress.turns)}
    if settings.tool_choice != "none":
        rest["tool_choice"] = "auto"  # the first answer has called what it had to
    return _Step(_recorded(copy._new_run(caller, None, rest, output_type, decisions), journal, run_id))


def _recorded(run: Run, journal: Journal, run_id: str) -> Run:
    run.run_id = run_id
    run.following.followers.insert(0, Recorder(run, journal))
    return run


def _ended(run_id: str, agent: Agent[Any], progress: Progress, output_type: Any) -> AgentResponse[Any]:
    assert progress.end is not None
    spec = agent._parts.output if output_type is None else output_spec(output_type)
    text: str = progress.end["text"]
    try:
        output = text if spec is None else spec.validate(text)
    except Exception as error:
        raise InvalidOutputError(
            f"the run {run_id!r} has ended with an answer that is not of this output_type: {text[:200]}"
        ) from error
    response: AgentResponse[Any] = AgentResponse[Any](output=output, **progress.end)
    return response
