"""The use of a run with limits, together with the runs that its tools made.

A tool runs with its run's tally in a context variable, where the runs of other agents find it: in the tool's own
thread or task, and in those that copy its context, such as tasks and `asyncio.to_thread`.
"""

from __future__ import annotations

import contextvars
import time
from typing import Iterator, Optional

from luup_agent._threads import Lock
from luup_agent.errors import UsageLimitError
from luup_agent.limits import UsageLimits

_WHAT = {  # what the limits on tokens count
    "input_tokens_limit": "input tokens",
    "output_tokens_limit": "output tokens",
    "total_tokens_limit": "tokens",
}


_ROUNDING = 0.005  # seconds; the core counts whole milliseconds


class Tally:
    """The use of a run and its sub-agents. Any thread may count in it.

    Attributes:
        limits: The limits.
        parent: The tally of the run whose tool began this run; it counts the same use.
    """

    def __init__(self, limits: UsageLimits, parent: Optional[Tally]) -> None:
        """Begin to count."""
        self.limits = limits
        self.parent = parent
        self._lock: Lock = Lock() if parent is None else parent._lock
        self._began = time.monotonic()
        self._turns = self._calls = self._input = self._output = 0

    def start(self) -> None:
        """Begin to count the seconds."""
        self._began = time.monotonic()

    def chain(self) -> Iterator[Tally]:
        """Return this tally and those of the runs above."""
        tally: Optional[Tally] = self
        while tally is not None:
            yield tally
            tally = tally.parent

    def add(self, turns: int = 0, calls: int = 0, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """Count what was used; negative numbers correct an estimate."""
        with self._lock:
            self._add(turns, calls, input_tokens, output_tokens)

    def _add(self, turns: int = 0, calls: int = 0, input_tokens: int = 0, output_tokens: int = 0) -> None:
        for tally in self.chain():
            tally._turns += turns
            tally._calls += calls
            tally._input += input_tokens
            tally._output += output_tokens

    def begin_turn(self) -> Optional[UsageLimitError]:
        """Count a turn that is about to begin; return the error if it must not."""
        with self._lock:
            error = self._used_up() or self._turn_refused()
            if error is None:
                self._add(turns=1)
            return error

    def begin_calls(self, count: int) -> Optional[UsageLimitError]:
        """Count tool calls that are about to begin; return the error if they must not."""
        with self._lock:
            error = self._used_up()
            for tally in self.chain():
                most = tally.limits.tool_calls_limit
                if error is None and most is not None and tally._calls + count > most:
                    error = _error(
                        "tool_calls_limit",
                        most,
                        tally._calls,
                        f"the run has made {tally._calls} of {most} tool calls, and the model wants {count} more",
                    )
            if error is None:
                self._add(calls=count)
            return error

    def used_up(self) -> Optional[UsageLimitError]:
        """Return the error if no token or no time is left."""
        with self._lock:
            return self._used_up()

    def _used_up(self) -> Optional[UsageLimitError]:
        for tally in self.chain():
            limits = tally.limits
            for name, most, used in (
                ("input_tokens_limit", limits.input_tokens_limit, tally._input),
                ("output_tokens_limit", limits.output_tokens_limit, tally._output),
                ("total_tokens_limit", limits.total_tokens_limit, tally._input + tally._output),
            ):
                if most is not None and used >= most:
                    return _error(name, most, used, f"the run has used {used} of {most} {_WHAT[name]}")
            seconds = time.monotonic() - tally._began
            if limits.seconds_limit is not None and seconds >= limits.seconds_limit:
                return _late(limits.seconds_limit, seconds)
        return None

    def _turn_refused(self) -> Optional[UsageLimitError]:
        for tally in self.chain():
            most = tally.limits.turns_limit
            if most is not None and tally._turns >= most:
                return _error("turns_limit", most, tally._turns, f"the run has had {most} of {most} turns")
        return None

    def output_left(self) -> Optional[int]:
        """Return how many tokens an answer may have, 0 or less once none is left; None for no limit."""
        left = []
        with self._lock:
            for tally in self.chain():
                if tally.limits.output_tokens_limit is not None:
                    left.append(tally.limits.output_tokens_limit - tally._output)
                if tally.limits.total_tokens_limit is not None:
                    left.append(tally.limits.total_tokens_limit - tally._input - tally._output)
        return min(left) if left else None

    def late(self) -> Optional[UsageLimitError]:
        """Return the error for a run that the core has ended because its time is over; None if it was not this time."""
        with self._lock:
            for tally in self.chain():
                most, seconds = tally.limits.seconds_limit, time.monotonic() - tally._began
                if most is not None and seconds >= most - _ROUNDING:
                    return _late(most, seconds)
        return None

    def seconds_left(self) -> Optional[float]:
        """Return how many seconds are left; None for no limit."""
        now = time.monotonic()
        left = [
            max(0.0, tally._began + tally.limits.seconds_limit - now)
            for tally in self.chain()
            if tally.limits.seconds_limit is not None
        ]
        return min(left) if left else None


def _late(most: float, seconds: float) -> UsageLimitError:
    return _error("seconds_limit", most, seconds, f"the run has taken {seconds:.3g} of {most:g} seconds")


def _error(name: str, most: float, used: float, problem: str) -> UsageLimitError:
    error = UsageLimitError(f"{problem}, sub-agents included; {name} in usage_limits sets how much it may use")
    error.limit, error.value, error.used = name, most, used
    return error


current: contextvars.ContextVar[Optional[Tally]] = contextvars.ContextVar("luup_tally", default=None)


def tally_for(limits: Optional[UsageLimits]) -> Optional[Tally]:
    """Return what a new run counts in: its own tally, or that of the run whose tool began it; None without limits."""
    above = current.get()
    return above if limits is None else Tally(limits, above)
