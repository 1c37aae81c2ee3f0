"""Questions of MCP servers to the user at the terminal: a form, line by line.

A server asks while a tool runs, so a thread of its own asks the user, and gives up when the call ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import select
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from luup_agent._threads import start_thread
from luup_agent.cli import output

if TYPE_CHECKING:
    from luup_agent._mcp.questions import AskUser, Question, UserAnswer
    from luup_agent.cli.view import View

_POLL_SECONDS = 0.1


class GivenUp(Exception):
    """The call has ended, or stdin has."""


class Field(NamedTuple):
    """A field of a form.

    Attributes:
        name: Its name.
        label: What to ask.
        hint: What may be answered.
        read: Returns the value of a text; raises ValueError with the reason for a wrong one.
        required: Whether it needs a value.
    """

    name: str
    label: str
    hint: str
    read: Callable[[str], Any]
    required: bool


def asker(view: View) -> Optional[AskUser]:
    """Return a function that asks the user at the terminal; None where there is none."""
    if not (output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)):
        return None

    async def ask(question: Question) -> UserAnswer:
        gone = threading.Event()
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[UserAnswer] = loop.create_future()

        def deliver(value: UserAnswer) -> None:
            if not answered.done():
                answered.set_result(value)

        def work() -> None:
            try:
                value = view.ask(question, lambda: read_line(gone))
            except Exception:  # the call or the terminal has ended without an answer
                value = None
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(deliver, value)

        start_thread("luup-question", work)
        try:
            return await answered
        finally:
            gone.set()

    return ask


def read_line(gone: threading.Event) -> str:
    """Return a line of stdin.

    Raises:
        GivenUp: The call has ended before, or stdin has.
    """
    if sys.platform != "win32":  # there nothing can wait for a line and for something else
        while not select.select([sys.stdin.fileno()], [], [], _POLL_SECONDS)[0]:
            if gone.is_set():
                raise GivenUp
    if gone.is_set():
        raise GivenUp  # the line is a message
    line = sys.stdin.readline()
    if not line:
        raise GivenUp
    return line.strip()


def fill(question: Question, ask: Callable[[str], str], note: Callable[[str], None]) -> UserAnswer:
    """Return the form that the user fills in, line by line; False if the user declines.

    Args:
        question: The question.
        ask: Shows a text and returns the line behind it.
        note: Shows a line.
    """
    if question.url is not None:
        note(f"open {output.printable(question.url)}")
        return _yes(ask("Have you done it? [y/n] "))
    fields = [_field(name, schema, question.schema or {}) for name, schema in _properties(question.schema)]
    if not fields:
        return _yes(ask("Agree? [y/n] "))
    note("an empty line leaves a field out; where one is needed it declines")
    values: Dict[str, Any] = {}
    for field in fields:
        while True:
            text = ask(f"{field.label}{f' ({field.hint})' if field.hint else ''}: ")
            if not text:
                if field.required:
                    return False
                break
            try:
                values[field.name] = field.read(text)
                break
            except ValueError as error:
                note(f"{field.label} {error}")
    return values


def _yes(answer: str) -> bool:
    return answer.lower() in ("y", "yes")


def _properties(schema: Optional[Mapping[str, Any]]) -> List[Any]:
    properties = (schema or {}).get("properties")
    return list(properties.items()) if isinstance(properties, Mapping) else []


def _field(name: str, schema: Any, form: Mapping[str, Any]) -> Field:
    schema = schema if isinstance(schema, Mapping) else {}
    label = output.printable(str(schema.get("description") or schema.get("title") or name))
    required = name in (form.get("required") or ())
    kind = schema.get("type")
    if kind == "boolean":
        return Field(name, label, "y or n", _read_bool, required)
    if kind in ("integer", "number"):
        hint = "a whole number" if kind == "integer" else "a number"
        return Field(name, label, hint, lambda text: _read_number(text, schema), required)
    if kind == "array":
        choices = _choices(schema.get("items"))
        hint = f"some of {', '.join(choices)}, with commas between" if choices else "with commas between"
        return Field(name, label, hint, lambda text: _read_list(text, choices), required)
    choices = _choices(schema)
    if choices:
        return Field(name, label, "one of " + ", ".join(choices), lambda text: _read_choice(text, choices), required)
    return Field(name, label, str(schema.get("format") or ""), lambda text: _read_text(text, schema), required)


def _choices(schema: Any) -> Dict[str, Any]:
    """Return the values to choose from, by the texts that stand for them."""
    if not isinstance(schema, Mapping):
        return {}
    titled = schema.get("oneOf") or schema.get("anyOf")
    if isinstance(titled, list):
        return {
            output.printable(str(each.get("title", each["const"]))): each["const"]
            for each in titled
            if isinstance(each, Mapping) and "const" in each
        }
    values = schema.get("enum")
    if not isinstance(values, list):
        return {}
    names = schema.get("enumNames")
    titles = names if isinstance(names, list) and len(names) == len(values) else values
    return {output.printable(str(title)): value for title, value in zip(titles, values)}


def _read_bool(text: str) -> bool:
    if text.lower() not in ("y", "yes", "n", "no", "true", "false"):
        raise ValueError("needs y or n")
    return text.lower() in ("y", "yes", "true")


def _read_number(text: str, schema: Mapping[str, Any]) -> Any:
    whole = schema.get("type") == "integer"
    if not re.fullmatch(r"[+-]?\d+" if whole else r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        raise ValueError("needs a whole number" if whole else "needs a number")
    value = int(text) if whole else float(text)
    _check_bounds(value, schema.get("minimum"), schema.get("maximum"), "")
    return value


def _check_bounds(value: float, least: Any, most: Any, unit: str) -> None:
    if isinstance(least, (int, float)) and value < least:
        raise ValueError(f"needs at least {least}{unit}")
    if isinstance(most, (int, float)) and value > most:
        raise ValueError(f"needs at most {most}{unit}")


def _read_choice(text: str, choices: Mapping[str, Any]) -> Any:
    found = [value for title, value in choices.items() if text.lower() in (title.lower(), str(value).lower())]
    if not found:
        raise ValueError(f"needs one of {', '.join(choices)}")
    return found[0]


def _read_list(text: str, choices: Mapping[str, Any]) -> List[Any]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return [_read_choice(part, choices) for part in parts] if choices else parts


def _read_text(text: str, schema: Mapping[str, Any]) -> str:
    _check_bounds(len(text), schema.get("minLength"), schema.get("maxLength"), " characters")
    return text
