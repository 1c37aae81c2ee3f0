"""Files that list servers as Cursor, Claude Desktop and VS Code do: ``{"mcpServers": {"git": {"command": "uvx"}}}``."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, Tuple, Union

from luup_agent._files import shorten_path
from luup_agent._json import read_json
from luup_agent.errors import InvalidParamError, JSONParseError, StorageError

_KINDS = ("stdio", "http", "streamable-http", "streamableHttp", "sse")
_COMMAND_KEYS = {"command", "args", "env", "cwd"}
_URL_KEYS = {"url", "headers"}
_IGNORED = {"type", "transport", "disabled", "description", "autoApprove", "alwaysAllow"}
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def read_config(path: Union[str, os.PathLike[str]]) -> List[Tuple[Any, Dict[str, Any]]]:
    """Return the servers of a file, each as what `MCP` takes: the server, and its keywords.

    Raises:
        StorageError: The file can't be read.
        InvalidParamError: It is wrong; the message names the file, the server and the key.
    """
    shown = shorten_path(os.fspath(path))
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:  # not UTF-8 is a ValueError
        raise StorageError(f"{shown} can't be read: {error}") from None
    try:
        values = read_json(shown, text)
    except (JSONParseError, ValueError) as error:
        raise InvalidParamError(f"{shown} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise InvalidParamError(f"{shown} must have an object with the key mcpServers, not {type(values).__name__}")
    key = "mcpServers" if "mcpServers" in values or "servers" not in values else "servers"  # VS Code's
    servers = values.get(key)
    if not isinstance(servers, dict):
        found = "nothing" if servers is None else type(servers).__name__
        raise InvalidParamError(f"{shown}: mcpServers must be an object of servers, not {found}")
    return [
        _read_server(f"{shown}, server {name!r}", name, entry)
        for name, entry in servers.items()
        if not (isinstance(entry, dict) and entry.get("disabled") is True)
    ]


def _read_server(where: str, name: str, entry: Any) -> Tuple[Any, Dict[str, Any]]:
    if not isinstance(entry, dict):
        raise InvalidParamError(f"{where} must be an object, not {type(entry).__name__}")
    kind = entry.get("type", entry.get("transport", "stdio" if "command" in entry else "http"))
    if kind not in _KINDS:
        raise InvalidParamError(f"{where}, key 'type': must be one of {', '.join(_KINDS)}, not {kind!r}")
    wanted, other = ("command", "url") if kind == "stdio" else ("url", "command")
    if wanted not in entry or other in entry:
        has = f"{wanted!r} and {other!r}" if wanted in entry else f"no {wanted!r}"
        raise InvalidParamError(f"{where} has {has}; a server of type {kind!r} needs {wanted!r} alone")
    allowed = _COMMAND_KEYS if kind == "stdio" else _URL_KEYS
    for key in entry:
        if key not in allowed | _IGNORED:
            raise InvalidParamError(f"{where} has an unknown key {key!r}; it may have {', '.join(sorted(allowed))}")
    if kind == "stdio":
        command = [_text(where, "command", entry["command"])]
        command += [_text(where, f"args[{index}]", each) for index, each in enumerate(_list(where, entry))]
        options: Dict[str, Any] = {"name": name, "env": _texts(where, entry, "env")}
        options["cwd"] = None if entry.get("cwd") is None else _text(where, "cwd", entry["cwd"])
        return command, options
    options = {"name": name, "headers": _texts(where, entry, "headers")}
    options["transport"] = "sse" if kind == "sse" else "http"
    return _text(where, "url", entry["url"]), options


def _list(where: str, entry: Mapping[str, Any]) -> List[Any]:
    value = entry.get("args", [])
    if not isinstance(value, list):
        raise InvalidParamError(f"{where}, key 'args': must be a list of texts, not {type(value).__name__}")
    return value


def _texts(where: str, entry: Mapping[str, Any], key: str) -> Any:
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidParamError(f"{where}, key {key!r}: must be an object of texts, not {type(value).__name__}")
    return {name: _text(where, f"{key}.{name}", each) for name, each in value.items()}


def _text(where: str, key: str, value: Any) -> str:
    """Return a text with the variables of the environment in it: ``${NAME}``, ``${env:NAME}``, ``${NAME:-default}``."""
    if not isinstance(value, str) or not value:
        raise InvalidParamError(f"{where}, key {key!r}: must be a text that is not empty, not {value!r}")

    def replaced(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name, default)
        if found is None:
            raise InvalidParamError(f"{where}, key {key!r}: the environment has no variable {name}")
        return found

    return _VARIABLE.sub(replaced, value)
