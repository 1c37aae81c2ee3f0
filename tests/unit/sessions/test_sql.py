"""`SQLSessions` on real databases: PostgreSQL with two drivers, SQLite with an asynchronous and a synchronous one."""

import asyncio
import threading

import pytest
from support import postgres
from support.processes import run_in_processes

from luup_agent import (
    Agent,
    ApprovalRequiredError,
    InvalidParamError,
    Message,
    Model,
    SessionConflictError,
    SessionNotFoundError,
    SQLSessions,
    StorageError,
    ToolCall,
    UnsupportedError,
)
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

sqlalchemy = pytest.importorskip("sqlalchemy", minversion="2.0")
pytest.importorskip("greenlet")
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402

DRIVERS = ["aiosqlite", "pysqlite", "asyncpg", "psycopg"]


@pytest.fixture(scope="module")
def server():
    if postgres.find_program("initdb") is None:
        pytest.skip("PostgreSQL is not installed")
    running = postgres.Postgres()
    yield running
    running.stop()


@pytest.fixture(params=DRIVERS)
def url(request, tmp_path):
    driver = request.param
    if driver != "pysqlite":
        pytest.importorskip(driver)
    if "sqlite" in driver:
        return f"sqlite+{driver}:///{tmp_path}/chats.db"
    server = request.getfixturevalue("server")
    address = f"postgresql+{driver}://{server.address}"
    admin = sqlalchemy.create_engine(f"postgresql+psycopg://{server.address}", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text("DROP DATABASE IF EXISTS chats WITH (FORCE)"))
        connection.execute(sqlalchemy.text("CREATE DATABASE chats"))
    admin.dispose()
    return address[: -len("postgres")] + "chats"


def run(url, work, make=SQLSessions):
    """Return the result of the coroutine `work(make(engine))` with an engine of its own."""

    async def main():
        if "pysqlite" in url:
            engine = sqlalchemy.create_engine(url)
            try:
                return await work(make(engine))
            finally:
                engine.dispose()
        engine = create_async_engine(url)
        try:
            return await work(make(engine))
        finally:
            await engine.dispose()

    return asyncio.run(main())


def echo():
    return Agent(FunctionModel(lambda request: "+".join(m.content for m in request.messages if m.role == "user")))


def texts(messages):
    return [message.content for message in messages]


def test_a_conversation_goes_on_in_another_engine(url):
    async def first(sessions):
        session = await sessions.open_async("ada", echo())
        return await session.generate_async("a"), [piece async for piece in session.generate_async("b")]

    async def second(sessions):
        session = await sessions.open_async("ada", echo())
        assert texts(session.messages) == ["a", "a", "b", "a+b"]
        events = [event async for event in session.stream_events_async("c")]
        return events[-1].response.text, await sessions.get_async("ada")

    answer, pieces = run(url, first)
    assert (answer, "".join(pieces)) == ("a", "a+b")
    answer, info = run(url, second)
    assert answer == "a+b+c"
    assert (info.messages, info.version, info.usage.turns) == (6, 3, 3)


def test_all_methods(url):
    async def work(sessions):
        for name in ("a", "b"):
            assert await sessions.append_async(name, [{"role": "user", "content": f"The cat of {name}: 100%"}]) == 1
        assert [info.id for info in await sessions.list_async()] == ["b", "a"]
        assert [info.id for info in await sessions.list_async(limit=1, offset=1)] == ["a"]
        assert [match.session.id for match in await sessions.search_async("CAT 100%")] == ["b", "a"]
        assert [match.position for match in await sessions.search_async("OF a:")] == [0]
        assert await sessions.search_async("100_") == []
        await sessions.set_title_async("a", "Größe")
        branch = await sessions.branch_async("a", "c", at=1)
        assert (branch.title, branch.parent, branch.branched_at) == ("Größe", "a", 1)
        await sessions.rename_async("a", "d")
        assert (await sessions.get_async("c")).parent == "d"
        await sessions.delete_async("d")
        assert [info.id for info in await sessions.list_async()] == ["c", "b"]
        assert texts(await sessions.messages_async("c")) == ["The cat of a: 100%"]
        for call in (
            sessions.get_async("x"),
            sessions.messages_async("x"),
            sessions.delete_async("x"),
            sessions.set_title_async("x", None),
            sessions.rename_async("x", "y"),
            sessions.branch_async("x", "y"),
        ):
            with pytest.raises(SessionNotFoundError):
                await call
        with pytest.raises(SessionConflictError):
            await sessions.append_async("c", [{"role": "user", "content": "x"}], version=7)
        with pytest.raises(SessionConflictError):
            await sessions.append_async("c", [{"role": "user", "content": "x"}], version=0)
        with pytest.raises(SessionConflictError):
            await sessions.append_async("new", [{"role": "user", "content": "x"}], version=3)

    run(url, work)


def test_calls_and_fields_of_a_server_round_trip(url):
    call = ToolCall.from_json("call_1", "lookup", '{"a":  1}').model_copy(update={"extra": {"signature": [1, None]}})
    messages = [
        Message(role="user", content="Zürich \U0001f600 ' \" \\ %s :id ? $1"),
        Message(role="assistant", content="", reasoning="hm\n", tool_calls=(call,), extra={"details": [{"a": 0.5}]}),
        Message(role="tool", content="r", tool_call_id="call_1", name="lookup"),
        Message(role="assistant", content="x" * 100_000),
    ]

    async def work(sessions):
        await sessions.append_async("ada", messages)
        assert await sessions.messages_async("ada") == messages

    run(url, work)


def test_pending_calls_are_continued_in_another_engine(url):
    def agent(*replies):
        made = Agent(ScriptedModel(list(replies)))

        @made.tool(requires_approval=True)
        def delete(name: str) -> str:
            """Deletes a file."""
            return f"deleted {name}"

        return made

    async def first(sessions):
        session = await sessions.open_async("ada", agent(tool_call("delete", {"name": "a.txt"})))
        with pytest.raises(ApprovalRequiredError):
            await session.generate_async("delete a.txt")

    async def second(sessions):
        session = await sessions.open_async("ada", agent("Done."))
        return (await session.resume_async({call.id: True for call in session.pending})).messages

    run(url, first)
    assert texts(run(url, second)) == ["deleted a.txt", "Done."]


def test_a_summary_is_stored(url):
    async def work(sessions):
        agent = echo()
        agent.enable_builtin_summarization(summarize=lambda messages: "SUMMARY")
        session = await sessions.open_async("ada", agent)
        for message in "abc":
            await session.generate_async(message)
        session.agent.summarization.trigger()
        await session.generate_async("d")
        other = await sessions.open_async("ada", echo())
        assert other.messages == session.messages
        assert "SUMMARY" in texts(other.messages)
        assert len(await sessions.messages_async("ada")) == 8

    run(url, work)


def test_failed_runs_are_stored_if_the_history_keeps_them(url):
    async def wait() -> str:
        """Waits."""
        began.append(True)
        await asyncio.sleep(60)
        return "late"

    began = []

    async def work(sessions):
        agent = Agent(ScriptedModel([tool_call("wait")]), tools=[wait], keep_history="on_error")
        session = await sessions.open_async("ada", agent)
        task = asyncio.ensure_future(session.run_async("a"))
        while not began:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # an Event of Python 3.8 belongs to the loop that made it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [message.role for message in await sessions.messages_async("ada")] == ["user", "assistant", "tool"]

    run(url, work)


def test_many_tasks_lose_and_interleave_nothing(url):
    async def converse(sessions, writer):
        session = await sessions.open_async("shared", Agent(FunctionModel(lambda r: f"re: {r.messages[-1].content}")))
        conflicts = 0
        for turn in range(6):
            while True:
                try:
                    await session.generate_async(f"{writer} {turn}")
                    break
                except SessionConflictError:
                    conflicts += 1
            await sessions.append_async("log", [{"role": "user", "content": f"{writer} {turn}"}] * 2)
        return conflicts

    async def work(sessions):
        conflicts = await asyncio.gather(*(converse(sessions, writer) for writer in range(5)))
        messages = texts(await sessions.messages_async("shared"))
        assert [f"re: {question}" for question in messages[::2]] == messages[1::2]
        assert sorted(messages[::2]) == sorted(f"{writer} {turn}" for writer in range(5) for turn in range(6))
        log = texts(await sessions.messages_async("log"))
        assert log[::2] == log[1::2]
        assert len(log) == 60
        return sum(conflicts)

    assert run(url, work) > 0


def add_many(url, writer):
    async def work(sessions):
        for turn in range(10):
            await sessions.append_async("log", [{"role": "user", "content": f"{writer} {turn}"}] * 2)

    run(url, work)


@pytest.mark.slow
def test_processes_that_begin_at_once_share_new_tables(url):
    run_in_processes(add_many, [(url, writer) for writer in range(4)])

    async def work(sessions):
        return texts(await sessions.messages_async("log"))

    log = run(url, work)
    assert log[::2] == log[1::2]
    assert len(log) == 80


def test_a_synchronous_engine_works_in_both_kinds_of_runs(url, api):
    if "aiosqlite" in url or "asyncpg" in url:
        pytest.skip("this driver has no synchronous engine")
    engine = sqlalchemy.create_engine(url)
    sessions = SQLSessions(engine)
    session = sessions.open("ada", echo())
    assert api.text(session, "a") == "a"
    assert api.text(session, "b") == "a+b"
    assert texts(sessions.messages("ada")) == ["a", "a", "b", "a+b"]
    engine.dispose()


def test_threads_share_a_synchronous_engine(url):
    if "aiosqlite" in url or "asyncpg" in url:
        pytest.skip("this driver has no synchronous engine")
    engine = sqlalchemy.create_engine(url)
    sessions = SQLSessions(engine)

    def add(n):
        sessions.append("ada", [{"role": "user", "content": f"{n}"}] * 2)

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = texts(sessions.messages("ada"))
    assert len(log) == 16
    assert log[::2] == log[1::2]
    engine.dispose()


def test_another_process_prefills_its_new_tokens_alone(url, tmp_path, tiny_path):
    """The KV states are in a folder of this machine, whatever the database is."""
    folder = tmp_path / "states" / "kv"

    def answer(message, **options):
        """Answer on a model that has just been loaded, and return how many tokens of the prompt were known."""

        async def work(engine):
            session = await SQLSessions(engine, **options).open_async("ada", agent)
            return (await session.run_async(message)).usage.cached_tokens

        with Model.from_local(tiny_path, threads=1) as model:
            agent = Agent(model, "word " * 300, temperature=0, max_tokens=4)
            return run(url, work, lambda engine: engine)

    assert answer("Hello there.", warm_folder=folder) == 0
    assert answer("Go on.", warm_folder=folder) > 250
    assert len(list(folder.glob("*.kv"))) == 1
    assert answer("Go on.", warm_folder=folder, warm_bytes=0) == 0
    assert answer("Go on.") == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"warm_folder": ""}, "warm_folder must not be empty"), ({"warm_bytes": -1}, "warm_bytes must be an int")],
)
def test_wrong_options(options, problem):
    engine = sqlalchemy.create_engine("sqlite://")
    with pytest.raises(InvalidParamError, match=problem):
        SQLSessions(engine, **options)
    engine.dispose()


def test_an_asynchronous_engine_refuses_synchronous_runs(tmp_path):
    pytest.importorskip("aiosqlite")
    sessions = SQLSessions(create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/chats.db"))
    with pytest.raises(UnsupportedError, match="use the methods that end with _async"):
        sessions.open("ada", echo())


def test_errors_of_the_database_are_typed_and_hide_the_password():
    engine = sqlalchemy.create_engine("sqlite:////missing/folder/chats.db")
    with pytest.raises(StorageError, match=r"sqlite:////missing/folder/chats\.db.*unable to open"):
        SQLSessions(engine).list()
    pytest.importorskip("psycopg")
    engine = sqlalchemy.create_engine("postgresql+psycopg://me:secret@127.0.0.1:1/chats")
    with pytest.raises(StorageError) as caught:
        SQLSessions(engine).list()
    assert "secret" not in str(caught.value)
    assert "me:***@127.0.0.1:1/chats" in str(caught.value)


def test_tables_of_a_newer_version_are_refused(tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/chats.db")
    SQLSessions(engine).list()
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE luup_session_schema SET version = 99"))
    with pytest.raises(StorageError, match="have version 99, .* use a newer luup-agent"):
        SQLSessions(engine).list()
    engine.dispose()


@pytest.mark.parametrize("wrong", [None, "postgresql://localhost/x", object()])
def test_what_is_not_an_engine_is_refused(wrong):
    with pytest.raises(InvalidParamError, match="engine must be an AsyncEngine or an Engine of SQLAlchemy"):
        SQLSessions(wrong)


def test_without_sqlalchemy_the_error_names_the_extra(child):
    result = child(
        """
        import sys
        sys.modules["sqlalchemy"] = None
        from luup_agent import SQLSessions, UnsupportedError
        try:
            SQLSessions(object())
        except UnsupportedError as error:
            print(error)
        """
    )
    assert 'pip install "luup-agent[sql]"' in result.stdout, result.stderr
