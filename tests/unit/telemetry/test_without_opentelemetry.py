"""Without OpenTelemetry, the package works, and says what is missing."""

import subprocess
import sys

SCRIPT = """
import sys
sys.modules["opentelemetry"] = None
from luup_agent import Agent, UnsupportedError, telemetry
from luup_agent.testing import ScriptedModel
assert Agent(ScriptedModel(["Hello"])).generate("Hi") == "Hello"
assert not telemetry.is_instrumented()
telemetry.uninstrument()
try:
    telemetry.instrument()
except UnsupportedError as error:
    print(error)
print([name for name in sys.modules if "_telemetry" in name])
"""


def test_it_is_named_and_nothing_else_is_imported():
    result = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    error, modules = result.stdout.splitlines()
    assert 'run `pip install "luup-agent[otel]"`' in error
    assert modules == "[]"
