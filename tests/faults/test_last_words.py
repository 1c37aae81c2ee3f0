"""Models, agents and runs that are used while they, or the process, come to their end."""

import os
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "support" / "last_words.py"
MOMENTS = [
    "collected",
    "collected_in_a_thread",
    "at_exit",
    "at_exit_with_closed_models",
    "in_exit_functions",
    "in_finalizers",
    "in_daemon_threads",
    pytest.param("in_the_child_of_a_fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")),
    pytest.param("at_exit_of_the_child_of_a_fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")),
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_use_ends_in_a_value_or_a_typed_error(child, tiny_path, tmp_path, moment):
    result = child(PROGRAM.read_text("utf-8"), moment, tiny_path, timeout=180, cwd=tmp_path)
    lines = [line.split("|") for line in result.stdout.splitlines() if line.count("|") == 2]
    assert result.returncode == 0, (lines[-1:], result.stderr[-2000:])
    assert ["0", "end", "ok"] in lines
    wrong = [line for line in lines if line[2].startswith("raw")]
    assert wrong == []
    if moment not in ("in_daemon_threads", "in_finalizers"):
        assert len(lines) > 40  # each use has ended


@pytest.mark.parametrize("kind", ["agent", "local agent"])
def test_an_agent_in_cyclic_garbage_can_still_be_saved(child, tiny_path, tmp_path, kind):
    program = f"""
    import gc, sys
    from luup_agent import Agent, Model
    from luup_agent.testing import ScriptedModel
    model = ScriptedModel(["hi"]) if {kind!r} == "agent" else Model.from_local(sys.argv[1], threads=1)
    class Saver:
        def __init__(self, agent): self.agent = agent
        def __del__(self): self.agent.save("bot.agent")
    class Saved(Agent):
        saver: Saver
    agent = Saved(model)
    agent.add_message("user", "hello")
    agent.saver = Saver(agent)
    del agent
    gc.collect()
    print(Agent.load("bot.agent", model).get_history())
    """
    result = child(program, tiny_path, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "hello" in result.stdout
