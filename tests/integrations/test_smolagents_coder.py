"""smolagents' CodeAgent finishes tasks with a model that writes code: Qwen2.5-Coder of 0.5B parameters.

The model (491 MB) comes from the package index, as for tests/benchmarks/bfcl.py, and stays in the cache folder.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("smolagents")

from smolagents import CodeAgent, tool

from luup_agent import Model
from luup_agent.integrations.smolagents import LuupModel

pytestmark = [pytest.mark.gate, pytest.mark.slow, pytest.mark.network]
BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")
# smolagents' own prompt has 2,000 tokens: a model of this size follows it, but forgets to call final_answer.
PROMPT = """You solve tasks with Python code. You write code between <code> and </code>, which calls final_answer.

Task: What is 20 - 6?
Thought: I subtract the numbers.
<code>
final_answer(20 - 6)
</code>

Task: What is the weather in Rome?
Thought: I call the tool.
<code>
final_answer(weather(city="Rome"))
</code>

Now solve the task of the user in the same way."""


@tool
def weather(city: str) -> str:
    """Returns the weather of a city.

    Args:
        city: The city.
    """
    return f"It is sunny in {city}."


@pytest.fixture(scope="module")
def coder():
    finding = f"import sys; sys.path.insert(0, {BENCHMARKS!r}); import bfcl_data; print(bfcl_data.qwen())"
    found = subprocess.run([sys.executable, "-c", finding], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"the model is not available: {found.stderr.strip().splitlines()[-1]}")
    with Model.from_local(found.stdout.splitlines()[-1], threads=2) as opened:
        yield LuupModel(opened, temperature=0, max_tokens=200)


@pytest.mark.parametrize(
    ("task", "answer"),
    [("What is 7 * 6?", 42), ("What is 100 - 58?", 42), ("What is the weather in Paris?", "It is sunny in Paris.")],
)
def test_a_code_agent_finishes_a_task(coder, task, answer):
    agent = CodeAgent(tools=[weather], model=coder, max_steps=2, verbosity_level=0)
    agent.prompt_templates["system_prompt"] = PROMPT
    result = agent.run(task, return_full_result=True)
    assert (result.state, result.output) == ("success", answer)
