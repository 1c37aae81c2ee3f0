"""The token counts and timings of a run."""

from __future__ import annotations

from typing import Any, Mapping

from luup_agent.messages import Timings, Usage


class TurnCounts:
    """The turns that the model has answered, counted while a run goes on.

    Attributes:
        answers: How many.
        prompt_tokens: Of the prompts of a local model's answers; 0 if unknown.
        overcounted: Whether the core was cancelled between two answers. It then counts the prompt of the last one
            twice, or the next turn, which must not be.
    """

    __slots__ = ("_prompt", "answers", "overcounted", "prompt_tokens")

    def __init__(self) -> None:
        """Begin to count."""
        self.answers = self.prompt_tokens = self._prompt = 0
        self.overcounted = False

    def take_progress(self, total: int) -> None:
        """Take in the size of the prompt under way."""
        self._prompt = total

    def end_turn(self, answers: int) -> None:
        """Take in the end of a turn."""
        self.answers = answers
        self.prompt_tokens += self._prompt
        self._prompt = 0

    def usage(self, counts: Mapping[str, Any]) -> Usage:
        """Return the token counts of a DONE or ERROR event, corrected."""
        prompt, answer, turns = counts["prompt_tokens"], counts["answer_tokens"], counts["turns"]
        if self.overcounted:
            prompt, turns = self.prompt_tokens or prompt, min(turns, self.answers)
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
