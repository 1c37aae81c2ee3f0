"""`Prompt` and `Turn`: what a model gets, and what it makes of it."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, Mapping, Optional

from typing_extensions import Literal

from luup_agent.errors import make_error
from luup_agent.messages import FinishReason, Timings, ToolCall, Usage, _Frozen

__all__ = ["Prompt", "Turn"]


class Prompt(_Frozen):
    """The exact prompt of one turn. ``str(prompt)`` is its text, ``len(prompt)`` the number of its tokens.

    Attributes:
        text: The text, with control tokens by their names. For a remote model the JSON body of the request, in which
            the model's key and the values of its headers are replaced by ``***``.
        tokens: The tokens; empty for a remote model, whose server makes them.

    Example:
        >>> prompt = agent.prompt("What is the capital of France?")
        >>> prompt.text.splitlines()[-1], len(prompt) == len(prompt.tokens)
        ('<|im_start|>assistant', True)
    """

    text: str
    tokens: List[int]

    @property
    def body(self) -> Optional[Dict[str, Any]]:
        """The request to the server as JSON values; None for a local model."""
        return None if self.tokens else json.loads(self.text)

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    def __len__(self) -> int:
        """Return the number of tokens; 0 for a remote model."""
        return len(self.tokens)

    def __bool__(self) -> bool:
        """Return True: a request without tokens is a prompt, too."""
        return True


class Turn(_Frozen):
    """One request of a run to a model, and the answer. A run with tool calls has several.

    Attributes:
        kind: "answer", or "summary" for a request that shortened the conversation, see
            `Agent.enable_builtin_summarization`.
        model: The model that was asked: its file, or its name on the server.
        prompt: What it got; None unless the setting `record_prompts` is on.
        raw: All that the model wrote, with its thoughts and with calls in its own format, control tokens aside. A call
            that was begun and retracted is in `decisions`. Of a server the text and the calls.
        text: The text of the answer.
        reasoning: The thoughts; None if there are none.
        calls: The tool calls, with the results so far.
        finish_reason: "stop", "length" or "tool_calls"; None if the request failed.
        problem: Why the answer was rejected and asked for again; None if it was not.
        error: Why the request failed; None if it did not.
        error_type: The class of that error, such as "HTTPError"; None if it did not fail.
        decisions: Why a call was made or not, what a grammar dictated, whether the thoughts were ended: in English, for
            people. Of a server nothing is known.
        usage: The token counts of this turn.
        timings: The timings of this turn.
        began: Seconds from the start of the run to the start of this turn.
        began_at: The time of that start, as `time.time` counts.

    Example:
        >>> response = agent.run("What is the capital of France?", record_prompts=True)
        >>> [(turn.raw, turn.finish_reason) for turn in response.turns]
        [('The capital of France is Paris.', 'stop')]
        >>> len(response.turns[0].prompt) == response.usage.prompt_tokens
        True
    """

    kind: Literal["answer", "summary"]
    model: str
    prompt: Optional[Prompt]
    raw: str
    text: str
    reasoning: Optional[str]
    calls: List[ToolCall]
    finish_reason: Optional[FinishReason]
    problem: Optional[str]
    error: Optional[str]
    error_type: Optional[str]
    decisions: List[str]
    usage: Usage
    timings: Timings
    began: float
    began_at: float


def parse_turns(text: str, calls: Iterable[ToolCall] = ()) -> List[Turn]:
    """Return the turns in the text of ``luup_run_get_turns``.

    Args:
        text: A JSON array.
        calls: The run's calls with their results.
    """
    known = {call.id: call for call in calls}
    return [_turn(values, known) for values in json.loads(text)]


def _turn(values: Dict[str, Any], known: Mapping[str, ToolCall]) -> Turn:
    prompt, cached, answer = values["prompt_tokens"], values["cached_tokens"], values["answer_tokens"]
    shown = values.get("prompt")
    return Turn(
        kind=values["kind"],
        model=values["model"],
        prompt=None if shown is None else Prompt(text=shown, tokens=values["prompt_ids"]),
        raw=values["raw"],
        text=values["text"],
        reasoning=values["reasoning"] or None,
        calls=[_call(each, known) for each in values["calls"]],
        finish_reason=values["finish_reason"],
        problem=values["problem"],
        error=values["error"],
        error_type=type(make_error(values["error_code"], "")).__name__ if values["error_code"] else None,
        decisions=values["decisions"],
        usage=Usage(
            prompt_tokens=prompt,
            cached_tokens=cached,
            completion_tokens=answer,
            total_tokens=prompt + answer,
            turns=1,
            reasoning_tokens=values["reasoning_tokens"],
        ),
        timings=Timings(
            queue_seconds=values["queue_seconds"],
            prefill_seconds=values["prefill_seconds"],
            decode_seconds=values["decode_seconds"],
            time_to_first_token=values["first_token_seconds"],
            total_seconds=values["ended_seconds"] - values["began_seconds"],
            prefill_tokens=prompt - cached,
            decode_tokens=max(answer - 1, 0),
            recomputed_tokens=values["recomputed_tokens"],
        ),
        began=values["began_seconds"],
        began_at=values["began_unix_seconds"],
    )


def _call(values: Mapping[str, str], known: Mapping[str, ToolCall]) -> ToolCall:
    call = known.get(values["id"])
    return ToolCall.from_json(values["id"], values["name"], values["arguments"]) if call is None else call
