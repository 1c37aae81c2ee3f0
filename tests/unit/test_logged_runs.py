"""The DEBUG records of a run."""

import asyncio
import logging

import pytest
from support.http_server import Server, replying

from luup_agent import Agent, MaxTurnsError, Model
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call

KEY = "sk-0123456789abcdef"


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.DEBUG, "luup_agent.runs")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "luup_agent.runs"]


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_a_run_is_logged(logged, driver):
    agent = Agent(ScriptedModel([tool_call("add", a=5, b=3), "Eight."]), "Be kind.", tools=[add])
    agent.name = "adder"
    response = agent.run("5 + 3?") if driver == "sync" else asyncio.run(agent.run_async("5 + 3?"))
    records = logged()
    number = records[0].split()[1]
    assert all(record.startswith(f"run {number} ") for record in records)
    (call,) = response.tool_calls
    assert records[0].endswith("begins of adder: tools add with tool_choice 'auto'; text; message: '5 + 3?'")
    assert "turn 1, prompt for ScriptedModel" in records[1]
    assert '{"role":"system","content":"Be kind."}' in records[1]
    assert "turn 1, raw output (tool_calls; 1 tokens;" in records[2]
    assert records[3].endswith(f"turn 1, call {call.id}: add({call.arguments_json})")
    assert f"call {call.id} of add, result after " in records[4]
    assert records[4].endswith(" s: 8")
    assert "turn 2, prompt" in records[5]
    assert records[6].endswith("\nEight.")
    assert records[7].endswith("ended well after 2 turns")
    assert response.turns[0].prompt is not None


def test_errors_and_retries_are_logged(logged):
    with pytest.raises(MaxTurnsError):
        Agent(ScriptedModel(["x", tool_call("add", a=1, b=2)]), tools=[add], max_turns=2).run("Go.", output_type=int)
    text = "\n".join(logged())
    assert "a typed result, <class 'int'>" in text
    assert "turn 1, rejected, the model answers again: " in text
    assert "ended after 2 turns with MaxTurnsError: the model still called tools after 2 turns" in text


def test_a_call_that_the_library_answers_is_logged(logged):
    Agent(ScriptedModel([tool_call("nothing"), "Sorry."]), tools=[add]).generate("Go.")
    assert any("of nothing answered by the library: Error: " in record for record in logged())


def test_keys_are_not_logged(logged):
    server = Server(*replying("Hello"))
    Agent(Model.from_remote(server.url, "qwen3", api_key=KEY, extra_body={"key": KEY})).generate("Hi")
    server.close()
    assert KEY in server.requests[0].body.decode()
    assert "***" in "\n".join(logged())
    assert KEY not in "\n".join(logged())


def test_nothing_is_logged_above_debug(caplog):
    caplog.set_level(logging.INFO, "luup_agent")
    response = Agent(FunctionModel(lambda request: "Hello")).run("Hi")
    assert caplog.records == []
    assert response.turns[0].prompt is None
