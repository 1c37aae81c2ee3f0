"""A line on stderr that shows the progress of a download, a load or a prefill: a bar, the rate and the time left."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Callable, Optional

from luup_agent.cli import output

_WIDTH = 24  # of the bar, in characters
_LEAST_WIDTH = 6  # in a narrow window; below that there is no bar
_BLOCKS = ("━", "╺")
_ASCII = ("#", ".")
_QUIET_SECONDS = 0.5  # a faster prefill shows nothing


class StatusLine:
    """A line on stderr that is updated in place and erased at the end. Writes only to a terminal."""

    def __init__(self) -> None:
        self._shown = 0
        self._text = ""
        self._terminal = output.is_terminal(sys.stderr)

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Erase the line."""
        if self._shown:
            output.write_note("\r" + " " * self._shown + "\r")
            self._shown, self._text = 0, ""

    def show(self, text: str) -> None:
        """Replace the line. It is cut at the width of the terminal: a wrapped one could not be erased."""
        columns = shutil.get_terminal_size().columns
        if len(text) >= columns:
            text = text[: max(columns - 2, 1)] + ("…" if output.can_encode("…") else ".")
        if self._terminal and text != self._text:
            self._text = text
            output.write_note("\r" + text.ljust(min(self._shown, columns - 1)))
            self._shown = min(max(self._shown, len(text)), columns - 1)


class Meter:
    """The rate of something that goes on, since its first report.

    Args:
        unit: Returns the text of an amount.
    """

    def __init__(self, unit: Callable[[float], str]) -> None:
        self._unit = unit
        self._start: Optional[float] = None
        self._first = 0.0

    def line(self, label: str, done: float, total: float) -> str:
        """Return a line such as ``loading m.gguf ━━━━╺╺╺╺ 49 MB of 98 MB, 120 MB/s, 0:01 left``.

        The bar is shorter in a narrow window.
        """
        now = time.monotonic()
        if self._start is None:
            self._start, self._first = now, done
        rate = (done - self._first) / (now - self._start) if now > self._start else 0.0
        amounts = f"{self._unit(done)} of {self._unit(total)}, {self._unit(rate)}/s{time_left(total - done, rate)}"
        room = shutil.get_terminal_size().columns - len(label) - len(amounts) - 5
        return " ".join([label, *([bar(done, total, min(room, _WIDTH))] if room >= _LEAST_WIDTH else []), amounts])

    def seconds(self) -> float:
        """Return the seconds since the first report."""
        return 0.0 if self._start is None else time.monotonic() - self._start


def bar(done: float, total: float, width: int = _WIDTH) -> str:
    """Return a bar of `width` characters, in brackets where the encoding has only ASCII."""
    filled = min(int(width * done / max(total, 1)), width)
    if output.can_encode("".join(_BLOCKS)):
        return _BLOCKS[0] * filled + _BLOCKS[1] * (width - filled)
    return f"[{_ASCII[0] * filled}{_ASCII[1] * (width - filled)}]"


def time_left(rest: float, rate: float) -> str:
    """Return the time that `rest` takes, such as ", 1:23 left"; "" if it is not known."""
    if rest <= 0 or rate <= 0 or rest / rate > 99 * 3600:
        return ""
    seconds = round(rest / rate)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f", {hours}:{minutes:02d}:{seconds % 60:02d} left" if hours else f", {minutes}:{seconds % 60:02d} left"


def megabytes(size: float) -> str:
    """Return a number of bytes as megabytes."""
    return f"{size / 1e6:.0f} MB"


def tokens(count: float) -> str:
    """Return a number of tokens with its unit."""
    return f"{count:,.0f} tokens"


class DownloadProgress:
    """Shows the progress of a download: a bar on a terminal, else one line at the start."""

    def __init__(self, name: str, status: StatusLine) -> None:
        self._name = name
        self._status = status
        self._meter: Optional[Meter] = None

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` bytes have arrived."""
        if self._meter is None:
            self._meter = Meter(megabytes)
            if not output.is_terminal(sys.stderr) and done < total:
                resumed = f", of which {megabytes(done)} are there" if done else ""
                output.note(f"luup-agent: downloading {self._name} ({megabytes(total)}{resumed})")
        self._status.show(self._meter.line(f"downloading {self._name}", done, total))


class LoadProgress:
    """Shows the progress of the load of a file."""

    def __init__(self, name: str, size: int, status: StatusLine) -> None:
        self._name, self._size, self._status = name, size, status
        self._meter = Meter(megabytes)

    def __call__(self, fraction: float) -> None:
        """Show that this part of the file is loaded, 0 to 1."""
        self._status.show(self._meter.line(f"loading {self._name}", fraction * self._size, self._size))


class PrefillProgress:
    """Makes the line for the progress of a prefill."""

    def __init__(self) -> None:
        self._meter = Meter(tokens)

    def line(self, done: int, total: int) -> Optional[str]:
        """Return the line for `done` of `total` tokens; None while it is too early to say, and at the end."""
        text = self._meter.line("reading", done, total)
        return text if self._meter.seconds() >= _QUIET_SECONDS and done < total else None
