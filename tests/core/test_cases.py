"""The cases of the core's classes, in the folders of the rooms that they check.

pytest tests/core/test_cases.py -k schema
build/*/luup_agent/luup-core-cases --model FILE schema/
"""


def test_case(core_case, core_results):
    core_results.check(core_case)
