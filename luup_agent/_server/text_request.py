"""The body of a request to ``/v1/completions``: texts that the model goes on with, without its chat template."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

from luup_agent._server.chat_request import HARMLESS, MAX_CHOICES, read_sampling, read_stream
from luup_agent._server.fields import Fields

MAX_PROMPTS = 64
MAX_TOKENS = 16  # without `max_tokens`, as in OpenAI's API
REFUSED = {
    "suffix": "is not supported: the model writes behind the prompt, and does not fill in; leave it out",
    "best_of": "must be n: all answers are returned",
    "reasoning_effort": "is not supported: a completion has no thoughts; use /v1/chat/completions",
    "chat_template_kwargs": "is not supported: a completion has no chat template; use /v1/chat/completions",
    "tools": "is not supported: a completion calls no tools; use /v1/chat/completions",
    "messages": "is not supported here; use /v1/chat/completions, or a prompt",
}


class TextTask(NamedTuple):
    """The task in a request.

    Attributes:
        model: The name of the model; None for the first one.
        prompts: The texts.
        options: Settings of the runs.
        echo: Whether the answers begin with their prompts.
        stream: Whether the answers are streamed.
        include_usage: Whether a stream ends with the token counts.
        each: The number of answers to each prompt.
    """

    model: Optional[str]
    prompts: List[str]
    options: Dict[str, Any]
    echo: bool
    stream: bool
    include_usage: bool
    each: int

    @property
    def choices(self) -> int:
        """The number of all answers."""
        return self.each * len(self.prompts)


def read_text_task(fields: Fields, max_tokens: Optional[int]) -> TextTask:
    """Return the task in a request's body.

    Args:
        fields: The body.
        max_tokens: The most tokens of an answer.

    Raises:
        RequestError: A field is wrong or not supported.
    """
    for name in ("reasoning_effort", "chat_template_kwargs"):
        if fields.has(name):
            raise fields.wrong(name, REFUSED[name], "unsupported_parameter")
    stream, include_usage = read_stream(fields)
    options = read_sampling(fields)
    asked = fields.whole("max_tokens", 1, 2**31 - 1) or MAX_TOKENS
    options["max_tokens"] = asked if max_tokens is None else min(asked, max_tokens)
    each = fields.whole("n", 1, MAX_CHOICES) or 1
    if fields.whole("best_of", 1, MAX_CHOICES) not in (None, each):
        raise fields.wrong("best_of", REFUSED["best_of"], "invalid_value")
    logprobs, echo = fields.whole("logprobs", 0, 20), fields.flag("echo")
    if logprobs is not None:
        if echo:
            raise fields.wrong(
                "logprobs", "can't be combined with echo: tokens of the prompt have no probabilities", "invalid_value"
            )
        options.update(logprobs=True, top_logprobs=logprobs)
    task = TextTask(fields.text("model"), _read_prompts(fields), options, echo, stream, include_usage, each)
    if task.choices > MAX_PROMPTS:
        raise fields.wrong("n", f"times the number of prompts must be at most {MAX_PROMPTS}", "invalid_value")
    fields.finish(HARMLESS, REFUSED)
    return task


def _read_prompts(fields: Fields) -> List[str]:
    prompts = fields.texts("prompt", MAX_PROMPTS)
    if "" in prompts:
        raise fields.wrong("prompt", "must not be empty", "invalid_value")
    return prompts
