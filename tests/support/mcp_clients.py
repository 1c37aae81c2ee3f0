"""MCP servers for tests: their commands, a free port, and what the tests share."""

import socket
import subprocess
import sys
import time
from pathlib import Path

from luup_agent import Agent
from luup_agent.testing import ScriptedModel, tool_call

SUPPORT = Path(__file__).resolve().parent
SERVER = [sys.executable, str(SUPPORT / "mcp_server.py"), "stdio"]
LEGACY = [sys.executable, str(SUPPORT / "mcp_legacy.py")]


def local_server():
    from support.mcp_server import make

    return make()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(kind, port):
    """Start a server at a port, and wait until it takes connections."""
    command = [sys.executable, str(SUPPORT / "mcp_server.py"), kind, str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def call(api, toolset, tool, **arguments):
    """Have an agent call a tool, and return the result."""
    model = ScriptedModel([tool_call(tool, arguments), "done"])
    response = api.response(Agent(model, toolsets=[toolset]), "Hi")
    return response.tool_calls[0].result


def names(toolset):
    return [tool.name for tool in toolset.list_tools(None)]


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(pid):
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def call_sync(mcp, name):
    return Agent(ScriptedModel([tool_call(name), "done"]), toolsets=[mcp]).run("Hi").tool_calls[0].result
