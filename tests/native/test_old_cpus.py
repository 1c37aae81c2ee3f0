"""CPUs of other times, as qemu has them: the variant that fits is chosen, and nothing asks for more."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import random_model

QEMU = shutil.which("qemu-x86_64")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not QEMU, reason="qemu-x86_64 is not here (Debian: qemu-user)"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="qemu-user runs programs of Linux"),
]

ANSWER = """
import sys
from luup_agent import Agent, Model, cpu_variant
with Model.from_local(sys.argv[1], threads=1, context_size=256) as model:
    response = Agent(model, temperature=0, max_tokens=4).run("Hi")
print(cpu_variant().name, response.finish_reason, response.usage.output_tokens)
"""


@pytest.fixture(scope="module")
def tiny_path(model_path, tmp_path_factory):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("old") / "tiny.gguf"
    random_model.write(gguf, numpy, model_path, path)
    return path


def run(cpu, *command):
    """A command of this Python on another CPU; qemu complains of what the CPU has and qemu has not."""
    return subprocess.run(
        [QEMU, "-cpu", cpu, sys.executable, *map(str, command)],
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "LUUP_CPU_VARIANT"},
    )


# qemu-user translates nothing beyond AVX2: what it calls a Sapphire Rapids announces neither AVX-512 nor AMX.
@pytest.mark.parametrize(
    ("cpu", "variant"),
    [("qemu64", "x64"), ("Nehalem", "sse42"), ("Haswell", "haswell|sse42"), ("Icelake-Server", "haswell|sse42")],
)
def test_an_old_cpu_answers(cpu, variant, tiny_path):
    result = run(cpu, "-c", ANSWER, tiny_path)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(rf"({variant}) \w+ [1-4]\n", result.stdout)


def test_the_doctor_finds_an_old_cpu_well():
    result = run("Nehalem", "-m", "luup_agent", "doctor")
    assert result.returncode == 0, result.stderr
    assert re.search(r"CPU variant +sse42: the best of 2 that run here", result.stdout)
    assert "all is well" in result.stdout
