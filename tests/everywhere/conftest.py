"""Who answers: the real model in this process, the same one behind llama-server, and a function that plays it."""

import time

import pytest

from luup_agent import Agent, Model
from luup_agent.testing import FunctionModel, Reply, tool_call

CAPITAL = "What is the capital city of France? Answer in one sentence."
STORY = "Tell me a long story about a fox and a raven."


def play(request):
    """What the small model would say; a word is a token."""
    if request.tool_choice not in ("none", "auto"):
        return tool_call(request.tool_choice, a=5, b=3)
    if request.output_schema is not None:
        return {"city": "Paris", "size": "large"}
    last = request.messages[-1]
    text = "The capital of France is Paris." if request.prompt == CAPITAL else "Nice to meet you."
    if last.role == "tool":
        text = f"It is {last.content}."
    limit, stops = request.body.get("max_tokens"), request.body.get("stop", [])
    if request.prompt == STORY:
        if limit is None or limit > 100:
            return slowly("Once upon a time, ")
        text = "word " * 100
    words = text.split(" ")
    cut = limit is not None and len(words) > limit
    text = " ".join(words[:limit])
    for stop in stops:
        text = text.partition(stop)[0]
    return Reply(text, finish_reason="length" if cut else "stop", completion_tokens=limit if cut else len(words))


def slowly(piece):
    for _ in range(1000):
        time.sleep(0.02)
        yield piece


# Together the tests with the server take minutes on a busy machine, and what they prove needs no second Python.
@pytest.fixture(scope="session", params=["local", pytest.param("llama-server", marks=pytest.mark.slow), "function"])
def anyone(request):
    """Each model in turn."""
    if request.param == "local":
        yield request.getfixturevalue("model")
    elif request.param == "function":
        yield FunctionModel(play)
    else:
        server = request.getfixturevalue("llama_server")
        with Model.from_remote(server.url, "smollm2", api_key="sk-of-the-tests") as model:
            yield model


@pytest.fixture
def agent_of(anyone):
    """Makes agents whose answers are the likeliest ones, and short."""

    def make(system_prompt=None, **options):
        return Agent(anyone, system_prompt, **{"temperature": 0, "max_tokens": 24, **options})

    return make
