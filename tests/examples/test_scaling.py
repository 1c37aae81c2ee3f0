"""docs/SCALING.md: each Python block runs against real servers, and its command starts one."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import llama_server as programs

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "SCALING.md").read_text(encoding="utf-8")
SERVER, FALLBACK, RPC = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)
ASK = """
from luup_agent import Agent, Model
with model:
    agent = Agent(model, temperature=0, max_tokens=24)
    print(agent.generate("What is the capital city of France? Answer in one sentence."))
"""


def put(block, **words):
    """Return the block with the given quoted places and names replaced."""
    for place, word in words.items():
        block, times = re.subn(rf'"{place}[^"]*"', repr(str(word)), block)
        assert times, place
    return block


def answer(block):
    script = "import logging\nlogging.basicConfig()\nfrom luup_agent import Agent, Model\n" + block + ASK
    result = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result


@pytest.mark.slow
@pytest.mark.gate
def test_a_server_answers(llama_server):
    assert "Paris" in answer(put(SERVER, http=llama_server.url, Qwen="smollm2", **{"…": "sk-of-the-tests"})).stdout


def test_the_next_model_takes_over(model_path):
    nobody = f"http://127.0.0.1:{programs.free_port()}/v1"
    result = answer(put(FALLBACK, http=nobody, small=model_path).replace('"big"', '"big", max_retries=0'))
    assert "Paris" in result.stdout
    assert "can't be reached" in result.stderr


def test_machines_hold_a_model_together(tool, model_path, tmp_path):
    (command,) = re.findall(r"^(ggml-rpc-server .*)$", TEXT, flags=re.MULTILINE)
    program, *options = shlex.split(command)
    servers = []
    try:
        for number in range(2):
            port = programs.free_port()
            words = [str(port) if word == "50052" else word.replace("10.0.0.2", "127.0.0.1") for word in options]
            servers.append(programs.Program([tool(program), *words], port, tmp_path / f"log{number}", programs.listens))
        block = put(RPC, large=model_path)
        for server, place in zip(servers, ("10.0.0.2:50052", "10.0.0.3:50052")):
            assert place in block
            block = block.replace(place, f"127.0.0.1:{server.port}")
        assert "Paris" in answer(block).stdout
    finally:
        for server in servers:
            server.stop()
