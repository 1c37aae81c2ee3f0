"""The server in front of scripted models, by a real uvicorn."""

import contextlib

import pytest
from support.serving import serving

from luup_agent.server import create_app
from luup_agent.testing import FunctionModel, ScriptedModel


@pytest.fixture
def served():
    """Serves models by their names: `served({"name": model}, **options)`; stops the servers at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda models, **options: stack.enter_context(serving(create_app(models, **options)))


@pytest.fixture(scope="module")
def echo():
    """A server whose model repeats the last message of the user."""
    with serving(create_app({"echo": FunctionModel(lambda request: request.prompt)})) as server:
        yield server


@pytest.fixture
def script(served):
    """Serves a model with prepared answers: returns the server and the model."""

    def start(*replies, **options):
        model = ScriptedModel(list(replies))
        return served({"scripted": model}, **options), model

    return start
