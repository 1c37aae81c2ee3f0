"""A durable run with the real model, whose process is killed after each record."""

import signal
import sys

import pytest

from luup_agent import Agent, DurableRuns

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

PROGRAM = """
import os, signal, sys
from luup_agent import Agent, DurableRuns, Model
from luup_agent._durable import journal

path, folder, step = sys.argv[1:]
written, step = 0, int(step)
write = journal.Journal.write


def die_after(self, kind, **values):
    global written
    write(self, kind, **values)
    written += 1
    if written == step:
        os.kill(os.getpid(), signal.SIGKILL)


journal.Journal.write = die_after
with Model.from_local(path, threads=1) as model:
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=128)

    @agent.tool
    def add(a: int, b: int) -> int:
        "Adds two numbers."
        with open(os.path.join(folder, "effects"), "a") as file:
            file.write("add\\n")
        return a + b

    print(DurableRuns(folder).run("job", agent, "What is 5 + 3?", tool_choice="add").text)
"""


@pytest.mark.slow
@pytest.mark.gate
def test_killed_after_each_record(tmp_path, model_path, model, child):
    expected = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=128)

    @expected.tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    answer = DurableRuns(tmp_path / "expected").run("job", expected, "What is 5 + 3?", tool_choice="add").text
    for step in range(1, 6):  # begin, turn, result, usage, end
        folder = tmp_path / str(step)
        folder.mkdir()
        killed = child(PROGRAM, model_path, folder, step)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        ended = child(PROGRAM, model_path, folder, 0)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.strip() == answer.strip()
        assert (folder / "effects").read_text() == "add\n"
