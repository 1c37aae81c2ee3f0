"""A database that an engine of SQLAlchemy connects to."""

from __future__ import annotations

import contextlib
from importlib import import_module
from typing import Any, Callable, Iterator, List, Mapping, Sequence, TypeVar

from luup_agent._sessions.database import Database
from luup_agent._sessions.schema import SQL_STEPS
from luup_agent._sessions.statements import Connection, Damaged
from luup_agent.errors import InvalidParamError, LuupError, StorageError, UnsupportedError

T = TypeVar("T")

_LOCK = 0x6C757570  # of the transactions that make the tables, in PostgreSQL


class SQLConnection(Connection):
    """A synchronous connection of SQLAlchemy inside a transaction."""

    def __init__(self, connection: Any) -> None:
        """Wrap a `sqlalchemy.Connection`."""
        self._connection = connection
        self._text: Any = import_module("sqlalchemy").text
        self.dialect: str = connection.dialect.name
        self.locks_rows = self.dialect != "sqlite"

    def read(self, sql: str, values: Mapping[str, Any]) -> List[Sequence[Any]]:
        """Return the rows of a query."""
        return [tuple(row) for row in self._connection.execute(self._text(sql), dict(values))]

    def change(self, sql: str, values: Mapping[str, Any]) -> int:
        """Run a statement; return how many rows it has changed."""
        return int(self._connection.execute(self._text(sql), dict(values)).rowcount)

    def insert(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement for each of `rows`."""
        if rows:
            self._connection.execute(self._text(sql), [dict(row) for row in rows])

    def set_up(self) -> None:
        """Make the tables, or bring them to the newest version.

        Raises:
            StorageError: They are of a newer version.
        """
        if self.dialect == "postgresql":
            self.read("SELECT pg_advisory_xact_lock(:lock)", {"lock": _LOCK})
        self.change("CREATE TABLE IF NOT EXISTS luup_session_schema (version INTEGER NOT NULL)", {})
        self.change("DELETE FROM luup_session_schema WHERE version < 0", {})  # SQLite waits here for other writers
        rows = self.read("SELECT version FROM luup_session_schema", {})
        version = int(rows[0][0]) if rows else 0
        if version > len(SQL_STEPS):
            raise StorageError(
                f"the tables luup_sessions have version {version}, and this luup-agent knows versions up to "
                f"{len(SQL_STEPS)}: use a newer luup-agent"
            )
        if version == len(SQL_STEPS):
            return
        for step in SQL_STEPS[version:]:
            for statement in step:
                self.change(statement, {})
        self.change("DELETE FROM luup_session_schema", {})
        self.change("INSERT INTO luup_session_schema VALUES (:version)", {"version": len(SQL_STEPS)})

    def lock_database(self) -> None:
        """Wait for other writers of a database without row locks, before anything is read."""
        if not self.locks_rows:
            self.change("UPDATE luup_session_schema SET version = version", {})


class SQLEngine(Database):
    """An engine of SQLAlchemy: an `AsyncEngine` for asynchronous runs, an `Engine` for both kinds."""

    def __init__(self, engine: Any) -> None:
        """Keep the engine.

        Raises:
            UnsupportedError: SQLAlchemy is not installed.
            InvalidParamError: It is not an engine.
        """
        try:
            sync_engine: Any = import_module("sqlalchemy").Engine
            async_engine: Any = import_module("sqlalchemy.ext.asyncio").AsyncEngine
            problem: Any = import_module("sqlalchemy.exc").SQLAlchemyError
        except (ImportError, AttributeError) as error:
            raise UnsupportedError(f'SQLSessions needs SQLAlchemy 2: pip install "luup-agent[sql]" ({error})') from None
        if not isinstance(engine, (sync_engine, async_engine)):
            raise InvalidParamError(
                f"engine must be an AsyncEngine or an Engine of SQLAlchemy, not {type(engine).__name__}"
            )
        self._engine: Any = engine
        self._problems = (problem, Damaged, OSError)
        self.is_async = isinstance(engine, async_engine)
        self._is_set_up = False

    def __repr__(self) -> str:
        """Return the address without its password."""
        return repr(self._engine.url.render_as_string(hide_password=True))

    def run(self, work: Callable[[Connection], T], writes: bool = False) -> T:
        """Return the result of `work`, which a transaction encloses.

        Raises:
            StorageError: The database can't be used.
            UnsupportedError: The engine is asynchronous.
        """
        if self.is_async:
            raise UnsupportedError(
                "an AsyncEngine works in asynchronous runs only: use the methods that end with _async, or give "
                "SQLSessions an Engine (sqlalchemy.create_engine)"
            )
        with self._typed_errors():
            self._set_up_now()
            with self._engine.begin() as connection:
                return self._work(connection, work, writes)

    async def run_async(self, work: Callable[[Connection], T], writes: bool = False) -> T:
        """Do the same without blocking the event loop."""
        if not self.is_async:
            return await super().run_async(work, writes)
        with self._typed_errors():
            if not self._is_set_up:
                async with self._engine.begin() as connection:
                    await connection.run_sync(lambda raw: SQLConnection(raw).set_up())
                self._is_set_up = True
            async with self._engine.begin() as connection:
                result: T = await connection.run_sync(lambda raw: self._work(raw, work, writes))
                return result

    def _set_up_now(self) -> None:
        if not self._is_set_up:
            with self._engine.begin() as connection:
                SQLConnection(connection).set_up()
            self._is_set_up = True

    def _work(self, raw: Any, work: Callable[[Connection], T], writes: bool) -> T:
        connection = SQLConnection(raw)
        if writes:
            connection.lock_database()
        return work(connection)

    @contextlib.contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except LuupError:
            raise
        except self._problems as error:
            reason = str(error).partition("\n")[0]
            raise StorageError(f"the sessions in {self!r} can't be used: {reason}") from error

    def close(self) -> None:
        """Leave the engine open: the program has made it."""
