"""Pytest fixtures for testing agents; enable them by ``pytest_plugins = ["luup_agent.pytest_plugin"]``."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator, List, Optional, Sequence, Union

import pytest

from luup_agent.model import Model
from luup_agent.testing import RecordedModel, ScriptedModel


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--luup-record`` for the fixture `cassette`."""
    parser.getgroup("luup-agent").addoption(
        "--luup-record",
        choices=("once", "none", "all"),
        default="once",
        help="cassettes of models: record missing ones (once, the default), never record (none), or record all again",
    )


@pytest.fixture
def scripted_model() -> Iterator[Callable[[Sequence[Any]], ScriptedModel]]:
    """Make `ScriptedModel`s, and check at the end of the test that all their answers were used."""
    made: List[ScriptedModel] = []

    def make(replies: Sequence[Any]) -> ScriptedModel:
        made.append(ScriptedModel(replies))
        return made[-1]

    yield make
    for model in made:
        model.assert_complete()


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> Iterator[Callable[..., RecordedModel]]:
    """Make a `RecordedModel` of a model, or of the model that a function returns; close it at the end of the test.

    Its file is ``cassettes/<the test's file>/<the test's name>.json`` next to the test; `name` replaces the last part.
    """
    made: List[RecordedModel] = []
    mode: Any = request.config.getoption("luup_record", "once")

    def make(model: Union[Model, Callable[[], Model], None] = None, name: Optional[str] = None) -> RecordedModel:
        file = re.sub(r"[^\w.-]+", "_", request.node.name if name is None else name).strip("_")
        path = request.path.parent / "cassettes" / request.path.stem / f"{file}.json"
        made.append(RecordedModel(path, model, mode=mode))
        return made[-1]

    yield make
    for model in made:
        model.close()
