"""How many threads compute beside other programs."""

import os
import subprocess
import sys

import pytest

from luup_agent import Agent, Model

cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
several_cores = pytest.mark.skipif(cores < 2, reason="there is one processor")


@pytest.fixture
def busy_machine():
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * cores)]
    yield
    for process in processes:
        process.kill()
        process.wait()


def threads_of_runs(path, threads, runs):
    """The number of threads after each run, and the number of the model."""
    with Model.from_local(path, threads=threads, context_size=512) as model:
        agent = Agent(model, enable_history=False, temperature=0)
        used = []
        for _ in range(runs):
            agent.generate("Write a long story about a storm.", max_tokens=32)
            used.append(model.stats().threads)
        return used, model.get_info().threads


@several_cores
@pytest.mark.gate
def test_a_busy_machine_computes_with_fewer_threads(model_path, busy_machine):
    used, most = threads_of_runs(model_path, threads=0, runs=12)
    assert min(used) < most
    assert set(used) <= set(range(1, most + 1))


@several_cores
@pytest.mark.gate
def test_a_number_of_threads_that_was_asked_for_stays(model_path, busy_machine):
    used, most = threads_of_runs(model_path, threads=2, runs=3)
    assert (set(used), most) == ({2}, 2)


def test_a_model_that_has_computed_nothing_has_used_no_threads(tiny_path):
    with Model.from_local(tiny_path) as model:
        assert model.stats().threads == 0
