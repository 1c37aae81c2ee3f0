"""Types of the zoo, written by a model with random weights: valid at any temperature, and in any pieces."""

import pytest
from support.sampling import answers
from support.zoo import ENTRIES

from luup_agent import Agent
from luup_agent._run.typed_output import OutputSpec

VALID = [entry for entry in ENTRIES if entry.type is not None and entry.refused is None]
SAMPLE = VALID[::24]  # of the plain run


def check(model, entries, temperature, seeds, max_tokens):
    """Return what is wrong with the entries, and how many answers there were."""
    agent = Agent(
        model,
        temperature=temperature,
        top_k=0,
        top_p=1.0,
        min_p=0.0,
        max_tokens=max_tokens,
        enable_history=False,
    )
    wrong, count = [], 0
    for entry in entries:
        spec = OutputSpec(entry.type)
        for text in answers(agent, spec.schema, seeds, may_be_cut_off=True):
            count += 1
            try:
                value = spec.validate(text)
                reader = spec.partial_reader()
                for char in text:
                    for partial in reader.feed(char):
                        repr(partial)
                repr(value)
            except Exception as error:
                wrong.append((entry.title, text[:200], repr(error)[:300]))
                break
    return wrong, count


@pytest.mark.slow
def test_a_sample_of_the_types_is_valid(tiny_model):
    wrong, count = check(tiny_model, SAMPLE, 1.0, range(2), 96)
    assert not wrong
    assert count > len(SAMPLE)


@pytest.mark.slow
@pytest.mark.gate
@pytest.mark.parametrize(("temperature", "max_tokens", "least"), [(1.0, 200, 0.8), (100.0, 48, 0.3)])
def test_every_type_is_valid(tiny_model, temperature, max_tokens, least):
    """At a temperature of 100 texts have no end: their answers are cut off, which is an error."""
    wrong, count = check(tiny_model, VALID, temperature, range(1), max_tokens)
    assert not wrong
    assert count > least * len(VALID)
