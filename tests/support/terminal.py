"""A program in a pseudo-terminal whose screen is read like a user's: as rows of text, with colours."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte

ENTER, TAB, CTRL_A, CTRL_C, CTRL_D, ALT_ENTER, UP = "\r", "\t", "\x01", "\x03", "\x04", "\x1b\r", "\x1b[A"

# Ctrl-C reaches a program whose terminal controls it.
_IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A program, and the screen that it writes on.

    Args:
        command: The program and its arguments.
        columns: The width.
        rows: The height.
        environment: Variables in addition to those of the tests.
    """

    def __init__(self, command, columns=80, rows=24, cwd=None, **environment):
        import pty

        self.screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.01)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, slave = pty.openpty()
        _set_size(self.master, columns, rows)
        self.screen.write_process_input = self.type  # where the cursor is, which the line editor asks for
        usual = {"TERM": "xterm-256color", "PYTHONUNBUFFERED": ""}
        dropped = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM", "TMUX")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={**kept, **usual, **environment},
            start_new_session=True,
        )
        os.close(slave)

    def type(self, text):
        """Press keys."""
        os.write(self.master, text.encode())

    def paste(self, text):
        """Paste a text as terminals do."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns, rows):
        """Change the size of the window."""
        _set_size(self.master, columns, rows)
        self.screen.resize(rows, columns)
        os.kill(self.process.pid, signal.SIGWINCH)

    def rows(self):
        """Return the rows of the screen without the spaces at their ends."""
        return [row.rstrip() for row in self.screen.display]

    def text(self):
        """Return the rows above the screen and on it, joined."""
        above = [_text_of(line, self.screen.columns) for line in self.screen.history.top]
        return "\n".join([*above, *self.rows()]).rstrip()

    def wait_for(self, text, seconds=60, count=1):
        """Wait until the screen and the rows above it have a text."""
        self.wait_until(lambda: self.text().count(text) >= count, f"{text!r}, {count} times", seconds)

    def wait_until(self, condition, name, seconds=60):
        """Wait until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"no {name} on the screen:\n{self.text()}"
            if not self.read():
                assert condition(), f"the program ended without {name} on the screen:\n{self.text()}"
                return

    def read(self, seconds=0.1):
        """Show what the program has written; return whether it may write more."""
        if select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the program has ended
                return False
            self.raw += data
            self._stream.feed(data)
            return bool(data)
        return True

    def wait(self, seconds=60):
        """Wait for the end of the program, and return its exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        return self.process.wait(1)

    def style_of(self, text):
        """Return the first character on the screen that belongs to a text, with its colours."""
        for number, row in enumerate(self.screen.display):
            if text in row:
                return self.screen.buffer[number][row.index(text)]
        raise AssertionError(f"{text!r} is not on the screen:\n{self.text()}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


def _text_of(line, columns):
    return "".join(line[column].data for column in range(columns)).rstrip()


def _set_size(descriptor, columns, rows):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def chat(*arguments):
    """Return the command line of a chat."""
    return [sys.executable, "-m", "luup_agent", "chat", *map(str, arguments)]
