"""Old CPUs, emulated by qemu: the variant that fits is chosen, and no library needs more than it says."""

import os
import platform
import re
import shutil
import subprocess
import sys

import pytest

QEMU = shutil.which("qemu-x86_64")

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses objdump and qemu-user as on Linux")
emulated = pytest.mark.skipif(not QEMU, reason="qemu-x86_64 is not here (Debian: qemu-user)")

# AVX and later begin with v; then SSE3 to SSE4.2 and BMI. (tzcnt is not among them: older CPUs run it as bsf.)
NEWER = re.compile(
    r"\t(v\w+|h(?:add|sub)p[sd]|addsubp[sd]|lddqu|mov(?:ddup|s[hl]dup)|ph\w+|pabs\w+|pshufb|palignr|psign\w+|pmaddubsw|pmulhrsw"
    r"|blend\w+|pblend\w+|round[ps][sd]|dpp[sd]|pextr[bdq]|pinsr[bdq]|extractps|insertps|pm(?:ov[sz]x|ax|in)[a-z]{2}|pmul(?:ld|dq)"
    r"|ptest|pcmp(?:eqq|gtq|[ei]str[im])|packusdw|mpsadbw|movntdqa|crc32\w*|popcnt|lzcnt|andn|bextr|bls\w+|bzhi|mulx|p(?:dep|ext)"
    r"|rorx|sarx|shlx|shrx|movbe)\s"
)
BASELINE = {"pmaxub", "pmaxsw", "pminub", "pminsw", "verr", "verw"}
CHECKED = {"luup-agent": {"lzcnt"}}  # miniaudio's reader of FLAC asks the CPU before it uses it

ANSWER = """
import sys
from luup_agent import Agent, Model, cpu_variant
with Model.from_local(sys.argv[1], threads=1, context_size=256) as model:
    response = Agent(model, temperature=0, max_tokens=4).run("Hi")
print(cpu_variant().name, response.finish_reason, response.usage.completion_tokens)
"""


def run(cpu, *command):
    """Run this Python on another CPU; qemu warns of features that it does not emulate."""
    return subprocess.run(
        [QEMU, "-cpu", cpu, sys.executable, *map(str, command)],
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "LUUP_CPU_VARIANT"},
    )


def built(package):
    """The names of the CPU variants in this build."""
    return {path.stem.replace("libggml-cpu-", "") for path in package.glob("libggml-cpu-*.so")}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="looks for instructions of x86-64")
@pytest.mark.parametrize("name", ["luup-agent", "luup-ggml", "luup-ggml-base", "ggml-cpu-x64"])
def test_what_every_cpu_runs_asks_for_no_more_than_x86_64(name, package):
    if not shutil.which("objdump"):
        pytest.skip("objdump is not here")
    library = str(package / f"lib{name}.so")
    command = ["objdump", "-d", "--no-show-raw-insn", library]
    code = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True, timeout=120).stdout
    assert "\tret" in code
    assert set(NEWER.findall(code)) - BASELINE - CHECKED.get(name, set()) == set()


# qemu-user translates nothing beyond AVX2, whatever the CPU is called: a newer one is one without AVX-512 and AMX.
@pytest.mark.slow
@pytest.mark.gate
@emulated
@pytest.mark.parametrize(
    ("cpu", "variants"),
    [("Nehalem", {"sse42"}), ("Haswell", {"haswell", "sse42"}), ("Icelake-Server", {"haswell", "sse42"})],
)
def test_an_old_cpu_answers(cpu, variants, tiny_path, package):
    result = run(cpu, "-c", ANSWER, tiny_path)
    assert result.returncode == 0, result.stderr
    fitting = variants & built(package) or {"x64"}  # a build for one machine may have only the baseline for this CPU
    assert re.fullmatch(rf"({'|'.join(fitting)}) \w+ [1-4]\n", result.stdout)


@pytest.mark.slow
@pytest.mark.gate
@emulated
def test_the_doctor_finds_an_old_cpu_well(package):
    result = run("Nehalem", "-m", "luup_agent", "doctor")
    assert result.returncode == 0, result.stderr
    best = "sse42: the best of 2" if "sse42" in built(package) else "x64: the best of 1"
    assert re.search(rf"CPU variant +{best} that run here", result.stdout)
    assert "No problems found." in result.stdout
