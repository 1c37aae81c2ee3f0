"""Counts what one run uses while it goes on, and ends it at a limit.

Each event of the core has the tokens of a local model so far. The answers of a server are counted by what it sends.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from luup_agent import _native
from luup_agent._run.record import Record, no_usage
from luup_agent._run.tally import Tally, tally_for
from luup_agent.errors import InvalidOutputError, LuupError, RunTimeoutError, UsageLimitError
from luup_agent.limits import check_limits
from luup_agent.messages import Message

if TYPE_CHECKING:
    from luup_agent._run.task import Task
    from luup_agent.messages import Usage
    from luup_agent.settings import Settings

_TURN_EVENTS = (
    _native.EVENT_PROGRESS,
    _native.EVENT_TEXT,
    _native.EVENT_REASONING,
    _native.EVENT_COMPLETION_REQUEST,
)


class Meter:
    """The use of one run, counted in a tally.

    Attributes:
        tally: The run's, or that of the run above.
        watches_output: Whether an answer may end because of its tokens.
        cut: Whether the run has fewer `max_tokens` than it asked for.
        turn_refused: Whether the core has begun a turn that is not allowed.
    """

    def __init__(self, tally: Tally, own: bool) -> None:
        """Prepare to count.

        Args:
            tally: Where to count.
            own: Whether the tally is this run's alone.
        """
        self.tally = tally
        self.turn_refused = False
        self._began = False
        self._own = own
        self.watches_output = tally.output_left() is not None
        self.cut = False
        self._turns = self._input = self._output = 0  # counted in the tally so far
        self._under_way = False  # a turn
        self._core = (0, 0)  # tokens of prompts and answers by the core's last event
        self._turn_input = self._turn_output = 0  # those of the server's answer under way, counted too
        self._from_server = False  # the answer under way
        self._stopped = False  # in mid-answer

    # -- the run -------------------------------------------------------------------------------------------------------

    def begin_clock(self) -> None:
        """Begin to count the seconds of the run; a second call does nothing."""
        if not self._began and self._own:
            self.tally.start()
        self._began = True

    def start(self, task: Task) -> Settings:
        """Check the limits before the run, and return its settings, bounded by the rest.

        Raises:
            UsageLimitError: Nothing is left.
        """
        try:
            if task.message is None:  # the run may begin with calls
                _raise(self.tally.used_up())
            else:
                self.begin_turn()
        except UsageLimitError as error:
            asked = [] if task.message is None else [Message(role="user", content=task.message)]
            Record(asked, [], no_usage()).attach_to(error)
            raise
        settings = task.settings
        left, seconds = self.tally.output_left(), self.tally.seconds_left()
        most, timeout = settings.max_tokens, settings.timeout
        if left is not None and (most is None or (type(most) is int and most > left)):
            self.cut = True
            settings = settings._replace(max_tokens=min(max(left, 1), 2**31 - 1))
        if seconds is not None and (timeout is None or (isinstance(timeout, (int, float)) and timeout > seconds)):
            settings = settings._replace(timeout=seconds)
        return settings

    def begin_turn(self) -> None:
        """Check the limits before a turn.

        Raises:
            UsageLimitError: There must be no other turn.
        """
        if not self._under_way:
            _raise(self.tally.begin_turn())
            self._turns += 1
            self._under_way = True

    def next_turn(self) -> Optional[UsageLimitError]:
        """Do the same as `begin_turn`, but return the error."""
        try:
            self.begin_turn()
        except UsageLimitError as error:
            return error
        return None

    def take(self, kind: int, native: _native.NativeRun) -> None:
        """Count an event of the core before the run handles it.

        Raises:
            UsageLimitError: It belongs to a turn that is not allowed, or the answer has no tokens left.
        """
        if kind == _native.EVENT_NONE:
            return
        if kind in _TURN_EVENTS and not self._under_way:
            self.turn_refused = True
            self.begin_turn()
            self.turn_refused = False
        self._take_tokens(native.tokens())
        if kind == _native.EVENT_COMPLETION_REQUEST:
            _raise(self.tally.used_up())
            self._begin_answer()  # of a request that has to be sent again in another form, or to another model
            self._from_server = True
        elif kind in (_native.EVENT_RETRY, _native.EVENT_OUTPUT):
            self.end_turn()
        elif kind in _TURN_EVENTS and not self._from_server:
            self._check_output()

    def end_turn(self) -> None:
        """Count the end of a turn."""
        self._begin_answer()
        self._under_way = False

    def finish(self, usage: Usage) -> Usage:
        """Record the counts at the run's end, and return them.

        The core does not know how many tokens of a server's answer there are that was stopped; then this object's are
        returned.
        """
        more = self._output - usage.completion_tokens
        if self._stopped and more > 0:
            sums = {"completion_tokens": self._output, "total_tokens": usage.total_tokens + more}
            usage = usage.model_copy(update=sums)
        self.tally.add(
            usage.turns - self._turns,
            0,
            usage.prompt_tokens - self._input,
            usage.completion_tokens - self._output,
        )
        self._turns, self._input, self._output = usage.turns, usage.prompt_tokens, usage.completion_tokens
        return usage

    def explain(self, error: LuupError) -> None:
        """Raise the error of the limit that made the core end the run with `error`, if one did."""
        if isinstance(error, RunTimeoutError):
            _raise(self.tally.late(), error)
        elif isinstance(error, InvalidOutputError) and self.cut:
            _raise(self.tally.used_up(), error)

    def check_cut(self) -> None:
        """Raise the error of a limit that has cut an answer off, which the core takes for complete."""
        _raise(self.tally.used_up())

    # -- tokens --------------------------------------------------------------------------------------------------------

    def _take_tokens(self, tokens: Tuple[int, int]) -> None:
        """Record the counts of an event. Those of a server come late, and were counted by what it sent."""
        if not self._from_server:
            self._add(tokens[0] - self._core[0], tokens[1] - self._core[1])
        self._core = tokens

    def _add(self, input_tokens: int, output_tokens: int) -> None:
        if input_tokens or output_tokens:
            self.tally.add(0, 0, input_tokens, output_tokens)
            self._input += input_tokens
            self._output += output_tokens

    def _count(self, input_tokens: int, output_tokens: int) -> None:
        """Set the counts of the server's answer under way."""
        self._add(input_tokens - self._turn_input, output_tokens - self._turn_output)
        self._turn_input, self._turn_output = input_tokens, output_tokens

    def _begin_answer(self) -> None:
        self._turn_input = self._turn_output = 0
        self._from_server = False

    def _check_output(self) -> None:
        left = self.tally.output_left()
        if left is not None and left <= 0:
            self._stopped = True
            _raise(self.tally.used_up())

    def watch(self, chunk: str) -> None:
        """Count a chunk of a server's answer before the run gets it, in the thread that receives it.

        Raises:
            UsageLimitError: The answer has no tokens left.
        """
        try:
            body = json.loads(chunk)
        except (ValueError, RecursionError):  # "[DONE]", or what the core will refuse
            return
        if not isinstance(body, dict):
            return
        left = self.tally.output_left()
        written = _has_answer(body)
        if written and left is not None and left <= 0:
            self._stopped = True
            _raise(self.tally.used_up())
        usage = _usage_of(body)
        tokens = _number(usage, "completion_tokens", "output_tokens") or self._turn_output + written
        self._count(_number(usage, "prompt_tokens", "input_tokens") or self._turn_input, tokens)


def meter_for(settings: Settings) -> Optional[Meter]:
    """Return the meter of a new run; None without limits of its own or of a run whose tool began it.

    Raises:
        InvalidParamError: The settings of the limits are wrong.
    """
    limits = settings.usage_limits
    check_limits(limits, settings.loop_guard)
    tally = tally_for(limits)
    return None if tally is None else Meter(tally, limits is not None)


def begin_clock(meter: Optional[Meter]) -> float:
    """Begin to count the seconds of a run, and return the time."""
    if meter is not None:
        meter.begin_clock()
    return time.monotonic()


def _raise(error: Optional[UsageLimitError], cause: Optional[Exception] = None) -> None:
    if error is not None:
        raise error from cause


def _usage_of(body: Mapping[str, Any]) -> Dict[str, Any]:
    for place in (body, body.get("x_groq")):
        usage = place.get("usage") if isinstance(place, dict) else None
        if isinstance(usage, dict):
            return usage
    return {}


def _number(usage: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = usage.get(name)
        if isinstance(value, (int, float)) and value > 0:
            return int(value)
    return 0


def _has_answer(body: Mapping[str, Any]) -> bool:
    """Tell whether a chunk has a part of an answer; a server sends one for each token, or for several."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict):
        return False
    if any(delta.get(name) for name in ("content", "reasoning_content", "reasoning")):
        return True
    calls = delta.get("tool_calls")
    return isinstance(calls, list) and any(_has_arguments(call) for call in calls)


def _has_arguments(call: object) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return isinstance(function, dict) and bool(function.get("arguments"))
