"""Answers in the form of ``/v1/chat/completions``: whole, or as chunks."""

from __future__ import annotations

import json
import time
import uuid
from json.encoder import encode_basestring_ascii as encode_text
from typing import Any, AsyncGenerator, Dict, Iterable, List, Optional, Sequence, Tuple, Union

from luup_agent._server.merge import merge
from luup_agent._server.questions import Asked
from luup_agent._server.start import Answer
from luup_agent.errors import InvalidOutputError
from luup_agent.messages import (
    AgentResponse,
    DoneEvent,
    Event,
    TextEvent,
    Timings,
    TokenLogprob,
    ToolCall,
    TopLogprob,
    Usage,
)


class Outcome:
    """The end of an answer.

    Attributes:
        text: The answer.
        reasoning: The thoughts before it.
        finish_reason: "stop", "length" or "tool_calls".
        calls: The calls that the client runs or decides on.
        usage: The token counts.
        response: The whole response; None for a typed result or a call that `max_tokens` cut off.
    """

    def __init__(self, response: Optional[AgentResponse[Any]], cut: Optional[InvalidOutputError] = None) -> None:
        self.response = response
        self.text = "" if response is None else response.text
        self.reasoning = None if response is None else response.reasoning
        self.finish_reason = "length" if response is None else response.finish_reason
        self.calls: List[ToolCall] = [] if response is None else response.pending
        self.usage: Optional[Usage] = None if response is None else response.usage
        if cut is not None:
            self.text, self.usage = cut.partial_text, cut.usage

    @property
    def timings(self) -> Optional[Timings]:
        """The timings; None for an answer that was cut off."""
        return None if self.response is None else self.response.timings


def outcome_of(error: InvalidOutputError) -> Outcome:
    """Return the end of a typed result or a call that `max_tokens` cut off, which OpenAI's API does not call an error.

    Raises:
        InvalidOutputError: The answer is wrong for another reason.
    """
    if error.finish_reason != "length":
        raise error
    return Outcome(None, error)


class ChatReply:
    """The answers to one request, in OpenAI's form."""

    def __init__(self, model: str, answers: Sequence[Answer], with_tools: bool, include_usage: bool = False) -> None:
        """Prepare the answers.

        Args:
            model: The model's name.
            answers: One for each choice.
            with_tools: Whether calls that run on the server are reported.
            include_usage: Whether the chunks end with the token counts.
        """
        self._answers = answers
        self._with_tools = with_tools
        self._include_usage = include_usage
        self._common: Dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
        }

    async def whole(self) -> Dict[str, Any]:
        """Return the completion."""
        outcomes: Dict[int, Outcome] = {}
        events = self._events()
        try:
            async for index, event in events:
                if isinstance(event, InvalidOutputError):
                    outcomes[index] = outcome_of(event)
                elif isinstance(event, DoneEvent):
                    outcomes[index] = Outcome(event.response)
        finally:
            await events.aclose()
        ended = [outcomes[index] for index in range(len(self._answers))]
        completion = {**self._common, "choices": [self._choice(index, each) for index, each in enumerate(ended)]}
        completion["usage"] = usage_of(ended)
        _add_timings(completion, ended[0])
        return completion

    def _choice(self, index: int, outcome: Outcome) -> Dict[str, Any]:
        calls = [each.to_dict() for each in outcome.calls]
        message: Dict[str, Any] = {
            "role": "assistant",
            "content": outcome.text or (None if calls else ""),
            "refusal": None,
        }
        if outcome.reasoning is not None:
            message["reasoning_content"] = outcome.reasoning
        if calls:
            message["tool_calls"] = calls
        response = outcome.response
        if self._with_tools and response is not None:
            message["luup"] = {
                "tool_calls": [_performed(call) for call in response.tool_calls],
                "messages": [each.to_dict() for each in response.messages],
            }
        logprobs = None if response is None else logprobs_of(response.logprobs)
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": outcome.finish_reason}

    async def chunks(self) -> AsyncGenerator[Union[Dict[str, Any], bytes], None]:
        """Yield the chunks of a stream; those with a piece of text alone, which are most of them, as JSON."""
        self._common["object"] = "chat.completion.chunk"
        around: Dict[int, Tuple[str, str]] = {}  # the JSON before and behind a piece of text
        ended: List[Outcome] = []
        events = self._events()
        try:
            async for index, event in events:
                if index not in around:
                    around[index] = self._around(index)
                    yield self._chunk(index, {"role": "assistant", "content": ""})
                if event.__class__ is TextEvent and not event.logprobs:
                    before, behind = around[index]
                    yield f"{before}{encode_text(event.text)}{behind}".encode()
                    continue
                if isinstance(event, InvalidOutputError):
                    outcome = outcome_of(event)
                elif isinstance(event, DoneEvent):
                    outcome = Outcome(event.response)
                else:
                    delta = self._delta(event)
                    if delta is not None:
                        yield self._chunk(index, delta, logprobs=logprobs_of(getattr(event, "logprobs", ())))
                    continue
                ended.append(outcome)
                if outcome.calls:
                    yield self._chunk(index, {"tool_calls": _numbered(outcome.calls)})
                last = self._chunk(index, self._last_delta(outcome), outcome.finish_reason)
                _add_timings(last, outcome)
                yield last
        finally:
            await events.aclose()
        if self._include_usage:
            yield {**self._common, "choices": [], "usage": usage_of(ended)}

    def _events(self) -> AsyncGenerator[Tuple[int, Any], None]:
        return merge([answer.events for answer in self._answers])

    def _chunk(
        self, index: int, delta: Dict[str, Any], finish_reason: Optional[str] = None, logprobs: Any = None
    ) -> Dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        chunk = {**self._common, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return chunk

    def _around(self, index: int) -> Tuple[str, str]:
        """Return the JSON of a chunk before and behind its piece of text."""
        mark = uuid.uuid4().hex
        chunk = json.dumps(self._chunk(index, {"content": mark}), separators=(",", ":"))
        before, _, behind = chunk.partition(f'"{mark}"')
        return before, behind

    def _delta(self, event: Union[Event[Any], Asked]) -> Optional[Dict[str, Any]]:
        """Return what an event adds to the message; None for nothing."""
        if isinstance(event, Asked):
            return {"luup": event.details()}
        if event.type == "text":
            return {"content": event.text}
        if event.type == "reasoning":
            return {"reasoning_content": event.text}
        if not self._with_tools:
            return None
        if event.type == "tool_call":
            call = event.call
            details: Dict[str, Any] = {"id": call.id, "name": call.name, "arguments": call.arguments}
        elif event.type == "tool_result":
            details = {"id": event.call_id, "name": event.name, "content": event.content, "is_error": event.is_error}
        elif event.type == "retry":
            details = {"reason": event.reason}
        elif event.type == "summary":
            details = {"text": event.text, "replaced": event.replaced, "kept": event.kept}
        else:
            return None
        return {"luup": {"type": event.type, **details}}

    def _last_delta(self, outcome: Outcome) -> Dict[str, Any]:
        if not self._with_tools or outcome.response is None:
            return {}
        return {"luup": {"type": "done", "messages": [each.to_dict() for each in outcome.response.messages]}}


def _performed(call: ToolCall) -> Dict[str, Any]:
    """Return a call that ran on the server, with its result."""
    values: Dict[str, Any] = {"id": call.id, "name": call.name, "arguments": call.arguments}
    if call.result is not None:
        values.update(content=call.result.content, is_error=call.result.is_error)
    return values


def _numbered(calls: Iterable[ToolCall]) -> List[Dict[str, Any]]:
    return [{"index": index, **call.to_dict()} for index, call in enumerate(calls)]


def _add_timings(values: Dict[str, Any], outcome: Outcome) -> None:
    timings = outcome.timings
    if timings is not None:
        values["timings"] = {
            **timings.model_dump(),
            "prefill_tokens_per_second": timings.prefill_tokens_per_second,
            "decode_tokens_per_second": timings.decode_tokens_per_second,
        }


def usage_of(outcomes: Sequence[Outcome]) -> Dict[str, Any]:
    """Return the token counts of several answers to one prompt."""
    known = [outcome.usage for outcome in outcomes if outcome.usage is not None]
    prompt = max((usage.prompt_tokens for usage in known), default=0)
    completion = sum(usage.completion_tokens for usage in known)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": max((usage.cached_tokens for usage in known), default=0)},
        "completion_tokens_details": {"reasoning_tokens": sum(usage.reasoning_tokens for usage in known)},
    }


def logprobs_of(tokens: Sequence[TokenLogprob]) -> Optional[Dict[str, Any]]:
    """Return the probabilities of tokens; None without any."""
    if not tokens:
        return None
    content = [{**_logprob(token), "top_logprobs": [_logprob(top) for top in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def _logprob(token: TopLogprob) -> Dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.bytes)}
