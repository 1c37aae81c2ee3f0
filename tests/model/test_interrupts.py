"""Ctrl-C at any point: the exception comes soon, the run is gone, the history is as it was."""

import _thread
import asyncio
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

CAPITAL = "What is the capital city of France? Answer in one sentence."
STORY = "Tell me a long story about a fox and a raven."
LONG = "word " * 4000


@pytest.fixture
def interrupt():
    """Interrupts the main thread after some seconds, as Ctrl-C does."""
    timers = []

    def arm(seconds):
        timers.append(threading.Timer(seconds, _thread.interrupt_main))
        timers[-1].start()

    yield arm
    for timer in timers:
        timer.join()


WAYS = {
    "generate": lambda agent: agent.generate(STORY),
    "generate_stream": lambda agent: list(agent.generate_stream(STORY)),
    "run": lambda agent: agent.run(STORY),
    "stream_events": lambda agent: list(agent.stream_events(STORY)),
    "prefill": lambda agent: agent.generate(LONG),
    "asyncio": lambda agent: asyncio.run(agent.generate_async(STORY)),
}


# An event loop that is interrupted in its constructor complains of what it lacks when it goes.
@pytest.mark.filterwarnings("ignore:.*BaseEventLoop.__del__:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(4))
def test_ctrl_c_at_a_random_point(greedy, interrupt, way, seed):
    agent = greedy(max_tokens=4000)
    delay = random.Random(f"{way}{seed}").random() * 0.4
    begin = time.monotonic()

    def work():
        interrupt(delay)
        WAYS[way](agent)
        time.sleep(5)  # the model was quicker than the timer

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert time.monotonic() - begin - delay < 1
    agent.clear_history()  # not busy, even while the traceback holds the frames of the run
    del caught
    assert agent.get_history() == []
    assert "Paris" in agent.generate(CAPITAL, max_tokens=16)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("stage", ["loading", "answering"])
def test_sigint_ends_a_program_as_usual(model_path, stage):
    source = textwrap.dedent(
        """
        import sys
        from luup_agent import Agent, Model
        def show(fraction):
            print("loading", flush=True)
        model = Model.from_local(sys.argv[1], on_progress=show, context_size=2048, threads=1)
        print("answering", flush=True)
        Agent(model, max_tokens=None).generate(" ".join(["Tell me a long story."] * 20))
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source, str(model_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if line.strip() == stage:
                break
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        _, errors = process.communicate(timeout=20)
        assert time.monotonic() - begin < 3
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert errors.count("Traceback") == 1
        assert process.returncode == -signal.SIGINT
    finally:
        process.kill()


def test_ctrl_c_while_loading_lets_the_next_load_work(child, model_path):
    source = """
        import _thread, sys
        from luup_agent import Agent, Model
        for at in (0.0, 0.3, 0.9):
            def on_progress(fraction):
                if fraction >= at:
                    _thread.interrupt_main()
            try:
                Model.from_local(sys.argv[1], on_progress=on_progress)
                print("not interrupted")
            except KeyboardInterrupt:
                print("interrupted")
        model = Model.from_local(sys.argv[1], threads=1)
        assert "Paris" in Agent(model, "Answer the question.", temperature=0).generate("The capital of France is")
    """
    result = child(source, model_path)
    assert result.stderr == ""
    assert result.stdout.split() == ["interrupted"] * 3
    assert result.returncode == 0


def test_an_exception_of_the_consumer_ends_the_run(greedy):
    agent = greedy(max_tokens=500)

    def consume():
        for piece in agent.generate_stream(STORY):
            len(piece) / 0

    with pytest.raises(ZeroDivisionError):
        consume()
    agent.clear_history()  # not busy
    assert "Paris" in agent.generate(CAPITAL, max_tokens=16)
