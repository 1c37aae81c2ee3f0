"""A local model that answers chat completion requests, as a server with it would."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from luup_agent import _native
from luup_agent.exchange import Responder, Sink
from luup_agent.sampling import Settings

_SLICE_MS = 50  # the longest that a cancelled answer goes on


class LocalResponder(Responder):
    """Answers requests with a model of this process."""

    def __init__(self, model: _native.NativeModel) -> None:
        self._model = model

    def respond(self, body: str, sink: Sink) -> None:
        """Pushes the answer as a server streams it: pieces, calls, the reason of its end, usage, the end marker."""
        run = _native.NativeRun()
        try:
            self._begin(run, json.loads(body))
            _answer(run, sink)
        finally:
            run.close()

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Does what `respond` does, in a thread of asyncio's."""
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.respond, body, sink)

    def _begin(self, run: _native.NativeRun, body: Dict[str, Any]) -> None:
        messages = list(body["messages"])
        system = messages.pop(0)["content"] if messages and messages[0]["role"] == "system" else None
        settings = _settings(body)
        agent = _native.NativeAgent(self._model, system, settings, True)
        agent.set_history(messages)
        wanted = body.get("response_format", {}).get("json_schema")
        schema = None if wanted is None else json.dumps(wanted["schema"])
        run.start(agent, settings, _native.RunRequest(None, json.dumps(body.get("tools", [])), schema))


def _settings(body: Dict[str, Any]) -> Settings:
    """What a request says of sampling; what it leaves out is the library's default."""
    sampling = _native.default_sampling()
    sampling.update((name, body[name]) for name in sampling if name in body)
    sampling.update(seed=body.get("seed"), stop=body.get("stop"), max_tokens=body.get("max_tokens"))
    return Settings(
        timeout=None,
        tool_choice=body.get("tool_choice", "auto"),
        parallel_tool_calls=body.get("parallel_tool_calls", True),
        **sampling,
    )


def _answer(run: _native.NativeRun, sink: Sink) -> None:
    calls = 0
    while not sink.cancelled.is_set():
        kind = run.next(_SLICE_MS)
        more = True
        if kind == _native.EVENT_TEXT:
            more = sink.push(chunk({"content": run.text()}))
        elif kind == _native.EVENT_REASONING:
            more = sink.push(chunk({"reasoning_content": run.text()}))
        elif kind == _native.EVENT_TOOL_CALL:
            call_id, name, left = run.call()
            function = {"name": name, "arguments": run.text()}
            more = sink.push(chunk({"tool_calls": [{"index": calls, "id": call_id, "function": function}]}))
            calls += 1
            if left == 0:
                run.suspend()
        elif kind == _native.EVENT_OUTPUT:
            run.review(None)  # whoever asked validates it
        elif kind == _native.EVENT_DONE:
            more = False
            for last in _end(run):
                sink.push(last)
        elif kind == _native.EVENT_ERROR:
            raise run.error("")
        if not more:
            return


def _end(run: _native.NativeRun) -> List[str]:
    measures = run.measures()
    usage = {
        "prompt_tokens": measures["prompt_tokens"],
        "completion_tokens": measures["answer_tokens"],
        "prompt_tokens_details": {"cached_tokens": measures["cached_tokens"]},
    }
    return [chunk({}, run.finish_reason()), json.dumps({"choices": [], "usage": usage}), "[DONE]"]


def chunk(delta: Dict[str, Any], finish_reason: Optional[str] = None) -> str:
    """A part of a streamed answer."""
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
