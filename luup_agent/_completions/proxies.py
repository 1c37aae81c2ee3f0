"""The proxy for a server's address, as the environment sets it; loopback is never reached through a proxy."""

from __future__ import annotations

import ipaddress
import os
import urllib.request
from typing import Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

from luup_agent.errors import InvalidParamError, UnsupportedError

_SCHEMES = ("http", "https", "socks5", "socks5h")


class Proxy(NamedTuple):
    """A proxy and where it is set.

    Attributes:
        url: Its address, which may contain a password.
        source: The environment variable, or the setting of the system.
    """

    url: str
    source: str

    def __repr__(self) -> str:
        return f"<Proxy of {self.source}>"


def is_loopback(host: Optional[str]) -> bool:
    """Return whether `host` is this machine."""
    name = (host or "").strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def find_proxy(url: str, environ: Optional[Mapping[str, str]] = None) -> Optional[Proxy]:
    """Return the proxy for the server at `url`; None if it is reached directly.

    Raises:
        InvalidParamError: The variable that names the proxy is not an address.
        UnsupportedError: The proxy needs a package that is not installed.
    """
    variables = os.environ if environ is None else environ
    parts = urlsplit(url)
    if is_loopback(parts.hostname):
        return None
    proxy = _proxy_of(parts.scheme, variables)
    if proxy is None or _bypassed(parts.hostname or "", parts.port, variables):
        return None
    return _checked(proxy)


def _proxy_of(scheme: str, variables: Mapping[str, str]) -> Optional[Proxy]:
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if variable == "HTTP_PROXY" and "REQUEST_METHOD" in variables:
                continue  # a CGI program gets it from the header "Proxy" of a request
            if variables.get(variable, "").strip():
                return Proxy(variables[variable].strip(), variable)
    if variables is os.environ:
        system = urllib.request.getproxies()  # of macOS and Windows; elsewhere the environment again
        if system.get(scheme):
            return Proxy(system[scheme], "the system's settings")
    return None


def _bypassed(host: str, port: Optional[int], variables: Mapping[str, str]) -> bool:
    """Return whether NO_PROXY has the host: a name, its domain, an address, a network such as 10.0.0.0/8, or "*"."""
    listed = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    return any(_matches(entry.strip().lower(), host.lower(), port) for entry in listed.replace(" ", ",").split(","))


def _matches(entry: str, host: str, port: Optional[int]) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    name, wanted = _split_port(entry.rpartition("://")[2])
    if wanted is not None and wanted != port:
        return False
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        domain = name.lstrip("*").lstrip(".")
        return host == domain or host.endswith("." + domain)
    try:
        return address in ipaddress.ip_network(name.partition("%")[0], strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, Optional[int]]:
    """Split "host:port"; an IPv6 address has a port only behind brackets."""
    name, _, port = entry.rpartition(":")
    if entry.startswith("["):
        inner, _, rest = entry[1:].partition("]")
        return (inner + rest if rest.startswith("/") else inner), int(rest[1:]) if rest[1:].isdigit() else None
    if port.isdigit() and ":" not in name and name:
        return name, int(port)
    return entry, None


def _checked(proxy: Proxy) -> Proxy:
    url = proxy.url if "://" in proxy.url else f"http://{proxy.url}"
    try:
        parts = urlsplit(url)
        scheme, valid = parts.scheme.lower(), bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        scheme, valid = "", False
    if scheme == "socks":
        scheme, url = "socks5", "socks5" + url[len("socks") :]
    if scheme not in _SCHEMES or not valid:
        # The address may contain a password, so the message does not show it.
        raise InvalidParamError(
            f"{proxy.source} must be the address of a proxy, such as 'http://proxy:3128'; "
            f"its scheme may be {', '.join(_SCHEMES)}. Correct it, or list the server in NO_PROXY"
        )
    if scheme.startswith("socks"):
        try:
            import socksio  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
        except ImportError:
            raise UnsupportedError(
                f"{proxy.source} names a SOCKS proxy, which needs the package socksio; "
                "run `pip install httpx[socks]`, or list the server in NO_PROXY"
            ) from None
    return Proxy(url, proxy.source)


def check_certificates(variables: Optional[Mapping[str, str]] = None) -> None:
    """Check the variables that replace the certificates of authorities.

    Raises:
        InvalidParamError: One names a file or a folder that does not exist.
    """
    found = os.environ if variables is None else variables
    for name, exists, kind in (("SSL_CERT_FILE", os.path.isfile, "file"), ("SSL_CERT_DIR", os.path.isdir, "folder")):
        path = found.get(name)
        if path and not exists(path):
            raise InvalidParamError(f"{name} names the {kind} {path!r}, which does not exist; correct it, or unset it")
