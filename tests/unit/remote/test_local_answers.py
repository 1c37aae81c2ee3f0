"""The answers of a local model as chunks of a server: all its calls are in them, also those that the core refuses."""

import json
import threading

import pytest

from luup_agent import _native
from luup_agent._completions import local
from luup_agent._completions.exchange import Exchange
from luup_agent.settings import Settings
from luup_agent.testing import ScriptedModel, tool_call

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
TOOLS = json.dumps([{"type": "function", "function": {"name": "add", "parameters": SCHEMA}}])


class Run(_native.NativeRun):
    """A run of the core whose model is a script, which writes calls that no grammar of a local one lets through."""

    def use(self, model):
        self.exchange = Exchange(self, model._native_model.responders, None)

    def next(self, timeout_ms):
        kind = super().next(timeout_ms)
        if kind == _native.EVENT_COMPLETION_REQUEST:
            self.exchange.begin()
            return _native.EVENT_NONE
        return kind


class Chunks:
    def __init__(self):
        self.cancelled = threading.Event()
        self.texts = []

    def push(self, text):
        self.texts.append(text)
        return True


RIGHT, UNKNOWN, INVALID = tool_call("add", a=5, b=3), tool_call("nothing", a=1), tool_call("add", a="x")


@pytest.mark.parametrize(
    "calls",
    [[RIGHT], [UNKNOWN], [INVALID], [INVALID, UNKNOWN], [INVALID, RIGHT, UNKNOWN, RIGHT], [RIGHT, UNKNOWN]],
)
def test_calls_in_the_models_order(calls):
    model = ScriptedModel([["Let me see. ", *calls], "never asked for"])
    settings = local._settings({})
    assert isinstance(settings, Settings)
    agent = _native.NativeAgent(model._native_model, None, settings, True)
    run, chunks = Run(), Chunks()
    run.use(model)
    run.start(agent, settings, _native.RunRequest("What is 5 + 3?", TOOLS))
    try:
        local._answer(run, chunks)
    finally:
        run.close()
    assert chunks.texts[-1] == "[DONE]"
    values = [json.loads(text) for text in chunks.texts[:-1]]
    deltas = [choice["delta"] for value in values for choice in value["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == "Let me see. "
    found = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [call["index"] for call in found] == list(range(len(calls)))
    assert [call["function"]["name"] for call in found] == [call.name for call in calls]
    assert [json.loads(call["function"]["arguments"]) for call in found] == [json.loads(call[1]) for call in calls]
    assert len({call["id"] for call in found}) == len(calls)
    assert [choice["finish_reason"] for value in values for choice in value["choices"]][-1] == "tool_calls"
    assert values[-1]["usage"]["completion_tokens"] > 0
    assert len(model.requests) == 1
