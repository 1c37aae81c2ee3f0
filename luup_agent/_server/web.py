"""The names of Starlette that the server uses, in one place: the package is an extra."""

from __future__ import annotations

from luup_agent.errors import UnsupportedError

try:
    from starlette.applications import Starlette  # pyright: ignore[reportMissingImports]
    from starlette.middleware import Middleware  # pyright: ignore[reportMissingImports]
    from starlette.requests import ClientDisconnect, Request  # pyright: ignore[reportMissingImports]
    from starlette.responses import Response  # pyright: ignore[reportMissingImports]
    from starlette.routing import Route  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise UnsupportedError(
        f'the server needs the packages starlette and uvicorn ({error}); run `pip install "luup-agent[serve]"`'
    ) from None

__all__ = ["ClientDisconnect", "Middleware", "Request", "Response", "Route", "Starlette"]
