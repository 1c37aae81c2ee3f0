"""Reading messages in a terminal without the line editor of the extra ``cli``; with readline if Python has it."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, List, Optional

from luup_agent.cli import output
from luup_agent.cli.history import History
from luup_agent.cli.keyboard import Keyboard

_QUOTES = '"""'
PROMPT, MORE = "> ", "... "


class PlainReader:
    """Reads one message at a time."""

    def __init__(self, keyboard: Keyboard, history: History) -> None:
        self._keyboard = keyboard
        self._history = history
        self._waiting: List[str] = []  # whole lines that were typed while an answer was written
        self._begun = ""  # and the beginning of the next one
        self._readline: Optional[Any] = None
        with contextlib.suppress(ImportError):
            import readline

            self._readline = readline
            for entry in history.entries:
                if "\n" not in entry:
                    readline.add_history(entry)

    def read(self) -> str:
        """Return a message.

        Raises:
            EOFError: Ctrl-D was pressed, or stdin ended.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        self._take_typed()
        text = self._line(PROMPT)
        begin = text.lstrip()
        if begin.startswith(_QUOTES):
            text = begin[len(_QUOTES) :]
            while _QUOTES not in text:
                text += "\n" + self._line(MORE)
            text = text.partition(_QUOTES)[0].strip("\n")
        self._history.add(text)
        return text

    def _take_typed(self) -> None:
        typed = (self._begun + self._keyboard.take()).replace("\r\n", "\n").replace("\r", "\n")
        *lines, self._begun = typed.split("\n")
        self._waiting += lines

    def _line(self, prompt: str) -> str:
        if self._waiting:
            line = self._waiting.pop(0)
            output.note(prompt + output.printable(line))
            return line
        begun, self._begun = self._begun, ""
        if "\x04" in begun:
            raise EOFError
        if not output.is_terminal(sys.stdout):  # stdout has the answers only
            output.note(prompt, end="")
            prompt = ""
        if self._readline is None or not begun:
            return begun + input(prompt + begun)
        self._readline.set_startup_hook(lambda: self._readline and self._readline.insert_text(begun))
        try:
            return input(prompt)
        finally:
            self._readline.set_startup_hook()
