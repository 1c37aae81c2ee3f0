"""A call to the system fails anywhere in a program's life: an allocation, a thread, a process, an access to a file."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the program replaces functions of glibc")

ROUNDS = {"allocation": 12, "thread": 5, "process": 5, "open": 8, "read": 12, "write": 12}  # per step of that life


@pytest.mark.gate
@pytest.mark.parametrize("kind", list(ROUNDS))
def test_one_call_fails(kind, tool, tiny_path, tmp_path):
    """Each step succeeds, or its error is of the right class and the same step succeeds afterwards."""
    rounds = ROUNDS[kind] * (50 if os.environ.get("LUUP_LONG_TESTS") else 1)
    command = [str(tool("luup-injected")), str(tiny_path), str(tmp_path), kind, str(rounds), "1"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60 + 30 * rounds, check=False)
    assert result.returncode == 0, f"{result.returncode}: {result.stderr[-1000:]}"
    outcomes = [line.split() for line in result.stdout.splitlines()]
    assert outcomes
    assert all(each[0] == kind for each in outcomes)
    if kind != "process":  # a file that can't be tried in a process of its own is tried in this one
        assert any(each[2] != "LUUP_SUCCESS" for each in outcomes)
