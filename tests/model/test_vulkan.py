"""A model on Vulkan, where a backend for it is installed: on a GPU, or with a driver for the CPU (Mesa's lavapipe)."""

import os

import pytest

import luup_agent

SOURCE = """
import sys
from luup_agent import Agent, Model, backends, devices
for backend in backends():
    print(backend.name, "|", backend.n_devices)
layers = int(sys.argv[2])
with Model.from_local(sys.argv[1], threads=1, gpu_layers=layers, context_size=512) as model:
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=12)
    print(agent.generate("What is the capital of France?"))
    print(model.get_info().backend)
"""


@pytest.fixture(scope="module")
def machine():
    """The environment of a process that takes the first Vulkan device, whatever kind it is."""
    if not any(backend.name == "Vulkan" for backend in luup_agent.backends()):
        pytest.skip("no Vulkan backend is installed")
    return {**os.environ, "GGML_VK_VISIBLE_DEVICES": "0"}  # ggml leaves drivers alone that compute on the CPU


@pytest.mark.slow
@pytest.mark.gate
def test_it_answers(child, model_path, machine):
    # lavapipe compiles its shaders first: a minute of computing.
    result = child(SOURCE, model_path, -1, env=machine, timeout=1800)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "Vulkan | 1" in lines
    assert "Paris" in result.stdout
    assert lines[-1] == "Vulkan"


def test_without_a_layer_on_it_the_cpu_answers(child, model_path, machine):
    result = child(SOURCE, model_path, 0, env=machine)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "CPU"
