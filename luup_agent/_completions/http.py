"""A responder that sends requests to an OpenAI-compatible server with httpx, bounded in time and size.

The core writes the requests and parses the answers; this module handles addresses, keys and connections. A key never
shows in a repr, a log, an exception or a pickle, and is removed from texts that servers echo.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import weakref
from typing import TYPE_CHECKING, Any, AsyncIterator, Dict, List, Mapping, Optional
from urllib.parse import urlsplit

from luup_agent import _native
from luup_agent._completions.exchange import Responder, Sink
from luup_agent._completions.proxies import check_certificates, find_proxy, is_loopback
from luup_agent._completions.request import Limits, Request
from luup_agent._completions.secrets import Redactor, Secret
from luup_agent._logging import logger
from luup_agent.errors import HTTPError, InvalidParamError, UnsupportedError

if TYPE_CHECKING:
    import asyncio
    import ssl

    import httpx


def check_base_url(base_url: object) -> str:
    """Return the address without a trailing slash.

    Raises:
        InvalidParamError: It is not the address of a server, or it contains a user name or a password.
    """
    url = _native.encode_text("base_url", base_url).decode("utf-8")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # also for an open bracket
        parts, valid = urlsplit(""), False
    if "@" in parts.netloc or "@" in url.partition("//")[2].partition("/")[0]:
        raise InvalidParamError("base_url must not contain a user or a password; pass api_key or headers instead")
    if not valid or any(character <= " " for character in url):
        raise InvalidParamError(f"base_url must be like 'http://localhost:8000/v1', not {url[:200]!r}")
    if parts.query or parts.fragment:
        raise InvalidParamError(
            "base_url must not contain '?' or '#'; pass headers, or an http_client with params, instead"
        )
    return url.rstrip("/")


def find_key(base_url: str, api_key: Optional[Secret]) -> Optional[Secret]:
    """Return `api_key`, or for https://api.openai.com the key in the environment; None without a key.

    Raises:
        InvalidParamError: The key is not valid in a header.
    """
    parts = urlsplit(base_url)
    encrypted = parts.scheme == "https" or is_loopback(parts.hostname)
    if api_key is None and parts.hostname == "api.openai.com" and "OPENAI_API_KEY" in os.environ:
        if not encrypted:
            logger.warning("OPENAI_API_KEY is not sent to %s, which is not encrypted; use https://", base_url)
            return None
        api_key = Secret(os.environ["OPENAI_API_KEY"])
    if api_key is None:
        return None
    if not isinstance(api_key.reveal(), str):
        raise InvalidParamError(f"api_key must be a str, not {type(api_key.reveal()).__name__}")
    if not is_header_value(api_key) or " " in api_key.reveal():
        raise InvalidParamError("api_key must be printable ASCII without spaces, and not empty")
    if not encrypted:
        logger.warning("the api_key is sent unencrypted to %s; use https:// where others share the network", base_url)
    return api_key


def is_header_value(value: Secret) -> bool:
    """Return whether a value is valid in a header: printable ASCII, not empty, no space at its ends."""
    text = value.reveal()
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()


def check_headers(headers: object) -> Dict[str, Secret]:
    """Return the headers, whose values are hidden already.

    Raises:
        InvalidParamError: A name or a value is not valid in a header, or this package sets the header itself.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise InvalidParamError(f"headers must be a dict, not {type(headers).__name__}")
    found: Dict[str, Secret] = {}
    for name, value in headers.items():
        token = isinstance(name, str) and name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not token:
            raise InvalidParamError(
                f"invalid header name {str(name)[:40]!r} in headers: "
                "only ASCII letters, digits, '-' and '_' are allowed"
            )
        if not isinstance(value.reveal(), str) or not is_header_value(value):
            # The value may be a key, so the message does not show it.
            raise InvalidParamError(
                f"headers[{name!r}] must be a str of printable ASCII characters without spaces at its ends"
            )
        if name.lower() in ("content-type", "content-length", "host", "transfer-encoding", "accept-encoding"):
            raise InvalidParamError(f"headers must not contain {name!r}, which is set for each request")
        found[name] = value
    return found


def check_client(name: str, client: object, is_async: bool) -> None:
    """Check a client of httpx, or of a successor of it, by what it can do.

    Raises:
        InvalidParamError: It is of the other kind, or no client.
    """
    if client is None:
        return
    wanted, closer = ("an AsyncClient", "aclose") if is_async else ("a Client", "close")
    if not callable(getattr(client, "stream", None)) or not callable(getattr(client, closer, None)):
        raise InvalidParamError(f"{name} must be {wanted} of httpx, not {type(client).__name__}")


def check_seconds(name: str, value: object) -> Optional[float]:
    """Return a positive number of seconds, or None for no limit."""
    if value is None:
        return None
    seconds = _native.encode_float(name, value)
    if math.isnan(seconds) or seconds <= 0:
        raise InvalidParamError(f"{name} must be more than 0 seconds, or None for no limit, got {value}")
    return None if math.isinf(seconds) else seconds


def connect(
    base_url: object,
    *,
    api_key: Optional[Secret],
    timeout: Optional[float],
    connect_timeout: Optional[float],
    idle_timeout: Optional[float],
    max_retries: int,
    headers: object,
    http_client: Optional[httpx.Client],
    async_http_client: Optional[httpx.AsyncClient],
) -> HTTPResponder:
    """Check the parameters of `Model.from_remote`, and make its responder. Nothing is sent.

    The key and the values of the headers are hidden already.
    """
    url = check_base_url(base_url)
    limits = Limits(
        check_seconds("timeout", timeout),
        check_seconds("connect_timeout", connect_timeout),
        check_seconds("idle_timeout", idle_timeout),
        _native.encode_int("max_retries", max_retries, 0, 100),
    )
    check_client("http_client", http_client, False)
    check_client("async_http_client", async_http_client, True)
    key = find_key(url, api_key)
    return HTTPResponder(url, key, check_headers(headers), limits, http_client, async_http_client)


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
            import httpx  # noqa: F401  # fail here rather than in the first run
        except ImportError:
            raise UnsupportedError("remote models need the package httpx; run `pip install httpx`") from None
        self.base_url = base_url
        self.limits = limits
        self._key = key
        self._headers = headers
        self._redactor = Redactor([*([] if key is None else [key]), *headers.values()])
        self._given, self._given_async = client, async_client
        self._client: Optional[httpx.Client] = None
        self._ssl: Optional[ssl.SSLContext] = None
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, List[Any]] = weakref.WeakKeyDictionary()
        self._closed = False

    def request_headers(self) -> Dict[str, str]:
        """Return the headers of each request, the key included."""
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
        """Return `text` without the key and the values of headers."""
        return self._redactor(text)

    def respond(self, body: str, sink: Sink) -> None:
        """Post the request and push the chunks of the answer."""
        self._do(Request(self, "POST", "/chat/completions", body, sink))

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Do the same as `respond`, under asyncio."""
        await self._do_async(Request(self, "POST", "/chat/completions", body, sink))

    def list_models(self) -> List[str]:
        """Return the names of the server's models."""
        request = Request(self, "GET", "/models", None, None)
        self._do(request)
        return _ids_of(request.value())

    async def list_models_async(self) -> List[str]:
        """Do the same as `list_models`, under asyncio."""
        request = Request(self, "GET", "/models", None, None)
        await self._do_async(request)
        return _ids_of(request.value())

    def _do(self, request: Request) -> None:
        pause: Optional[float] = 0.0
        while pause is not None and not request.wait(pause):
            pause = request.pause_after(self._attempt(request))

    # An attempt returns its failure: were it raised, the frames and exceptions of the HTTP client, which hold the key,
    # would be a part of the error.
    def _attempt(self, request: Request) -> Optional[Exception]:
        try:
            client = self._open_client()
            with request.watch() as heard, client.stream(*request.target(), **request.options()) as response:
                heard()
                whole = getattr(response, "is_stream_consumed", False)
                request.open(response, lambda: _shut(response), whole)
                for data in [response.content] if whole else response.iter_raw():
                    if not request.feed(data):
                        return None
                request.finish()
        except Exception as error:
            return request.failure_of(error)
        return None

    async def _do_async(self, request: Request) -> None:
        import asyncio

        async with self._async_client() as client:
            pause: Optional[float] = 0.0
            while pause is not None:
                await asyncio.sleep(pause)
                pause = request.pause_after(await self._attempt_async(request, client))

    async def _attempt_async(self, request: Request, client: httpx.AsyncClient) -> Optional[Exception]:
        import asyncio

        try:
            async with contextlib.AsyncExitStack() as stack:
                stream = client.stream(*request.target(), **request.options())
                try:
                    response = await asyncio.wait_for(stack.enter_async_context(stream), request.time_left())
                except asyncio.TimeoutError:
                    raise request.late() from None
                if getattr(response, "is_stream_consumed", False):
                    request.open(response, None, True)
                    if not request.feed(response.content):
                        return None
                else:
                    request.open(response, None)
                    async for data in response.aiter_raw():
                        if not request.feed(data):
                            return None
                request.finish()
        except Exception as error:
            return request.failure_of(error)
        return None

    def _open_client(self) -> httpx.Client:
        import httpx

        if self._given is not None:
            return self._given
        if self._client is None:
            transport = httpx.HTTPTransport(**self._connection())
            self._client = httpx.Client(transport=transport, trust_env=False)
            weakref.finalize(self, self._client.close)
        return self._client

    @contextlib.asynccontextmanager
    async def _async_client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Share a client between the overlapping requests of this event loop; the last one closes it."""
        import asyncio

        import httpx

        if self._given_async is not None:
            yield self._given_async
            return
        loop = asyncio.get_running_loop()
        entry = self._loops.get(loop)
        if entry is None:
            client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(**self._connection()), trust_env=False)
            entry = self._loops[loop] = [client, 0]
        entry[1] += 1
        try:
            yield entry[0]
        finally:
            entry[1] -= 1
            if entry[1] == 0:
                self._loops.pop(loop, None)
                await entry[0].aclose()

    def _connection(self) -> Dict[str, Any]:
        """Return how connections are made: the certificates to trust, and the proxy.

        Raises:
            LuupError: A variable of the environment is wrong.
        """
        import httpx

        found = find_proxy(self.base_url)
        options: Dict[str, Any] = {"trust_env": False, "limits": httpx.Limits(max_connections=None)}
        encrypted = self.base_url.startswith("https:") or (found is not None and found.url.startswith("https:"))
        options["verify"] = self._context() if encrypted else False
        if found is not None:
            options["proxy"] = httpx.Proxy(found.url)
        return options

    def _context(self) -> ssl.SSLContext:
        """Return the TLS context, made once because reading the certificates takes tens of milliseconds."""
        import httpx

        if self._ssl is None:
            check_certificates()
            try:
                self._ssl = httpx.create_ssl_context()
            except OSError as error:  # SSLError is one
                raise InvalidParamError(
                    f"the certificates can't be read: {error}; check SSL_CERT_FILE and SSL_CERT_DIR"
                ) from None
        return self._ssl

    def close(self) -> None:
        """Close idle connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def __reduce__(self) -> Any:
        raise TypeError("a remote model can't be pickled; make it again with Model.from_remote")


def _ids_of(answer: Any) -> List[str]:
    """Return the ids in a server's list of models."""
    models = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(models, list):
        raise HTTPError("the server's answer is not a list of models")
    return [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]


def _shut(response: Any) -> None:
    """Shut the connection of a response, to wake the thread that waits for its bytes."""
    stream = response.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError, ValueError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
