"""No server outlives the program that has started it, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("mcp")

pytestmark = pytest.mark.processes
SERVER = str(Path(__file__).resolve().parents[2] / "support" / "mcp_server.py")

PROGRAM = """
import asyncio, os, sys, threading, time
from luup_agent import MCP, Agent
from luup_agent.testing import ScriptedModel, tool_call

def agent(*calls, **options):
    return Agent(ScriptedModel([tool_call("process"), "done", *calls]), toolsets=[mcp], **options)

def process(asked):
    pid = asked.run("Hi").tool_calls[0].result.content
    print(pid, flush=True)
    return pid

mcp = MCP([sys.executable, sys.argv[1], sys.argv[2]])
"""

ENDINGS = {
    "exit": "process(agent())",
    "sys.exit": "process(agent()); sys.exit(7)",
    "exception": "process(agent()); raise ValueError('oh')",
    "block": "with mcp:\n    process(agent())\n    raise ValueError('oh')",
    "cleared": "process(agent()); mcp = None",
    "asyncio": "asyncio.run(mcp.open_async()); process(agent())",
    "thread": "t = threading.Thread(target=lambda: process(agent())); t.start(); t.join()",
    "os._exit": "process(agent()); os._exit(5)",
}


def runs(pid):
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pid):
    deadline = time.monotonic() + 60
    while runs(pid):
        assert time.monotonic() < deadline, f"the process {pid} still runs"
        time.sleep(0.05)


def start(source, kind="stdio"):
    command = [sys.executable, "-W", "error", "-c", PROGRAM + source, SERVER, kind]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_a_program_that_ends(ending):
    program = start(ENDINGS[ending])
    out, err = program.communicate(timeout=120)
    assert "Task was destroyed" not in err
    assert "ResourceWarning" not in err
    assert "Exception ignored" not in err
    assert ("Traceback" in err) == (ending in ("exception", "block")), err
    pid = int(out.split()[0])
    if ending != "os._exit":
        assert not runs(pid)  # at once
    wait_for_end(pid)


def test_a_stubborn_server_is_killed_at_exit():
    program = start("process(agent())", "stubborn")
    out, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert not runs(int(out.split()[0]))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_ctrl_c_in_a_call(kind):
    source = """
asked = agent(tool_call("slow", seconds=600))
process(asked)
{call}
"""
    call = 'asked.run("Hi")' if kind == "sync" else 'asyncio.run(asked.run_async("Hi"))'
    program = start(source.format(call=call))
    pid = int(program.stdout.readline())
    time.sleep(1)
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=120)
    assert "KeyboardInterrupt" in err
    assert "Exception ignored" not in err
    assert not runs(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_is_killed(number):
    program = start("process(agent()); time.sleep(600)")
    pid = int(program.stdout.readline())
    assert runs(pid)
    program.send_signal(number)
    program.communicate(timeout=120)
    wait_for_end(pid)  # its input has ended


@pytest.mark.skipif(sys.platform != "linux", reason="the watcher is for Linux")
@pytest.mark.parametrize("kind", ["stubborn", "parent"])
def test_stubborn_servers_of_a_program_that_is_killed(kind):
    program = start("process(agent()); time.sleep(600)", kind)
    pid = int(program.stdout.readline())
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=120)
    wait_for_end(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the watcher is for Linux")
def test_the_watcher_ends_with_the_last_server():
    source = """
from luup_agent._mcp.watcher import leaders
other = MCP([sys.executable, sys.argv[1], sys.argv[2]])
with other:
    process(agent())
    three = len(leaders())
    mcp.close()
    two = len(leaders())
time.sleep(0.2)
print(three, two, len(leaders()))
"""
    program = start(source)
    out, err = program.communicate(timeout=120)
    assert out.splitlines()[1:] == ["3 2 0"], err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_starts_its_own_server():
    source = """
import warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
first = process(agent())
child = os.fork()
if child == 0:
    code = 1
    try:
        second = process(agent())
        mcp.close()
        code = 0 if second != first else 2
    finally:
        os._exit(code)
assert os.waitpid(child, 0)[1] == 0
assert process(agent()) == first
"""
    program = start(source)
    out, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    for pid in set(out.split()):
        wait_for_end(int(pid))
