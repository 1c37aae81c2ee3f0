"""Every chat template that llama.cpp bundles: the prompts that it makes, and how the model's answers are read."""

import pytest


@pytest.mark.slow
def test_a_bundled_template_round_trips(bundled_template, template_results):
    """Nothing is lost on the way to the model, and calls as the template writes them come back, one or several."""
    template_results.check(f"chat/template_cases/{bundled_template}")


@pytest.mark.slow
@pytest.mark.gate
def test_most_bundled_templates_are_used_in_their_own_format(templates, template_results):
    assert len(templates) >= 60
    every = [f"chat/template_cases/{path.name}" for path in templates]
    template_results.run(case for case in every if case not in template_results.output)
    native = [case for case in every if template_results.output[case].startswith("native")]
    assert len(native) >= 45, "no longer used in their own format:\n" + "\n".join(sorted(set(every) - set(native)))
