"""Files with `mcpServers`."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("mcp")

from luup_agent import MCP, Agent, InvalidParamError, StorageError, ToolResult
from luup_agent.testing import ScriptedModel, tool_call

SERVER = str(Path(__file__).resolve().parents[2] / "support" / "mcp_server.py")


@pytest.fixture
def file(tmp_path):
    def write(values):
        path = tmp_path / "mcp.json"
        path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
        return path

    return write


def test_servers_of_a_file(file, tmp_path, monkeypatch):
    monkeypatch.setenv("LUUP_CITY", "Oslo")
    env = {"CITY": "${LUUP_CITY}", "LAND": "${env:LUUP_LAND:-Norway}"}
    command = {"command": sys.executable, "args": [SERVER, "stdio"], "env": env, "cwd": str(tmp_path)}
    servers = {
        "demo": command,
        "far": {"url": "https://example.org/mcp", "headers": {"Authorization": "Bearer ${LUUP_CITY}"}},
        "old": {"type": "sse", "url": "https://example.org/sse"},
        "off": {"command": "none", "disabled": True},
    }
    demo, far, old = MCP.from_config(file({"mcpServers": servers}), timeout=30, prefix="x_")
    assert (demo.label, far.label, old.label) == ("demo", "far", "old")
    assert far._link.place._headers == {"Authorization": "Bearer Oslo"}
    assert (far._link.place._transport, old._link.place._transport) == ("http", "sse")
    calls = [
        tool_call("x_environment", {"name": "CITY"}),
        tool_call("x_environment", {"name": "LAND"}),
        tool_call("x_folder"),
    ]
    with demo:
        response = Agent(ScriptedModel([calls, "done"]), toolsets=[demo]).run("Hi")
    assert [call.result for call in response.tool_calls] == [
        ToolResult("Oslo"),
        ToolResult("Norway"),
        ToolResult(str(tmp_path)),
    ]


def test_the_key_of_another_editor(file):
    (server,) = MCP.from_config(file({"servers": {"git": {"type": "stdio", "command": "uvx", "args": ["git"]}}}))
    assert server.label == "git"
    assert MCP.from_config(file({"mcpServers": {}})) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{", r"mcp\.json is not JSON"),
        ("[" * 5000, r"mcp\.json is not JSON"),
        ([], r"mcp\.json must have an object with the key mcpServers, not list"),
        ({}, r"mcp\.json: mcpServers must be an object of servers, not nothing"),
        ({"mcpServers": []}, r"mcp\.json: mcpServers must be an object of servers, not list"),
        ({"git": 5}, r"mcp\.json, server 'git' must be an object, not int"),
        ({"git": {}}, r"mcp\.json, server 'git' has no 'url'; a server of type 'http' needs 'url' alone"),
        (
            {"git": {"command": "a", "url": "b"}},
            r"server 'git' has 'command' and 'url'; a server of type 'stdio'",
        ),
        ({"git": {"type": "ws", "url": "b"}}, r"server 'git', key 'type': must be one of stdio, http, .* not 'ws'"),
        (
            {"git": {"command": "a", "arg": []}},
            r"server 'git' has an unknown key 'arg'; it may have args, command, c",
        ),
        ({"git": {"url": "b", "env": {}}}, r"server 'git' has an unknown key 'env'; it may have headers, url"),
        ({"git": {"command": "a", "args": "b"}}, r"server 'git', key 'args': must be a list of texts, not str"),
        ({"git": {"command": "a", "args": ["b", 5]}}, r"server 'git', key 'args\[1\]': must be a text .* not 5"),
        ({"git": {"command": ""}}, r"server 'git', key 'command': must be a text that is not empty, not ''"),
        ({"git": {"command": "a", "env": {"A": 5}}}, r"server 'git', key 'env.A': must be a text .* not 5"),
        ({"git": {"command": "a", "env": []}}, r"server 'git', key 'env': must be an object of texts, not list"),
        (
            {"git": {"command": "${LUUP_NONE}"}},
            r"server 'git', key 'command': the environment has no variable LUUP_NONE",
        ),
    ],
)
def test_wrong_files(file, values, message):
    wrapped = {"mcpServers": values} if isinstance(values, dict) and "git" in values else values
    with pytest.raises(InvalidParamError, match=message):
        MCP.from_config(file(wrapped))


def test_files_that_can_not_be_read(tmp_path):
    with pytest.raises(StorageError, match=r"none\.json can't be read"):
        MCP.from_config(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"\xff": 1}')
    with pytest.raises(StorageError, match=r"latin\.json can't be read"):
        MCP.from_config(tmp_path / "latin.json")
