"""The asynchronous API in all the ways in which asyncio is used."""

import asyncio
import gc
import inspect
import random
import selectors
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from luup_agent import Agent, BusyError, RunCancelledError, RunTimeoutError
from luup_agent._run.waker import _wakers

CAPITAL = "What is the capital city of France? Answer in one sentence."
STORY = "Tell me a long story about a fox and a raven."


async def test_it_can_be_awaited_and_iterated(greedy):
    assert "Paris" in await greedy().generate_async(CAPITAL)
    assert "Paris" in "".join([piece async for piece in greedy().generate_async(CAPITAL)])


async def test_what_was_iterated_belongs_to_what_is_awaited(greedy):
    stream = greedy().generate_async(CAPITAL)
    first = await stream.__anext__()
    whole = await stream
    assert whole.startswith(first)
    assert whole == greedy().generate(CAPITAL)
    assert await stream == whole
    assert [piece async for piece in stream] == []


@pytest.mark.parametrize("wrap", [asyncio.create_task, asyncio.ensure_future, lambda stream: stream])
async def test_it_is_a_coroutine_for_tasks(greedy, wrap):
    assert "Paris" in await wrap(greedy().generate_async(CAPITAL))
    stream = greedy().generate_async(CAPITAL)
    assert inspect.isawaitable(stream)
    stream.close()


def test_it_can_be_run(greedy):
    assert "Paris" in asyncio.run(greedy().generate_async(CAPITAL))


@pytest.mark.slow
async def test_64_agents_are_gathered(greedy, solo):
    questions = [f"Say hello to number {number}." for number in range(16)] * 4
    answers = await asyncio.gather(*(greedy(max_tokens=8).generate_async(question) for question in questions))
    solo.check(questions, answers, max_tokens=8)


async def test_other_tasks_go_on_meanwhile(greedy):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticker = asyncio.create_task(tick())
    await greedy(max_tokens=64).generate_async(STORY)
    ticker.cancel()
    assert ticks > 20


async def test_wait_for_cancels_the_run(greedy, model, idle):
    agent = greedy(max_tokens=2000)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(agent.generate_async(STORY), 0.3)
    assert agent.get_history() == []
    assert "Paris" in await agent.generate_async(CAPITAL, max_tokens=16)
    assert idle(model).sequences_active == 0


async def test_a_timeout_of_the_run_is_the_runs_error(greedy):
    stream = greedy(max_tokens=2000).generate_async(STORY, timeout=1.5)
    first = await stream.__anext__()
    for _ in range(2):  # awaiting again raises again
        with pytest.raises(RunTimeoutError) as caught:
            await stream
        assert caught.value.partial_text.startswith(first)


@pytest.mark.parametrize("seed", range(10))
def test_cancelling_at_a_random_point(async_api, greedy, seed):
    rng = random.Random(seed)
    agent = greedy(max_tokens=1000)
    agent.add_message("user", "Hi")
    agent.add_message("assistant", "Hello!")
    before = agent.get_history()
    kinds = {
        "text": lambda: agent.generate_async(STORY),
        "response": lambda: agent.run_async(STORY),
        "long": lambda: agent.run_async("word " * 3000),
    }

    async def cancel():
        for make in kinds.values():
            task = asyncio.ensure_future(make())
            await asyncio.sleep(rng.random() * 0.15)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert agent.get_history() == before
            assert "Paris" in await agent.generate_async(CAPITAL, max_tokens=16)
            agent.set_history(before)

    async_api.do(cancel())


def test_a_cancelled_agent_is_free_at_once(async_api, greedy):
    agent = greedy(max_tokens=1000)

    async def cancel():
        for _ in range(20):
            task = asyncio.ensure_future(agent.run_async(STORY))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            agent.clear_history()  # BusyError if the run went on

    async_api.do(cancel())


def test_dropping_a_stream_half_way_cancels_it(async_api, greedy, model, idle):
    agent = greedy(max_tokens=1000)

    async def drop():
        for make in (agent.generate_async, agent.stream_events_async):
            async for _ in make(STORY):
                break
            gc.collect()
            agent.clear_history()  # BusyError if the run went on
            stream = make(STORY)
            await stream.__anext__()
            await stream.aclose()
            await stream.aclose()
            assert [item async for item in stream] == []
            agent.clear_history()

    async_api.do(drop())
    assert idle(model).sequences_active == 0


async def test_a_stream_is_read_by_one_task_at_a_time(greedy):
    stream = greedy(max_tokens=200).generate_async(STORY)
    reader = asyncio.ensure_future(stream.__anext__())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task"):
        await stream.__anext__()
    with pytest.raises(RuntimeError, match="another task"):
        await stream.aclose()
    assert await reader
    await stream.aclose()


async def test_a_run_begins_when_it_is_awaited(greedy):
    agent = greedy()
    never = agent.generate_async(STORY)
    assert "Paris" in await agent.generate_async(CAPITAL)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        del never
    first, second = agent.generate_async(CAPITAL), agent.generate_async(CAPITAL)
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [str, BusyError]


def test_a_stream_may_move_to_another_loop(greedy):
    stream = greedy(max_tokens=40).generate_async(STORY)
    pieces = []
    for _ in range(3):
        loop = asyncio.new_event_loop()
        pieces.append(loop.run_until_complete(stream.__anext__()))
        loop.close()
    assert asyncio.run(stream) == greedy(max_tokens=40).generate(STORY)
    assert "".join(pieces) == greedy(max_tokens=40).generate(STORY)[: len("".join(pieces))]


def test_many_loops_leave_nothing_behind(async_api, greedy):
    import os

    def descriptors():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    async_api.text(greedy(max_tokens=2), CAPITAL)
    before = descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(30):
            async_api.text(greedy(max_tokens=2), CAPITAL)
        assert descriptors() <= before
    assert len(_wakers) <= 1


def test_a_run_may_outlive_its_loop(greedy, model, idle):
    """Its socket pair stays open until the run is gone: the core may still write to it."""
    agent = greedy(max_tokens=100)
    loop = asyncio.new_event_loop()
    stream = agent.generate_async(STORY)
    loop.run_until_complete(stream.__anext__())
    loop.close()
    del loop
    gc.collect()
    while model.stats().runs_active:
        pass
    assert asyncio.run(stream) == greedy(max_tokens=100).generate(STORY)


def test_loops_in_many_threads(greedy, solo):
    questions = [f"What is {a} + {b}?" for a in range(4) for b in range(2)]

    def ask(question):
        return asyncio.run(greedy().generate_async(question))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, questions))
    solo.check(questions, answers)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.TaskGroup came with Python 3.11")
async def test_a_task_group_cancels_its_runs(greedy, model, idle):
    agents = [greedy(max_tokens=1000) for _ in range(4)]

    async def fail():
        await asyncio.sleep(0.2)
        raise KeyError("stop")

    async def work():
        async with asyncio.TaskGroup() as group:
            for agent in agents:
                group.create_task(agent.generate_async(STORY))
            group.create_task(fail())

    (result,) = await asyncio.gather(work(), return_exceptions=True)
    assert [type(error) for error in result.exceptions] == [KeyError]
    assert all(agent.get_history() == [] for agent in agents)
    assert idle(model).sequences_active == 0


async def test_an_agent_is_used_from_a_thread_of_a_loop(greedy):
    loop = asyncio.get_running_loop()
    answer = await loop.run_in_executor(None, greedy().generate, CAPITAL)
    assert "Paris" in answer


def test_the_twins_are_what_they_seem(model):
    agent = Agent(model)
    assert inspect.iscoroutinefunction(Agent.run_async)
    stream = agent.generate_async("Hi")
    assert stream.__aiter__() is stream
    stream.close()


async def test_a_task_cancelled_before_it_began(greedy):
    agent = greedy()
    stream = agent.generate_async(CAPITAL)
    task = asyncio.create_task(stream)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(KeyError):
        agent.generate_async(CAPITAL).throw(KeyError, "as the coroutine protocol of old")
    assert "Paris" in await agent.generate_async(CAPITAL)


async def test_a_stream_that_is_closed_before_it_began_never_runs(greedy):
    agent = greedy()
    stream = agent.generate_async(CAPITAL)
    stream.close()
    with pytest.raises(RunCancelledError):
        await stream
    assert agent.get_history() == []


class _CountingSelector(selectors.DefaultSelector):
    """Counts how often its loop goes on."""

    rounds = 0

    def select(self, timeout=None):
        self.rounds += 1
        return super().select(timeout)


def test_an_awaited_answer_wakes_its_loop_for_its_end_only(tiny_model):
    """Not for each token, as long as the pieces are not read."""

    async def run_all(agents):
        return await asyncio.gather(*(agent.run_async(STORY) for agent in agents))

    def rounds(tokens):
        selector = _CountingSelector()
        loop = asyncio.SelectorEventLoop(selector)
        try:
            agents = [Agent(tiny_model, max_tokens=tokens, temperature=1.0, seed=seed) for seed in range(4)]
            responses = loop.run_until_complete(run_all(agents))
        finally:
            loop.close()
        assert {response.finish_reason for response in responses} <= {"length", "stop"}
        assert max(response.usage.completion_tokens for response in responses) == tokens
        return selector.rounds

    assert rounds(200) <= 40


def test_streams_of_several_loops_are_whole_and_in_order(greedy, solo):
    questions = [f"Count from {number} to {number + 9}." for number in range(12)]

    async def read(question):
        return "".join([piece async for piece in greedy(max_tokens=24).generate_async(question)])

    async def read_all(mine):
        dropped = greedy(max_tokens=1000).generate_async(STORY)
        await dropped.__anext__()
        cancelled = asyncio.ensure_future(greedy(max_tokens=1000).generate_async(STORY))
        answers = asyncio.gather(*map(read, mine))
        await asyncio.sleep(0.05)
        await dropped.aclose()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        return await answers

    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(lambda part: asyncio.run(read_all(questions[part::3])), range(3)))
    answers = [parts[number % 3][number // 3] for number in range(12)]
    solo.check(questions, answers)


async def test_a_reader_that_comes_late_gets_the_rest(greedy):
    """Text that comes between two reads is not lost, although it wakes no task."""
    stream = greedy(max_tokens=60).generate_async(STORY)
    first = await stream.__anext__()
    await asyncio.sleep(0.2)  # text comes meanwhile
    rest = "".join([piece async for piece in stream])
    assert first + rest == greedy(max_tokens=60).generate(STORY)
