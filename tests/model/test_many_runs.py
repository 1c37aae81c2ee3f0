"""More runs at once than the model decodes together, with the default settings: they wait in order."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from luup_agent import Agent, Model, RunCancelledError, RunTimeoutError


@pytest.fixture
def crowded(tiny_path):
    """A model with the default number of sequences, and room for all of them."""
    with Model.from_local(tiny_path, threads=1, context_size=16384) as model:
        yield model


def ask(model, **options):
    return Agent(model, temperature=0, enable_history=False, enable_builtin_tools=False, **options)


def question(number):
    return f"Tell me of the number {number}."


def check_order(order, count, together):
    """Fail if one of `count` runs was overtaken by more than those that are decoded together with it."""
    assert sorted(order) == list(range(count))
    late = max(rank - number for rank, number in enumerate(order))
    assert late <= 2 * together, late


def resident():
    """Return the resident memory of this process in MB."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096 / 2**20


@pytest.mark.parametrize("runs", [128, 256])
def test_threads_wait_for_their_turn(crowded, runs):
    limit = crowded.get_info().max_sequences
    assert limit == 64
    active = []

    def read(number):
        stream = ask(crowded, max_tokens=6).generate_stream(question(number))
        for _ in stream:
            active.append(crowded.stats().runs_active)
        return stream.response.usage.completion_tokens

    with ThreadPoolExecutor(runs) as pool:
        counts = list(pool.map(read, range(runs)))
    assert len(counts) == runs
    assert min(counts) > 0
    assert 1 < max(active) <= limit
    assert crowded.stats().runs_waiting == 0


async def test_a_queue_of_runs_is_fair(crowded):
    order = []

    async def read(number):
        stream = ask(crowded, max_tokens=6).generate_async(question(number))
        async for _ in stream:
            order.append(number)
            break
        await stream
        if number not in order:
            order.append(number)

    await asyncio.gather(*map(read, range(256)))
    check_order(order, 256, 64)


async def test_runs_that_wait_can_be_cancelled_and_be_late(crowded):
    """Their places go to those behind them."""
    busy = [asyncio.ensure_future(ask(crowded, max_tokens=150).run_async(question(number))) for number in range(64)]
    await asyncio.sleep(0)
    dropped = [asyncio.ensure_future(ask(crowded, max_tokens=150).run_async(question(number))) for number in range(40)]
    late = [ask(crowded, max_tokens=100_000, timeout=0.001).run_async(question(number)) for number in range(20)]
    closed = ask(crowded, max_tokens=6).generate_async(question(0))
    reader = asyncio.ensure_future(closed.__anext__())
    last = [asyncio.ensure_future(ask(crowded, max_tokens=2).run_async(question(number))) for number in range(10)]
    await asyncio.sleep(0)
    for each in dropped:
        each.cancel()
    closed.close()
    with pytest.raises(RunCancelledError):
        await reader
    for outcome in await asyncio.gather(*late, return_exceptions=True):
        assert isinstance(outcome, RunTimeoutError), outcome
    for outcome in await asyncio.gather(*dropped, return_exceptions=True):
        assert isinstance(outcome, asyncio.CancelledError), outcome
    assert all(response.usage.completion_tokens for response in await asyncio.gather(*busy, *last))
    assert crowded.stats().runs_waiting == 0


def test_threads_that_wait_are_late_in_time(crowded):
    streams = [ask(crowded, max_tokens=400).generate_stream(question(number)) for number in range(64)]
    try:
        with pytest.raises(RunTimeoutError):
            ask(crowded, max_tokens=100_000, timeout=0.001).generate(question(64))
        streams[3].close()
        assert ask(crowded, max_tokens=2).run("Hello").usage.completion_tokens > 0
    finally:
        for stream in streams:
            stream.close()


@pytest.mark.gate
@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_a_queue_of_2000_keeps_its_order_and_the_memory(crowded, kind):
    async def in_loop(order):
        async def one(number):
            await ask(crowded, max_tokens=4).run_async(question(number))
            order.append(number)

        await asyncio.gather(*map(one, range(2000)))

    def in_threads():
        with ThreadPoolExecutor(2000) as pool:
            counts = pool.map(lambda number: len(ask(crowded, max_tokens=4).generate(question(number))), range(2000))
            assert len(list(counts)) == 2000

    sizes = []
    for _ in range(4):
        if kind == "asyncio":
            order = []
            asyncio.run(in_loop(order))
            check_order(order, 2000, 64)
        else:
            in_threads()
        sizes.append(resident())
    assert sizes[-1] - sizes[1] < 24, sizes
    assert crowded.stats().runs_active == crowded.stats().runs_waiting == 0
