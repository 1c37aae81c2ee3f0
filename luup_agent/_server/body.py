"""Reading a request's body with a limit of its size and of the time that it takes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Callable, TypeVar

from luup_agent._server.config import Config
from luup_agent._server.failures import RequestError
from luup_agent._server.fields import Fields, read_body

T = TypeVar("T")

_QUICK = 256 << 10  # bytes that are read in a moment
_DRAIN_TIMES = 4  # as many bytes as allowed are read of a body that is too long: a client that sends reads no answer
_DRAIN_SECONDS = 2.0


async def read_fields(request: Any, config: Config) -> Fields:
    """Return the fields of a request's JSON body.

    Raises:
        RequestError: The body is too long, came too slowly, or is not a JSON object.
        ClientDisconnect: The client went away.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":  # also keeps forms of other sites out, which need no preflight
        raise RequestError(415, f"Content-Type must be application/json, not {kind[:100]!r}", "invalid_content_type")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > config.max_body):
        if "expect" not in request.headers:  # such a client sends nothing before it is told to
            await _drain(request, config.max_body)
        raise _too_long(config.max_body)
    try:
        body = await asyncio.wait_for(_read(request, config.max_body), config.body_timeout)
    except asyncio.TimeoutError:
        raise RequestError(
            408, f"the body did not arrive within {config.body_timeout:g} seconds", "body_timeout"
        ) from None
    return await aside(len(body), read_body, body)


async def aside(size: int, work: Callable[..., T], *arguments: Any) -> T:
    """Return what `work` makes of a body of so many bytes; of a long one in a thread, so that other requests go on."""
    if size <= _QUICK:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


async def _read(request: Any, limit: int) -> bytes:
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > limit:
            await _drain(request, limit)
            raise _too_long(limit)
    return bytes(read)


async def _drain(request: Any, limit: int) -> None:
    """Read on for a while, so that the client gets the status and not a connection that is reset."""
    left = _DRAIN_TIMES * limit

    async def read() -> None:
        nonlocal left
        while left > 0:
            message = await request.receive()
            left -= len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                return

    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(read(), _DRAIN_SECONDS)


def _too_long(limit: int) -> RequestError:
    return RequestError(
        413, f"the body must have at most {limit} bytes", "body_too_large", None, headers={"Connection": "close"}
    )
