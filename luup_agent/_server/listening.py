"""Running the application with uvicorn."""

from __future__ import annotations

import contextlib
import socket
import sys
from importlib import import_module
from typing import Any, Optional

from luup_agent.errors import StorageError, UnsupportedError

_BACKLOG = 2048
MOST_HEAD = 64 << 10  # bytes of a request's first line and headers, as h11 has it


def run(app: Any, host: str, port: int, shutdown_timeout: Optional[float]) -> None:
    """Serve the application until Ctrl-C or SIGTERM.

    Raises:
        UnsupportedError: uvicorn is not installed.
        StorageError: The port is in use, or the address is not one of this machine.
    """
    try:
        uvicorn: Any = import_module("uvicorn")
    except ImportError as error:
        raise UnsupportedError(
            f'the server needs the packages starlette and uvicorn ({error}); run `pip install "luup-agent[serve]"`'
        ) from None
    listener = listen(host, port)
    seconds = None if shutdown_timeout is None else max(0, round(shutdown_timeout))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # a proxy can log; nothing about the requests is kept here
        server_header=False,
        timeout_graceful_shutdown=seconds,
        lifespan="off",
        ws="none",
        http=protocol(),
        h11_max_incomplete_event_size=MOST_HEAD,
    )
    shown = f"[{host}]" if ":" in host else host
    with contextlib.suppress(OSError):  # a note that can't be written does not stop a server
        sys.stderr.write(f"luup-agent: serving at http://{shown}:{listener.getsockname()[1]}/ (Ctrl-C to stop)\n")
        sys.stderr.flush()
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def protocol() -> Any:
    """Return what uvicorn takes as `http`: its protocol on httptools, which has no limit of headers, with one.

    Where httptools is not installed, uvicorn uses h11, which has it.
    """
    try:
        base: Any = import_module("uvicorn.protocols.http.httptools_impl").HttpToolsProtocol
    except ImportError:
        return "h11"

    class LimitedProtocol(base):  # type: ignore[misc]
        _head: Optional[int] = None  # bytes of a head that is not complete

        def on_message_begin(self) -> None:
            self._head = 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._head = None
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            before = self._head
            super().data_received(data)
            if self._head is not None:
                self._head = (before or 0) + len(data)
                if self._head > MOST_HEAD and not self.transport.is_closing():
                    self.send_400_response("The headers of the request are too long.")

    return LimitedProtocol


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        StorageError: The port is in use, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StorageError(f"can't listen at {host!r}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StorageError(
            f"can't listen at {host!r}, port {port}: {error.strerror or error}; choose another one with port"
        ) from error
    return listener
