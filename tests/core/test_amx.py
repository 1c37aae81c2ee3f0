"""AMX where it works and where it is only announced, emulated by programs/amx_machine.c on any machine with AVX-512."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NEEDED = {"avx512f", "avx512bw", "avx512_vnni", "avx512vbmi", "avx512_bf16"}  # used by the variant besides the tiles
LIBRARIES = ("libluup-agent.so", "libggml-cpu-sapphirerapids.so")

ANSWER = """
import sys
from luup_agent import Agent, Model, cpu_variant
variant = cpu_variant()
print(variant.name, "|", variant.reason)
with Model.from_local(sys.argv[1], threads=2) as model:
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=12)
    print(agent.generate("What is the capital of France?"))
    print(agent.generate("And of Italy?"))
"""


def cpu_flags():
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(flags.group(1).split()) if flags else set()


def places(library):
    """Return the addresses of the instructions in `library` that detect AMX."""
    code = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(library)],
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return re.findall(r"^\s*([0-9a-f]+):\t(?:cpuid|xgetbv)\s*$", code, re.MULTILINE)


@pytest.fixture(scope="module")
def machine(package, tmp_path_factory):
    """Makes the environment of a process that runs on an AMX machine of the given kind."""
    if not cpu_flags() >= NEEDED:
        pytest.skip("this CPU has not the AVX-512 instructions that the AMX variant needs too")
    if not all(map(shutil.which, ("gcc", "objdump"))):
        pytest.skip("gcc and objdump are not both here")
    for name in LIBRARIES:
        if not (package / name).is_file():
            pytest.skip(f"there is no {name} in this build, but in one with LUUP_CPU_VARIANTS=all")
    source = Path(__file__).parent / "programs" / "amx_machine.c"
    preload = tmp_path_factory.mktemp("amx") / "amx_machine.so"
    command = ["gcc", "-O3", "-march=x86-64-v3", "-shared", "-fPIC", str(source), "-o", str(preload), "-ldl"]
    subprocess.run(command, check=True, timeout=120)
    found = {name: places(package / name) for name in LIBRARIES}
    assert all(found.values()), found

    def environment(kind, **more):
        return {
            **os.environ,
            "LD_PRELOAD": str(preload),
            "AMX_MACHINE": kind,
            "AMX_PLACES": ";".join(f"{name}:{','.join(addresses)}" for name, addresses in found.items()),
            **more,
        }

    return environment


pytestmark = [
    pytest.mark.slow,
    pytest.mark.gate,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="amx_machine.c is for Linux"),
]


def test_amx_is_used_where_it_works(machine, child, model_path, tmp_path):
    count = tmp_path / "products"
    result = child(ANSWER, model_path, env=machine("works", AMX_COUNT=str(count)))
    assert result.returncode == 0, result.stderr
    variant, first, second = result.stdout.splitlines()
    assert variant.startswith("sapphirerapids | the best of ")
    assert "Paris" in first
    assert "Rome" in second
    assert int(count.read_text()) > 10_000  # the tiles did the work


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("denied", "AMX is announced, but the kernel refused it"),
        ("unsaved", "AMX is announced, but the operating system does not save its registers"),
        ("faulty", "AMX is announced, but a first multiplication of tiles failed"),
    ],
)
def test_where_amx_is_only_announced_the_next_best_variant_answers(machine, child, model_path, kind, reason):
    result = child(ANSWER, model_path, env=machine(kind))
    assert result.returncode == 0, result.stderr
    variant, first, _ = result.stdout.splitlines()
    assert not variant.startswith("sapphirerapids")
    assert variant.endswith(f"; sapphirerapids was refused: {reason}")
    assert "Paris" in first


def test_amx_that_is_asked_for_and_not_granted_is_an_error(machine, child):
    source = """
    import luup_agent
    try:
        luup_agent.cpu_variant()
    except luup_agent.BackendInitError as error:
        print(error)
    """
    result = child(source, env=machine("faulty", LUUP_CPU_VARIANT="sapphirerapids"))
    assert result.returncode == 0, result.stderr
    assert "LUUP_CPU_VARIANT=sapphirerapids can't be used: AMX is announced, but" in result.stdout
