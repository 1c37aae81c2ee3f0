"""Fetches a file from an address that the user has given, and from no other network than the public one."""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any, Dict, List, Optional, Union
from urllib.parse import urljoin, urlsplit

from luup_agent.errors import HTTPError, InvalidParamError

_MOST_REDIRECTS = 3
_LONGEST = 86400  # seconds
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def fetch(
    url: str, *, allow_private: bool, timeout: Optional[float], most: int, total: Optional[float] = None
) -> bytes:
    """Return the content of an address, at most `most` bytes, within `total` seconds.

    Raises:
        InvalidParamError: The address is in a private network, or has more bytes; or an argument is wrong.
        HTTPError: The server can't be reached, refuses, or sends too slowly.
    """
    import httpx

    _check_timeout(timeout)
    deadline = None if total is None else time.monotonic() + total
    with _client(timeout) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            pinned = {} if allow_private else _pinned(url)
            try:
                with client.stream("GET", **{"url": url, **pinned}) as response:
                    if response.has_redirect_location:
                        url = _target(url, response.headers["location"])
                        continue
                    if response.status_code != 200:
                        raise HTTPError(f"{_shown(url)} can't be fetched: HTTP {response.status_code}")
                    return _read(response, url, most, deadline)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise HTTPError(f"{_shown(url)} can't be fetched: {error}") from error
    raise HTTPError(f"{_shown(url)} can't be fetched: more than {_MOST_REDIRECTS} redirects")


def _client(timeout: Optional[float]) -> Any:
    """Return a client with the proxies and certificates of the environment.

    Raises:
        HTTPError: The environment names some that can't be used.
    """
    import httpx

    try:
        return httpx.Client(timeout=timeout, trust_env=True)
    except (ImportError, OSError, ValueError) as error:
        raise HTTPError(
            f"no file can be fetched: {error}; check the variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE "
            "and SSL_CERT_DIR"
        ) from error


def _check_timeout(timeout: object) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= _LONGEST:
        raise InvalidParamError(f"timeout must be a number of seconds above 0 and at most {_LONGEST}, got {timeout!r}")


def _target(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise HTTPError(f"{_shown(url)} can't be fetched: it redirects to an invalid address: {error}") from None


def _read(response: object, url: str, most: int, deadline: Optional[float]) -> bytes:
    pieces: List[bytes] = []
    size = 0
    for piece in response.iter_bytes():  # type: ignore[attr-defined]
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise InvalidParamError(f"{_shown(url)} has more than {most} bytes")
        if deadline is not None and time.monotonic() > deadline:
            raise HTTPError(f"{_shown(url)} can't be fetched: it sends too slowly")
    return b"".join(pieces)


def _pinned(url: str) -> Dict[str, Any]:
    """Return arguments of a request that connects to an address of the URL's host which was found to be public.

    A second look-up of the name could give another address.

    Raises:
        InvalidParamError: The host has an address that is not public.
        HTTPError: The host is not known.
    """
    import httpx

    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidParamError(f"{_shown(url)} is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParamError(f"{_shown(url)} must begin with http:// or https:// and name a host")
    try:
        target = httpx.URL(url)
        found = _addresses(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    except (OSError, UnicodeError, ValueError, httpx.InvalidURL) as error:
        raise HTTPError(f"{_shown(url)} can't be fetched: {error}") from error
    for address in found:
        if not _is_public(address):
            raise InvalidParamError(
                f"{_shown(url)} is in a private network ({address}): allow_private=True fetches it nevertheless"
            )
    return {
        "url": target.copy_with(host=found[0]),
        "headers": {"Host": target.netloc.decode("ascii")},
        "extensions": {"sni_hostname": target.raw_host.decode("ascii")},  # certificates are checked for the name
    }


def _addresses(host: str, port: int) -> List[str]:
    return [str(each[4][0]).split("%")[0] for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return found.is_global and not found.is_multicast and all(map(_is_public, _inner(found)))


def _inner(address: Union[ipaddress.IPv4Address, ipaddress.IPv6Address]) -> List[str]:
    """Return the IPv4 addresses to which a gateway would pass what is sent to this IPv6 address."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())[1:]]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [str(each) for each in inner if each is not None]


def _shown(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return repr(url[:200])
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:200]
