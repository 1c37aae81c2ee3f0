"""An HTTP server for models and agents: OpenAI's API, and a chat page. ``luup-agent serve`` starts it.

It needs the packages starlette and uvicorn: ``pip install "luup-agent[serve]"``. docs/SERVER.md lists what it supports.

Example:
    >>> from luup_agent.testing import ScriptedModel
    >>> app = create_app({"echo": ScriptedModel(["Hello!"])})  # for any ASGI server
    >>> serve({"echo": ScriptedModel(["Hello!"])}, port=8080)  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional, Sequence, Union

from typing_extensions import TypedDict, Unpack

from luup_agent.agent import Agent
from luup_agent.embeddings import Embedder
from luup_agent.errors import InvalidParamError
from luup_agent.model import Model
from luup_agent.sessions import Sessions

__all__ = ["ServerOptions", "create_app", "serve"]

Servable = Union[Model, "Agent[Any, Any]", Embedder]
DEFAULT_PORT = 8080


class ServerOptions(TypedDict, total=False):
    """The keywords of `create_app`, which documents them."""

    api_key: Union[str, Sequence[str], None]
    allow_origins: Sequence[str]
    allow_hosts: Sequence[str]
    max_tokens: Optional[int]
    max_runs: int
    max_body: int
    body_timeout: float
    page: bool
    allow_image_urls: bool
    sessions: Union[Sessions, str, os.PathLike[str], None]


def create_app(
    models: Union[Servable, Mapping[str, Servable]],
    *,
    api_key: Union[str, Sequence[str], None] = None,
    allow_origins: Sequence[str] = (),
    allow_hosts: Sequence[str] = (),
    max_tokens: Optional[int] = None,
    max_runs: int = 1024,
    max_body: int = 8 * 1024 * 1024,
    body_timeout: float = 30.0,
    page: bool = True,
    allow_image_urls: bool = False,
    sessions: Union[Sessions, str, os.PathLike[str], None] = None,
) -> Any:
    """Return a Starlette application with OpenAI's API and the chat page.

    Args:
        models: What to serve, by the names that clients use; or a single model, agent or embedder. Requests to a model
            share its batch. An agent answers with its own system prompt, settings and tools, which run on the server;
            each request has a copy of it, with the conversation of the request.
        api_key: The key that clients have to send, or several; None for none.
        allow_origins: Origins of other sites whose pages may use the server, such as "https://example.org"; "*" for
            all. Without one, browsers let only the server's own page use it.
        allow_hosts: Names of the server beside "localhost" and IP addresses. Requests that name another host are
            refused, so that other sites can't reach the server by DNS rebinding.
        max_tokens: The most tokens of an answer, also for requests that ask for more or give no number. None for as
            many as the context holds.
        max_runs: The most answers at a time; further requests get the status 429. `Model.from_local(max_waiting=…)`
            bounds how many of these may wait for the model.
        max_body: The most bytes of a request's body.
        body_timeout: Seconds that a request's body may take to arrive.
        page: Whether to serve the chat page at ``/``.
        allow_image_urls: Whether a request may name a picture by its address, which this server then fetches, from
            public networks only. Otherwise pictures have to be data URLs, so that a client can't make this server
            connect to others.
        sessions: Where conversations are kept: `SQLiteSessions`, `SQLSessions`, or the path of a file, which only its
            owner may read. All who may use the server see them: at ``/v1/sessions``, and in the page on every device.
            None for nowhere: the page keeps its conversations in the browser.

    Returns:
        The application, for uvicorn or another ASGI server on asyncio. It closes no models.

    Raises:
        InvalidParamError: An argument is wrong; the message names it.
        UnsupportedError: The package starlette is not installed.
        StorageError: The file of the conversations can't be used.

    Example:
        >>> app = create_app({"smollm2": model}, api_key="sk-example")
    """
    from luup_agent._server.app import Server
    from luup_agent._server.config import read_config, read_models
    from luup_agent._server.stored import open_sessions

    config = read_config(
        api_key, allow_origins, allow_hosts, max_tokens, max_runs, max_body, body_timeout, allow_image_urls
    )
    return Server(read_models(models), config, page, open_sessions(sessions)).app()


def serve(
    models: Union[Servable, Mapping[str, Servable]],
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    shutdown_timeout: Optional[float] = 30.0,
    **options: Unpack[ServerOptions],
) -> None:
    """Serve models and agents until Ctrl-C or SIGTERM.

    Args:
        models: As for `create_app`.
        host: The address to listen on: "127.0.0.1" for this machine only, "0.0.0.0" for all networks.
        port: The port, 0 to 65,535; 0 for a free one.
        shutdown_timeout: Seconds that answers may go on at the end; None for as long as they take.
        **options: The keywords of `create_app`. A `host` that is a name is among `allow_hosts`.

    Raises:
        InvalidParamError: An argument is wrong; the message names it.
        UnsupportedError: The packages starlette and uvicorn are not installed.
        StorageError: The port is in use, or the address is not one of this machine.

    Example:
        >>> serve({"smollm2": model}, port=8080)  # doctest: +SKIP
    """
    from luup_agent._server.listening import run

    if not isinstance(host, str) or not host:
        raise InvalidParamError(f"host must be a text that is not empty, got {host!r}")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise InvalidParamError(f"port must be between 0 and 65535, got {port!r}")
    options["allow_hosts"] = [*options.get("allow_hosts", ()), host]
    run(create_app(models, **options), host, port, shutdown_timeout)
