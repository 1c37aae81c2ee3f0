"""Writing an answer as it comes: the text on stdout, the rest on stderr. `rich_view` has colours and Markdown."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Optional, Set

from luup_agent.cli import output, questions
from luup_agent.cli.keyboard import Keyboard
from luup_agent.cli.progress import PrefillProgress, StatusLine
from luup_agent.errors import LuupError
from luup_agent.messages import AgentResponse, Event, ToolCall, ToolResultEvent

if TYPE_CHECKING:
    from luup_agent._mcp.questions import Question, UserAnswer

_SHOWN_LINES = 12  # of a tool's result
_SHOWN_CHARS = 1000


class View:
    """Writes plain text.

    Args:
        keyboard: Keeps what is typed in the meantime.
        verbose: 1 shows the model's thoughts and speeds.
        form: "text" streams the text; "value" writes the value of a typed answer as JSON; "json" writes one JSON
            object about the whole run.

    Attributes:
        limit_hint: What to do about an answer that was cut off.
    """

    limit_hint = "raise --max-tokens or --context-size"

    def __init__(self, keyboard: Keyboard, verbose: int = 0, form: str = "text") -> None:
        self.keyboard = keyboard
        self.form = form
        self._verbose = verbose
        self._mid_line = False  # stdout has text of the answer without a newline
        self._safe = output.is_terminal(sys.stdout)
        self._announced: Set[str] = set()  # ids of the calls that were written: the question may come first
        self._prefill: Optional[PrefillProgress] = None
        self._status = StatusLine()

    def show(self, events: Iterable[Event[Any]]) -> AgentResponse[Any]:
        """Write the events of a run, and return its response.

        Raises:
            LuupError: The run failed.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        response: Optional[AgentResponse[Any]] = None
        self._announced.clear()
        self._prefill = PrefillProgress()
        try:
            with self.keyboard.quiet():
                for event in events:
                    self.keyboard.drain()
                    if event.type == "done":
                        response = event.response
                    else:
                        self._show_event(event)
        except (LuupError, KeyboardInterrupt):
            self.end_text()
            raise
        assert response is not None  # each run that does not fail ends with it
        self.finish(response)
        return response

    def _show_event(self, event: Event[Any]) -> None:
        if event.type != "progress":
            self.status(None)
        if event.type == "text":
            if self.form == "text":
                self.text(event.text)
        elif event.type == "reasoning":
            self.thought(event.text)
        elif event.type == "progress":
            assert self._prefill is not None
            self.status(self._prefill.line(event.done, event.total))
        elif event.type == "tool_call":
            self._announce(event.call)
        elif event.type == "tool_result":
            self.returned(event)
        elif event.type == "summary":
            self.remark(f"the context was full: a summary replaces the {event.replaced} oldest messages")
        elif event.type == "retry":
            self.remark(f"the answer was rejected, the model tries again: {event.reason}")

    def _announce(self, call: ToolCall) -> None:
        if call.id not in self._announced:
            self._announced.add(call.id)
            self.called(call)

    # -- what a terminal with colours does differently -----------------------------------------------------------------

    def text(self, text: str) -> None:
        """Write a piece of the answer."""
        sys.stdout.write(output.printable(text) if self._safe else text)
        sys.stdout.flush()
        self._mid_line = not text.endswith("\n") if text else self._mid_line

    def thought(self, text: str) -> None:
        """Write a piece of the model's thoughts."""
        if self._verbose:
            output.note(output.printable(text), end="")

    def status(self, text: Optional[str]) -> None:
        """Show the progress of a prefill; None erases it."""
        if text is None:
            self._status.clear()
        elif not self._mid_line:
            self._status.show(text)

    def called(self, call: ToolCall) -> None:
        """Write a tool call."""
        self.remark(describe(call))

    def returned(self, event: ToolResultEvent) -> None:
        """Write the result of a tool."""
        self.remark(f"{event.name} {'failed' if event.is_error else 'returned'}: {excerpt(event.content)}")

    def remark(self, text: str) -> None:
        """Write a line about the run."""
        self.end_text()
        output.note(f"[{output.printable(text)}]")

    def note(self, text: str) -> None:
        """Write a line that is not about a run, such as the answer to a command."""
        output.note(output.printable(text))

    def error(self, error: Exception) -> None:
        """Write an error that does not end the program."""
        output.note(f"luup-agent: {output.printable(str(error))}")

    def gap(self) -> None:
        """Divide the parts of a conversation, where the view has room for empty lines."""

    def end_text(self) -> None:
        """End the line of an answer that broke off, or that a tool call interrupts."""
        if self._mid_line:
            self._mid_line = False
            sys.stdout.write("\n")
            sys.stdout.flush()

    def finish(self, response: AgentResponse[Any]) -> None:
        """Write the end of an answer."""
        if self.form == "json":
            self.text(as_json(response) + "\n")
        elif response.pending:
            self.end_text()
        elif self.form == "value":
            self.text(json_of(response.output, indent=2 if self._safe else None) + "\n")
        else:
            self.text("\n")
        for line in self.details(response):
            self.note(f"[{line}]")

    def details(self, response: AgentResponse[Any]) -> Iterator[str]:
        """Yield the notes about a finished run: whether it was cut off, and with `verbose` its speeds."""
        usage, timings = response.usage, response.timings
        if response.finish_reason == "length":
            yield f"cut off after {usage.completion_tokens} tokens; {self.limit_hint}"
        if self._verbose:
            yield (
                f"{usage.completion_tokens} tokens, {timings.decode_tokens_per_second:.1f} tokens/s; "
                f"prompt of {usage.prompt_tokens} tokens, {usage.cached_tokens} cached, "
                f"{timings.prefill_tokens_per_second:.1f} tokens/s; first token after "
                f"{timings.time_to_first_token:.3f} s"
            )

    # -- questions -----------------------------------------------------------------------------------------------------

    def confirm(self, call: ToolCall) -> bool:
        """Show a tool call, and return whether the user allows it.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        self.status(None)
        self.end_text()
        self._announce(call)
        with self.keyboard.asking():
            while True:
                self.question(f"Allow {output.printable(call.name)}? [y/n] ")
                answer = sys.stdin.readline()
                if not answer:  # the end of stdin
                    output.note("")
                    return False
                if answer.strip().lower() in ("y", "yes"):
                    return True
                if answer.strip().lower() in ("n", "no"):
                    return False

    def ask(self, question: Question, read_line: Callable[[], str]) -> UserAnswer:
        """Show the question of an MCP server, and return the filled form; False if the user declines.

        Called in another thread than the rest, while a tool runs.
        """

        def ask(text: str) -> str:
            self.question(text)
            return read_line()

        self.status(None)
        self.end_text()
        with self.keyboard.asking():
            self.remark(f"{question.server} asks: {question.message}")
            return questions.fill(question, ask, self.remark)

    def question(self, text: str) -> None:
        """Write a question; its answer is typed behind it."""
        output.note(text, end="")


def describe(call: ToolCall) -> str:
    """Return a call as Python writes it.

    Example:
        >>> describe(ToolCall.from_json("call_1", "weather", '{"city": "Paris", "days": 2}'))
        'weather(city="Paris", days=2)'
    """
    return f"{call.name}({', '.join(f'{name}={json_of(value)}' for name, value in call.arguments.items())})"


def excerpt(text: str) -> str:
    r"""Return a text for the screen: a long one with a count of the lines or characters that are left out.

    Example:
        >>> excerpt("It is sunny.\n")
        'It is sunny.'
    """
    lines = text.strip().splitlines()
    shown = "\n".join(lines[:_SHOWN_LINES])[:_SHOWN_CHARS]
    rest = len(text.strip()) - len(shown)
    return f"{shown} … ({rest:,} more characters)" if rest else shown


def json_of(value: Any, indent: Optional[int] = None) -> str:
    """Return a value of a run as JSON."""
    from pydantic_core import to_jsonable_python

    return json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False, indent=indent)


def as_json(response: AgentResponse[Any]) -> str:
    """Return one line of JSON about a run, with all fields of its response."""
    return json_of(response)
