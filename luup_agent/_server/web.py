"""The names of Starlette that the server uses, in one place: the package is an extra."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from luup_agent.errors import UnsupportedError

__all__ = ["ClientDisconnect", "Middleware", "Request", "Response", "Route", "Starlette"]

try:
    ClientDisconnect: Any = import_module("starlette.requests").ClientDisconnect
    Middleware: Any = import_module("starlette.middleware").Middleware
    Request: Any = import_module("starlette.requests").Request
    Response: Any = import_module("starlette.responses").Response
    Route: Any = import_module("starlette.routing").Route
    Starlette: Any = import_module("starlette.applications").Starlette
except ImportError as error:
    raise UnsupportedError(
        f'the server needs the packages starlette and uvicorn ({error}); run `pip install "luup-agent[serve]"`'
    ) from None
