"""Models and embedders that load in a thread, for a task of asyncio."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from luup_agent import Agent, Embedder, InvalidParamError, Model, ModelNotFoundError, UnsupportedError

OPTIONS = {"threads": 1, "context_size": 512}


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "luup-load"]


def check_no_thread():
    """Check that no load goes on. Its thread may live for a moment after its result."""
    for thread in threads():
        thread.join(1)
    assert not threads()


def test_a_model_loads_and_the_loop_goes_on(model_path):
    async def main():
        seen, beats = [], 0
        task = asyncio.ensure_future(Model.from_local_async(model_path, on_progress=seen.append, **OPTIONS))
        began = time.monotonic()
        while not task.done():
            await asyncio.sleep(0.002)
            beats += 1
        assert beats > (time.monotonic() - began) / 0.1
        with await task as model:
            assert seen[-1] == 1.0
            assert await Agent(model, max_tokens=2).generate_async("Hi") is not None
        check_no_thread()

    asyncio.run(main())


def test_errors_and_arguments_are_those_of_from_local(tiny_path):
    async def main():
        with pytest.raises(ModelNotFoundError, match=r"there is no file .*nowhere\.gguf"):
            await Model.from_local_async("nowhere.gguf")
        with pytest.raises(InvalidParamError, match="on_progress must be callable"):
            await Model.from_local_async(tiny_path, on_progress=3)
        with pytest.raises(InvalidParamError, match="threads"):
            await Model.from_local_async(tiny_path, threads=-1)
        with pytest.raises(TypeError, match="from_local.. got an unexpected keyword argument 'thread'"):
            await Model.from_local_async(tiny_path, thread=1)
        with pytest.raises(KeyError, match="mine"):
            await Model.from_local_async(tiny_path, on_progress=lambda done: {}["mine"], **OPTIONS)
        check_no_thread()

    asyncio.run(main())


@pytest.mark.parametrize("pause", [0, 0.001, 0.01, 0.03, 0.1, 0.3, 1])
def test_a_cancelled_task_leaves_nothing_behind(model_path, pause, monkeypatch):
    made = []
    wrap = Model.close
    monkeypatch.setattr(Model, "close", lambda self: (made.append(weakref.ref(self)), wrap(self)))

    async def main():
        task = asyncio.ensure_future(Model.from_local_async(model_path, **OPTIONS))
        await asyncio.sleep(pause)
        cancelled = task.cancel()
        if cancelled:
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            (await task).close()
        check_no_thread()
        del task
        for _ in range(1000):  # callbacks of the load may wait for their turn in the loop
            gc.collect()
            if all(reference() is None for reference in made):
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the model is still referred to")

    asyncio.run(main())


def test_the_time_of_a_load_can_be_limited(model_path):
    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Model.from_local_async(model_path, **OPTIONS), 0.005)
        check_no_thread()

    asyncio.run(main())


def test_a_second_cancellation_ends_the_wait(tiny_path):
    going_on = threading.Event()
    begun = threading.Event()

    def stall(_done):
        begun.set()
        going_on.wait(20)

    async def main():
        task = asyncio.ensure_future(Model.from_local_async(tiny_path, on_progress=stall, **OPTIONS))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait, 20)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        going_on.set()
        for thread in threads():
            thread.join(20)
        await asyncio.sleep(0.05)  # the model that came too late is closed

    asyncio.run(main())


def test_without_an_event_loop(tiny_path):
    with pytest.raises(UnsupportedError, match="asyncio"):
        Model.from_local_async(tiny_path).send(None)


def test_an_embedder(model_path):
    async def main():
        with await Embedder.from_local_async(model_path, pooling="mean", threads=1) as embedder:
            assert len(await embedder.embed_async(["A cat sleeps."])) == 1
        task = asyncio.ensure_future(Embedder.from_local_async(model_path, pooling="mean", threads=1))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ModelNotFoundError):
            await Embedder.from_local_async("nowhere.gguf")
        check_no_thread()

    asyncio.run(main())
