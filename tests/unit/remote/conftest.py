"""Fixtures for the tests of remote models."""

import contextlib

import pytest
from support.http_server import Server

from luup_agent import Agent, Model


@pytest.fixture
def serve():
    """Starts servers with the given answers; stops them at the end."""
    with contextlib.ExitStack() as stack:

        def start(*answers, **options):
            server = Server(*answers, **options)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def remote(serve):
    """Makes an agent whose model is behind a server with the given answers: (agent, server)."""

    def make(*answers, agent=None, **options):
        server = serve(*answers)
        model = Model.from_remote(server.url, "qwen3", **{"timeout": 30, "idle_timeout": 10, **options})
        return Agent(model, **(agent or {})), server

    return make
