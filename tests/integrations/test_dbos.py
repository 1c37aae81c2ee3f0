"""Runs of agents in workflows of DBOS, on a real PostgreSQL: killed at any step, and recovered by another process."""

import signal
import sqlite3
import sys

import pytest

pytest.importorskip("dbos")

from support.postgres import Postgres, find_program

from luup_agent import Agent, InvalidParamError
from luup_agent.integrations.dbos import DBOSRun
from luup_agent.testing import ScriptedModel

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL"),
    pytest.mark.skipif(find_program("initdb") is None, reason="PostgreSQL is not installed"),
]

# Arguments: the URL, the name of the workflow, after which record to die (0: never), and "after" or "before" it. A tool
# appends its key to the file `effects`, and the model a line to `requests`.
PROGRAM = """
import asyncio, os, signal, sys
from dbos import DBOS, SetWorkflowID
from luup_agent import Agent, HTTPError, RunContext, Tool
from luup_agent.integrations import dbos as ours
from luup_agent.integrations.dbos import DBOSRun
from luup_agent.testing import FunctionModel, tool_call

_, url, workflow, step, when = sys.argv
left = int(step)


def count(moment):
    global left
    if moment == when:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def append(name, line):
    with open(name, "a") as file:
        file.write(line + "\\n")


write, write_async = ours._Steps.write, ours._Steps.write_async


def dying(self, kind, **values):
    count("before")
    write(self, kind, **values)
    count("after")


async def dying_async(self, kind, **values):
    count("before")
    await write_async(self, kind, **values)
    count("after")


ours._Steps.write, ours._Steps.write_async = dying, dying_async


def act(ctx: RunContext, place: str) -> str:
    "Acts."
    append("effects", f"{ctx.run_id} {ctx.call_id}")
    return f"did {place}"


def answer(request):
    append("requests", "x")
    done = sum(message.role == "tool" for message in request.messages)
    if "fail" in request.messages[-1].content:
        raise HTTPError("the server is down")
    if done == 0:
        return tool_call("act", place="a")
    if done == 1:
        return [tool_call("act", place=place) for place in "bc"]
    return "Done: " + ", ".join(message.content for message in request.messages if message.role == "tool")


agent = Agent(FunctionModel(answer), "You act.", tools=[act])
careful = Agent(FunctionModel(answer), tools=[Tool(act, requires_approval=True)])


@DBOS.step()
def other(name: str) -> str:
    append("others", name)
    return name


@DBOS.workflow()
def plain(text: str) -> str:
    other("first")
    response = DBOSRun(agent).run(text)
    other("last")
    return response.text + f" {len(response.messages)} {len(response.tool_calls)}"


@DBOS.workflow()
async def asynchronous(text: str) -> str:
    response = await DBOSRun(agent).run_async(text)
    return response.text + f" {len(response.messages)} {len(response.tool_calls)}"


@DBOS.workflow()
def approved(text: str) -> str:
    run = DBOSRun(careful, name="careful")
    response = run.run(text)
    while response.pending:
        other("asked")
        response = run.run(approvals={call.id: True for call in response.pending})
    return response.text


@DBOS.workflow()
def failing(text: str) -> str:
    run = DBOSRun(agent)
    try:
        run.run(text)
    except HTTPError:
        return str(run.run(text))
    return "no error"


@DBOS.workflow()
def two(text: str) -> str:
    first = DBOSRun(agent, name="first").run(text).text
    return DBOSRun(agent, name="second").run(first).text


DBOS(config={"name": "luup", "system_database_url": url, "log_level": "ERROR"})
DBOS.launch()


async def main():
    with SetWorkflowID("job"):
        return await (await DBOS.start_workflow_async(asynchronous, "Act.")).get_result()


if workflow == "asynchronous":
    print(asyncio.run(main()))
else:
    with SetWorkflowID("job"):
        text = "Please fail." if workflow == "failing" else "Act."
        print(DBOS.start_workflow(globals()[workflow], text).get_result())
DBOS.destroy()
"""

DONE = "Done: did a, did b, did c"


@pytest.fixture(scope="module")
def server():
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def work(server, child, tmp_path, request):
    """Runs the program's workflow in a new database; returns what it printed, or None if it was killed."""
    number = request.config.stash.setdefault(_NUMBER, [0])
    number[0] += 1
    host = server.address.rsplit("/", 1)[0]
    url = f"postgresql+psycopg://{host}/luup{number[0]}"

    def run(workflow, step=0, when="after"):
        ended = child(PROGRAM, url, workflow, step, when, cwd=tmp_path)
        if step and ended.returncode == -signal.SIGKILL:
            return None
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    run.lines = lambda name: (tmp_path / name).read_text().splitlines()
    return run


_NUMBER = pytest.StashKey()


@pytest.mark.parametrize("workflow", ["plain", "asynchronous"])
def test_killed_twice(work, workflow):
    assert work(workflow, 3) is None  # after the first result
    assert work(workflow, 5) is None  # two records later: those of before are repeated first
    assert work(workflow) == f"{DONE} 7 3"
    assert work(workflow) == f"{DONE} 7 3"
    effects = work.lines("effects")
    assert len(set(effects)) == 3  # a call that is made again has the same key
    assert effects.count("job/run call_0") == 1
    assert len(work.lines("requests")) <= 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workflow", "records", "when"),
    [
        ("plain", 7, "after"),
        pytest.param("plain", 7, "before", marks=pytest.mark.gate),
        pytest.param("asynchronous", 7, "after", marks=pytest.mark.gate),
        pytest.param("approved", 9, "before", marks=pytest.mark.gate),
        pytest.param("approved", 9, "after", marks=pytest.mark.gate),
        pytest.param("two", 14, "after", marks=pytest.mark.gate),
    ],
)
def test_killed_at_every_record(work, workflow, records, when):
    for step in range(1, records + 1):
        assert work(workflow, step, when) is None
    assert work(workflow).startswith(DONE)
    names = ("first", "second") if workflow == "two" else ("careful" if workflow == "approved" else "run",)
    effects = work.lines("effects")
    assert len(set(effects)) == 3 * len(names)
    if when == "after":
        assert effects.count(f"job/{names[0]} call_0") == 1
    if workflow == "plain":
        assert (work.lines("others").count("first"), work.lines("others")[-1]) == (1, "last")


def test_calls_that_wait_for_an_approval(work):
    assert work("approved", 3) is None  # begin, turn, pending
    assert work("approved") == DONE
    effects = work.lines("effects")
    assert len(effects) == len(set(effects)) == 3
    assert effects[0] == "job/careful call_0"


def test_a_run_that_has_failed_is_not_tried_again_in_its_workflow(server, child, tmp_path, work):
    url = f"postgresql+psycopg://{server.address.rsplit('/', 1)[0]}/failing"
    ended = child(PROGRAM, url, "failing", 0, "after", cwd=tmp_path)
    assert ended.returncode == 1
    assert "InvalidParamError: the run 'job/run' has failed in this workflow" in ended.stderr


def test_two_runs_of_a_workflow(work):
    assert work("two") == DONE
    assert len(set(work.lines("effects"))) == 6


NEWER_SQLITE = """
import sys
import pysqlite3
sys.modules["sqlite3"], sys.modules["sqlite3.dbapi2"] = pysqlite3, pysqlite3.dbapi2
"""


def test_in_sqlite(child, tmp_path):
    old = sqlite3.sqlite_version_info < (3, 42)  # too old for DBOS; docs/DURABLE.md has this remedy
    if old:
        pytest.importorskip("pysqlite3")
    arguments = ((NEWER_SQLITE if old else "") + PROGRAM, f"sqlite:///{tmp_path}/dbos.sqlite", "plain")
    assert child(*arguments, 3, "after", cwd=tmp_path).returncode == -signal.SIGKILL
    assert child(*arguments, 0, "after", cwd=tmp_path).stdout.strip() == f"{DONE} 7 3"


def test_outside_of_a_workflow():
    agent = Agent(ScriptedModel(["Hi."]))
    with pytest.raises(InvalidParamError, match=r"made in a function with @DBOS.workflow\(\)"):
        DBOSRun(agent)
    with pytest.raises(InvalidParamError, match="name must be a str"):
        DBOSRun(agent, name="")
