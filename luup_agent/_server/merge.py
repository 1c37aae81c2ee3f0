"""The events of several runs in the order in which they come."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncGenerator, AsyncIterator, Sequence, Tuple

from luup_agent.errors import InvalidOutputError

_AHEAD = 64  # events that are read before the client takes them


async def merge(streams: Sequence[AsyncIterator[Any]]) -> AsyncGenerator[Tuple[int, Any], None]:
    """Yield each event with the index of its stream; an `InvalidOutputError` that ends a stream counts as one.

    Raises:
        LuupError: A run failed; the others are cancelled.
    """
    if len(streams) == 1:
        try:
            async for event in streams[0]:
                yield 0, event
        except InvalidOutputError as error:
            yield 0, error
        return
    queue: asyncio.Queue[Tuple[int, Any]] = asyncio.Queue(_AHEAD)
    tasks = [asyncio.ensure_future(_read(index, stream, queue)) for index, stream in enumerate(streams)]
    try:
        left = len(tasks)
        while left:
            index, event = await queue.get()
            if event is None:
                left -= 1
            elif isinstance(event, Exception) and not isinstance(event, InvalidOutputError):
                raise event
            else:
                yield index, event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(index: int, stream: AsyncIterator[Any], queue: asyncio.Queue[Tuple[int, Any]]) -> None:
    """Put the events of a stream into the queue, the error that ends it, and None."""
    try:
        async for event in stream:
            await queue.put((index, event))
    except Exception as error:
        await queue.put((index, error))
    await queue.put((index, None))
