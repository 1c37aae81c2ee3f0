"""Values in Python code that a command line names: tools, types, agents and models."""

from __future__ import annotations

import os
import re
from typing import Any, List, Sequence, Tuple

from luup_agent import Agent, Model
from luup_agent._server import command
from luup_agent.errors import InvalidParamError, LuupError, ModelNotFoundError, ToolNotFoundError
from luup_agent.tools import AnyTool, as_tool
from luup_agent.toolsets import Toolset

_TARGET = re.compile(r"(?:.+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_]\w*\Z", re.DOTALL)


def is_python(text: str) -> bool:
    """Return whether a text has the form ``file.py:name`` or ``package.module:name``.

    Example:
        >>> is_python("app.py:agent"), is_python("package.module:Movie"), is_python("name str, year int")
        (True, True, False)
    """
    return _TARGET.match(text) is not None and not text.lower().startswith(("hf:", "ollama:", "lmstudio:"))


def value_of(text: str, option: str) -> Any:
    """Return the value that a text of that form names.

    Raises:
        InvalidParamError: It has another form, or its code can't be imported.
        ModelNotFoundError: There is no such file, module or attribute.
    """
    found = command.from_python(text) if is_python(text) and not os.path.exists(text) else None
    if not found:
        raise InvalidParamError(f"{option} must be file.py:name or package.module:name, got {text!r}")
    name = text.rpartition(":")[2]
    return found.get(name, found)


def import_value(text: str, option: str) -> Any:
    """Do the same as `value_of`; an exception of the code itself becomes an error of one line.

    Raises:
        LuupError: As `value_of`.
    """
    try:
        return value_of(text, option)
    except LuupError:
        raise
    except Exception as error:  # whatever the user's module raises
        raise InvalidParamError(f"{text!r} can't be imported: {type(error).__name__}: {error}") from error


def tools_of(names: Sequence[str]) -> Tuple[List[AnyTool], List[Toolset]]:
    """Return the tools and the toolsets that ``--tool`` names.

    Raises:
        ToolNotFoundError: There is no such file, module or function.
        InvalidParamError: It can't be imported, or can't be a tool.
        InvalidSchemaError: A parameter's type has no JSON schema.
    """
    tools: List[AnyTool] = []
    toolsets: List[Toolset] = []
    for name in names:
        try:
            value = import_value(name, "--tool")
        except ModelNotFoundError as error:
            raise ToolNotFoundError(f"--tool {name}: {error}") from None
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(each, Toolset):
                toolsets.append(each)
            else:
                tools.append(as_tool(each))
    return tools, toolsets


def agent_or_model(name: str) -> Any:
    """Return the `Agent` or the `Model` that a text in the form of a Python value names.

    Raises:
        ModelNotFoundError: There is no such file, module or attribute.
        InvalidParamError: It can't be imported, or is something else.
    """
    value = import_value(name, "MODEL")
    if not isinstance(value, (Agent, Model)):
        raise InvalidParamError(f"{name!r} must be an Agent or a Model, not {type(value).__name__}")
    return value
