"""Files that agents write and read: regular ones only, for their owner alone, and nothing is left over."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from luup_agent import Agent, StorageError
from luup_agent.testing import FunctionModel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs, modes and devices")
LONG = ("n" * 300, "x/" * 3000 + "y", "no/such/folder/bot.agent", "")


@pytest.fixture
def agent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agent = Agent(FunctionModel(lambda request: "x"))
    agent.add_message("user", "hello")
    return agent


@pytest.fixture
def places(tmp_path):
    """Paths that are not regular files."""
    os.mkfifo(str(tmp_path / "fifo"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "to fifo").symlink_to("fifo")
    return ["fifo", "folder", "to fifo", "/dev/null", "/dev/full"]


@pytest.fixture(autouse=True)
def no_hang():
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(100)
    yield
    signal.alarm(0)


def test_only_regular_files_are_written(agent, places):
    before = [os.lstat(place).st_mode for place in places]
    for place in (*places, *LONG):
        with pytest.raises(StorageError):
            agent.save(place)
    assert [os.lstat(place).st_mode for place in places] == before


def test_only_regular_files_are_read(agent, places):
    for place in (*places, *LONG):
        with pytest.raises(StorageError):
            Agent.load(place, agent.model)


def test_only_regular_files_hold_what_built_in_tools_keep(agent, places):
    for place in (*places, *LONG[:3]):
        with pytest.raises(StorageError):
            agent.enable_builtin_todo(place)
        with pytest.raises(StorageError):
            agent.enable_builtin_notes(place)


def test_what_may_hold_a_conversation_is_for_its_owner(agent, tmp_path):
    agent.save("bot.agent")
    agent.enable_builtin_todo("todo.json")
    agent.todos.add("milk")
    agent.enable_builtin_notes("notes.json")
    agent.notes.create("a")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    os.chmod("bot.agent", 0o640)
    agent.save("bot.agent")
    assert stat.S_IMODE(os.stat("bot.agent").st_mode) == 0o640


def test_a_link_stays_one_and_a_long_name_is_no_problem(agent):
    agent.save("n" * 255)
    os.symlink("n" * 255, "link")
    agent.add_message("assistant", "hi")
    agent.save("link")
    assert os.path.islink("link")
    assert len(Agent.load("n" * 255, agent.model).get_history()) == 2


def test_what_a_killed_process_left_is_deleted(agent, tmp_path):
    program = """
import sys
from luup_agent import Agent
from luup_agent.testing import FunctionModel
agent = Agent(FunctionModel(lambda request: "x"))
agent.add_message("user", "x" * 30_000_000)
print("ready", flush=True)
while True:
    agent.save("bot.agent")
"""
    left = []
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", program], cwd=str(tmp_path), stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.15)
        process.kill()
        process.wait()
        process.stdout.close()
        left = [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
        if left:
            break
    agent.save("other.agent")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
