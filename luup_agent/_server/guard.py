"""Checks that come before every request: the Host and Origin headers, the API key; and the headers of CORS."""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import Any, Awaitable, Callable, Dict, List, MutableMapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from luup_agent._server.config import Config
from luup_agent._server.failures import RequestError
from luup_agent._server.web import Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ALLOWED_HEADERS = (
    b"authorization, content-type, x-stainless-arch, x-stainless-async, x-stainless-helper-method, "
    b"x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-retry-count, "
    b"x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout, openai-organization, openai-project"
)
SEND = "luup.send"  # the server's own `send` in a scope: for the many messages of a stream, once it has begun
_PORTS = {"http": 80, "https": 443}
_ONCE = (b"host", b"origin", b"authorization", b"content-length", b"content-type")  # headers that decide
_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[a-z0-9._-]+)(:[0-9]{0,5})?")


class Guard:
    """ASGI middleware: refuses requests of other sites and of strangers.

    A browser sends the name that it has looked up as Host. Only names of this machine, IP addresses and the names in
    `allow_hosts` are accepted, so that a site can't reach the server by a name of its own (DNS rebinding).
    """

    def __init__(self, app: App, config: Config) -> None:
        """Put the checks before `app`."""
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: Dict[bytes, bytes] = dict(scope["headers"])
        origin = headers.get(b"origin")
        shared: List[Tuple[bytes, bytes]] = []
        try:
            _check_once(scope["headers"])
            host = self._check_host(headers.get(b"host", b""))
            if origin is not None:
                shared = self._check_origin(origin, host)
            if scope["method"] == "OPTIONS":
                response = Response(b"", 204, _preflight() if shared else {})
                await response(scope, receive, _adding(send, shared))
                return
            if scope["path"].startswith("/v1/") or scope["path"] == "/metrics":
                self._check_key(headers.get(b"authorization"))
        except RequestError as error:
            await error.response()(scope, receive, _adding(send, shared))
            return
        await self._app({**scope, SEND: send}, receive, _adding(send, shared))

    def _check_host(self, header: bytes) -> str:
        """Return the host of a request, with its port.

        Raises:
            RequestError: It is a name that this server does not go by.
        """
        host = header.decode("latin-1").lower()
        found = _HOST.fullmatch(host)
        name = found.group(1) if found else None
        if name is None or not (name in self._config.hosts or _is_local_name(name) or _is_address(name)):
            problem = (
                f"the Host header is no name or address with a port: {host[:200]!r}"
                if name is None
                else f"this server does not go by the name {name[:200]!r}; "
                "start it with --allow-host to accept that name"
            )
            raise RequestError(403, problem, "host_not_allowed", None, "permission_error")
        return host

    def _check_origin(self, header: bytes, host: str) -> List[Tuple[bytes, bytes]]:
        """Return the headers of CORS for a page that may read the response; none for a page of this server.

        Raises:
            RequestError: The request comes from a page of another site.
        """
        origin = header.decode("latin-1")
        if "*" in self._config.origins:
            return [(b"access-control-allow-origin", b"*")]
        if origin in self._config.origins:
            return [(b"access-control-allow-origin", header), (b"vary", b"Origin")]
        if _is_of_host(origin, host):
            return []
        raise RequestError(
            403,
            f"pages of {origin[:200]!r} may not use this server; start it with --allow-origin to let them",
            "origin_not_allowed",
            None,
            "permission_error",
        )

    def _check_key(self, header: Optional[bytes]) -> None:
        """Check the API key.

        Raises:
            RequestError: A key is needed and the request has none, or a wrong one.
        """
        keys = self._config.keys
        if not keys:
            return
        scheme, _, given = (header or b"").partition(b" ")
        right = [hmac.compare_digest(given.strip(), key) for key in keys]  # each of them, for a constant time
        if scheme.lower() != b"bearer" or not any(right):
            problem = "the API key is wrong" if header else "the request has no API key"
            raise RequestError(
                401,
                f"{problem}; send it as the header `Authorization: Bearer KEY`",
                "invalid_api_key",
                None,
                "authentication_error",
                {"WWW-Authenticate": "Bearer"},
            )


def _is_of_host(origin: str, host: str) -> bool:
    """Return whether a page is of this server, which the request calls `host`."""
    try:
        parts = urlsplit(origin)
    except ValueError:  # such as http://[
        return False
    port = _PORTS.get(parts.scheme)
    return port is not None and parts.netloc.lower() in (host, f"{host}:{port}", host.rpartition(f":{port}")[0])


def _check_once(headers: Sequence[Tuple[bytes, bytes]]) -> None:
    """Check that a header by which a request is judged is there once: two readers might each take another one.

    Raises:
        RequestError: One is there several times.
    """
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise RequestError(400, f"the request has the header {name.decode()} more than once", "repeated_header")


def _is_local_name(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") else name)
    except ValueError:
        return False
    return True


def _preflight() -> Dict[str, str]:
    return {
        "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": _ALLOWED_HEADERS.decode(),
        "Access-Control-Max-Age": "600",
    }


def _adding(send: Send, headers: List[Tuple[bytes, bytes]]) -> Send:
    """Return a `send` that adds headers to the response."""
    added = [*headers, (b"x-content-type-options", b"nosniff")]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending
