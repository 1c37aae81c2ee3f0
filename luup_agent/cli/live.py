"""The lines at the end of a terminal that change while an answer is written; those above them stay as they are."""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import List, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment

Line = List[Segment]


class LiveLines:
    """Lines that are drawn again and again in place.

    The terminal wraps lines again when its width changes, so the height of the drawn lines is counted at the width that
    the terminal has when they are erased.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._widths: List[int] = []  # of the drawn lines, in cells
        self._drawn: Sequence[Line] = ()

    def draw(self, above: Sequence[Line], lines: Sequence[Line]) -> None:
        """Write `above` for good, and `lines` below them in place of the last ones. One write, so nothing flickers."""
        if not above and list(lines) == list(self._drawn):
            return
        with self._console:  # collects the output
            self._erase()
            for line in [*above, *lines]:
                self._console.print(*_texts(line), sep="", end="\n", soft_wrap=True, highlight=False)
        self._widths = [_width(line) for line in lines]
        self._drawn = list(lines)

    def clear(self) -> None:
        """Erase the lines."""
        if self._widths:
            with self._console:
                self._erase()
            self._widths, self._drawn = [], ()

    def _erase(self) -> None:
        columns = max(self._console.width, 1)
        rows = sum(max(1, -(-width // columns)) for width in self._widths)
        if rows:
            one = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)]
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *(code for _ in range(rows) for code in one)))


def _width(line: Line) -> int:
    return sum(cell_len(segment.text) for segment in line if not segment.control)


def _texts(line: Line) -> List[object]:
    from rich.text import Text

    text = Text(end="", overflow="ignore", no_wrap=True)
    for segment in line:
        if not segment.control:
            text.append(segment.text, segment.style)
    return [text]


def trim(line: Line) -> Line:
    """Return a line without the spaces at its end, which a narrower window would wrap."""
    kept = list(line)
    while kept:
        segment = kept[-1]
        text = segment.text.rstrip(" ")
        background = segment.style is not None and segment.style.bgcolor is not None
        if background or (text and text == segment.text):
            break
        kept.pop()
        if text:
            kept.append(Segment(text, segment.style))
            break
    return kept
