"""A responder that answers chat completion requests with a local model, as a server would."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Union

from luup_agent import _native
from luup_agent._completions.exchange import Responder, Sink
from luup_agent.errors import MaxTurnsError
from luup_agent.settings import Reasoning, Settings, native_settings

_SLICE_MS = 50  # milliseconds until a cancelled answer stops, at most


class LocalResponder(Responder):
    """Answers requests with a local model."""

    def __init__(self, model: _native.NativeModel) -> None:
        self._model = model

    def respond(self, body: str, sink: Sink) -> None:
        """Push the chunks that a server would stream: text, tool calls, finish reason, usage, end marker."""
        run = _native.NativeRun()
        try:
            self._begin(run, json.loads(body))
            _answer(run, sink)
        finally:
            run.close()

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Do the same as `respond`, in asyncio's default executor."""
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.respond, body, sink)

    def _begin(self, run: _native.NativeRun, body: Dict[str, Any]) -> None:
        messages = list(body["messages"])
        system = messages.pop(0)["content"] if messages and messages[0]["role"] == "system" else None
        settings = _settings(body)
        agent = _native.NativeAgent(self._model, system, settings, True)
        agent.set_history(messages)
        wanted = body.get("response_format", {}).get("json_schema")
        output = None if wanted is None else _native.OutputRequest("schema", json.dumps(wanted["schema"]))
        run.start(agent, settings, _native.RunRequest(None, json.dumps(body.get("tools", [])), output))


def _settings(body: Dict[str, Any]) -> Settings:
    """Return the sampling settings and the choice of tools of a request; the defaults for those that it leaves out."""
    apart = ("reasoning", "template_options", "logit_bias")  # which have another form in a request
    names = [name for name, native in native_settings().items() if native.struct == "sampling" and name not in apart]
    sampling: Dict[str, Any] = {"max_tokens": None, **{name: body[name] for name in names if name in body}}
    return Settings(
        max_turns=1,
        tool_choice=body.get("tool_choice", "auto"),
        parallel_tool_calls=body.get("parallel_tool_calls", True),
        reasoning=_reasoning(body),
        template_options=body.get("chat_template_kwargs"),
        logit_bias=_logit_bias(body),
        **sampling,
    )


def _logit_bias(body: Dict[str, Any]) -> Optional[Dict[Union[int, str], float]]:
    """Return the biases of a request, in which the numbers of tokens are names of a JSON object."""
    biases = body.get("logit_bias")
    return None if biases is None else {int(token): bias for token, bias in biases.items()}


def _reasoning(body: Dict[str, Any]) -> Optional[Reasoning]:
    """Return the setting that a remote model writes these fields of a request for."""
    for field in ("reasoning_effort", "thinking_budget_tokens"):
        if field in body:
            value: Reasoning = body[field]
            return value
    switch = body.get("chat_template_kwargs", {}).get("enable_thinking")
    return switch if isinstance(switch, bool) else None


def _answer(run: _native.NativeRun, sink: Sink) -> None:
    """Push the chunks of one turn. Its calls are not made, even those that the core refuses: the client's run does."""
    calls: List[str] = []
    while not sink.cancelled.is_set():
        kind = run.next(_SLICE_MS)
        more = True
        if kind == _native.EVENT_TEXT:
            more = sink.push(chunk({"content": run.text()}, logprobs=run.logprobs()))
        elif kind == _native.EVENT_REASONING:
            more = sink.push(chunk({"reasoning_content": run.text()}))
        elif kind in (_native.EVENT_TOOL_CALL, _native.EVENT_TOOL_RESULT):
            if not calls:
                calls = _calls_of(run)
                more = all(map(sink.push, calls))
            if kind == _native.EVENT_TOOL_CALL and run.call()[2] == 0:
                run.suspend()
        elif kind == _native.EVENT_OUTPUT:
            run.review(None)  # the client validates it
        elif kind == _native.EVENT_DONE:
            more = False
            for last in _last_chunks(run, run.finish_reason()):
                sink.push(last)
        elif kind == _native.EVENT_ERROR:
            error = run.error("")
            if not calls or not isinstance(error, MaxTurnsError):
                raise error
            more = False  # the core refused all calls, and would ask the model again
            for last in _last_chunks(run, "tool_calls"):
                sink.push(last)
        if not more:
            return


def _calls_of(run: _native.NativeRun) -> List[str]:
    """Return the chunks of the calls of the turn, in the model's order; the events of refused ones come first."""
    message = next(message for message in reversed(run.messages()) if message.get("tool_calls"))
    return [
        chunk({"tool_calls": [{"index": index, "id": call["id"], "function": call["function"]}]})
        for index, call in enumerate(message["tool_calls"])
    ]


def _last_chunks(run: _native.NativeRun, finish_reason: str) -> List[str]:
    measures = run.measures()
    usage = {
        "prompt_tokens": measures["prompt_tokens"],
        "completion_tokens": measures["answer_tokens"],
        "prompt_tokens_details": {"cached_tokens": measures["cached_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": measures["reasoning_tokens"]},
    }
    return [chunk({}, finish_reason), json.dumps({"choices": [], "usage": usage}), "[DONE]"]


def chunk(
    delta: Dict[str, Any], finish_reason: Optional[str] = None, logprobs: Optional[List[Dict[str, Any]]] = None
) -> str:
    """Return a chunk of a streamed chat completion."""
    choice: Dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    if logprobs:
        choice["logprobs"] = {"content": logprobs}
    return json.dumps({"choices": [choice]})
