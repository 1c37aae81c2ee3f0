"""Tools and typed results through the Python API with every chat template that llama.cpp bundles.

The model is tiny and its weights are random: its text means nothing, so whatever is right was enforced.
"""

from typing import List, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import Annotated

from luup_agent import Agent, ChatTemplateError, LuupError, Model

Digit = Annotated[int, Field(ge=0, le=9)]


class Verdict(BaseModel):
    """The expected results of a run."""

    label: Literal["red", "blue"]
    digits: Annotated[List[Digit], Field(max_length=3)]
    sure: bool


# llama.cpp's grammars for these leave the arguments free: they are checked before a tool is called, but a model that
# means nothing may not come to an end, or only to arguments that are refused.
FREE_ARGUMENTS = ("Kimi-K3", "LFM2", "google-gemma-4", "muse-glimmer")


def each_template(templates, path, check):
    """Call `check(agent)` with a model for each of `templates`; fail with all their failures."""
    problems = []
    for template in templates:
        source = template.read_text(encoding="utf-8")
        try:
            with Model.from_local(path, chat_template=source, context_size=4096, threads=1) as model:
                check(Agent(model, temperature=1.0, max_tokens=300, enable_history=False, parallel_tool_calls=False))
        except (AssertionError, LuupError) as error:
            if template.name.startswith(FREE_ARGUMENTS) and not isinstance(error, ChatTemplateError):
                continue
            problems.append(f"{template.name}: {type(error).__name__}: {error}"[:400])
    assert not problems, "\n".join(problems)


def typed_result(agent):
    """Check a typed result without tools: thoughts are bounded, and the text after them is valid."""
    assert isinstance(agent.generate("Red or blue?", output_type=Verdict, seed=1), Verdict)


def forced_call_and_typed_result(agent):
    """Check that the forced tool runs with valid arguments, and that a valid object follows."""
    calls = []

    @agent.tool
    def pick_one2(color: Literal["red", "blue"], count: Digit, exact: bool) -> str:
        """Picks something.

        Args:
            color: The color.
            count: How many.
            exact: Whether no other number will do.
        """
        assert color in ("red", "blue")
        assert 0 <= count <= 9
        calls.append((color, count, exact))
        return "picked"

    @agent.tool
    def drop(size: Digit) -> int:
        """Drops something."""
        return size

    response = agent.run("Pick 3 red ones.", tool_choice="pick_one2", output_type=Verdict, seed=1, max_turns=12)
    assert calls, "the tool was not called"
    assert isinstance(response.output, Verdict)


@pytest.mark.slow
@pytest.mark.gate
def test_every_bundled_template_holds_a_model_that_means_nothing(templates, marked_path):
    def check(agent):
        typed_result(agent)
        forced_call_and_typed_result(agent)

    each_template(templates, marked_path, check)
