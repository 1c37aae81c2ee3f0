"""Calls with tool_choice="auto" by a model that was not trained to call tools: only likely calls are made."""

from typing import Literal

import pytest

from luup_agent import Agent, tool


@tool
def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the current weather in a city."""
    return "18 degrees and sunny"


@tool
def add(a: float, b: float) -> float:
    """Adds two numbers."""
    return a + b


@tool
def list_files(folder: str = ".") -> str:
    """Lists the files of a folder."""
    return "notes.txt"


@pytest.mark.parametrize(
    ("function", "message", "arguments"),
    [
        (get_weather, "What's the weather in Paris?", {"city": "Paris"}),
        (get_weather, "Is it raining in Tokyo right now?", {"city": "Tokyo"}),
        (add, "Sum 3 and 4", {"a": 3.0, "b": 4.0}),
        (add, "Add 17 and 25.", {"a": 17.0, "b": 25.0}),
        (list_files, "Which files are in the folder src?", {"folder": "src"}),
    ],
)
def test_what_is_asked_for_is_called(model, function, message, arguments):
    agent = Agent(model, "You are a helpful assistant.", tools=[function], temperature=0, max_tokens=100)
    calls = agent.run(message).tool_calls
    assert calls[0].name == function.name
    assert calls[0].arguments == arguments


@pytest.mark.parametrize("function", [get_weather, add, list_files])
@pytest.mark.parametrize(
    "message", ["Hello!", "Tell me a joke.", "Who wrote Hamlet?", "What is the capital of France?", "I feel sad today."]
)
def test_what_nobody_asked_for_is_not(model, function, message):
    agent = Agent(model, "You are a helpful assistant.", tools=[function], temperature=0, max_tokens=60)
    response = agent.run(message)
    assert response.tool_calls == []
    assert response.text


def test_a_call_that_is_taken_back_leaves_no_trace_in_the_answer(model):
    message = "What is the capital of France?"  # a call is begun, but unlikely
    with_tools = Agent(model, "You are a helpful assistant.", tools=[get_weather], temperature=0, max_tokens=60)
    pieces = list(with_tools.generate_stream(message))
    assert "".join(pieces) == with_tools.get_history()[-1]["content"]
    assert "<tool_call>" not in "".join(pieces)


@pytest.mark.parametrize("max_tokens", [1, 2, 5, 12])
def test_a_call_that_was_only_tried_leaves_the_tokens_to_the_answer(model, max_tokens):
    agent = Agent(model, "You are a helpful assistant.", tools=[get_weather], temperature=0, max_tokens=max_tokens)
    response = agent.run("What is the capital of France?")
    assert response.text
    assert response.usage.completion_tokens <= max_tokens
