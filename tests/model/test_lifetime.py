"""Nothing grows, nothing hangs, nothing is printed: dropped streams, garbage, exit, fork."""

import gc
import os
import resource
import threading

import pytest

from luup_agent import Agent, Model

STORY = "Tell me a long story about a fox and a raven."
LOADED = """
    import sys
    from luup_agent import Agent, Model
    model = Model.from_local(sys.argv[1], context_size=1024, threads=1)
    agent = Agent(model, temperature=0, max_tokens=500)
"""


def resident():
    """Return the bytes of resident memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.gate
def test_500_streams_left_half_way_leave_nothing(model, idle):
    agent = Agent(model, max_tokens=100)

    def drop(count):
        for i in range(count):
            stream = (agent.generate_stream, agent.stream_events)[i % 2](STORY)
            if i % 5:
                next(stream)
            if i % 3:
                stream.close()
            del stream

    drop(50)
    stats, threads, memory = idle(model), threading.active_count(), resident()
    drop(500)
    after = idle(model)
    assert after.runs_active == after.runs_waiting == after.sequences_active == 0
    assert after.sequences_parked <= stats.sequences_parked + 1
    assert threading.active_count() == threads
    assert resident() - memory < 8 * 2**20
    assert agent.get_history() == []
    assert agent.generate("What is the capital city of France? Answer in one sentence.", temperature=0, max_tokens=16)


@pytest.mark.slow
def test_agents_come_and_go(model, idle):
    def use(count):
        for _ in range(count):
            Agent(model, "You are helpful.", max_tokens=2).generate("Hi")

    use(20)
    memory = resident()
    use(100)
    assert resident() - memory < 8 * 2**20
    stats = idle(model)
    assert stats.sequences_active == 0
    assert stats.context_used <= model.get_info().context_size


@pytest.mark.gate
def test_models_come_and_go(model_path):
    def load():
        model = Model.from_local(model_path, context_size=512, threads=1)
        Agent(model, max_tokens=2).generate("Hi")

    load()
    gc.collect()
    before, threads = resident(), len(os.listdir("/proc/self/task"))
    for _ in range(5):
        load()
    gc.collect()
    assert resident() - before < 40 * 2**20
    assert len(os.listdir("/proc/self/task")) == threads


def test_a_stream_keeps_its_agent_and_model(model_path):
    stream = Agent(Model.from_local(model_path, context_size=512, threads=1), temperature=0).generate_stream(
        "What is the capital city of France? Answer in one sentence."
    )
    gc.collect()
    assert "Paris" in "".join(stream)


@pytest.mark.parametrize(
    "ending",
    [
        "agent.generate('What is the capital city of France? Answer in one sentence.', max_tokens=8)",
        "stream = agent.generate_stream('Tell me a story.'); next(stream)",
        "stream = agent.stream_events('Tell me a story.'); next(stream); cycle = [stream]; cycle.append(cycle)",
        "stream = agent.generate_stream('Tell me a story.'); del model, agent",
        "import asyncio; stream = agent.generate_async('Tell me a story.')\n"
        "    async def first(): await stream.__anext__()\n"
        "    asyncio.run(first())",
        "import threading\n"
        "    threading.Thread(target=agent.generate, args=('Tell me a story.',), daemon=True).start()\n"
        "    while not model.stats().runs_active: pass",
        "import threading\n"
        "    thread = threading.Thread(target=agent.generate, args=('Tell me a story.',), kwargs={'max_tokens': 30})\n"
        "    thread.start()",
        "sys.modules['keep'] = (model, agent, agent.generate_stream('Hi'))",
        "model.close(); del model",
        "sys.exit(0)",
    ],
)
def test_a_program_that_just_ends(child, model_path, ending):
    result = child(LOADED + "    " + ending, model_path, timeout=60)
    assert result.stderr == ""
    assert result.returncode == 0


def test_a_program_that_dies_of_its_own_error(child, model_path):
    result = child(LOADED + "    stream = agent.generate_stream('Hi'); next(stream)\n    1 / 0", model_path, timeout=60)
    assert result.returncode == 1
    assert result.stderr.rstrip().endswith("ZeroDivisionError: division by zero")
    assert result.stderr.count("Traceback") == 1


FORK = """
    import gc, os, signal, traceback, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    from luup_agent import ForkedError
    stream = agent.generate_stream("Tell me a story.")
    next(stream)
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        status = 1
        try:
            calls = [
                lambda: agent.generate("Hi"), lambda: agent.generate_stream("Hi"), lambda: next(stream),
                lambda: agent.clear_history(), lambda: agent.context, lambda: Agent(model),
                lambda: model.stats(), lambda: model.warmup(), lambda: model.tokenize("Hi"),
            ]
            for number, call in enumerate(calls):
                try:
                    call()
                except ForkedError as error:
                    assert str(error)
                else:
                    raise AssertionError(f"call {number} did not raise ForkedError")
            repr(model), repr(agent)
            model.close()
            del stream, agent, model, calls, call
            gc.collect()
            fresh = Model.from_local(sys.argv[1], context_size=512, threads=1)
            assert "Paris" in Agent(fresh, "Answer the question.", temperature=0).generate("The capital of France is")
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            {leave}
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    assert "Paris" in Agent(model, "Answer the question.", temperature=0).generate("The capital of France is")
    assert len("".join(stream)) > 100
"""


@pytest.mark.parametrize("leave", ["os._exit(status)", "sys.exit(status)"])
def test_the_child_of_a_fork_is_told(child, model_path, leave):
    result = child(LOADED + FORK.replace("{leave}", leave), model_path, timeout=100)
    assert result.stderr == ""
    assert result.returncode == 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_beside_a_model(child, model_path, tmp_path, method):
    (tmp_path / "work.py").write_text("def double(x):\n    return 2 * x\n")
    source = (
        LOADED
        + f"""
    import multiprocessing, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    sys.path.insert(0, {str(tmp_path)!r})
    import work
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert pool.map(work.double, range(4)) == [0, 2, 4, 6]
    assert agent.generate("Hi", max_tokens=4)
    """
    )
    result = child(source, model_path, timeout=100)
    assert result.stderr == ""
    assert result.returncode == 0
