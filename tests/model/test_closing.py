"""Streams that another thread or task closes while they are read."""

import asyncio
import random
import threading
import time

import pytest

from luup_agent import Agent, RunCancelledError
from luup_agent.testing import FunctionModel

TEXT = "A" * 4000


@pytest.fixture(params=["scripted", "local"])
def agent(request, tiny_model):
    """Makes agents whose answers are long; those of the scripted model consist of one letter."""
    if request.param == "local":
        return lambda: Agent(tiny_model, max_tokens=400, enable_history=False)
    return lambda: Agent(FunctionModel(lambda request: TEXT), enable_history=False)


def read(stream, pieces, ends):
    try:
        for piece in stream:
            pieces.append(piece)
    except RunCancelledError as error:
        ends.append(error)
    else:
        ends.append(None)


def check(pieces, end, agent):
    """Check that nothing but the answer's beginning was read, and that an incomplete answer ended in an error."""
    text = "".join(str(piece) for piece in pieces)
    if isinstance(agent.model, FunctionModel):
        assert set(text) <= {"A"}
        assert end is not None or text in ("", TEXT)  # "": closed before anyone read
    if end is not None:
        assert end.partial_text.startswith(text)


@pytest.mark.parametrize("kind", ["generate_stream", "stream_events"])
def test_another_thread_closes_a_stream(agent, kind, idle):
    rng = random.Random(kind)
    cancelled = 0
    for count in range(200):
        if count >= 25 and cancelled:
            break
        mine = agent()
        stream = getattr(mine, kind)("go")
        pieces, ends = [], []
        reader = threading.Thread(target=read, args=(stream, pieces, ends))
        reader.start()
        time.sleep(rng.uniform(0, 0.01))
        stream.close()
        reader.join(20)
        assert not reader.is_alive()
        if kind == "generate_stream":
            check(pieces, ends[0], mine)
        cancelled += ends[0] is not None
        assert list(stream) == []
        assert mine.generate("again", max_tokens=2) != "busy"
    assert cancelled > 0


def test_the_reader_of_a_stream_that_was_closed_between_pieces_learns_it(agent):
    mine = agent()
    stream = mine.generate_stream("go")
    text = next(stream)
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join()
    with pytest.raises(RunCancelledError, match="closed") as caught:
        next(stream)
    assert caught.value.partial_text == text
    assert list(stream) == []


def test_closing_ones_own_stream_ends_it_without_an_error(agent):
    stream = agent().generate_stream("go")
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []


def test_a_tool_closes_the_stream_that_runs_it():
    from luup_agent.testing import tool_call

    streams = []

    def stop() -> str:
        streams[0].close()
        return "stopped"

    mine = Agent(FunctionModel(lambda request: tool_call("stop")), tools=[stop])
    streams.append(mine.generate_stream("go"))
    with pytest.raises(RunCancelledError):
        list(streams[0])
    assert mine.get_history() == []


@pytest.mark.parametrize("closer", ["task", "thread"])
@pytest.mark.parametrize("how", ["iterated", "awaited", "task"])
def test_an_asynchronous_stream_is_closed_while_it_is_read(agent, closer, how):
    rng = random.Random(closer + how)

    async def consume(stream, pieces):
        if how == "iterated":
            async for piece in stream:
                pieces.append(piece)
        else:
            pieces.append(await stream)

    async def one():
        mine = agent()
        stream = mine.generate_async("go")
        pieces, end = [], None
        task = asyncio.ensure_future(stream if how == "task" else consume(stream, pieces))
        if closer == "task":
            for _ in range(rng.choice((0, 1, 2, 3, 5, 40))):
                await asyncio.sleep(0)
            stream.close()
        else:
            pause = rng.choice((0, 0.0002, 0.001, 0.005))
            thread = threading.Thread(target=lambda: (time.sleep(pause), stream.close()))
            thread.start()
        try:
            result = await asyncio.wait_for(task, 20)
            pieces.extend([result] if how == "task" else [])
        except RunCancelledError as error:
            end = error
        if closer == "thread":
            thread.join()
        check(pieces, end, mine)
        assert [piece async for piece in stream] == []
        return end

    async def main():
        return [await one() for _ in range(25)]

    ends = asyncio.run(main())
    assert any(ends) or isinstance(agent().model, FunctionModel)  # whose answers may be complete at once


@pytest.fixture
def closed_late(agent, monkeypatch):
    """Starts to close a stream in another thread, calls `read` to read it to its end, and lets the thread go on."""

    def closed(stream, read):
        began, over = threading.Event(), threading.Event()
        keep_record = stream._run.keep_record

        def slow():
            began.set()
            assert over.wait(30)
            keep_record()

        monkeypatch.setattr(stream._run, "keep_record", slow)
        closer = threading.Thread(target=stream.close)
        closer.start()
        assert began.wait(30)
        pieces = read()
        over.set()
        closer.join(30)
        assert not closer.is_alive()
        return pieces

    return closed


@pytest.mark.parametrize("kind", ["generate_stream", "stream_events"])
def test_whoever_has_read_a_stream_to_its_end_hears_of_no_closing(agent, kind, closed_late):
    stream = getattr(agent(), kind)("go", max_tokens=60)
    first = next(stream)
    pieces = [first, *closed_late(stream, lambda: list(stream))]
    assert list(stream) == []
    if kind == "stream_events":
        assert pieces[-1].type == "done"
    elif isinstance(agent().model, FunctionModel):
        assert "".join(pieces) == TEXT


@pytest.mark.parametrize("kind", ["generate_async", "stream_events_async"])
async def test_whoever_has_read_an_asynchronous_stream_to_its_end_hears_of_no_closing(agent, kind, closed_late):
    stream = getattr(agent(), kind)("go", max_tokens=60)
    if not hasattr(stream, "close"):
        stream.close = stream._close
    pieces, loop = [await stream.__anext__()], asyncio.get_running_loop()

    async def rest():
        return [piece async for piece in stream]

    def read():
        return asyncio.run_coroutine_threadsafe(rest(), loop).result(30)

    pieces += await loop.run_in_executor(None, closed_late, stream, read)
    assert await rest() == []
    if kind == "stream_events_async":
        assert pieces[-1].type == "done"
    elif isinstance(agent().model, FunctionModel):
        assert "".join(pieces) == TEXT == await stream


def test_many_threads_close_many_streams(tiny_model, idle):
    """Readers and closers at random; the model is idle afterwards."""
    rng = random.Random(7)
    ends = []

    def work(seed):
        mine = Agent(tiny_model, max_tokens=60, enable_history=False)
        for _ in range(10):
            stream = mine.generate_stream("go")
            closers = [threading.Thread(target=stream.close) for _ in range(3)]
            pieces, end = [], []
            reader = threading.Thread(target=read, args=(stream, pieces, end))
            reader.start()
            time.sleep(rng.uniform(0, 0.005))
            for closer in closers:
                closer.start()
            for thread in (*closers, reader):
                thread.join(30)
            ends.append(end[0])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(ends) == 60
    assert idle(tiny_model).runs_active == 0
