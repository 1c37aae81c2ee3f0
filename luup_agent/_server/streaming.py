"""Responses that end when their client goes away: server-sent events, and answers that are made at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any, AsyncGenerator, Awaitable, Callable, Dict, Optional, TypeVar, Union, cast

from luup_agent._server.failures import failure_of
from luup_agent._server.guard import SEND, Receive, Scope, Send

T = TypeVar("T")

_FIRST_SECONDS = 5.0  # that an error may take to become the status of the response
_PING_SECONDS = 15.0  # without an event, after which a comment shows that the connection lives
_STALL_SECONDS = 60.0  # that a client may leave an event unread
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would collect the events
]


Chunk = Union[Dict[str, Any], bytes]


class _Gone(Exception):
    """The client has closed its connection."""


async def until_gone(receive: Receive, work: Awaitable[T]) -> Optional[T]:
    """Return the result of `work`; cancel it and return None if the client goes away before."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_wait_until_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() and not task.cancelled() else None
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream:
    """A response of server-sent events; an ASGI application.

    An error before the first event becomes the status of the response, a later one an event named "error". Data with a
    type, as OpenAI's responses have it, are an event of that name, and no "[DONE]" follows.
    """

    def __init__(self, chunks: AsyncGenerator[Chunk, None], on_end: Callable[[], Awaitable[None]]) -> None:
        """Prepare the response.

        Args:
            chunks: The data of the events; bytes are JSON already.
            on_end: Called at the end in any case.
        """
        self._chunks = chunks
        self._on_end = on_end
        self._sending = 0  # the data under way, which waits while the client does not read
        self._typed = False
        self._last = 0.0  # when something was sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client goes away."""
        try:
            await until_gone(receive, self._respond(scope, receive, send))
        finally:
            with contextlib.suppress(RuntimeError):  # a generator that an exception has closed
                await self._chunks.aclose()
            await self._on_end()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = asyncio.ensure_future(self._chunks.__anext__())
        pings = None
        try:
            await asyncio.wait({first}, timeout=_FIRST_SECONDS)
            if first.done() and isinstance(first.exception(), Exception):
                failure = failure_of(cast(Exception, first.exception()))
                await failure.response()(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            send = scope.get(SEND, send)
            self._last = time.monotonic()
            pings = asyncio.ensure_future(self._ping(send, asyncio.current_task()))
            await self._send_all(send, first)
            pings.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            tasks = [first] if pings is None else [first, pings]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, send: Send, first: asyncio.Future[Chunk]) -> None:
        try:
            await self._send_event(send, await first)
            async for chunk in self._chunks:
                await self._send_event(send, chunk)
        except _Gone:
            return
        except Exception as error:
            body = failure_of(error).body()
            if self._typed:
                body = {**body["error"], **body, "type": "error"}
            await self._send(send, f"event: error\ndata: {json.dumps(body)}\n\n".encode())
            return
        if not self._typed:
            await self._send(send, b"data: [DONE]\n\n")

    async def _send_event(self, send: Send, chunk: Chunk) -> None:
        if isinstance(chunk, bytes):
            await self._send(send, b"data: " + chunk + b"\n\n")
            return
        name = b""
        if "type" in chunk:
            self._typed = True
            name = b"event: " + chunk["type"].encode() + b"\n"
        await self._send(send, name + b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")

    async def _send(self, send: Send, data: bytes) -> None:
        self._sending += 1
        try:
            await send({"type": "http.response.body", "body": data, "more_body": True})
        except OSError:  # as ASGI demands for a client that has closed its connection
            raise _Gone from None
        finally:
            self._sending -= 1
        self._last = time.monotonic()

    async def _ping(self, send: Send, answer: Optional[asyncio.Task[Any]]) -> None:
        """Send a comment whenever nothing was sent for a while; cancel the answer to a client that does not read."""
        while True:
            await asyncio.sleep(max(min(_PING_SECONDS, 1.0), self._last + _PING_SECONDS - time.monotonic()))
            idle = time.monotonic() - self._last
            if self._sending:
                if idle >= _STALL_SECONDS and answer is not None:
                    answer.cancel()
            elif idle >= _PING_SECONDS:
                try:
                    await asyncio.wait_for(self._send(send, b": the answer goes on\n\n"), _STALL_SECONDS)
                except asyncio.TimeoutError:  # the client has not read the earlier data
                    if answer is not None:
                        answer.cancel()
