"""The built-in tools of an agent: which ones are switched on. They run in the core."""

from __future__ import annotations

import os
from typing import FrozenSet, Optional, Union

from luup_agent._agent.handle import Handle
from luup_agent._run.task import Summarize
from luup_agent.errors import InvalidParamError

Path = Union[str, "os.PathLike[str]", None]

_NOTHING: FrozenSet[str] = frozenset()
_TODO = frozenset({"todo_add", "todo_list", "todo_complete", "todo_delete"})
_NOTES = frozenset({"note_create", "note_read", "note_update", "note_delete", "note_search", "note_list"})


class Builtins:
    """The built-in tools of an agent.

    Attributes:
        has_todos: Whether the model has the to-do list.
        has_notes: Whether the model has the notes.
        summarize: The function that writes the summaries instead of the model; None for the model.
    """

    def __init__(self, handle: Handle, origin: Optional[Builtins] = None) -> None:
        """Keep the built-in tools that the core's agent has already: those of `origin`, whose fork it is."""
        self._handle = handle
        self.has_todos: bool = origin is not None and origin.has_todos
        self.has_notes: bool = origin is not None and origin.has_notes
        self.summarize: Optional[Summarize] = None if origin is None else origin.summarize

    @property
    def names(self) -> FrozenSet[str]:
        """The names of the tools that the model has."""
        return (_TODO if self.has_todos else _NOTHING) | (_NOTES if self.has_notes else _NOTHING)

    def enable_todo(self, path: Path) -> None:
        """Switch the to-do list on."""
        self._handle.native.enable_todo(path)
        self.has_todos = True

    def enable_notes(self, path: Path) -> None:
        """Switch the notes on."""
        self._handle.native.enable_notes(path)
        self.has_notes = True

    def enable_summarization(
        self,
        threshold: Optional[float] = None,
        keep: Optional[float] = None,
        summarize: Optional[Summarize] = None,
        tool: bool = False,
    ) -> None:
        """Switch the summarization on, or change it; None means the library's defaults."""
        if summarize is not None and not callable(summarize):
            raise InvalidParamError(f"summarize must be callable, not {type(summarize).__name__}")
        self._handle.native.enable_summarization(threshold, keep, summarize is not None, tool)
        self.summarize = summarize
