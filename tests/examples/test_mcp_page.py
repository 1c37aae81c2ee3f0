"""docs/MCP.md: its Python blocks run, and print what their comments say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "MCP.md").read_text(encoding="utf-8")
SERVER = ROOT / "tests" / "support" / "mcp_server.py"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)

# For the blocks without imports, which are parts of a program.
PREFACE = """
from luup_agent import MCP, Agent
from luup_agent.testing import ScriptedModel, tool_call

model = ScriptedModel(["It is fine.", "A poem."])
agent = Agent(model)
mcp = MCP("python server.py")
"""
CALLS = """
script = ScriptedModel([tool_call("write", topic="rain"), tool_call("book", city="Oslo"), "done"])
input = lambda question: "4"
print([call.result.content for call in Agent(script, toolsets=[mcp]).run("Hi").tool_calls])
"""


def run(number, model_path, tmp_path):
    source = BLOCKS[number].replace('"smollm2"', repr(str(model_path)))
    if not source.startswith("from "):
        source = PREFACE + source + (CALLS if "on_sampling" in source else "print(text, resources[0].name)\n")
    command = f"{sys.executable} {SERVER} stdio"
    source = source.replace('"python server.py"', repr(command))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, cwd=str(tmp_path), timeout=120
    )
    assert result.returncode == 0, result.stderr
    for text in re.findall(r"print\(.*\)  # (.+)$", source, flags=re.MULTILINE):
        assert text in result.stdout
    return result.stdout


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(number, model_path, tmp_path):
    if "MCP" in BLOCKS[number] or "mcp." in BLOCKS[number]:
        pytest.importorskip("mcp")
    output = run(number, model_path, tmp_path)
    if "on_sampling" in BLOCKS[number]:
        assert output == "['It wrote: It is fine.', '4 guests in Oslo']\n"
    if "read_resource" in BLOCKS[number]:
        assert output == "Read me. readme\n"


def test_all_blocks_are_found():
    assert len(BLOCKS) == 5
