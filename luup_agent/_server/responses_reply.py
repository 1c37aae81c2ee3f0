"""Answers in the form of ``/v1/responses``: whole, or as events."""

from __future__ import annotations

import time
import uuid
from typing import Any, AsyncGenerator, Dict, List, Mapping, Optional

from luup_agent._server.chat_reply import Outcome, logprobs_of, outcome_of, usage_of
from luup_agent._server.merge import merge
from luup_agent._server.start import Answer
from luup_agent.errors import InvalidOutputError
from luup_agent.messages import DoneEvent, ToolCall

# Fields of the request that a response repeats, with their defaults.
_REPEATED: Dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}


class ResponsesReply:
    """The answer to one request, in the form of OpenAI's responses."""

    def __init__(self, model: str, answer: Answer, request: Mapping[str, Any]) -> None:
        """Prepare the answer.

        Args:
            model: The model's name.
            answer: The answer.
            request: The fields of the request.
        """
        self._answer = answer
        self._output: List[Dict[str, Any]] = []
        self._number = 0  # of the next event
        repeated = {name: request.get(name, default) for name, default in _REPEATED.items()}
        self._response: Dict[str, Any] = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": self._output,
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
            "usage": None,
            **repeated,
        }

    async def whole(self) -> Dict[str, Any]:
        """Return the response."""
        events = self.chunks()
        try:
            async for _ in events:
                pass
        finally:
            await events.aclose()
        return self._response

    async def chunks(self) -> AsyncGenerator[Dict[str, Any], None]:
        """Yield the events of a stream."""
        begun = False
        events = merge([self._answer.events])
        try:
            async for _, event in events:
                if not begun:
                    begun = True
                    yield self._event("response.created", response=dict(self._response))
                    yield self._event("response.in_progress", response=dict(self._response))
                made: List[Dict[str, Any]] = []
                if isinstance(event, InvalidOutputError):
                    made = self._end(outcome_of(event))
                elif isinstance(event, DoneEvent):
                    made = self._end(Outcome(event.response))
                elif event.type == "text":
                    logprobs = (logprobs_of(event.logprobs) or {}).get("content", [])
                    made = self._grow("message", event.text, logprobs)
                elif event.type == "reasoning":
                    made = self._grow("reasoning", event.text)
                for each in made:
                    yield each
        finally:
            await events.aclose()

    def _event(self, kind: str, **values: Any) -> Dict[str, Any]:
        number, self._number = self._number, self._number + 1
        return {"type": kind, "sequence_number": number, **values}

    def _open(self) -> Optional[Dict[str, Any]]:
        """Return the item that still grows; None if there is none."""
        last = self._output[-1] if self._output else None
        return last if last is not None and last["status"] == "in_progress" else None

    def _grow(self, kind: str, text: str, logprobs: Any = ()) -> List[Dict[str, Any]]:
        made: List[Dict[str, Any]] = []
        item = self._open()
        if item is None or item["type"] != kind:
            made += self._close()
            made += self._begin(kind)
            item = self._output[-1]
        item["content"][0]["text"] += text
        place = {"item_id": item["id"], "output_index": len(self._output) - 1, "content_index": 0}
        if kind == "message":
            item["content"][0]["logprobs"] += logprobs
            made.append(self._event("response.output_text.delta", **place, delta=text, logprobs=list(logprobs)))
        else:
            made.append(self._event("response.reasoning_text.delta", **place, delta=text))
        return made

    def _begin(self, kind: str) -> List[Dict[str, Any]]:
        """Begin an item of text."""
        if kind == "message":
            part: Dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            item: Dict[str, Any] = {"id": _name("msg"), "type": "message", "role": "assistant", "status": "in_progress"}
        else:
            part = {"type": "reasoning_text", "text": ""}
            item = {"id": _name("rs"), "type": "reasoning", "summary": [], "status": "in_progress"}
        index = len(self._output)
        self._output.append({**item, "content": [part]})
        place = {"item_id": item["id"], "output_index": index, "content_index": 0}
        return [
            self._event("response.output_item.added", output_index=index, item={**item, "content": []}),
            self._event("response.content_part.added", **place, part=dict(part)),
        ]

    def _close(self) -> List[Dict[str, Any]]:
        """End the item that grows."""
        item = self._open()
        if item is None:
            return []
        item["status"] = "completed"
        index, part = len(self._output) - 1, item["content"][0]
        place = {"item_id": item["id"], "output_index": index, "content_index": 0}
        if item["type"] == "message":
            done = self._event("response.output_text.done", **place, text=part["text"], logprobs=part["logprobs"])
        else:
            done = self._event("response.reasoning_text.done", **place, text=part["text"])
        return [
            done,
            self._event("response.content_part.done", **place, part=part),
            self._event("response.output_item.done", output_index=index, item=item),
        ]

    def _call(self, call: ToolCall) -> List[Dict[str, Any]]:
        """Add a call that the client runs."""
        item = {"id": _name("fc"), "type": "function_call", "call_id": call.id, "name": call.name}
        whole = {**item, "arguments": call.arguments_json, "status": "completed"}
        index = len(self._output)
        self._output.append(whole)
        place = {"item_id": item["id"], "output_index": index}
        kind = "response.function_call_arguments"
        return [
            self._event(
                "response.output_item.added",
                output_index=index,
                item={**whole, "arguments": "", "status": "in_progress"},
            ),
            self._event(f"{kind}.delta", **place, delta=call.arguments_json),
            self._event(f"{kind}.done", **place, name=call.name, arguments=call.arguments_json),
            self._event("response.output_item.done", output_index=index, item=whole),
        ]

    def _end(self, outcome: Outcome) -> List[Dict[str, Any]]:
        made = self._close()
        for call in outcome.calls:
            made += self._call(call)
        usage = usage_of([outcome])
        cut = outcome.finish_reason == "length"
        self._response.update(
            status="incomplete" if cut else "completed",
            incomplete_details={"reason": "max_output_tokens"} if cut else None,
            usage={
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": usage["prompt_tokens_details"],
                "output_tokens": usage["completion_tokens"],
                "output_tokens_details": usage["completion_tokens_details"],
                "total_tokens": usage["total_tokens"],
            },
        )
        return [*made, self._event(f"response.{self._response['status']}", response=self._response)]


def _name(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
