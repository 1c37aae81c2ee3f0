"""Where a server is: a command, an address or an object of this process. Makes the SDK's client for it."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import threading
from collections import deque
from typing import Any, AsyncIterator, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

from luup_agent import _native
from luup_agent._mcp import sdk
from luup_agent._mcp.callbacks import Callbacks
from luup_agent._mcp.watcher import watcher
from luup_agent._threads import start_thread
from luup_agent.errors import InvalidParamError

server_logger = logging.getLogger("luup_agent.mcp")

STDERR = "; it wrote to stderr:"  # the end of an error, which the model does not get: a log may have secrets

_LINES = 20  # of a server's stderr that an error shows
_LINE = 500  # characters of each
_LONGEST = 1 << 16  # characters that are read as one line of it, since a server need not write line ends


class Details(NamedTuple):
    """How a server is reached.

    Attributes:
        env: Variables of its environment, for a command.
        cwd: Its working directory, for a command.
        headers: Sent with each request, for an address.
        auth: An `Auth` of httpx2, for an address.
        transport: "http" or "sse", for an address.
    """

    env: Optional[Mapping[str, str]] = None
    cwd: Union[str, os.PathLike[str], None] = None
    headers: Optional[Mapping[str, str]] = None
    auth: Any = None
    transport: str = "http"


class Place:
    """Where a server is.

    Attributes:
        label: The server's name in errors.
    """

    def __init__(self, label: str, callbacks: Callbacks) -> None:
        self.label = label
        self._callbacks = callbacks

    def connect(self, take: Callable[[Any], Any], stack: contextlib.AsyncExitStack) -> Any:
        """Return the SDK's client, not connected.

        Args:
            take: Gets the messages of the server that answer no request.
            stack: Closed after the client.
        """
        server = self._server(stack)
        return sdk.load().Client(server, message_handler=take, cache=None, **self._callbacks.for_client())

    def _server(self, stack: contextlib.AsyncExitStack) -> Any:
        raise NotImplementedError

    def explain(self, error: BaseException) -> Optional[str]:
        """Return why the server can't be used, if that is known better here than to the SDK."""
        return None

    def last_words(self) -> str:
        """Return what the server has written to stderr, for the end of an error; "" if nothing is known."""
        return ""


class Command(Place):
    """A server that runs in a child process of its own."""

    def __init__(self, command: Sequence[str], details: Details, label: str, callbacks: Callbacks) -> None:
        super().__init__(label, callbacks)
        self._command = list(command)
        self._env = _texts("env", details.env)
        self._cwd = None if details.cwd is None else os.fspath(details.cwd)
        self._words: Deque[str] = deque(maxlen=_LINES)
        self._read = threading.Event()

    def _server(self, stack: contextlib.AsyncExitStack) -> Any:
        parameters = sdk.load().StdioServerParameters(
            command=self._command[0],
            args=self._command[1:],
            env=self._env,
            cwd=self._cwd,
            encoding_error_handler="replace",  # "strict" ends the reading for good at a wrong byte
        )
        return self._stdio(parameters)

    @contextlib.asynccontextmanager
    async def _stdio(self, parameters: Any) -> AsyncIterator[Any]:
        self._words.clear()
        self._read.clear()
        reader, writer = os.pipe()
        try:
            start_thread(f"luup-mcp-{self.label}", lambda: self._listen(reader))
        except BaseException:
            os.close(reader)
            os.close(writer)
            raise
        async with contextlib.AsyncExitStack() as stack:
            with os.fdopen(writer, "w", encoding="utf-8") as log:
                started = stack.enter_context(watcher.servers())
                streams = await stack.enter_async_context(sdk.load().stdio_client(parameters, errlog=log))
                started()
            yield streams

    def _listen(self, reader: int) -> None:
        """Log what the server writes to stderr, and keep the last lines of it."""
        with os.fdopen(reader, encoding="utf-8", errors="replace") as lines:
            for line in iter(lambda: lines.readline(_LONGEST), ""):
                text = line.rstrip()
                if text:
                    self._words.append(text if len(text) <= _LINE else text[:_LINE] + " ...")
                    server_logger.info("%s: %s", self.label, text)
        self._read.set()

    def explain(self, error: BaseException) -> Optional[str]:
        """Return that the program or its directory does not exist."""
        first = next(sdk.causes(error))
        if isinstance(first, FileNotFoundError):
            if self._cwd is not None and not os.path.isdir(self._cwd):
                return f"its directory cwd={self._cwd!r} does not exist"
            return f"there is no program {self._command[0]!r}; install it, or give its path"
        if isinstance(first, PermissionError):
            return f"{self._command[0]!r} can't be executed: {first}"
        return None

    def last_words(self) -> str:
        """Return the last lines of the server's stderr."""
        self._read.wait(0.5)  # for the lines under way of a server that has ended
        words = list(self._words)
        return "".join([STDERR, *(f"\n    {line}" for line in words)]) if words else ""


class Address(Place):
    """A server that other processes use too, at a URL."""

    def __init__(self, url: str, details: Details, label: str, callbacks: Callbacks) -> None:
        super().__init__(label, callbacks)
        self._url = url
        self._headers = _texts("headers", details.headers)
        self._auth = details.auth
        self._transport = details.transport

    def _server(self, stack: contextlib.AsyncExitStack) -> Any:
        if self._transport == "sse":
            return sdk.load("mcp.client.sse").sse_client(self._url, headers=self._headers, auth=self._auth)
        httpx2 = sdk.load("httpx2")
        client = httpx2.AsyncClient(
            headers=self._headers,
            auth=self._auth,
            timeout=httpx2.Timeout(30.0, read=300.0),  # as the SDK's own
        )
        stack.push_async_callback(client.aclose)
        return sdk.load("mcp.client.streamable_http").streamable_http_client(self._url, http_client=client)


class Object(Place):
    """A server in this process, or a function that makes a transport of the SDK."""

    def __init__(self, server: Any, label: str, callbacks: Callbacks) -> None:
        super().__init__(label, callbacks)
        self._object = server

    def _server(self, stack: contextlib.AsyncExitStack) -> Any:
        is_server = isinstance(self._object, (sdk.load("mcp.server").MCPServer, sdk.load("mcp.server").Server))
        return self._object if is_server else self._object()


def read_place(server: Any, details: Details, name: Optional[str], callbacks: Callbacks) -> Place:
    """Return where the server is that a user names.

    Raises:
        InvalidParamError: It is not a server, or has details that are for another kind of server.
        UnsupportedError: The SDK is not installed.
    """
    if details.transport not in ("http", "sse"):
        raise InvalidParamError(f"transport must be 'http' or 'sse', not {details.transport!r}")
    if isinstance(server, str) and server.lower().startswith(("http://", "https://")):
        _refuse("a server at a URL", env=details.env, cwd=details.cwd)
        return Address(server, details, name or server.split("?")[0], callbacks)
    remote = {"headers": details.headers, "auth": details.auth, "transport": details.transport != "http" or None}
    if isinstance(server, (str, list, tuple)):
        _refuse("a server that is a command", **remote)
        command = _words(server)
        return Command(command, details, name or " ".join(command), callbacks)
    _refuse("a server object", env=details.env, cwd=details.cwd, **remote)
    servers = sdk.load("mcp.server")
    if not isinstance(server, (servers.MCPServer, servers.Server)) and not callable(server):
        raise InvalidParamError(
            "an MCP server must be a command line, a list of arguments, a URL or a server object of the SDK, "
            f"not {type(server).__name__}"
        )
    return Object(server, name or getattr(server, "name", None) or type(server).__name__, callbacks)


def _words(command: Union[str, Sequence[Any]]) -> List[str]:
    if isinstance(command, str):
        try:
            words = shlex.split(command, posix=os.name != "nt")
        except ValueError as error:
            raise InvalidParamError(f"the command line {command!r} can't be split: {error}; give a list") from None
    else:
        words = [os.fspath(word) if isinstance(word, os.PathLike) else word for word in command]
    if not words or not words[0]:
        raise InvalidParamError("an MCP server must be a command line, a list of arguments or a URL; this one is empty")
    for index, word in enumerate(words):
        _native.encode_text(f"argument {index} of the command", word)
    return words


def _texts(name: str, values: Optional[Mapping[str, str]]) -> Optional[Dict[str, str]]:
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise InvalidParamError(f"{name} must be a dict of texts, not {type(values).__name__}")
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InvalidParamError(f"{name} must be a dict of texts, but {key!r} is {value!r}")
    return dict(values)


def _refuse(what: str, **details: Any) -> None:
    wrong = sorted(name for name, value in details.items() if value is not None)
    if wrong:
        raise InvalidParamError(f"{what} has no {', '.join(wrong)}")
