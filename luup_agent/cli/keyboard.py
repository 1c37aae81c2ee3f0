"""The keys that the user presses while an answer is written: they are kept for the next prompt."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import Any, Iterator, List, Optional

from luup_agent.cli import output

if sys.platform != "win32":
    import termios

_BLOCK = 65536


class Keyboard:
    """The terminal at stdin. On Windows, and where stdin is not a terminal, it does nothing.

    While `quiet` is active the terminal does not echo what is typed, which would appear in the middle of the answer,
    and `typed` gets it. Ctrl-C still interrupts.

    Attributes:
        typed: The bytes that were typed, and that no prompt has got yet.
    """

    def __init__(self) -> None:
        self.typed = b""
        self._descriptor: Optional[int] = None
        self._usual: Optional[List[Any]] = None  # the terminal's settings outside of `quiet`
        self._is_quiet = False
        if sys.platform != "win32" and output.is_terminal(sys.stdin):
            self._descriptor = sys.stdin.fileno()

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep what is typed until the end of the block."""
        if self._usual is not None:  # inside of such a block
            yield
            return
        self._is_quiet = True
        self._silence()
        try:
            yield
        finally:
            self._is_quiet = False
            self._restore()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Let the terminal read a line inside of `quiet`. What was typed before is not the answer."""
        was_quiet = self._usual is not None
        self._restore()
        try:
            yield
        finally:
            if was_quiet and self._is_quiet:  # else Ctrl-C has ended the block, while another thread asked
                self._silence()

    def drain(self) -> None:
        """Move what was typed into `typed`; does not wait."""
        if self._descriptor is None or self._usual is None:
            return
        with contextlib.suppress(OSError):
            while select.select([self._descriptor], [], [], 0)[0]:
                data = os.read(self._descriptor, _BLOCK)
                if not data:
                    return
                self.typed += data

    def take(self) -> str:
        """Return what was typed, and forget it."""
        typed, self.typed = self.typed, b""
        return typed.decode("utf-8", "replace")

    def _silence(self) -> None:
        if sys.platform == "win32" or self._descriptor is None:
            return
        with contextlib.suppress(termios.error):
            settings = termios.tcgetattr(self._descriptor)
            quiet = list(settings)
            quiet[0] &= ~termios.ICRNL  # Enter stays what the line editor expects
            # NOFLSH: Ctrl-C does not discard what was typed.
            quiet[3] = (quiet[3] & ~(termios.ECHO | termios.ICANON)) | termios.ISIG | termios.NOFLSH
            quiet[6] = list(settings[6])
            quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._descriptor, termios.TCSANOW, quiet)
            self._usual = settings

    def _restore(self) -> None:
        self.drain()
        usual, self._usual = self._usual, None
        if sys.platform != "win32" and self._descriptor is not None and usual is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSANOW, usual)
