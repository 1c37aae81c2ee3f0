"""The built-in tools: a to-do list, notes, and the summarization of long conversations.

They live in the core, which calls them when the model does. What is here switches them on, and gives the program typed
access to the same lists and files.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple, Union

from pydantic import BaseModel, ConfigDict

from luup_agent import _native
from luup_agent.agent_base import AgentBase
from luup_agent.errors import InvalidParamError, ToolNotFoundError

if TYPE_CHECKING:
    from luup_agent.messages import Message

    Summarize = Callable[[List[Message]], str]

_INT64_MAX = 2**63 - 1
_TODO = frozenset({"todo_add", "todo_list", "todo_complete", "todo_delete"})
_NOTES = frozenset({"note_create", "note_read", "note_update", "note_delete", "note_search", "note_list"})


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class Todo(_Entry):
    """A task of a to-do list.

    Attributes:
        id: Its number; that of a deleted task never comes back.
        text: What is to be done.
        done: Whether it is.
        created_at: When it was added, in UTC.
        completed_at: When it was completed; None while it is not.
    """

    id: int
    text: str
    done: bool
    created_at: datetime
    completed_at: Optional[datetime] = None


class Note(_Entry):
    """A note.

    Attributes:
        id: Its number; that of a deleted note never comes back.
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
    """How the summarization of an agent is set.

    Attributes:
        enabled: Whether a conversation that fills the context is summarized.
        threshold: The part of the context that a prompt may take until then.
        keep: The part of the history's messages, the newest, that stay as they are.
        due: Whether the next run summarizes in any case.
        summaries: How many runs of the agent have done it.
    """

    enabled: bool
    threshold: float
    keep: float
    due: bool
    summaries: int


class _Facade:
    """A built-in tool as the program sees it."""

    def __init__(self, agent: _native.NativeAgent) -> None:
        self._agent = agent

    def _call(self, name: str, **arguments: Any) -> Any:
        return self._agent.call_builtin(name, arguments)


class Todos(_Facade):
    """The to-do list of an agent; see `Agent.todos`."""

    def add(self, text: str) -> Todo:
        """Adds a task.

        Args:
            text: What is to be done; at most 4,000 bytes of UTF-8.

        Raises:
            InvalidParamError: The text is empty, too long, or not text.
            StorageError: The file can't be read or written, or is damaged.

        Example:
            >>> agent.enable_builtin_todo()
            >>> agent.todos.add("Buy milk").id
            1
        """
        return Todo.model_validate(self._call("todo_add", text=_text("text", text)))

    def list(self) -> List[Todo]:
        """All tasks, the oldest first.

        Raises:
            StorageError: The file can't be read, or is damaged.
        """
        return [Todo.model_validate(item) for item in self._call("todo_list")]

    def complete(self, id: int) -> Todo:  # noqa: A002  # as the field is called
        """Marks a task as done.

        Raises:
            InvalidParamError: There is no such task.
            StorageError: The file can't be read or written, or is damaged.
        """
        return Todo.model_validate(self._call("todo_complete", id=_id(id)))

    def delete(self, id: int) -> Todo:  # noqa: A002
        """Takes a task away, and gives it.

        Raises:
            InvalidParamError: There is no such task.
            StorageError: The file can't be read or written, or is damaged.
        """
        return Todo.model_validate(self._call("todo_delete", id=_id(id)))


class Notes(_Facade):
    """The notes of an agent; see `Agent.notes`."""

    def create(self, content: str, tags: Sequence[str] = ()) -> Note:
        """Writes a note.

        Args:
            content: The text; at most 16,000 bytes of UTF-8.
            tags: Words to find it by; at most 32, of at most 100 bytes each.

        Raises:
            InvalidParamError: A text is empty, too long, or not text.
            StorageError: The file can't be read or written, or is damaged.

        Example:
            >>> agent.enable_builtin_notes()
            >>> agent.notes.create("The key is under the mat.", tags=["home"]).tags
            ('home',)
        """
        return Note.model_validate(self._call("note_create", content=_text("content", content), tags=_tags(tags)))

    def read(self, id: int) -> Note:  # noqa: A002  # as the field is called
        """The note of that id.

        Raises:
            InvalidParamError: There is none.
            StorageError: The file can't be read, or is damaged.
        """
        return Note.model_validate(self._call("note_read", id=_id(id)))

    def update(self, id: int, content: Optional[str] = None, tags: Optional[Sequence[str]] = None) -> Note:  # noqa: A002
        """Changes a note.

        Args:
            id: Of the note.
            content: The new text; None keeps the old one.
            tags: The new tags; None keeps the old ones.

        Raises:
            InvalidParamError: There is no such note, nothing to change, or a text is wrong.
            StorageError: The file can't be read or written, or is damaged.
        """
        changes: Dict[str, Any] = {} if content is None else {"content": _text("content", content)}
        if tags is not None:
            changes["tags"] = _tags(tags)
        return Note.model_validate(self._call("note_update", id=_id(id), **changes))

    def delete(self, id: int) -> Note:  # noqa: A002
        """Takes a note away, and gives it.

        Raises:
            InvalidParamError: There is no such note.
            StorageError: The file can't be read or written, or is damaged.
        """
        return Note.model_validate(self._call("note_delete", id=_id(id)))

    def search(self, query: str) -> List[Note]:
        """The notes that have all words of `query` in their text or their tags.

        Neither case nor the accents of Latin, Greek and Cyrillic letters count.

        Raises:
            InvalidParamError: There is no word in it.
            StorageError: The file can't be read, or is damaged.

        Example:
            >>> agent.enable_builtin_notes()
            >>> note = agent.notes.create("Crème brûlée for Zoë", tags=["Recipes"])
            >>> agent.notes.search("CREME recipe") == [note]
            True
        """
        return [Note.model_validate(item) for item in self._call("note_search", query=_text("query", query))]

    def list(self) -> List[Note]:
        """All notes, the oldest first.

        Raises:
            StorageError: The file can't be read, or is damaged.
        """
        return [Note.model_validate(item) for item in self._call("note_list")]


class Summarization(_Facade):
    """The summarization of an agent; see `Agent.summarization`."""

    def status(self) -> SummarizationStatus:
        """How it is set."""
        return self._act("status")

    def trigger(self) -> SummarizationStatus:
        """Lets the next run summarize before it answers, however full the context is.

        It stays due until there is something to summarize.
        """
        return self._act("trigger")

    def enable(self) -> SummarizationStatus:
        """Turns it on, set as before."""
        return self._act("enable")

    def disable(self) -> SummarizationStatus:
        """Turns it off; a conversation that does not fit is a `ContextFullError` then."""
        return self._act("disable")

    def _act(self, action: str) -> SummarizationStatus:
        return SummarizationStatus.model_validate(self._call("summarization", action=action))


class BuiltinTools(AgentBase):
    """The part of `Agent` that has the built-in tools."""

    enable_builtin_tools: bool
    _has_todos: bool = False
    _has_notes: bool = False
    _summarize: Optional[Summarize] = None

    def enable_builtin_todo(self, path: Union[str, os.PathLike[str], None] = None) -> None:
        """Gives the model a to-do list: the tools todo_add, todo_list, todo_complete and todo_delete.

        They run inside the library; their calls are events like those of other tools. The program has the same list in
        `todos`.

        Args:
            path: A JSON file, made when the first task is added. Other agents and processes may share it: each change
                is written whole or not at all, and none is lost. Beside it lies a file with ``.lock`` at its end. None
                keeps the list in memory, with the agent and its forks.

        Raises:
            InvalidParamError: `enable_builtin_tools` is False, or there is a tool of that name already.
            StorageError: The file is damaged (it is left as it is), is none, or its folder can't be used.

        Example:
            >>> agent.enable_builtin_todo("todo.json")
            >>> call = agent.run("Remind me to buy milk.", tool_choice="todo_add", max_turns=2).tool_calls[0]
            >>> call.name, len(agent.todos.list()) > 0
            ('todo_add', True)
        """
        self._check_builtins()
        self._native_agent.enable_todo(path)
        self._has_todos = True

    def enable_builtin_notes(self, path: Union[str, os.PathLike[str], None] = None) -> None:
        """Gives the model notes: note_create, note_read, note_update, note_delete, note_search and note_list.

        They run inside the library; their calls are events like those of other tools. The program has the same notes
        in `notes`.

        Args:
            path: A JSON file, as for `enable_builtin_todo`.

        Raises:
            InvalidParamError: `enable_builtin_tools` is False, or there is a tool of that name already.
            StorageError: The file is damaged (it is left as it is), is none, or its folder can't be used.

        Example:
            >>> agent.enable_builtin_notes("notes.json")
            >>> agent.notes.create("Ada likes tea.", tags=["people"]).id
            1
        """
        self._check_builtins()
        self._native_agent.enable_notes(path)
        self._has_notes = True

    def enable_builtin_summarization(
        self,
        threshold: float = 0.75,
        keep: float = 0.4,
        summarize: Optional[Summarize] = None,
        *,
        tool: bool = False,
    ) -> None:
        """Sets how a conversation that fills the context is summarized.

        Agents that remember do it from the start, as the defaults here say: before a run whose prompt would take more
        than `threshold` of the context (or leave no room for `max_tokens`), the oldest messages of the history give
        way to a summary of them, which the model writes itself, at low temperature. System prompt and tools stay, calls
        stay with their results. A `SummaryEvent`, `AgentResponse.summary` and the log tell of it. A run that fails
        leaves the history as it was. ``agent.summarization.disable()`` turns it off, and so does
        ``Agent(…, enable_builtin_tools=False)``: an overflow is a `ContextFullError` then.

        Args:
            threshold: A part of the context, more than 0 and at most 1.
            keep: The part of the history's messages, the newest, that stay as they are, from 0 to less than 1. Fewer do
                if there would not be room enough.
            summarize: Writes the summary instead: gets the messages that give way, and returns a str.
            tool: Whether the model may see to it itself: offers it the tool "summarization" with the actions status,
                trigger, enable and disable.

        Raises:
            InvalidParamError: `enable_builtin_tools` is False, or an argument is wrong.

        Example:
            >>> agent.enable_builtin_summarization(0.5, summarize=lambda messages: f"{len(messages)} messages")
            >>> agent.summarization.status().threshold
            0.5
        """
        self._check_builtins()
        if summarize is not None and not callable(summarize):
            raise InvalidParamError(f"summarize must be callable, not {type(summarize).__name__}")
        self._native_agent.enable_summarization(threshold, keep, summarize is not None, tool)
        self._summarize = summarize

    @property
    def todos(self) -> Todos:
        """The to-do list that the model has.

        Raises:
            ToolNotFoundError: `enable_builtin_todo` was not called.
        """
        if not self._has_todos:
            raise ToolNotFoundError("the agent has no to-do list: call enable_builtin_todo first")
        return Todos(self._native_agent)

    @property
    def notes(self) -> Notes:
        """The notes that the model has.

        Raises:
            ToolNotFoundError: `enable_builtin_notes` was not called.
        """
        if not self._has_notes:
            raise ToolNotFoundError("the agent has no notes: call enable_builtin_notes first")
        return Notes(self._native_agent)

    @property
    def summarization(self) -> Summarization:
        """Tells how the summarization is set, asks for one, turns it on and off.

        Raises:
            InvalidParamError: `enable_builtin_tools` is False.
        """
        self._check_builtins()
        return Summarization(self._native_agent)

    @property
    def _builtin_names(self) -> FrozenSet[str]:
        """The built-in tools that the model is offered."""
        none: FrozenSet[str] = frozenset()
        return (_TODO if self._has_todos else none) | (_NOTES if self._has_notes else none)

    def _check_builtins(self) -> None:
        if not self.enable_builtin_tools:
            raise InvalidParamError("the agent was made with enable_builtin_tools=False")


def _text(name: str, value: str) -> str:
    _native.encode_text(name, value)
    return value


def _id(value: int) -> int:
    return _native.encode_int("id", value, -_INT64_MAX - 1, _INT64_MAX)


def _tags(tags: Sequence[str]) -> List[str]:
    if not isinstance(tags, Sequence) or isinstance(tags, (str, bytes)):
        raise InvalidParamError(f"tags must be a list of str, not {type(tags).__name__}")
    return [_text(f"tags[{index}]", tag) for index, tag in enumerate(tags)]
