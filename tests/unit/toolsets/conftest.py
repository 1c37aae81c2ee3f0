"""A server of MCP, reached in each way."""

import pytest
from support.mcp_clients import SERVER, free_port, local_server, start_server

from luup_agent import MCP


@pytest.fixture(scope="module")
def url():
    """A server at a URL, in a process of its own."""
    port = free_port()
    process = start_server("http", port)
    yield f"http://127.0.0.1:{port}/mcp"
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def stdio():
    """A server in a child process."""
    with MCP(SERVER, name="demo") as mcp:
        yield mcp


@pytest.fixture(params=["stdio", "http", "object"])
def demo(request, stdio):
    """The same server, reached in each way."""
    if request.param == "stdio":
        yield stdio
        return
    server = request.getfixturevalue("url") if request.param == "http" else local_server()
    with MCP(server, name="demo") as mcp:
        yield mcp
