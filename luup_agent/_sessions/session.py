"""A conversation of a database with an agent that continues it."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional

from luup_agent._agent.answering import Answering
from luup_agent._agent.history import check_approvals
from luup_agent._run.following import Follower
from luup_agent._sessions import statements
from luup_agent._sessions.database import Database
from luup_agent._sessions.records import Addition, Head, Stored
from luup_agent._sessions.statements import Connection
from luup_agent._sessions.warm import WarmStates
from luup_agent.errors import BusyError, InvalidParamError, LuupError, SessionConflictError
from luup_agent.media import Content
from luup_agent.messages import Message, ToolCall
from luup_agent.outputs import OutputT
from luup_agent.settings import DepsT

if TYPE_CHECKING:
    from luup_agent._run.run import Run
    from luup_agent._run.tool_calls import Decision
    from luup_agent.agent import Agent

UNKNOWN = Head(-1)


class Session(Answering[DepsT, OutputT]):
    """A stored conversation, with the answering methods of an `Agent`.

    Each run continues the conversation as the database has it, and what it adds is stored as a whole when it ends. If
    another run has changed the conversation meanwhile, in any process, nothing is stored and the run raises
    `SessionConflictError`; the next run continues the new version. As with an agent, a run that fails adds nothing,
    unless `keep_history` is "on_error".

    Calls that wait for an approval are stored too: `pending` lists them, and `resume` continues them in any process.

    `Sessions.open` makes one. It answers one message at a time (`BusyError` otherwise).

    Attributes:
        id: The id of the conversation.

    Example:
        >>> session = SQLiteSessions("chats.db").open("ada", agent)
        >>> session.generate("My name is Ada.")
        'Hello Ada!'
    """

    def __init__(
        self,
        database: Database,
        id: str,  # noqa: A002  # its name everywhere
        agent: Agent[DepsT, OutputT],
        warm: Optional[WarmStates] = None,
    ) -> None:
        """Continue a conversation with a copy of `agent`; `refresh` reads it."""
        from luup_agent.agent import Agent

        if not isinstance(agent, Agent):
            raise InvalidParamError(f"agent must be a luup_agent.Agent, not {type(agent).__name__}")
        if not agent.enable_history:
            raise InvalidParamError("agent has enable_history=False: a session needs an agent that remembers")
        self.id = id
        self._database = database
        self._agent = agent.fork()
        self._agent.clear_history()
        self._parts = self._agent._parts
        self.enable_tool_calling = agent.enable_tool_calling
        self._head = UNKNOWN  # of the conversation that the agent has
        self._warm = None if agent._parts.model._native_model.responders else warm  # those of servers have none
        self._is_cold = False  # the next run should read a KV state
        self._warm_tokens = 0  # of the KV state in a file
        self._run: Optional[weakref.ref[Run]] = None  # under way, or dropped
        self._base: Optional[List[Dict[str, Any]]] = None  # the history before a run whose failure is stored too
        self._left: Optional[List[Dict[str, Any]]] = None  # by such a run, and not stored

    @property
    def messages(self) -> List[Message]:
        """The conversation as this object last saw it: with summaries, and the system prompt first if there is one.

        `Sessions.messages` has those that a summary has replaced.
        """
        return self._agent.messages

    @property
    def pending(self) -> List[ToolCall]:
        """The calls at the end of the conversation that wait for an approval; see `resume`."""
        return self._agent.pending

    @property
    def agent(self) -> Agent[DepsT, OutputT]:
        """The session's copy of the agent, for its tools and built-in tools. Its history belongs to the session."""
        return self._agent

    def refresh(self) -> None:
        """Read what other runs have stored; each run does it first.

        Raises:
            StorageError: The database can't be used.
            BusyError: The session is answering a message.
        """
        self._check_free()
        self.flush()
        known = self._head
        self._take(self._database.run(lambda connection: statements.load(connection, self.id, known)))

    async def refresh_async(self) -> None:
        """Do the same as `refresh`, under asyncio."""
        self._check_free()
        await self.flush_async()
        known = self._head
        self._take(await self._database.run_async(lambda connection: statements.load(connection, self.id, known)))

    def flush(self) -> None:
        """Store what a failed run has left in the agent's history; the next run does it first.

        Only needed after a run with ``keep_history="on_error"`` whose stream was dropped, before the program ends.

        Raises:
            SessionConflictError: Another run has changed the conversation; the messages are dropped.
            StorageError: The database can't be used.
        """
        self._check_free()
        if self._left:
            with self._flushing() as append:
                self._head = self._database.run(append, True)

    async def flush_async(self) -> None:
        """Do the same as `flush`, under asyncio."""
        self._check_free()
        if self._left:
            with self._flushing() as append:
                self._head = await self._database.run_async(append, True)

    @contextlib.contextmanager
    def _flushing(self) -> Iterator[Callable[[Connection], Head]]:
        """Yield the function that stores the rest of the messages; keep them for a retry if the database fails."""
        addition, head = Addition(self._left or []), self._head
        try:
            yield lambda connection: statements.append(connection, self.id, addition, head)
        except SessionConflictError:
            self._left, self._head = None, UNKNOWN
            raise
        self._left = None

    def _check_free(self) -> None:
        """Check that no run is under way; note what a dropped one has left."""
        if self._run is None:
            return
        if self._run() is not None:
            raise BusyError(
                f"the session {self.id!r} is answering another message; wait for that run's end or close it"
            )
        self._leave()

    def _enter(self, run: Run, keeps_failures: bool) -> None:
        self._check_free()  # another run may have begun while this one was waiting for the database
        self._run = weakref.ref(run)
        self._base = self._parts.handle.native.get_history() if keeps_failures else None

    def _leave(self) -> None:
        """End a run that was not stored: the agent may have its messages."""
        self._run = None
        base, self._base = self._base, None
        if base is None:
            self._head = UNKNOWN  # the next run reads the conversation again
            return
        history = self._parts.handle.native.get_history()
        if history[: len(base)] == base:
            self._left = history[len(base) :]
        else:  # a summary replaced messages, and then the stream was dropped
            self._head = UNKNOWN

    def _take(self, stored: Stored) -> None:
        if stored.history is not None:
            self._agent.set_history(stored.history)
            self._is_cold = bool(stored.history)
        self._head = stored.head

    def _warm_up(self) -> None:
        """Read the KV state that another process or an earlier object has left, before a run."""
        if self._warm is not None and self._is_cold:
            self._is_cold = False
            self._warm_tokens = self._warm.load(self.id, self._agent)

    def _keep_warm(self, is_summarized: bool) -> None:
        """Keep the KV state that a run has left, for other processes."""
        if self._warm is not None:
            known = 0 if is_summarized else self._warm_tokens
            self._warm_tokens = self._warm.save(self.id, self._agent, known)

    def _append(self, addition: Addition) -> Callable[[Connection], Head]:
        expected, self._head = self._head, UNKNOWN  # unless it is stored, the next run reads the conversation again
        return lambda connection: statements.append(connection, self.id, addition, expected)

    def _new_run(
        self,
        caller: str,
        message: Optional[Content],
        options: Mapping[str, Any],
        output_type: Any = None,
        decisions: Optional[Mapping[str, Decision]] = None,
        raw: bool = False,
    ) -> Run:
        run = self._agent._new_run(caller, message, options, output_type, decisions, raw)
        run.following.followers.insert(0, _Keeper(self, run, decisions))
        return run

    def _resumed_run(
        self, caller: str, approvals: Mapping[str, Decision], options: Mapping[str, Any], output_type: Any
    ) -> Run:
        if not isinstance(approvals, Mapping):
            check_approvals(approvals, ())
        return self._new_run(caller, None, options, output_type, approvals)

    def __repr__(self) -> str:
        """Return, for example, ``<Session 'ada' with <Agent on …>>``."""
        return f"<Session {self.id!r} with {self._agent!r}>"


class _Keeper(Follower):
    """Reads the conversation of a session before a run, and stores it after."""

    def __init__(self, session: Session[Any, Any], run: Run, decisions: Optional[Mapping[str, Any]]) -> None:
        self._session = session
        self._decisions = decisions
        self._is_open = False  # between `begin` and one of the ends
        self._keeps_failures = run.settings.keep_history == "on_error"

    def begin(self, run: Run) -> None:
        self._session.refresh()
        self._session._warm_up()
        self._begin(run)

    async def begin_async(self, run: Run) -> None:
        await self._session.refresh_async()
        if self._session._warm is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._session._warm_up)
        self._begin(run)

    def _begin(self, run: Run) -> None:
        if self._decisions is not None:
            check_approvals(self._decisions, self._session.pending)
        self._session._enter(run, self._keeps_failures)
        self._is_open = True

    def end(self, run: Run) -> None:
        session, append = self._session, self._append(run)
        session._head = session._database.run(append, True)
        try:
            session._keep_warm(run.summarized is not None)
        finally:
            self._finish()

    async def end_async(self, run: Run) -> None:
        session, append = self._session, self._append(run)
        session._head = await session._database.run_async(append, True)
        try:
            if session._warm is not None:
                summarized = run.summarized is not None
                await asyncio.get_running_loop().run_in_executor(None, session._keep_warm, summarized)
        finally:
            self._finish()

    def _append(self, run: Run) -> Callable[[Connection], Head]:
        added, summary = run.native.messages(), run.summarized
        addition = Addition(added, run.usage())
        if summary is not None:
            history = self._session._parts.handle.native.get_history()
            addition = Addition(added, run.usage(), history[: len(history) - len(added)], summary.kept)
        return self._session._append(addition)

    def _finish(self) -> None:
        self._is_open = False
        self._session._run = self._session._base = None

    def failed(self, run: Run) -> None:
        if self._leave():
            self._session.flush()

    async def failed_async(self, run: Run) -> None:
        if self._leave():
            await self._session.flush_async()

    def closed(self) -> None:
        if self._leave() and not self._session._database.is_async:
            with contextlib.suppress(LuupError):
                self._session.flush()

    def _leave(self) -> bool:
        """Let other runs begin; return whether this one has left messages that are to be stored."""
        if not self._is_open:
            return False
        self._is_open = False
        with contextlib.suppress(LuupError):  # the agent was closed
            self._session._leave()
        return bool(self._session._left)
