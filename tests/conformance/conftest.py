"""The models under test: the real one in this process, the same one behind llama-server, and a function."""

import time

import pytest
from support.apis import AsyncAPI, SyncAPI
from support.http_server import Server, sending

from luup_agent import Agent, Model
from luup_agent.testing import FunctionModel, Reply, tool_call

CAPITAL = "What is the capital city of France? Answer in one sentence."
STORY = "Tell me a long story about a fox and a raven."


def play(request):
    """Answer as the small model would; each word counts as a token."""
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


# The tests with the server take minutes on a busy machine, and their results do not depend on the version of Python.
SERVER = pytest.param("llama-server", marks=[pytest.mark.slow, pytest.mark.gate])


@pytest.fixture(scope="session", params=["local", SERVER, "function"])
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


@pytest.fixture(params=[pytest.param(SyncAPI(), id="sync"), pytest.param(AsyncAPI(), id="async")])
def both(request):
    return request.param


@pytest.fixture
def ask():
    """Makes an agent whose server sends these responses, the last one again and again: (agent, server)."""
    opened = []

    def make(*responses, tools=(), **options):
        server = Server(*(sending(each) if isinstance(each, bytes) else each for each in responses))
        model = Model.from_remote(server.url, "m", **{"timeout": 20, "max_retries": 0, **options})
        opened.extend((model, server))
        return Agent(model, tools=list(tools)), server

    yield make
    for each in opened:
        each.close()
