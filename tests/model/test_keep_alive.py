"""Models that leave the memory while they are idle, and come back for the next run."""

import asyncio
import contextlib
import os
import random
import shutil
import sys
import threading
import time
from typing import Literal

import pytest
from pydantic import BaseModel

from luup_agent import (
    Agent,
    BusyError,
    ClosedError,
    Grammar,
    InvalidOutputError,
    InvalidParamError,
    LuupError,
    Model,
    ModelLoadError,
    Regex,
    RunCancelledError,
    RunTimeoutError,
    UnsupportedError,
)
from luup_agent.testing import ScriptedModel

CAPITAL = "What is the capital of France?"


class City(BaseModel):
    """A city."""

    name: str
    size: Literal["small", "large"]


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def load(tiny_path):
    """Loads the small model of random weights."""
    opened = []

    def load(path=tiny_path, **options):
        opened.append(Model.from_local(path, **{"threads": 1, "context_size": 1024, **options}))
        return opened[-1]

    yield load
    for model in opened:
        model.close()


@pytest.fixture
def tiny_copy(tiny_path, tmp_path):
    path = tmp_path / "copy.gguf"
    shutil.copyfile(tiny_path, path)
    return path


def agent_of(model, **options):
    return Agent(model, "Be brief.", **{"temperature": 0, "max_tokens": 4, **options})


@pytest.mark.parametrize("value", [-1, -0.001, float("nan"), float("-inf"), True, "10", [1]])
def test_other_values_are_refused(tiny_path, value):
    with pytest.raises(InvalidParamError, match="keep_alive must be"):
        Model.from_local(tiny_path, keep_alive=value)


@pytest.mark.parametrize("value", [None, float("inf"), 1e300, 1e12, 3600, 2**70])
def test_a_long_time_is_for_ever(load, value):
    model = load(keep_alive=value)
    agent_of(model).generate("Hi")
    time.sleep(0.05)
    assert model.loaded


def test_an_idle_model_leaves_the_memory_and_comes_back(model_path, load):
    model = load(model_path, threads=2, keep_alive=0.2)
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=16)
    always = Agent(load(model_path, threads=2), "You are a helpful assistant.", temperature=0, max_tokens=16)
    questions = [CAPITAL, "And of Spain?", "And of Italy?"]
    for count, question in enumerate(questions, 1):
        assert agent.generate(question) == always.generate(question)
        info = model.get_info()
        until(lambda: not model.loaded)
        assert model.get_info() == info
        assert agent.get_history() == always.get_history()
        assert model.stats().runs_active == model.stats().context_used == 0
        assert model.stats().tokens_decoded >= 2 * count


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("use_mmap", [True, False])
def test_the_memory_is_free_again(child, model_path, use_mmap):
    result = child(
        """
        import os, sys
        from luup_agent import Agent, Model

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20

        model = Model.from_local(sys.argv[1], threads=2, context_size=2048, use_mmap=sys.argv[2] == "True")
        agent = Agent(model, max_tokens=2, enable_history=False)
        rows = []
        for _ in range(5):
            agent.generate("Hi " * 50)
            used = resident()
            model.unload()
            rows.append((used, resident()))
        print(rows)
        """,
        model_path,
        str(use_mmap),
    )
    assert result.returncode == 0, result.stderr
    rows = eval(result.stdout)
    weights = os.path.getsize(model_path) >> 20
    for used, left in rows:
        assert used - left > weights, rows
    assert rows[-1][1] - rows[-2][1] < 5, rows  # nothing piles up


def test_zero_means_right_after_the_last_run(load):
    model = load(keep_alive=0)
    assert model.loaded  # until the first run has ended
    agents = [agent_of(model, max_tokens=30) for _ in range(3)]
    streams = [agent.generate_stream("Hi") for agent in agents]
    for stream in streams:
        next(stream)
    for stream in streams:
        assert "".join(stream)  # none of them lost the weights
    until(lambda: not model.loaded)
    agents[0].generate("again")
    until(lambda: not model.loaded)
    model.tokenize("Hello")  # needs the weights, and so loads them
    until(lambda: not model.loaded)


@pytest.mark.gate
@pytest.mark.slow
def test_everything_that_needs_the_weights_loads_them(load, tmp_path):
    model = load()
    agent = agent_of(model)
    agent.generate("Hi")
    agent.save(tmp_path / "agent")
    tokens, usage = model.tokenize("Hello"), agent.context
    uses = {
        "generate": lambda: agent.generate("Hi"),
        "stream": lambda: list(agent.generate_stream("Hi")),
        "events": lambda: list(agent.stream_events("Hi")),
        "async": lambda: asyncio.run(_answer(agent)),
        "fork": lambda: agent.fork().generate("Hi"),
        "classify": lambda: agent.classify("Hi", ["good", "bad"]),
        "typed": lambda: agent.generate("Hi", output_type=City, max_tokens=200),
        "choice": lambda: agent.generate("Hi", output_type=Literal["good", "bad"]),
        "grammar": lambda: agent.generate("Hi", output_type=Grammar('root ::= "a" | "b"')),
        "tokens in a grammar": lambda: agent.generate("Hi", output_type=Grammar('root ::= "a" <[1]>')),
        "bias": lambda: Agent(model, logit_bias={tokens[0]: -5}, max_tokens=2).generate("Hi"),
        "context": lambda: agent.context,
        "tokenize": lambda: model.tokenize("Hello"),
        "detokenize": lambda: model.detokenize(tokens),
        "warmup": model.warmup,
        "saved state": lambda: Agent.load(tmp_path / "agent", model),
    }
    for name, use in uses.items():
        model.unload()
        assert not model.loaded, name
        with contextlib.suppress(InvalidOutputError):  # random weights seldom give a good typed result
            use()
        assert model.loaded, name
    assert model.tokenize("Hello") == tokens
    assert Agent.load(tmp_path / "agent", model).context == usage


async def _answer(agent):
    return await agent.generate_async("Hi")


def test_what_needs_no_weights_does_not_load_them(load, tmp_path):
    model = load()
    agent = agent_of(model, tools=[len_of])
    agent.generate("Hi", tools=[])
    model.unload()
    agent.save(tmp_path / "saved")
    agent.fork().close()
    agent.add_message("user", "Hello")
    agent.clear_history()
    model.stats(), model.get_info(), repr(model), agent.get_history()
    agent_of(model, tools=[len_of]).close()
    assert not model.loaded


def len_of(text: str) -> int:
    """Return the length of a text."""
    return len(text)


def test_a_run_is_never_unloaded(load):
    model = load(keep_alive=0.02)
    agent = agent_of(model, max_tokens=300)
    stream = agent.generate_stream("Hi")
    next(stream)
    with pytest.raises(BusyError, match="while runs are under way"):
        model.unload()
    time.sleep(0.3)  # the run may end meanwhile, and its stream is still open
    list(stream)
    until(lambda: not model.loaded)

    loaded = []

    def slow(text: str) -> str:
        """Wait."""
        time.sleep(0.2)
        loaded.append(model.loaded)
        return text

    forced = agent_of(model, tools=[slow], max_tokens=60)
    with contextlib.suppress(LuupError):  # random weights
        forced.generate("Hi", tool_choice="slow")
    assert loaded
    assert all(loaded)


def test_runs_that_end_early_give_the_model_back(load):
    model = load(keep_alive=0)
    agent = agent_of(model, max_tokens=300)
    model.unload()
    stream = agent.generate_stream("Hi")
    stream.close()
    until(lambda: not model.loaded)
    with pytest.raises(RunTimeoutError):
        agent.generate("Hi", timeout=0)
    until(lambda: not model.loaded)
    stream = agent.generate_stream("Hi")
    next(stream)
    stream.close()
    until(lambda: not model.loaded)
    assert [message["role"] for message in agent.get_history()] == ["system"]
    assert agent.generate("Hi", max_tokens=2) is not None


@pytest.mark.slow
def test_many_threads(load):
    model = load(keep_alive=0.01, max_sequences=8)
    expected = agent_of(model).generate("Hi")
    wrong, ends = [], time.monotonic() + 3

    def work(seed):
        rng = random.Random(seed)
        while time.monotonic() < ends:
            agent = agent_of(model)
            try:
                if rng.random() < 0.2:
                    stream = agent.generate_stream("Hi", max_tokens=50)
                    next(stream)
                    stream.close()
                elif rng.random() < 0.3:
                    model.tokenize("Hello")
                elif rng.random() < 0.3:
                    model.unload()
                else:
                    answer = agent.generate("Hi")
                    if len(answer) != len(expected) and not answer:
                        wrong.append(answer)
            except (BusyError, RunCancelledError):
                pass
            except BaseException as error:
                wrong.append(error)
            time.sleep(rng.choice([0, 0.005, 0.03]))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    until(lambda: not model.loaded)


def test_many_agents_wait_for_one_load(load):
    model = load(keep_alive=60)
    agents = [agent_of(model) for _ in range(8)]
    model.unload()

    async def all_at_once():
        return await asyncio.gather(*(agent.run_async("Hi") for agent in agents))

    responses = asyncio.run(all_at_once())
    assert len(responses) == 8
    assert all(len(agent.get_history()) == 3 for agent in agents)


def test_a_missing_or_other_file_fails_the_run_only(load, tiny_copy, tmp_path, model_path):
    model = load(tiny_copy)
    agent = agent_of(model)
    agent.generate("Hi")
    history = agent.get_history()
    away = tmp_path / "away.gguf"

    model.unload()
    tiny_copy.rename(away)
    for use in (lambda: agent.generate("Hi"), lambda: model.tokenize("Hi"), lambda: list(agent.generate_stream("Hi"))):
        with pytest.raises(ModelLoadError, match="can't be loaded again: there is no file") as caught:
            use()
        assert str(tiny_copy) in str(caught.value)
        assert agent.get_history() == history
    away.rename(tiny_copy)
    agent.generate("Hi")

    model.unload()
    shutil.copyfile(tiny_copy, away)
    with open(tiny_copy, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(ModelLoadError, match="has changed since it was loaded") as caught:
        agent.generate("Hi")
    assert str(tiny_copy) in str(caught.value)
    shutil.copyfile(model_path, tiny_copy)
    with pytest.raises(ModelLoadError, match="has changed"):
        agent.generate("Hi")
    with open(tiny_copy, "wb") as file:
        file.write(b"GGUF")
    with pytest.raises(ModelLoadError):
        agent.generate("Hi")
    shutil.copyfile(away, tiny_copy)  # a copy of the same bytes will do
    agent.generate("Hi")
    assert len(agent.get_history()) == len(history) + 4


def test_a_fallback_answers_for_a_model_that_can_not_come_back(load, tiny_copy, tiny_path):
    first, second = load(tiny_copy), load(tiny_path)
    agent = agent_of(Model.fallback(first, second))
    agent.generate("Hi")
    first.unload()
    second.unload()
    tiny_copy.unlink()
    agent.generate("Hi")
    assert (first.loaded, second.loaded) == (False, True)


def test_a_relative_path_stays_valid(load, tiny_copy, monkeypatch, tmp_path):
    monkeypatch.chdir(tiny_copy.parent)
    model = load(tiny_copy.name)
    model.unload()
    monkeypatch.chdir("/")
    agent_of(model).generate("Hi")
    assert model.loaded


def test_closing_ends_a_load_and_what_waits_for_it(load, model_path):
    for pause in (0.0, 0.01, 0.05, 0.2):
        model = load(model_path, threads=1)
        agent = agent_of(model, max_tokens=2000)
        model.unload()
        ends = []

        def answer(agent=agent, ends=ends):
            try:
                ends.append(agent.generate(CAPITAL, output_type=Regex("[a-z ]{900}")))
            except ClosedError as error:
                ends.append(error)

        thread = threading.Thread(target=answer)
        thread.start()
        time.sleep(pause)
        model.close()
        thread.join(20)
        assert not thread.is_alive()
        assert isinstance(ends[0], ClosedError)
        assert not model.loaded
        with pytest.raises(ClosedError):
            model.unload()


def test_a_cancelled_run_does_not_spoil_the_load_for_the_next_one(load, model_path):
    model = load(model_path, threads=1)
    agent = agent_of(model)

    async def cancel_and_ask():
        model.unload()
        with pytest.raises(RunTimeoutError):
            await agent.run_async(CAPITAL, timeout=0.02)
        task = asyncio.ensure_future(agent.run_async(CAPITAL))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [message["role"] for message in agent.get_history()] == ["system"]
        return await agent.generate_async(CAPITAL)

    assert asyncio.run(cancel_and_ask()) is not None


def test_the_event_loop_goes_on_during_a_load(load, model_path):
    model = load(model_path, threads=1)
    agent = agent_of(model)
    agent.generate("Hi", output_type=Literal["good", "bad"])
    model.unload()

    async def watch():
        beats = 0
        task = asyncio.ensure_future(agent.generate_async("Hi", output_type=City, max_tokens=3, retries=0))
        began = time.monotonic()
        while not task.done():
            await asyncio.sleep(0.002)
            beats += 1
        with pytest.raises(LuupError):
            await task  # three tokens are not enough for a city
        return beats, time.monotonic() - began

    beats, seconds = asyncio.run(watch())
    assert beats > 5
    assert beats > seconds / 0.1


def test_the_prefix_cache_works_after_a_reload(load, tmp_path):
    system = "You are a careful assistant, who answers in plain English. " * 8
    model = load(prefix_cache=tmp_path / "prefixes")
    Agent(model, system, max_tokens=2).generate("Hi")
    model.unload()
    assert list((tmp_path / "prefixes").iterdir())
    usage = Agent(model, system, max_tokens=2).run("Hi").usage
    assert model.stats().prefixes_loaded == 1
    assert usage.cached_tokens > usage.prompt_tokens / 2


def test_counters_go_on(load):
    model = load()
    agent = agent_of(model, enable_history=False)
    agent.generate("Hi")
    before = model.stats()
    model.unload()
    assert model.stats().tokens_decoded == before.tokens_decoded > 0
    agent.generate("Hi")
    assert model.stats().tokens_decoded == 2 * before.tokens_decoded


def test_other_models_have_no_weights_to_unload():
    for model in (ScriptedModel([]), Model.from_remote("http://127.0.0.1:9/v1", "x")):
        assert not model.loaded
        with pytest.raises(UnsupportedError, match="luup_model_unload needs a local model"):
            model.unload()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.parametrize("unloaded", [True, False])
def test_a_forked_process_leaves_the_model_alone(child, tiny_path, unloaded):
    result = child(
        """
        import gc, os, sys
        from luup_agent import Agent, ForkedError, Model

        model = Model.from_local(sys.argv[1], threads=1, context_size=512, keep_alive=0.01)
        agent = Agent(model, max_tokens=200)
        stream = agent.generate_stream("Hi")
        next(stream)
        if sys.argv[2] == "True":
            list(stream)
            model.unload() if model.loaded else None
        pid = os.fork()
        if pid == 0:
            for use in (model.unload, lambda: model.loaded, lambda: agent.generate("Hi"), lambda: model.tokenize("a")):
                try:
                    use()
                    os._exit(1)
                except ForkedError:
                    pass
            del stream, agent, model, use
            gc.collect()
            with Model.from_local(sys.argv[1], threads=1, context_size=512, keep_alive=0) as mine:
                Agent(mine, max_tokens=2).generate("Hi")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        list(stream)
        agent.generate("Hi", max_tokens=2)
        print("alive")
        """,
        tiny_path,
        str(unloaded),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "alive\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS as on Linux")
@pytest.mark.parametrize("way", ["mapped", "read"])
def test_short_memory_fails_the_run_only(child, model_path, way):
    result = child(
        """
        import resource, sys
        from luup_agent import Agent, Model, OutOfMemoryError

        model = Model.from_local(sys.argv[1], threads=1, context_size=2048, use_mmap=sys.argv[2] == "mapped")
        agent = Agent(model, temperature=0, max_tokens=3)
        agent.generate("Hi")
        history = agent.get_history()
        model.unload()
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        for megabytes in (60, 100, 140):
            resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))
            try:
                agent.generate("Hi")
                print("answer", megabytes)
            except (OutOfMemoryError, MemoryError) as error:
                assert agent.get_history() == history
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        agent.generate("Hi")
        assert len(agent.get_history()) == len(history) + 2
        print("alive")
        """,
        model_path,
        way,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "alive\n"
