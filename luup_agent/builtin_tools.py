"""The built-in tools: a to-do list, notes, and the summarization of long conversations.

They run in the core when the model calls them. This module switches them on, and gives the program typed access to the
same lists and files.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Type, TypeVar, Union

from pydantic import ConfigDict, ValidationError

from luup_agent import _native
from luup_agent._agent.state import AgentState
from luup_agent._data import Data
from luup_agent.errors import InvalidParamError, StorageError, ToolNotFoundError

if TYPE_CHECKING:
    from luup_agent._agent.builtins import Builtins
    from luup_agent._run.task import Summarize

_INT64_MAX = 2**63 - 1


class _Entry(Data):
    model_config = ConfigDict(frozen=True, defer_build=True)


_AnyEntry = TypeVar("_AnyEntry", bound=_Entry)


class Todo(_Entry):
    """A task of a to-do list.

    Attributes:
        id: Its number. The number of a deleted task is not used again.
        text: What to do.
        done: Whether it is completed.
        created_at: When it was added, in UTC.
        completed_at: When it was completed; None before.
    """

    id: int
    text: str
    done: bool
    created_at: datetime
    completed_at: Optional[datetime] = None


class Note(_Entry):
    """A note.

    Attributes:
        id: Its number. The number of a deleted note is not used again.
        content: The text.
        tags: Words to find it by.
        created_at: When it was created, in UTC.
        updated_at: When it was last changed.
    """

    id: int
    content: str
    tags: Tuple[str, ...] = ()
    created_at: datetime
    updated_at: datetime


class SummarizationStatus(_Entry):
    """The status of an agent's summarization.

    Attributes:
        enabled: Whether a conversation that fills the context is summarized.
        threshold: The part of the context that a prompt may take before that.
        keep: The part of the history's messages, the newest, that stay as they are.
        due: Whether the next run summarizes in any case.
        summaries: How many runs of the agent have summarized.
    """

    enabled: bool
    threshold: float
    keep: float
    due: bool
    summaries: int


class _Facade:
    """Calls built-in tools for the program."""

    def __init__(self, native_agent: _native.NativeAgent) -> None:
        self._native_agent = native_agent

    def _call(self, name: str, **arguments: Any) -> Any:
        return self._native_agent.call_builtin(name, arguments)


class Todos(_Facade):
    """The to-do list of an agent; see `Agent.todos`."""

    def add(self, text: str) -> Todo:
        """Add a task.

        Args:
            text: What to do; at most 4,000 bytes of UTF-8.

        Raises:
            InvalidParamError: The text is empty, too long, or not a str.
            StorageError: The file can't be read or written, or is damaged.

        Example:
            >>> agent.enable_builtin_todo()
            >>> agent.todos.add("Buy milk").id
            1
        """
        return _entry(Todo, self._call("todo_add", text=_text("text", text)))

    def list(self) -> List[Todo]:
        """Return all tasks, the oldest first.

        Raises:
            StorageError: The file can't be read, or is damaged.
        """
        return [_entry(Todo, item) for item in self._call("todo_list")]

    def complete(self, id: int) -> Todo:  # noqa: A002  # as the field is called
        """Mark a task as done.

        Raises:
            InvalidParamError: There is no such task.
            StorageError: The file can't be read or written, or is damaged.
        """
        return _entry(Todo, self._call("todo_complete", id=_id(id)))

    def delete(self, id: int) -> Todo:  # noqa: A002
        """Delete a task, and return it.

        Raises:
            InvalidParamError: There is no such task.
            StorageError: The file can't be read or written, or is damaged.
        """
        return _entry(Todo, self._call("todo_delete", id=_id(id)))


class Notes(_Facade):
    """The notes of an agent; see `Agent.notes`."""

    def create(self, content: str, tags: Sequence[str] = ()) -> Note:
        """Write a note.

        Args:
            content: The text; at most 16,000 bytes of UTF-8.
            tags: Words to find it by; at most 32, of at most 100 bytes each.

        Raises:
            InvalidParamError: A text is empty, too long, or not a str.
            StorageError: The file can't be read or written, or is damaged.

        Example:
            >>> agent.enable_builtin_notes()
            >>> agent.notes.create("The key is under the mat.", tags=["home"]).tags
            ('home',)
        """
        return _entry(Note, self._call("note_create", content=_text("content", content), tags=_tags(tags)))

    def read(self, id: int) -> Note:  # noqa: A002  # as the field is called
        """Return the note with an id.

        Raises:
            InvalidParamError: There is no such note.
            StorageError: The file can't be read, or is damaged.
        """
        return _entry(Note, self._call("note_read", id=_id(id)))

    def update(self, id: int, content: Optional[str] = None, tags: Optional[Sequence[str]] = None) -> Note:  # noqa: A002
        """Change a note.

        Args:
            id: The note's number.
            content: The new text; None keeps the old one.
            tags: The new tags; None keeps the old ones.

        Raises:
            InvalidParamError: There is no such note, nothing to change, or a text is wrong.
            StorageError: The file can't be read or written, or is damaged.
        """
        changes: Dict[str, Any] = {} if content is None else {"content": _text("content", content)}
        if tags is not None:
            changes["tags"] = _tags(tags)
        return _entry(Note, self._call("note_update", id=_id(id), **changes))

    def delete(self, id: int) -> Note:  # noqa: A002
        """Delete a note, and return it.

        Raises:
            InvalidParamError: There is no such note.
            StorageError: The file can't be read or written, or is damaged.
        """
        return _entry(Note, self._call("note_delete", id=_id(id)))

    def search(self, query: str) -> List[Note]:
        """Return the notes that have all words of `query` in their text or their tags.

        Case and the accents of Latin, Greek and Cyrillic letters are ignored.

        Raises:
            InvalidParamError: `query` has no word.
            StorageError: The file can't be read, or is damaged.

        Example:
            >>> agent.enable_builtin_notes()
            >>> note = agent.notes.create("Crème brûlée for Zoë", tags=["Recipes"])
            >>> agent.notes.search("CREME recipe") == [note]
            True
        """
        return [_entry(Note, item) for item in self._call("note_search", query=_text("query", query))]

    def list(self) -> List[Note]:
        """Return all notes, the oldest first.

        Raises:
            StorageError: The file can't be read, or is damaged.
        """
        return [_entry(Note, item) for item in self._call("note_list")]


class Summarization(_Facade):
    """The summarization of an agent; see `Agent.summarization`."""

    def status(self) -> SummarizationStatus:
        """Return the status."""
        return self._act("status")

    def trigger(self) -> SummarizationStatus:
        """Have the next run summarize before it answers, however full the context is.

        It stays due until there is something to summarize.
        """
        return self._act("trigger")

    def enable(self) -> SummarizationStatus:
        """Turn it on, with its previous settings."""
        return self._act("enable")

    def disable(self) -> SummarizationStatus:
        """Turn it off; then a conversation that does not fit raises `ContextFullError`."""
        return self._act("disable")

    def _act(self, action: str) -> SummarizationStatus:
        return SummarizationStatus.model_validate(self._call("summarization", action=action))


class BuiltinTools(AgentState):
    """Methods of `Agent` for its built-in tools."""

    def enable_builtin_todo(self, path: Union[str, os.PathLike[str], None] = None) -> None:
        """Give the model a to-do list: the tools todo_add, todo_list, todo_complete and todo_delete.

        They run inside the library; their calls are events like those of other tools. `todos` gives the program access
        to the same list.

        Args:
            path: A JSON file, made when the first task is added. Other agents and processes may share it: each change
                is written whole or not at all, and none is lost. A file with the same name and ``.lock`` is beside it.
                None keeps the list in memory, with the agent and its forks.

        Raises:
            InvalidParamError: `enable_builtin_tools` is False, or there is a tool of that name already.
            StorageError: The file is damaged (it stays as it is) or not a file, or its folder can't be used.

        Example:
            >>> agent.enable_builtin_todo("todo.json")
            >>> call = agent.run("Remind me to buy milk.", tool_choice="todo_add", max_turns=2).tool_calls[0]
            >>> call.name, len(agent.todos.list()) > 0
            ('todo_add', True)
        """
        self._builtins.enable_todo(path)

    def enable_builtin_notes(self, path: Union[str, os.PathLike[str], None] = None) -> None:
        """Give the model notes: note_create, note_read, note_update, note_delete, note_search and note_list.

        They run inside the library; their calls are events like those of other tools. `notes` gives the program access
        to the same notes.

        Args:
            path: A JSON file, as for `enable_builtin_todo`.

        Raises:
            InvalidParamError: `enable_builtin_tools` is False, or there is a tool of that name already.
            StorageError: The file is damaged (it stays as it is) or not a file, or its folder can't be used.

        Example:
            >>> agent.enable_builtin_notes("notes.json")
            >>> agent.notes.create("Ada likes tea.", tags=["people"]).id
            1
        """
        self._builtins.enable_notes(path)

    def enable_builtin_summarization(
        self,
        threshold: float = 0.75,
        keep: float = 0.4,
        summarize: Optional[Summarize] = None,
        *,
        tool: bool = False,
    ) -> None:
        """Set how a conversation that fills the context is summarized.

        Agents that remember do it from the start, with the defaults here: before a run whose prompt would take more
        than `threshold` of the context (or leave no room for `max_tokens`), a summary replaces the oldest messages of
        the history. The model writes it itself, at low temperature. System prompt and tools stay, calls stay with their
        results. A `SummaryEvent`, `AgentResponse.summary` and the log report it. A run that fails leaves the history as
        it was. ``agent.summarization.disable()`` turns it off, and so does ``Agent(…, enable_builtin_tools=False)``:
        then a conversation that does not fit raises `ContextFullError`.

        Args:
            threshold: A part of the context, more than 0 and at most 1.
            keep: The part of the history's messages, the newest, that stay as they are, from 0 to less than 1. Fewer
                stay if there would not be enough room.
            summarize: Writes the summary instead of the model: gets the messages to replace, and returns a str.
            tool: Whether the model may control it: offers the tool "summarization" with the actions status, trigger,
                enable and disable.

        Raises:
            InvalidParamError: `enable_builtin_tools` is False, or an argument is wrong.

        Example:
            >>> agent.enable_builtin_summarization(0.5, summarize=lambda messages: f"{len(messages)} messages")
            >>> agent.summarization.status().threshold
            0.5
        """
        self._builtins.enable_summarization(threshold, keep, summarize, tool)

    @property
    def todos(self) -> Todos:
        """The to-do list of the model.

        Raises:
            ToolNotFoundError: `enable_builtin_todo` was not called.
        """
        if not self._parts.builtins.has_todos:
            raise ToolNotFoundError("the agent has no to-do list: call enable_builtin_todo first")
        return Todos(self._parts.handle.native)

    @property
    def notes(self) -> Notes:
        """The notes of the model.

        Raises:
            ToolNotFoundError: `enable_builtin_notes` was not called.
        """
        if not self._parts.builtins.has_notes:
            raise ToolNotFoundError("the agent has no notes: call enable_builtin_notes first")
        return Notes(self._parts.handle.native)

    @property
    def summarization(self) -> Summarization:
        """The summarization of long conversations: its status, a trigger, a switch.

        Raises:
            InvalidParamError: `enable_builtin_tools` is False.
        """
        self._builtins  # noqa: B018  # raises if they are not allowed
        return Summarization(self._parts.handle.native)

    @property
    def _builtins(self) -> Builtins:
        if not self.enable_builtin_tools:
            raise InvalidParamError("the agent was made with enable_builtin_tools=False")
        return self._parts.builtins


def _entry(kind: Type[_AnyEntry], values: Dict[str, Any]) -> _AnyEntry:
    """Return an entry of a file.

    Raises:
        StorageError: A value can't be read, such as a date that does not exist.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        file = "the file of the to-do list" if kind is Todo else "the file of the notes"
        raise StorageError(
            f"{file} is damaged: {place} of entry {values.get('id')} is {str(problem['input'])[:100]!r}: "
            + problem["msg"]
        ) from None


def _text(name: str, value: str) -> str:
    _native.encode_text(name, value)
    return value


def _id(value: int) -> int:
    return _native.encode_int("id", value, -_INT64_MAX - 1, _INT64_MAX)


def _tags(tags: Sequence[str]) -> List[str]:
    if not isinstance(tags, Sequence) or isinstance(tags, (str, bytes)):
        raise InvalidParamError(f"tags must be a list of str, not {type(tags).__name__}")
    return [_text(f"tags[{index}]", tag) for index, tag in enumerate(tags)]
