"""A fixture for tests of agents: ``pytest_plugins = ["luup_agent.pytest_plugin"]`` in a conftest.py brings it."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Sequence

import pytest

from luup_agent.testing import ScriptedModel


@pytest.fixture
def scripted_model() -> Iterator[Callable[[Sequence[Any]], ScriptedModel]]:
    """Makes `ScriptedModel`s, and checks at the end of the test that all their answers were asked for."""
    made: List[ScriptedModel] = []

    def make(replies: Sequence[Any]) -> ScriptedModel:
        made.append(ScriptedModel(replies))
        return made[-1]

    yield make
    for model in made:
        model.assert_complete()
