"""Models on OpenAI-compatible servers: httpx moves the bytes, within bounds of time and size.

The core writes the requests and reads the answers; here are addresses, keys, retries and deadlines. A key is kept where
neither a repr nor a log, an exception or a pickle reaches it, and is taken out of what servers echo.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import ssl
import weakref
from typing import TYPE_CHECKING, Any, AsyncIterator, Dict, List, Mapping, Optional
from urllib.parse import urlsplit

from luup_agent import _native
from luup_agent.errors import (
    InvalidParamError,
    LuupError,
    UnsupportedError,
)
from luup_agent.exchange import Responder, Sink
from luup_agent.remote_request import Failed, Limits, Moved, Request

if TYPE_CHECKING:
    import asyncio

    import httpx

_SHORTEST_SECRET = 8  # characters; what is shorter is a placeholder, and would be found in any text


class Secret:
    """A key that does not show."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> Any:
        raise TypeError("a key can't be pickled")


def check_base_url(base_url: object) -> str:
    """The address without a slash at its end.

    Raises:
        InvalidParamError: It is not that of a server, or has a user's name or a password in it.
    """
    url = _native.encode_text("base_url", base_url).decode("utf-8")
    parts = urlsplit(url)
    try:
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if "@" in parts.netloc:
        raise InvalidParamError("base_url has a user or a password in it: pass api_key or headers instead")
    if not valid or any(character <= " " for character in url):
        raise InvalidParamError(f"base_url must be like 'http://localhost:8000/v1', not {url[:200]!r}")
    if parts.query or parts.fragment:
        raise InvalidParamError("base_url must have no '?' or '#': pass headers or an http_client with params instead")
    return url.rstrip("/")


def find_key(base_url: str, api_key: Optional[str]) -> Optional[Secret]:
    """The key to use: the one given, or for api.openai.com that of the environment.

    Raises:
        InvalidParamError: It can't stand in a header.
    """
    if api_key is None and urlsplit(base_url).hostname == "api.openai.com":
        api_key = os.environ.get("OPENAI_API_KEY")
    if api_key is None:
        return None
    if not isinstance(api_key, str):
        raise InvalidParamError(f"api_key must be a str, not {type(api_key).__name__}")
    if not api_key or not api_key.isascii() or any(not "!" <= character <= "~" for character in api_key):
        raise InvalidParamError("api_key is empty, or has a character that no key has")
    return Secret(api_key)


def check_headers(headers: object) -> Dict[str, Secret]:
    """The headers with their values hidden.

    Raises:
        InvalidParamError: A name or a value can't stand in a header.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise InvalidParamError(f"headers must be a dict, not {type(headers).__name__}")
    found: Dict[str, Secret] = {}
    for name, value in headers.items():
        token = isinstance(name, str) and name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not token:
            raise InvalidParamError(f"headers has a name that is none: {str(name)[:40]!r}")
        if not isinstance(value, str) or not value.isascii() or any(character < " " for character in value):
            raise InvalidParamError(f"headers[{name!r}] must be a str of printable ASCII characters")
        if name.lower() in ("content-type", "content-length", "host", "transfer-encoding", "accept-encoding"):
            raise InvalidParamError(f"headers must not have {name!r}")
        found[name] = Secret(value)
    return found


def check_seconds(name: str, value: object) -> Optional[float]:
    """A number of seconds; None for no limit."""
    if value is None:
        return None
    seconds = _native.encode_float(name, value)
    if math.isnan(seconds) or seconds <= 0:
        raise InvalidParamError(f"{name} is {value}, but must be more than 0 seconds, or None")
    return None if math.isinf(seconds) else seconds


class HTTPResponder(Responder):
    """Sends the requests of one model to its server."""

    def __init__(
        self,
        base_url: str,
        key: Optional[Secret],
        headers: Dict[str, Secret],
        limits: Limits,
        client: Optional[httpx.Client],
        async_client: Optional[httpx.AsyncClient],
    ) -> None:
        try:
            import httpx  # noqa: F401  # told now, and not by the first run
        except ImportError:
            raise UnsupportedError("remote models need the package httpx: pip install httpx") from None
        self.base_url = base_url
        self.limits = limits
        self._key = key
        self._headers = headers
        self._given, self._given_async = client, async_client
        self._client: Optional[httpx.Client] = None
        self._ssl: Optional[ssl.SSLContext] = None
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, List[Any]] = weakref.WeakKeyDictionary()
        self._closed = False

    def request_headers(self) -> Dict[str, str]:
        """What goes with every request, the key included."""
        import luup_agent

        headers = {
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",
            "User-Agent": f"luup-agent/{luup_agent.__version__}",
        }
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        headers.update((name, value.reveal()) for name, value in self._headers.items())
        return headers

    def redact(self, text: str) -> str:
        """The text without the keys."""
        secrets = [self._key, *self._headers.values()]
        for value in sorted((secret.reveal() for secret in secrets if secret is not None), key=len, reverse=True):
            for part in (value, value.partition(" ")[2]):  # a header has "Bearer" before it
                if len(part) >= _SHORTEST_SECRET:
                    text = text.replace(part, "***").replace(json.dumps(part)[1:-1], "***")
        return text

    def respond(self, body: str, sink: Sink) -> None:
        """Posts the request and pushes the answer."""
        self._do(Request(self, "POST", "/chat/completions", body, sink))

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Does what `respond` does, under asyncio."""
        await self._do_async(Request(self, "POST", "/chat/completions", body, sink))

    def get(self, path: str) -> Any:
        """The JSON value at `path`."""
        request = Request(self, "GET", path, None, None)
        self._do(request)
        return request.value()

    async def get_async(self, path: str) -> Any:
        """Does what `get` does, under asyncio."""
        request = Request(self, "GET", path, None, None)
        await self._do_async(request)
        return request.value()

    def _do(self, request: Request) -> None:
        import httpx

        while True:
            try:
                options = request.options()
                with request.watch() as heard, self._open_client().stream(*request.target(), **options) as response:
                    heard()
                    request.open(response, lambda: _shut(response))
                    for data in response.iter_raw():
                        if not request.feed(data):
                            return
                    request.finish()
                return
            except (Moved, Failed, LuupError, httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
                caught = error
            pause = request.pause_after(caught)  # outside: a context would have the request, and its key
            if request.wait(pause):
                return

    async def _do_async(self, request: Request) -> None:
        import asyncio

        import httpx

        async with self._async_client() as client:
            while True:
                try:
                    async with contextlib.AsyncExitStack() as stack:
                        stream = client.stream(*request.target(), **request.options())
                        try:
                            response = await asyncio.wait_for(stack.enter_async_context(stream), request.time_left())
                        except asyncio.TimeoutError:
                            raise request.late() from None
                        request.open(response, None)
                        async for data in response.aiter_raw():
                            if not request.feed(data):
                                return
                        request.finish()
                    return
                except (Moved, Failed, LuupError, httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
                    caught = error
                pause = request.pause_after(caught)  # outside, as above
                await asyncio.sleep(pause)

    def _open_client(self) -> httpx.Client:
        import httpx

        if self._given is not None:
            return self._given
        if self._client is None:
            self._client = httpx.Client(verify=self._context(), limits=httpx.Limits(max_connections=None))
            weakref.finalize(self, self._client.close)
        return self._client

    @contextlib.asynccontextmanager
    async def _async_client(self) -> AsyncIterator[httpx.AsyncClient]:
        """The client of this event loop, which is closed when no request of it is under way."""
        import asyncio

        import httpx

        if self._given_async is not None:
            yield self._given_async
            return
        loop = asyncio.get_running_loop()
        entry = self._loops.get(loop)
        if entry is None:
            client = httpx.AsyncClient(verify=self._context(), limits=httpx.Limits(max_connections=None))
            entry = self._loops[loop] = [client, 0]
        entry[1] += 1
        try:
            yield entry[0]
        finally:
            entry[1] -= 1
            if entry[1] == 0:
                self._loops.pop(loop, None)
                await entry[0].aclose()

    def _context(self) -> ssl.SSLContext:
        """Made once: reading the certificates takes tens of milliseconds."""
        import httpx

        if self._ssl is None:
            self._ssl = httpx.create_ssl_context()
        return self._ssl

    def close(self) -> None:
        """Closes the connections that are kept."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def __reduce__(self) -> Any:
        raise TypeError("a remote model can't be pickled: make it again with Model.from_remote")


def _shut(response: Any) -> None:
    """Wakes the thread that waits for the bytes of a response."""
    stream = response.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError, ValueError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
