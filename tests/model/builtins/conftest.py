"""Fixtures for the tests of the built-in tools."""

import pytest

from luup_agent import Agent


@pytest.fixture
def agent(tiny_model):
    return Agent(tiny_model, "Be brief.", temperature=0, max_tokens=256, seed=1)
