"""Each type of the zoo is refused when it is declared, with the reason, or has a schema; the page says the same."""

import inspect
from pathlib import Path

import pytest
from support.zoo import ENTRIES, page

from luup_agent import InvalidParamError, InvalidSchemaError, Tool
from luup_agent._run.typed_output import OutputSpec

HERE = [entry for entry in ENTRIES if entry.type is not None]  # None: this pydantic does not have it
TYPES = Path(__file__).parents[2] / "docs" / "TYPES.md"


def test_the_page_is_the_table():
    assert TYPES.read_text(encoding="utf-8") == page(), "run PYTHONPATH=tests python -m support.zoo > docs/TYPES.md"
    assert len(ENTRIES) > 580
    titles = [entry.title for entry in ENTRIES]
    assert sorted(titles) == sorted(set(titles))


@pytest.mark.slow
@pytest.mark.versions
def test_every_type_is_refused_with_the_reason_or_has_a_schema():
    wrong = []
    for entry in HERE:
        try:
            OutputSpec(entry.type)
            reason = None
        except InvalidSchemaError as error:
            reason = str(error)
        if (reason is None) != (entry.refused is None) or (reason is not None and entry.refused not in reason):
            wrong.append((entry.title, reason))
    assert not wrong


@pytest.mark.slow
@pytest.mark.versions
def test_tools_take_and_refuse_the_same_types():
    wrong = []
    for entry in HERE:

        def tool(value):
            """Do something."""

        tool.__signature__ = inspect.Signature(
            [inspect.Parameter("value", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=entry.type)]
        )
        try:
            Tool(tool, name="tool")
            refused = False
        except (InvalidSchemaError, InvalidParamError):
            refused = True
        if refused != (entry.refused is not None):
            wrong.append(entry.title)
    assert not wrong
