"""One driver for both APIs: the same calls, synchronous or asynchronous."""

import asyncio
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from luup_agent import LuupError


class SyncAPI:
    """The synchronous methods of an agent."""

    def text(self, agent, message, **options):
        return agent.generate(message, **options)

    def pieces(self, agent, message, **options):
        return list(agent.generate_stream(message, **options))

    def response(self, agent, message, **options):
        return agent.run(message, **options)

    def events(self, agent, message, **options):
        return list(agent.stream_events(message, **options))

    def each_event(self, agent, message, take, **options):
        for event in agent.stream_events(message, **options):
            take(event)

    def resume(self, agent, approvals, **options):
        return agent.resume(approvals, **options)

    def classify(self, agent, text, labels, **options):
        return agent.classify(text, labels, **options)

    def first_piece(self, agent, message, **options):
        stream = agent.generate_stream(message, **options)
        piece = next(stream)
        stream.close()
        return piece

    def first_event(self, agent, message, **options):
        stream = agent.stream_events(message, **options)
        event = next(stream)
        stream.close()
        return event

    def texts(self, calls):
        """Return the answers to (agent, message) pairs that run at the same time, exceptions included."""

        def answer(call):
            try:
                return call[0].generate(call[1])
            except LuupError as error:
                return error

        with ThreadPoolExecutor(max_workers=len(calls)) as pool:
            return list(pool.map(answer, calls))


class AsyncAPI:
    """The asynchronous twins, each call in a new event loop."""

    def __init__(self, new_loop=asyncio.new_event_loop):
        self.new_loop = new_loop

    def do(self, coroutine):
        loop = self.new_loop()
        try:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(coroutine)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            if sys.version_info >= (3, 9):
                loop.run_until_complete(loop.shutdown_default_executor())
            elif loop._default_executor is not None:
                loop._default_executor.shutdown()
            asyncio.set_event_loop(None)
            loop.close()

    def text(self, agent, message, **options):
        return self.do(agent.generate_async(message, **options))

    def pieces(self, agent, message, **options):
        async def collect():
            return [piece async for piece in agent.generate_async(message, **options)]

        return self.do(collect())

    def response(self, agent, message, **options):
        return self.do(agent.run_async(message, **options))

    def events(self, agent, message, **options):
        async def collect():
            return [event async for event in agent.stream_events_async(message, **options)]

        return self.do(collect())

    def each_event(self, agent, message, take, **options):
        async def collect():
            async for event in agent.stream_events_async(message, **options):
                take(event)

        self.do(collect())

    def resume(self, agent, approvals, **options):
        return self.do(agent.resume_async(approvals, **options))

    def classify(self, agent, text, labels, **options):
        return self.do(agent.classify_async(text, labels, **options))

    def first_piece(self, agent, message, **options):
        return self.do(self._first(agent.generate_async(message, **options)))

    def first_event(self, agent, message, **options):
        return self.do(self._first(agent.stream_events_async(message, **options)))

    async def _first(self, stream):
        item = await stream.__anext__()
        await stream.aclose()
        return item

    def texts(self, calls):
        async def gather():
            streams = [agent.generate_async(message) for agent, message in calls]
            return await asyncio.gather(*streams, return_exceptions=True)

        return self.do(gather())


class NoReaderLoop(asyncio.SelectorEventLoop):
    """A loop that can't watch sockets, as Windows' proactor loop."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError


def both_apis():
    """Return a pytest parameter for each API, and for each kind of event loop."""
    apis = [
        pytest.param(SyncAPI(), id="sync"),
        pytest.param(AsyncAPI(), id="async"),
        pytest.param(AsyncAPI(NoReaderLoop), id="async-no-reader", marks=pytest.mark.gate),
    ]
    if importlib.util.find_spec("uvloop"):
        import uvloop

        apis.append(pytest.param(AsyncAPI(uvloop.new_event_loop), id="uvloop"))
    return apis
