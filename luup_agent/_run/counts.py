"""The token counts and timings of a run."""

from __future__ import annotations

from typing import Any, Mapping

from luup_agent.messages import Timings, Usage

_NOTHING = {"prompt_tokens": 0, "cached_tokens": 0, "answer_tokens": 0, "reasoning_tokens": 0}


class TurnCounts:
    """The turns that the model has answered, counted while a run goes on.

    Attributes:
        answers: How many.
        overcounted: Whether the core was cancelled between two answers. It may have begun another turn, which is not
            allowed.
    """

    __slots__ = ("_ended", "answers", "overcounted")

    def __init__(self) -> None:
        """Begin to count."""
        self.answers = 0
        self.overcounted = False
        self._ended: Mapping[str, Any] = _NOTHING  # the counts of the turns that have ended

    def end_turn(self, counts: Mapping[str, Any]) -> None:
        """Record the counts of the event at the end of a turn."""
        self.answers = counts["turns"]
        self._ended = counts

    def usage(self, counts: Mapping[str, Any]) -> Usage:
        """Return the token counts of a DONE or ERROR event, corrected."""
        turns = counts["turns"]
        if self.overcounted:
            counts, turns = self._ended, min(turns, self.answers)
        prompt, answer = counts["prompt_tokens"], counts["answer_tokens"]
        return Usage(
            prompt_tokens=prompt,
            cached_tokens=counts["cached_tokens"],
            completion_tokens=answer,
            total_tokens=prompt + answer,
            turns=turns,
            reasoning_tokens=counts["reasoning_tokens"],
        )


def timings_of(counts: Mapping[str, Any]) -> Timings:
    """Return the timings of a DONE event."""
    return Timings(
        queue_seconds=counts["queue_seconds"],
        prefill_seconds=counts["prefill_seconds"],
        decode_seconds=counts["decode_seconds"],
        time_to_first_token=counts["first_token_seconds"],
        total_seconds=counts["total_seconds"],
        prefill_tokens=counts["prompt_tokens"] - counts["cached_tokens"],
        decode_tokens=max(counts["answer_tokens"] - 1, 0),
        recomputed_tokens=counts["recomputed_tokens"],
    )
