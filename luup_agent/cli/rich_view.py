"""Writing an answer in a terminal with colours and Markdown; needs the packages of the extra ``cli``."""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import Any, Iterable, Iterator, Optional

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from luup_agent.cli import output
from luup_agent.cli.keyboard import Keyboard
from luup_agent.cli.live import LiveLines
from luup_agent.cli.markdown import Growing
from luup_agent.cli.view import View, describe, excerpt, json_of
from luup_agent.messages import AgentResponse, Event, ToolCall, ToolResultEvent

_FRAME_SECONDS = 1 / 15  # between two drawings

_DIM = "dim"
# No background: it would be a dark box in a light terminal.
_THEME = Theme({"markdown.code": "bold cyan", "markdown.code_block": "cyan"})


class RichView(View):
    """Writes Markdown as it comes. The last block is drawn again until it is finished."""

    def __init__(self, keyboard: Keyboard, verbose: int = 0, form: str = "text") -> None:
        super().__init__(keyboard, verbose, form)
        self.console = Console(highlight=False, markup=False, emoji=False, theme=_THEME)
        self._live = LiveLines(self.console)
        self._growing: Optional[Growing] = None
        self._kind = ""  # of the growing text
        self._after_lines = False  # of tools or thoughts, which an empty line divides from the answer
        self._status_text = ""
        self._drawn = 0.0
        self._guard = _Guard()

    def show(self, events: Iterable[Event[Any]]) -> AgentResponse[Any]:
        """Write the events of a run, and return its response."""
        with self._guard.installed():
            self._after_lines = False
            self.status("…")
            return super().show(events)

    def text(self, text: str) -> None:
        """Write a piece of the answer."""
        self._grow("answer", text)

    def thought(self, text: str) -> None:
        """Write a piece of the model's thoughts."""
        self._grow("thought", text)

    def status(self, text: Optional[str]) -> None:
        """Show the progress of a prefill below the text; None erases it."""
        if text is None and not self._status_text:
            return
        self._status_text = text or ""
        if text is not None:
            self._draw()

    def called(self, call: ToolCall) -> None:
        """Write a tool call."""
        self._print(Text.assemble(("→ ", "cyan"), (output.printable(describe(call)), "cyan")))

    def returned(self, event: ToolResultEvent) -> None:
        """Write the result of a tool."""
        style = "red" if event.is_error else _DIM
        shown = output.printable(excerpt(event.content)).replace("\n", "\n  ")
        self._print(Text.assemble(("✗ " if event.is_error else "← ", style), (shown or "(nothing)", style)))

    def remark(self, text: str) -> None:
        """Write a line about the run."""
        self._print(Text(output.printable(text), style=_DIM))

    def note(self, text: str) -> None:
        """Write the answer to a command."""
        self._print(Text(output.printable(text)))

    def error(self, error: Exception) -> None:
        """Write an error that does not end the program."""
        self._print(Text(output.printable(str(error)), style="red"))

    def gap(self) -> None:
        """Write an empty line."""
        self.console.print()

    def end_text(self) -> None:
        """Write the growing text for good."""
        with self._guard.held():
            growing, self._growing, self._kind = self._growing, None, ""
            self._status_text = ""
            self._live.draw(growing.finish() if growing is not None else [], [])

    def finish(self, response: AgentResponse[Any]) -> None:
        """Write the end of an answer."""
        self.end_text()
        if self.form == "json" or (self.form == "value" and not response.pending):
            value = response if self.form == "json" else response.output
            self.console.print_json(json_of(value))
        lines = list(self.details(response))
        if lines:
            self.gap()
        for line in lines:
            self.remark(line)

    def question(self, text: str) -> None:
        """Write a question; its answer is typed behind it."""
        self.console.print(Text(text, style="bold yellow"), end="")

    def _grow(self, kind: str, text: str) -> None:
        if self._kind != kind:
            self.end_text()
            if kind == "answer" and self._after_lines:
                self.console.print()
            self._after_lines = kind == "thought"
            self._growing = Growing(self.console, kind == "answer", f"italic {_DIM}" if kind == "thought" else "")
            self._kind = kind
        assert self._growing is not None
        self._growing.add(output.printable(text))
        if time.monotonic() - self._drawn >= _FRAME_SECONDS:
            self._draw()

    def _draw(self) -> None:
        with self._guard.held():
            above = []
            lines = []
            status = [Text(self._status_text, style=_DIM)] if self._status_text else []
            if self._growing is not None:
                above += self._growing.settle()
                # One row stays for the cursor, so that the lines never scroll out of reach.
                above += self._growing.overflow(max(self.console.height - 1 - len(status), 1))
                lines += self._growing.lines()
            for each in status:
                lines += self.console.render_lines(each, pad=False)
            self._live.draw(above, lines)
            self._drawn = time.monotonic()

    def _print(self, text: Text) -> None:
        self.end_text()
        with self._guard.held():
            self.console.print(text)
        self._after_lines = True


class _Guard:
    """Delays Ctrl-C while the screen is drawn, or the next drawing would start from a wrong state."""

    def __init__(self) -> None:
        self._holds = 0
        self._pressed = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle Ctrl-C in this block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Delay Ctrl-C to the end of the block."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        if self._pressed and not self._holds:
            self._pressed = False
            raise KeyboardInterrupt

    def _handle(self, *_: object) -> None:
        if self._holds:
            self._pressed = True
        else:
            raise KeyboardInterrupt
