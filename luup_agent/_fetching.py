"""Fetches a file from an address that the user has given, and from no other network than the public one."""

from __future__ import annotations

import ipaddress
import socket
from typing import List, Optional
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
            if not allow_private:
                _check_public(url)
            try:
                with client.stream("GET", url) as response:
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


def _check_public(url: str) -> None:
    """Check that all addresses of a URL's host are public.

    Raises:
        InvalidParamError: One is not.
        HTTPError: The host is not known.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParamError(f"{_shown(url)} must begin with http:// or https:// and name a host")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    except (OSError, UnicodeError, ValueError) as error:
        raise HTTPError(f"{_shown(url)} can't be fetched: {error}") from error
    for each in found:
        address = ipaddress.ip_address(str(each[4][0]).split("%")[0])
        if not address.is_global or address.is_multicast:
            raise InvalidParamError(
                f"{_shown(url)} is in a private network ({address}): allow_private=True fetches it nevertheless"
            )


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:200]
