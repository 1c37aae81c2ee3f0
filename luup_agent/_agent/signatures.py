"""The signatures that `help`, IPython and `inspect` show: the options of a run one by one, instead of ``**options``.

Type checkers read the source, where `Unpack` of `RunOptions` says the same.
"""

from __future__ import annotations

import inspect
from typing import Any, List

from luup_agent.settings import RunOptions


class _Inherited:
    """The default of an option: the agent's own setting."""

    def __repr__(self) -> str:
        return "<the agent's>"


AGENTS_OWN = _Inherited()


def show_options(cls: type) -> None:
    """Give the methods of a class that take ``**options`` of a run a signature with their names."""
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=AGENTS_OWN, annotation=annotation)
        for name, annotation in RunOptions.__annotations__.items()
    ]
    for part in cls.__mro__:
        for name, function in list(vars(part).items()):
            annotations = getattr(function, "__annotations__", {}) if inspect.isfunction(function) else {}
            if not name.startswith("_") and str(annotations.get("options")).startswith("Unpack[RunOptions"):
                setattr(function, "__signature__", _expanded(function, options))  # noqa: B010  # not known to mypy


def _expanded(function: Any, options: List[inspect.Parameter]) -> inspect.Signature:
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    return signature.replace(parameters=[*own, *options])
