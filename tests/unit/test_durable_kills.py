"""Durable runs whose process is killed at each step, and that another process ends."""

import json
import subprocess
import sys

import pytest
from support.durable import records

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and locks of POSIX")

# Arguments: the folder, "sync" or "async", "one" or "many" calls in the second turn, the kind of kill, "repeat" or
# "never", and for each case the numbers of the records at which its processes die. The last process of a case ends. A
# tool appends its name to `attempts`, and its key to `effects` if it is missing.
PROGRAM = """
import asyncio, json, os, signal, sys
from luup_agent import Agent, DurableRuns, RunContext
from luup_agent._durable import journal
from luup_agent.testing import FunctionModel, tool_call

_, mode, calls, kill, repeat, cases = sys.argv[1:]
write = journal.Journal.write


def dying_at(step):
    written = 0

    def die_around(self, kind, **values):
        nonlocal written
        written += 1
        if kill == "before" and written == step:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, kind, **values)
        if kill == "torn" and written == step:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - 3)
        if kill != "before" and written == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return die_around


def append(name, line):
    with open(name, "a") as file:
        file.write(line + "\\n")


def effects():
    if not os.path.exists("effects"):
        return []
    with open("effects") as file:
        return file.read().split()


def act(ctx: RunContext, name: str) -> str:
    "Acts."
    append("attempts", name)
    key = f"{ctx.run_id}/{ctx.call_id}"
    if key not in effects():
        append("effects", key)
    return f"did {name}"


def answer(request):
    append("requests", str(len(request.messages)))
    done = sum(message.role == "tool" for message in request.messages)
    if done == 0:
        return tool_call("act", {"name": "a"})
    if calls == "many":
        second = ["b", "c", "d"]
        if done < 4:
            return [tool_call("act", {"name": name}) for name in second]
    elif done < 3:
        return tool_call("act", {"name": "abc"[done]})
    return "Done: " + ", ".join(message.content for message in request.messages if message.role == "tool")


def main(step):
    journal.Journal.write = dying_at(step)
    agent = Agent(FunctionModel(answer), "You act.", tools=[act])
    agent.add_message("user", "Hello.")
    agent.add_message("assistant", "Hi.")
    runs, options = DurableRuns("runs"), {"repeat_calls": repeat == "repeat"}
    if mode == "sync":
        response = runs.run("job", agent, "Act.", **options)
    else:
        response = asyncio.run(runs.run_async("job", agent, "Act.", **options))
    output = {"text": response.text, "messages": [m.role for m in response.messages],
              "calls": [[c.arguments["name"], c.result.content] for c in response.tool_calls]}
    with open("output", "w") as file:
        json.dump(output, file)


def processes(steps):
    "Return how many of the processes died."
    for deaths, step in enumerate([*steps, 0]):
        pid = os.fork()
        if not pid:
            try:
                main(step)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0
            return deaths
        assert os.WTERMSIG(status) == signal.SIGKILL


deaths = []
for number, steps in enumerate(json.loads(cases)):
    folder = os.path.join(sys.argv[1], str(number))
    os.mkdir(folder)
    os.chdir(folder)
    deaths.append(processes(steps))
print(json.dumps(deaths))
"""


def act_until_done(folder, mode, calls, kill, cases, repeat="repeat"):
    """Run the program; yield the folder of each case, the output of its last process, and how many died."""
    arguments = [sys.executable, "-c", PROGRAM, str(folder), mode, calls, kill, repeat, json.dumps(cases)]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    for number, deaths in enumerate(json.loads(result.stdout)):
        case = folder / str(number)
        yield case, json.loads((case / "output").read_text()), deaths


def lines(folder, name):
    path = folder / name
    return path.read_text().split() if path.exists() else []


ONE = {
    "text": "Done: did a, did b, did c",
    "messages": ["user", *["assistant", "tool"] * 3, "assistant"],
    "calls": [[name, f"did {name}"] for name in "abc"],
}
MANY = {
    "messages": ["user", "assistant", "tool", "assistant", "tool", "tool", "tool", "assistant"],
    "calls": [[name, f"did {name}"] for name in "abcd"],
}
RECORDS = 1 + 3 * 2 + 2  # of the program with one call in each turn: begin; turn and result; usage, end


EACH_STEP = [[step] for step in range(1, RECORDS + 1)]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_killed_after_each_record_every_tool_is_called_exactly_once(tmp_path, mode):
    for folder, output, deaths in act_until_done(tmp_path, mode, "one", "after", EACH_STEP):
        assert (output, deaths) == (ONE, 1)
        assert lines(folder, "attempts") == ["a", "b", "c"]
        assert len(lines(folder, "effects")) == 3
        assert len(lines(folder, "requests")) <= 5  # only an answer that was not recorded is asked for again
        assert records(folder / "runs")[-1]["kind"] == "end"


def test_killed_after_its_first_record_again_and_again(tmp_path):
    ((folder, output, deaths),) = act_until_done(tmp_path, "sync", "one", "after", [[1] * (RECORDS + 5)])
    assert output == ONE
    assert deaths > 6
    assert lines(folder, "attempts") == ["a", "b", "c"]


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("kill", ["before", "torn"])
def test_killed_between_an_effect_and_its_record_the_key_makes_it_once(tmp_path, mode, kill):
    repeated = 0
    for folder, output, deaths in act_until_done(tmp_path, mode, "one", kill, EACH_STEP):
        assert (output, deaths) == (ONE, 1)
        effects, attempts = lines(folder, "effects"), lines(folder, "attempts")
        assert len(effects) == len(set(effects)) == 3
        assert sorted(set(attempts)) == ["a", "b", "c"]
        assert len(attempts) <= 4
        repeated += len(attempts) - 3
    assert repeated == 3  # the three results: without a key these calls would have had their effects twice


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("kill", ["after", "before"])
def test_calls_side_by_side(tmp_path, mode, kill):
    for folder, output, _ in act_until_done(tmp_path, mode, "many", kill, EACH_STEP):
        assert sorted(output.pop("text").replace("Done: ", "").split(", ")) == ["did a", "did b", "did c", "did d"]
        assert output == MANY
        effects = lines(folder, "effects")
        assert len(effects) == len(set(effects)) == 4


def test_never_repeated_means_at_most_once(tmp_path):
    skipped = 0
    for folder, output, _ in act_until_done(tmp_path, "sync", "one", "before", EACH_STEP, "never"):
        attempts = lines(folder, "attempts")
        assert len(attempts) == len(set(attempts))
        skipped += sum("may have had its effect or not" in content for _, content in output["calls"])
    assert skipped == 3
