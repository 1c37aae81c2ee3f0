"""A conversation in a terminal, until the user leaves."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Callable

from typing_extensions import Protocol

from luup_agent import Model
from luup_agent.cli import commands, output
from luup_agent.cli.conversation import Conversation
from luup_agent.cli.history import History, history_file
from luup_agent.cli.keyboard import Keyboard
from luup_agent.cli.plain_reader import PlainReader
from luup_agent.cli.progress import megabytes
from luup_agent.cli.view import View
from luup_agent.errors import LuupError
from luup_agent.messages import ToolCall


class Reader(Protocol):
    """Reads the messages."""

    def read(self) -> str:
        """Return a message, or raise EOFError at the end and KeyboardInterrupt for Ctrl-C."""
        ...


def converse(conversation: Conversation, view: View, reader: Reader, allow_all: bool = False) -> None:
    """Read messages and commands, and answer them, until the user leaves."""

    def allow(call: ToolCall) -> bool:
        return True if allow_all else view.confirm(call)

    view.limit_hint = "/set max_tokens raises the limit"
    while True:
        try:
            line = reader.read()
        except KeyboardInterrupt:  # the line is cleared; the conversation goes on
            view.remark("Ctrl-D leaves")
            continue
        except EOFError:
            view.note("")
            return
        with view.keyboard.quiet():
            if not _answer(line, conversation, view, allow):
                return


def _answer(line: str, conversation: Conversation, view: View, allow: Callable[[ToolCall], bool]) -> bool:
    """Run a command or answer a message; return whether the conversation goes on."""
    try:
        result = commands.handle(line, conversation)
        if result is None:
            result = commands.Result(message=line.strip() or None)
        if result.leave:
            return False
        if result.text:
            view.note(result.text)
        if result.text or result.message is not None:
            view.gap()
        if result.message is not None:
            conversation.ask(result.message, view, allow)
            view.gap()
    except KeyboardInterrupt:
        view.remark("stopped; the answer so far is kept. /retry asks again, /undo removes it")
        view.gap()
    except LuupError as error:
        view.error(error)
        view.gap()
    except Exception as error:  # of a tool that raises it out of the run; the conversation must not end with it
        view.error(RuntimeError(f"{type(error).__name__}: {error}"))
        view.gap()
    return True


def make_reader(keyboard: Keyboard, view: View, conversation: Conversation, plain: bool) -> Reader:
    """Return how to read messages: with a line editor, or plain.

    Args:
        keyboard: What was typed while an answer was written.
        view: Shows that the messages of earlier conversations can't be read.
        conversation: The conversation, which the line below the prompt describes.
        plain: Whether the user asked for plain text.
    """
    history = History(history_file())
    if history.problem:
        view.note(history.problem)
    if not is_rich(plain):
        return PlainReader(keyboard, history)
    from luup_agent.cli.prompt import PromptReader

    return PromptReader(keyboard, history, conversation)


def make_view(keyboard: Keyboard, verbose: int, form: str, plain: bool) -> View:
    """Return how to write answers."""
    if is_rich(plain):
        from luup_agent.cli.rich_view import RichView

        return RichView(keyboard, verbose, form)
    return View(keyboard, verbose, form)


def is_rich(plain: bool) -> bool:
    """Return whether the terminal can show Markdown, and the packages of the extra ``cli`` are installed."""
    if plain or os.environ.get("TERM") == "dumb":
        return False
    if not (output.is_terminal(sys.stdout) and output.is_terminal(sys.stderr)):
        return False
    return _is_installed("prompt_toolkit") and _is_installed("rich")


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # None in sys.modules: the program must not import it
        return False


def headline(model: Model) -> str:
    """Describe the loaded model in one line, and how to go on in a second."""
    hint = "Type a message, /help for commands, or Ctrl-D to leave."
    info = model.get_info()
    if info.backend in ("remote", "fallback"):
        return f"{info.description}{' at ' + info.path if info.path else ''}\n{hint}"
    device = info.device if info.gpu_layers else f"CPU ({info.cpu_variant}, {info.threads} threads)"
    parameters = f"{info.parameters / 1e9:.1f}B" if info.parameters >= 1e9 else f"{info.parameters / 1e6:.0f}M"
    return (
        f"{Path(info.path).name}: {info.architecture} {parameters} {info.file_type}, {megabytes(info.memory_weights)} "
        f"on {device}, context of {info.context_size} tokens\n{hint}"
    )
