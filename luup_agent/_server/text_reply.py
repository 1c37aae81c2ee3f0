"""Answers in the form of ``/v1/completions``: whole, or as chunks."""

from __future__ import annotations

import time
import uuid
from typing import Any, AsyncGenerator, Dict, List, Optional, Sequence

from luup_agent._server.chat_reply import Outcome, usage_of
from luup_agent._server.merge import merge
from luup_agent._server.start import Answer
from luup_agent._server.text_request import TextTask
from luup_agent.errors import InvalidOutputError
from luup_agent.messages import DoneEvent, TokenLogprob


class TextReply:
    """The answers to one request, in the form of OpenAI's completions."""

    def __init__(self, model: str, answers: Sequence[Answer], task: TextTask) -> None:
        """Prepare the answers.

        Args:
            model: The model's name.
            answers: One for each choice; the choices of a prompt follow one another.
            task: The request.
        """
        self._answers = answers
        self._task = task
        self._lengths = [len(self._prompt(index)) if task.echo else 0 for index in range(len(answers))]
        self._common: Dict[str, Any] = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    def _prompt(self, index: int) -> str:
        return self._task.prompts[index // self._task.each]

    async def whole(self) -> Dict[str, Any]:
        """Return the completion."""
        outcomes: Dict[int, Outcome] = {}
        events = merge([answer.events for answer in self._answers])
        try:
            async for index, event in events:
                if isinstance(event, InvalidOutputError):
                    raise event
                if isinstance(event, DoneEvent):
                    outcomes[index] = Outcome(event.response)
        finally:
            await events.aclose()
        choices = []
        for index in range(len(self._answers)):
            outcome = outcomes[index]
            logprobs = () if outcome.response is None else outcome.response.logprobs
            text = self._prompt(index) + outcome.text if self._task.echo else outcome.text
            choices.append(self._choice(index, text, logprobs, outcome.finish_reason))
        return {**self._common, "choices": choices, "usage": self._usage(outcomes)}

    async def chunks(self) -> AsyncGenerator[Dict[str, Any], None]:
        """Yield the chunks of a stream."""
        outcomes: Dict[int, Outcome] = {}
        events = merge([answer.events for answer in self._answers])
        begun = set()
        try:
            async for index, event in events:
                if isinstance(event, InvalidOutputError):
                    raise event
                if self._task.echo and index not in begun:
                    yield self._chunk(self._choice(index, self._prompt(index)))
                begun.add(index)
                if isinstance(event, DoneEvent):
                    outcomes[index] = Outcome(event.response)
                    yield self._chunk(self._choice(index, "", (), outcomes[index].finish_reason))
                elif event.type == "text":
                    yield self._chunk(self._choice(index, event.text, event.logprobs))
                    self._lengths[index] += len(event.text)
        finally:
            await events.aclose()
        if self._task.include_usage:
            yield {**self._common, "choices": [], "usage": self._usage(outcomes)}

    def _chunk(self, choice: Dict[str, Any]) -> Dict[str, Any]:
        chunk = {**self._common, "choices": [choice]}
        if self._task.include_usage:
            chunk["usage"] = None
        return chunk

    def _choice(
        self, index: int, text: str, logprobs: Sequence[TokenLogprob] = (), finish_reason: Optional[str] = None
    ) -> Dict[str, Any]:
        found = _logprobs(logprobs, self._lengths[index]) if logprobs else None
        return {"text": text, "index": index, "logprobs": found, "finish_reason": finish_reason}

    def _usage(self, outcomes: Dict[int, Outcome]) -> Dict[str, Any]:
        """Return the token counts; the choices of a prompt share it."""
        total: Dict[str, Any] = {}
        each = self._task.each
        for first in range(0, len(self._answers), each):
            usage = usage_of([outcomes[index] for index in range(first, first + each)])
            for name, value in usage.items():
                if isinstance(value, dict):
                    inner = total.setdefault(name, dict.fromkeys(value, 0))
                    total[name] = {key: inner[key] + count for key, count in value.items()}
                else:
                    total[name] = total.get(name, 0) + value
        return total


def _logprobs(tokens: Sequence[TokenLogprob], offset: int) -> Dict[str, Any]:
    """Return probabilities in the old form, with the place of each token in the text."""
    offsets: List[int] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{top.text: top.logprob for top in token.top} for token in tokens],
        "text_offset": offsets,
    }
