"""The C++ cases as parameters of tests, and their results."""

import pytest
from support import builds, cases


def pytest_generate_tests(metafunc):
    if "core_case" in metafunc.fixturenames:
        metafunc.parametrize("core_case", cases.listed("luup-core-cases"))
    if "kernel_case" in metafunc.fixturenames:
        metafunc.parametrize("kernel_case", cases.listed("luup-kernel-cases"))
    if "bundled_template" in metafunc.fixturenames:
        # Each takes most of a second: a plain pytest tries every third.
        templates = [
            pytest.param(path.name, id=path.stem, marks=[pytest.mark.gate] * (index % 3 > 0))
            for index, path in enumerate(builds.find_templates())
        ]
        skipped = pytest.mark.skip(reason="no build here, or one with a llama.cpp that has no models/templates")
        metafunc.parametrize("bundled_template", templates or [pytest.param(None, id="not built", marks=skipped)])


@pytest.fixture(scope="session")
def core_results(request, tool, model_path):
    results = cases.Results(tool("luup-core-cases"), "--model", model_path)
    results.run(cases.selected(request, "core_case"))
    return results


@pytest.fixture(scope="session")
def template_results(request, tool, marked_path):
    files = [argument for path in builds.find_templates() for argument in ("--template", path)]
    results = cases.Results(tool("luup-template-cases"), "--model", marked_path, *files)
    results.run(f"chat/template_cases/{name}" for name in cases.selected(request, "bundled_template"))
    return results
