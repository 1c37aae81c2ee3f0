"""`MCP`: the tools, resources and prompts of an MCP server.

It needs the official SDK, ``pip install "luup-agent[mcp]"``, and Python 3.10 or newer.

Example:
    >>> git = MCP("uvx mcp-server-git --repository .")
    >>> agent = Agent(model, toolsets=[git, MCP("http://localhost:8000/mcp", prefix="shop_")])
    >>> agent.generate("Which files have I changed?")
    'README.md and setup.py.'
"""

from __future__ import annotations

import os
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Sequence, Union

from typing_extensions import Literal

from luup_agent import _native
from luup_agent._mcp import sdk
from luup_agent._mcp.callbacks import Callbacks
from luup_agent._mcp.callers import Callers
from luup_agent._mcp.config import read_config
from luup_agent._mcp.link import Link, Timeouts
from luup_agent._mcp.listing import Asking, Listing, ToolOptions, read_listing
from luup_agent._mcp.places import Details, read_place
from luup_agent._mcp.questions import Questions
from luup_agent._mcp.sampling import sampler_for
from luup_agent._tools.context import RunContext
from luup_agent._tools.results import MAX_RESULT_CHARS
from luup_agent.errors import InvalidParamError
from luup_agent.model import Model
from luup_agent.tools import AnyTool
from luup_agent.toolsets import Toolset

__all__ = ["MCP"]


class MCP(Toolset):
    """The tools, resources and prompts of an MCP server.

    The server is started, or the connection to it opened, when a run needs its tools, and it stays open until `close`
    or the end of a ``with`` block, until nothing refers to the toolset and its tools any more, or until the process
    exits. One thread of this library owns all connections, so synchronous and asynchronous runs, in any thread or event
    loop, share one. Agents may share an `MCP` too. A server that has ended is started again for the next call; the
    model gets the reason as the result of the call under way.

    The tools are those that the server lists when a run begins. A tool whose schema this library can neither enforce
    nor check is left out, with a warning in the log: see `unavailable`. A failed call does not end the run: the model
    gets the reason as the result.

    Results are text for the model: text as it is, structured content as JSON unless the text says the same, text
    resources with their addresses. Of images, sounds and binary data the model gets a line with kind and size; the data
    goes to `on_content`.

    Example:
        >>> with MCP("python server.py") as shop:
        ...     agent = Agent(model, toolsets=[shop.filtered(["add"])])
        ...     response = agent.run("What is 5 + 3?", tool_choice="add")
        >>> response.tool_calls[0].name
        'add'
    """

    def __init__(
        self,
        server: Any,
        *,
        name: Optional[str] = None,
        prefix: str = "",
        env: Optional[Mapping[str, str]] = None,
        cwd: Union[str, os.PathLike[str], None] = None,
        headers: Optional[Mapping[str, str]] = None,
        auth: Any = None,
        transport: Literal["http", "sse"] = "http",
        timeout: Optional[float] = 60.0,
        open_timeout: Optional[float] = 60.0,
        requires_approval: Asking = False,
        max_result_chars: int = MAX_RESULT_CHARS,
        on_content: Optional[Callable[[str, Any], Any]] = None,
        on_elicitation: Union[Callable[[Any], Any], Literal["user"], None] = None,
        on_sampling: Optional[Callable[[Any], Any]] = None,
        sampling: Union[Literal["model"], Model, None] = None,
    ) -> None:
        """Name a server; nothing is started.

        Callbacks may be asynchronous; they run in the event loop of this library, others in a thread of their own.

        Args:
            server: A command line, or the command as a list of arguments; a URL that begins with ``http``; an
                ``MCPServer`` or ``Server`` object of the SDK, which runs in this process; or a function that returns a
                transport of the SDK.
            name: The server's name in errors; by default what names the server.
            prefix: Written before the names of the tools, so that those of two servers differ.
            env: Variables for the environment of a command, which otherwise has only the harmless ones, such as
                ``PATH`` and ``HOME``.
            cwd: The working directory of a command.
            headers: Sent with each request to a URL.
            auth: An ``Auth`` of the package httpx2 for a URL, such as the SDK's ``OAuthClientProvider``.
            transport: "sse" for a server at a URL that knows the older protocol only.
            timeout: Seconds for a call or another request; then the model gets an error, and the server a request to
                stop. The time that a callback takes counts. None for no limit.
            open_timeout: Seconds until the server has answered for the first time. None for no limit.
            requires_approval: Have calls wait for an approval: True for those of all tools, the tools' names, or a
                function of the SDK's ``Tool``, which may look at its ``annotations``.
            max_result_chars: The most characters of a result that the model gets.
            on_content: Called for each part of a result that is not text, with the name of the tool and the SDK's
                content block; returns the text for the model, or None.
            on_elicitation: Answers questions of the server to the user: gets the SDK's ``ElicitRequestParams``, and
                returns the filled form as a dict, True for a form without fields or a page that was visited, False to
                decline, or None to cancel. "user" asks the person who talks with the agent in ``luup-agent chat`` or at
                the page of ``luup-agent serve``; elsewhere the question is cancelled. Without it the server can't ask.
            on_sampling: Answers requests of the server for a text of a model: gets the SDK's
                ``CreateMessageRequestParams``, and returns the text, or None to refuse. Without it and `sampling` the
                server can't ask.
            sampling: The model that answers such requests, without a callback: "model" for that of the agent whose call
                is under way, or a `Model`. It gets the server's own system prompt and messages, and neither the tools
                nor the conversation of the agent. Its tokens are in the `usage` of the run.

        Raises:
            InvalidParamError: An argument is wrong; the message names it.
            UnsupportedError: The package mcp is not installed.
        """
        sdk.load()
        for key, value in (("timeout", timeout), ("open_timeout", open_timeout)):
            if _native.encode_timeout(value) == 0:
                raise InvalidParamError(f"{key} must be more than 0 seconds")
        for key, function in (
            ("on_content", on_content),
            ("on_elicitation", on_elicitation),
            ("on_sampling", on_sampling),
        ):
            if key == "on_elicitation" and function == "user":
                continue
            if function is not None and not callable(function):
                kinds = 'callable or "user"' if key == "on_elicitation" else "callable"
                raise InvalidParamError(f"{key} must be {kinds}, not {type(function).__name__}")
        asking = isinstance(requires_approval, (bool, Collection)) or callable(requires_approval)
        if isinstance(requires_approval, str) or not asking:
            raise InvalidParamError(
                "requires_approval must be True, False, a list of tools' names or a function of a tool, "
                f"not {requires_approval!r}"
            )
        _native.encode_text("prefix", prefix)
        self._options = ToolOptions(
            prefix, requires_approval, _native.encode_int("max_result_chars", max_result_chars, 1)
        )
        callers = Callers()
        sampler = sampler_for(sampling, timeout, callers)
        if sampler is not None and on_sampling is not None:
            raise InvalidParamError("sampling and on_sampling both answer the server's requests for a text: give one")
        questions = None if callable(on_elicitation) or on_elicitation is None else Questions(callers)
        asks = on_elicitation if callable(on_elicitation) else questions
        callbacks = Callbacks(asks, on_sampling if sampler is None else sampler)
        place = read_place(server, Details(env, cwd, headers, auth, transport), name, callbacks)
        if questions is not None:
            questions.server = place.label
        self._link = Link(place, Timeouts(timeout, open_timeout), on_content, callers)
        self._listing: Optional[Listing] = None

    @classmethod
    def from_config(cls, path: Union[str, os.PathLike[str]], **options: Any) -> List[MCP]:
        """Return the servers of a JSON file with ``mcpServers``, as Cursor, Claude Desktop and others write it.

        The names of the servers are their keys in the file. Servers that are ``disabled`` are left out. ``${NAME}`` and
        ``${NAME:-default}`` stand for variables of the environment.

        Args:
            path: The file.
            **options: Keywords of `MCP` for all of them, such as `timeout`.

        Raises:
            StorageError: The file can't be read.
            InvalidParamError: It is wrong; the message names the file, the server and the key.

        Example:
            >>> agent = Agent(model, toolsets=MCP.from_config(".cursor/mcp.json", requires_approval=True))
        """
        return [cls(server, **{**found, **options}) for server, found in read_config(path)]

    @property
    def label(self) -> str:
        """The server's name in errors."""
        return self._link.place.label

    @property
    def unavailable(self) -> Mapping[str, str]:
        """Why tools of the server could not be used by the last run, by their names."""
        return {} if self._listing is None else dict(self._listing.unavailable)

    # -- tools ---------------------------------------------------------------------------------------------------------

    def list_tools(self, context: Optional[RunContext[Any]] = None) -> Sequence[AnyTool]:
        """Return the tools that the server has now.

        Raises:
            ToolsetError: The server can't be reached.
            InvalidParamError: `requires_approval` names a tool that the server does not have.
        """
        return self._read(self._link.wait(self._link.list_tools))

    async def list_tools_async(self, context: Optional[RunContext[Any]] = None) -> Sequence[AnyTool]:
        """Do the same as `list_tools`, under asyncio."""
        return self._read(await self._link.wait_async(self._link.list_tools))

    def _read(self, source: List[Any]) -> Sequence[AnyTool]:
        listing = self._listing
        if listing is None or (listing.source is not source and listing.source != source):
            listing = read_listing(self._link, source, self._options)
            self._listing = listing
        return listing.tools

    def open(self) -> None:
        """Start the server or open the connection, instead of at the first run.

        Raises:
            ToolsetError: The server can't be reached.
        """
        self._link.wait(self._link.open)

    async def open_async(self) -> None:
        """Do the same as `open`, under asyncio."""
        await self._link.wait_async(self._link.open)

    def close(self) -> None:
        """Close the connection, and wait until the process of a command has ended. The next use opens it again."""
        self._link.wait(self._link.close)

    async def close_async(self) -> None:
        """Do the same as `close`, under asyncio."""
        await self._link.wait_async(self._link.close)

    # -- resources and prompts -----------------------------------------------------------------------------------------

    def list_resources(self) -> List[Any]:
        """Return the server's resources, as ``Resource`` objects of the SDK.

        Raises:
            ToolsetError: The server can't be reached, or has no resources.

        Example:
            >>> [resource.uri for resource in mcp.list_resources()]
            ['readme://it']
        """
        return self._link.wait(lambda: self._link.list("resources"))

    async def list_resources_async(self) -> List[Any]:
        """Do the same as `list_resources`, under asyncio."""
        return await self._link.wait_async(lambda: self._link.list("resources"))

    def list_resource_templates(self) -> List[Any]:
        """Return the templates of addresses of resources, as ``ResourceTemplate`` objects of the SDK.

        Raises:
            ToolsetError: The server can't be reached, or has no resources.
        """
        return self._link.wait(lambda: self._link.list("resource_templates"))

    async def list_resource_templates_async(self) -> List[Any]:
        """Do the same as `list_resource_templates`, under asyncio."""
        return await self._link.wait_async(lambda: self._link.list("resource_templates"))

    def read_resource(self, uri: str) -> List[Any]:
        """Return the parts of a resource, as ``TextResourceContents`` and ``BlobResourceContents`` of the SDK.

        Raises:
            ToolsetError: The server can't be reached, or has no such resource.

        Example:
            >>> mcp.read_resource("readme://it")[0].text
            'Read me.'
        """
        return self._link.wait(lambda: self._resource(uri))

    async def read_resource_async(self, uri: str) -> List[Any]:
        """Do the same as `read_resource`, under asyncio."""
        return await self._link.wait_async(lambda: self._resource(uri))

    async def _resource(self, uri: str) -> List[Any]:
        answer: Any = await self._link.ask(f"the resource {uri}", lambda client: client.read_resource(uri))
        return list(answer.contents)

    def list_prompts(self) -> List[Any]:
        """Return the server's prompts, as ``Prompt`` objects of the SDK.

        Raises:
            ToolsetError: The server can't be reached, or has no prompts.
        """
        return self._link.wait(lambda: self._link.list("prompts"))

    async def list_prompts_async(self) -> List[Any]:
        """Do the same as `list_prompts`, under asyncio."""
        return await self._link.wait_async(lambda: self._link.list("prompts"))

    def get_prompt(self, name: str, arguments: Optional[Mapping[str, str]] = None) -> Any:
        """Return a prompt that the server has filled in, as a ``GetPromptResult`` of the SDK.

        Raises:
            ToolsetError: The server can't be reached, has no such prompt, or an argument is missing.

        Example:
            >>> prompt = mcp.get_prompt("review", {"file": "setup.py"})
            >>> prompt.messages[0].content.text
            'Please review setup.py.'
        """
        return self._link.wait(lambda: self._prompt(name, dict(arguments or {})))

    async def get_prompt_async(self, name: str, arguments: Optional[Mapping[str, str]] = None) -> Any:
        """Do the same as `get_prompt`, under asyncio."""
        return await self._link.wait_async(lambda: self._prompt(name, dict(arguments or {})))

    async def _prompt(self, name: str, arguments: Dict[str, str]) -> Any:
        return await self._link.ask(f"the prompt {name}", lambda client: client.get_prompt(name, arguments))
