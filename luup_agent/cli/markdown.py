"""Markdown in a terminal, while it is still being written."""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Type

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.style import Style
from rich.syntax import Syntax
from rich.text import Text

from luup_agent.cli.live import Line, trim

MAX_WIDTH = 100  # longer lines are hard to read

_PARSER = MarkdownIt().enable("strikethrough").enable("table")


class _Code(CodeBlock):
    """A block of code in the terminal's own colours, without a frame or spaces that a copy would have."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Syntax(
            code, self.lexer_name, theme="ansi_dark", background_color="default", word_wrap=True, padding=(0, 0, 0, 2)
        )


class _Heading(Heading):
    """A heading on the left, as in other programs of a terminal."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize(Style(bold=True, underline=self.tag == "h1"))
        yield self.text


class AnswerMarkdown(Markdown):
    """Markdown with our forms of headings and code, and with the addresses of links visible."""

    elements: ClassVar[Dict[str, Type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Heading,
    }

    def __init__(self, source: str) -> None:
        super().__init__(source, code_theme="ansi_dark", hyperlinks=False)


class Growing:
    """A text that is still being written, as lines: those that can't change any more, and the others.

    Attributes:
        source: The text of the blocks that may still change.
    """

    def __init__(self, console: Console, is_markdown: bool, style: str = "") -> None:
        self.source = ""
        self._console = console
        self._is_markdown = is_markdown
        self._style = style
        self._begun = False  # a block was finished, so the next one needs an empty line before it
        self._left = 0  # lines of the current block that are above the screen

    def add(self, text: str) -> None:
        """Append a piece."""
        self.source += text

    def settle(self) -> List[Line]:
        """Return the lines of the blocks that are finished, and forget these blocks."""
        if not self._is_markdown:
            return []
        begin = last_block(self.source)
        if begin <= 0:
            return []
        done, self.source = self.source[:begin], self.source[begin:]
        return self._finish(done)

    def overflow(self, rows: int) -> List[Line]:
        """Return the first lines of the current block that no longer fit into `rows`; they stay as they are now."""
        lines = self.lines()
        above = lines[: max(len(lines) - rows, 0)]
        self._left += len(above)
        return above

    def lines(self) -> List[Line]:
        """Return the lines of the current block that may still change."""
        return self._render(self.source)[self._left :]

    def finish(self) -> List[Line]:
        """Return the rest of the lines."""
        done, self.source = self.source, ""
        return self._finish(done)

    def _finish(self, source: str) -> List[Line]:
        lines = self._render(source)[self._left :]
        self._left = 0
        self._begun = self._begun or bool(lines)
        return lines

    def _render(self, source: str) -> List[Line]:
        if not source.strip():
            return []
        width = min(self._console.width, MAX_WIDTH)
        renderable: Any = AnswerMarkdown(source) if self._is_markdown else Text(source.strip("\n"), style=self._style)
        options = self._console.options.update(width=width)
        lines = [trim(line) for line in self._console.render_lines(renderable, options, pad=False)]
        lines = [line for line, before in zip(lines, [[], *lines]) if line or before]  # tables bring empty lines
        while lines and not lines[-1]:
            lines.pop()
        return [[], *lines] if self._begun else lines


def last_block(source: str) -> int:
    r"""Return where the last block of a Markdown text begins: all blocks before it are finished.

    Example:
        >>> last_block("# Title\n\nFirst.\n\nSecond")
        17
    """
    tokens = _PARSER.parse(source)
    begins = [token.map[0] for token in tokens if token.level == 0 and token.map and token.nesting >= 0]
    if len(begins) < 2:
        return 0
    lines = source.splitlines(keepends=True)
    return sum(len(line) for line in lines[: begins[-1]])
