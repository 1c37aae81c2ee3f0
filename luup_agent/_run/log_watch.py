"""The watch that logs runs at level DEBUG: prompts, answers, calls, and why calls were made or not."""

from __future__ import annotations

import itertools
import time
from typing import Any, Optional

from luup_agent._logging import runs_logger
from luup_agent._run.perform import Outcome
from luup_agent._run.watch import CallWatch, Facts, Watch
from luup_agent.messages import ToolCall
from luup_agent.tools import AnyTool
from luup_agent.turns import Turn

_numbers = itertools.count(1)


class LogWatch(Watch):
    """Logs one run. Each record begins with the run's number in this process."""

    wants_prompts = True

    def __init__(self, facts: Facts) -> None:
        """Log the beginning."""
        self._run = next(_numbers)
        self._turn = 0
        settings, tools = facts.task.settings, facts.tools[0]
        offered = f"tools {', '.join(tools)} with tool_choice {settings.tool_choice!r}" if tools else "no tools"
        output = "text" if facts.task.output is None else f"a typed result, {facts.task.output.type!r}"
        name = "" if facts.agent.name is None else f" of {facts.agent.name}"
        self._log("begins%s: %s; %s; message: %r", name, offered, output, facts.task.message)

    def _log(self, text: str, *values: object) -> None:
        runs_logger.debug("run %d " + text, self._run, *values)

    def turn(self, turn: Turn) -> None:
        """Log a turn: first what the model got, then what it made of it."""
        self._turn += 1
        kind = "turn" if turn.kind == "answer" else "summary, turn"
        usage, timings = turn.usage, turn.timings
        if turn.prompt is not None:
            counts = f"{usage.prompt_tokens} tokens, {usage.cached_tokens} of them cached"
            self._log("%s %d, prompt for %s (%s):\n%s", kind, self._turn, turn.model, counts, turn.prompt)
        for decision in turn.decisions:
            self._log("%s %d, decision: %s", kind, self._turn, decision)
        if turn.reasoning and turn.reasoning not in turn.raw:
            self._log("%s %d, reasoning: %s", kind, self._turn, turn.reasoning)
        self._log(
            "%s %d, raw output (%s; %d tokens; %.3f s waiting, %.3f s prompt, %.3f s decoding):\n%s",
            kind,
            self._turn,
            turn.finish_reason or f"failed: {turn.error}",
            usage.completion_tokens,
            timings.queue_seconds,
            timings.prefill_seconds,
            timings.decode_seconds,
            turn.raw,
        )
        for call in turn.calls:
            self._log("%s %d, call %s: %s(%s)", kind, self._turn, call.id, call.name, call.arguments_json)
        if turn.problem is not None:
            self._log("%s %d, rejected, the model answers again: %s", kind, self._turn, turn.problem)

    def call(self, call: ToolCall, tool: AnyTool) -> CallWatch:
        """Return a watch that logs the outcome of a call."""
        return _LogCall(self._run, call)

    def answered(self, call: ToolCall, content: str, is_error: bool) -> None:
        """Log a call that the library has answered itself."""
        self._log("call %s of %s answered by the library: %s", call.id, call.name, content)

    def end(self, error: Optional[BaseException]) -> None:
        """Log the end."""
        if error is None:
            self._log("ended well after %d turns", self._turn)
        else:
            self._log("ended after %d turns with %s: %s", self._turn, type(error).__name__, error)


class _LogCall(CallWatch):
    def __init__(self, run: int, call: ToolCall) -> None:
        self._run = run
        self._call = call
        self._began = 0.0
        self._ended = False

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        """Leave the function; the outcome comes with `end`."""

    def end(self, outcome: Outcome) -> None:
        """Log the outcome, once."""
        if not self._ended:
            self._ended = True
            seconds = time.monotonic() - self._began if self._began else 0.0
            kind = "error" if outcome.is_error else "result"
            text = "run %d call %s of %s, %s after %.3f s: %s"
            runs_logger.debug(text, self._run, self._call.id, self._call.name, kind, seconds, outcome.content)
