"""A process forks while its threads load models: the child loads one of its own and answers."""

import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork() with threads, as on Linux")

FORKS = """
import os, random, signal, sys, threading, time, traceback, warnings
from luup_agent import Agent, Model

path, count, longest, seed = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork() in a process with threads
ended = threading.Event()

def double(number: int) -> int:
    "Double a number."
    return 2 * number

def use_model():
    with Model.from_local(path, threads=2, context_size=512) as model:
        Agent(model, tools=[double], tool_choice="none", max_tokens=8).generate("Hi", output_type=bool)

def load_again_and_again():
    while not ended.is_set():
        use_model()

def answer():
    signal.alarm(60)  # a lock that a thread of the parent held is never released here
    try:
        use_model()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

workers = [threading.Thread(target=load_again_and_again) for _ in range(3)]
for worker in workers:
    worker.start()
choose = random.Random(seed)
for number in range(count):
    time.sleep(choose.uniform(0, longest))
    child = os.fork()
    if child == 0:
        answer()
    status = os.waitpid(child, 0)[1]
    if status != 0:
        print(f"child {number}: status {status}", file=sys.stderr, flush=True)
        os._exit(1)
ended.set()
for worker in workers:
    worker.join()
print("done")
"""


@pytest.mark.slow
def test_a_process_forks_while_its_threads_load(child, tiny_path):
    result = child(FORKS, tiny_path, 6, 0.1, 3)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "done\n"


@pytest.mark.gate
@pytest.mark.parametrize("seed", range(10))
def test_a_process_forks_while_its_threads_load_for_the_first_time(child, tiny_path, seed):
    result = child(FORKS, tiny_path, 2, 0.02, seed)
    assert result.returncode == 0, result.stderr
