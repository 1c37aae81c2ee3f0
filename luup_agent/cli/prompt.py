"""Reading messages with a line editor; needs the packages of the extra ``cli``."""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any, Callable, Iterable, List, Optional

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_selection
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.styles import Style

from luup_agent.cli import commands, output
from luup_agent.cli.conversation import Conversation
from luup_agent.cli.history import History
from luup_agent.cli.keyboard import Keyboard
from luup_agent.errors import LuupError

_MAX_ROWS, _MAX_COLUMNS = 500, 2000
_QUOTES = '"""'
_MARK = "\u276f "
_STYLE = Style.from_dict(
    {
        "prompt": "ansicyan bold",
        "continuation": "ansibrightblack",
        "bottom-toolbar": "noreverse ansibrightblack",
        "bottom-toolbar.text": "noreverse ansibrightblack",
    }
)


class PromptReader:
    """Reads one message at a time.

    Enter sends, except inside of three quotes; Alt-Enter begins a new line, and a paste stays one message.
    """

    def __init__(self, keyboard: Keyboard, history: History, conversation: Conversation) -> None:
        self._keyboard = keyboard
        self._history = history
        self._conversation = conversation
        self._toolbar: Optional[str] = None
        past = InMemoryHistory()
        for entry in history.entries:
            past.append_string(entry)
        completer = CommandCompleter()
        self._session: PromptSession[str] = PromptSession(
            history=past,
            completer=completer,
            complete_while_typing=Condition(lambda: self._session.default_buffer.text.startswith("/")),
            auto_suggest=AutoSuggestFromHistory(),
            key_bindings=_bindings(completer),
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: FormattedText(
                [("class:continuation", "" if wrapped else "· ".rjust(width))]
            ),
            bottom_toolbar=self._line_below,
            style=_STYLE,
            reserve_space_for_menu=4,
            enable_open_in_editor=True,
        )
        setattr(self._session.output, "get_size", _within_limits(self._session.output.get_size))  # noqa: B010

    def read(self) -> str:
        """Return a message.

        Raises:
            EOFError: Ctrl-D was pressed.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        self._toolbar = None
        typed = self._keyboard.take()
        if typed:
            store_typeahead(self._session.app.input, _keys(typed))
        mark = _MARK if output.can_encode(_MARK) else "> "
        text: str = self._session.prompt(FormattedText([("class:prompt", mark)]))
        self._history.add(text)
        begin = text.strip()
        if begin.startswith(_QUOTES):
            text = begin[len(_QUOTES) :].partition(_QUOTES)[0].strip("\n")
        return text

    def _line_below(self) -> Any:
        if self._toolbar is None:
            self._toolbar = _describe(self._conversation)
        return FormattedText([("class:bottom-toolbar", self._toolbar)])


def _within_limits(size: Callable[[], Size]) -> Callable[[], Size]:
    """Return a function of a terminal's size that an editor can draw: it keeps each place of its screen in memory."""

    def limited() -> Size:
        rows, columns = size()
        return Size(rows=min(rows, _MAX_ROWS), columns=min(columns, _MAX_COLUMNS))

    return limited


def _describe(conversation: Conversation) -> str:
    """Return the line below the prompt: how full the context is, and the settings that were changed."""
    parts: List[str] = []
    try:
        context = conversation.agent.context
        parts.append(f"{context.total - context.free:,} of {context.total:,} tokens")
    except LuupError:  # a remote model
        if conversation.last is not None:
            parts.append(f"{conversation.last.usage.total_tokens:,} tokens")
    shown = commands.setting_names()
    parts += [f"{name} {value}" for name, value in conversation.settings.items() if name in shown]
    parts.append("/help")
    return " · ".join(parts)


def _keys(text: str) -> List[KeyPress]:
    """Return the keys that the characters of a terminal stand for."""
    keys: List[KeyPress] = []
    parser = Vt100Parser(keys.append)
    parser.feed_and_flush(text)
    return keys


def _in_quotes(text: str) -> bool:
    """Return whether three quotes were opened at the beginning, and not closed."""
    begin = text.lstrip()
    return begin.startswith(_QUOTES) and _QUOTES not in begin[len(_QUOTES) :]


def _bindings(completer: CommandCompleter) -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("tab")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        found = list(completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
        if len(found) == 1:
            buffer.complete_state = None
            buffer.apply_completion(found[0])
        elif buffer.complete_state:
            buffer.complete_next()
        else:
            buffer.start_completion(insert_common_part=True)

    @bindings.add("enter", filter=~has_selection)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None  # the completion is chosen
        elif _in_quotes(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-c")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return bindings


class CommandCompleter(Completer):
    """Completes commands, the names of settings, and files."""

    def __init__(self) -> None:
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield the completions at the cursor."""
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        name, space, argument = text[1:].partition(" ")
        if not space:
            for each, command in commands.COMMANDS.items():
                if each.startswith(name):
                    yield Completion(each, -len(name), display=f"/{each}", display_meta=command.help)
        elif name in ("save", "load"):
            yield from self._paths.get_completions(Document(argument), complete_event)
        elif name == "set" and " " not in argument:
            for each in commands.setting_names():
                if each.startswith(argument):
                    yield Completion(each, -len(argument))
