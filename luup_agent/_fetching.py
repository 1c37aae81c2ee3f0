"""Fetches a file from an address that the user has given, and from no other network than the public one."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Dict, List, Optional
from urllib.parse import urljoin, urlsplit

from luup_agent.errors import HTTPError, InvalidParamError

_MOST_REDIRECTS = 3


def fetch(url: str, *, allow_private: bool, timeout: Optional[float], most: int) -> bytes:
    """Return what is at an address, at most `most` bytes.

    Raises:
        InvalidParamError: The address is in a private network, or has more bytes.
        HTTPError: The server can't be reached, or refuses.
    """
    import httpx

    with httpx.Client(timeout=timeout, trust_env=True) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            pinned = {} if allow_private else _pinned(url)
            try:
                with client.stream("GET", **{"url": url, **pinned}) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers["location"])
                        continue
                    if response.status_code != 200:
                        raise HTTPError(f"{_shown(url)} can't be fetched: HTTP {response.status_code}")
                    return _read(response, url, most)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise HTTPError(f"{_shown(url)} can't be fetched: {error}") from error
    raise HTTPError(f"{_shown(url)} can't be fetched: more than {_MOST_REDIRECTS} redirects")


def _read(response: object, url: str, most: int) -> bytes:
    pieces: List[bytes] = []
    size = 0
    for piece in response.iter_bytes():  # type: ignore[attr-defined]
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise InvalidParamError(f"{_shown(url)} has more than {most} bytes")
    return b"".join(pieces)


def _pinned(url: str) -> Dict[str, Any]:
    """Return arguments of a request that connects to an address of the URL's host which was found to be public.

    A second look-up of the name could give another address.

    Raises:
        InvalidParamError: The host has an address that is not public.
        HTTPError: The host is not known.
    """
    import httpx

    parts = urlsplit(url)
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
    return found.is_global and not found.is_multicast


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:200]
