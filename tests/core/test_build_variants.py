"""Which CPU variants a build makes: csrc/cmake/CpuVariants.cmake. Nothing is compiled here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CMAKE_FOLDER = Path(__file__).parents[2] / "csrc" / "cmake"
CMAKE = shutil.which("cmake")

pytestmark = pytest.mark.skipif(not CMAKE, reason="cmake is not installed")

AVX2 = "SSE42 AVX F16C FMA AVX2 BMI2"
AVX512 = f"{AVX2} AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16"


@pytest.fixture
def cmake(tmp_path):
    """Runs a script after CpuVariants.cmake; returns the exit status and the output as one line."""

    def run(script, *definitions, **variables):
        path = tmp_path / "script.cmake"
        path.write_text(
            f'cmake_minimum_required(VERSION 3.21)\ninclude("{CMAKE_FOLDER.as_posix()}/CpuVariants.cmake")\n{script}'
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LUUP_")}
        result = subprocess.run(
            [CMAKE, *definitions, "-P", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
            check=False,
            env={**environment, **variables},
        )
        return result.returncode, re.sub(r"\s+", " ", result.stdout).strip()

    return run


@pytest.mark.parametrize(
    ("variants", "features", "chosen"),
    [
        ("X86", "", "x64"),
        ("X86", "SSE42", "x64 sse42"),
        ("X86", AVX2, "x64 haswell"),
        ("X86", f"{AVX2} AVX_VNNI", "x64 alderlake"),
        ("X86", f"{AVX2} AVX512", "x64 skylakex"),
        ("X86", AVX512, "x64 zen4"),
        ("X86", f"{AVX512} AMX_TILE AMX_INT8", "x64 sapphirerapids zen4"),  # AMX may be refused at run time
        ("ARM_LINUX", "", "armv8.0_1"),
        ("ARM_LINUX", "DOTPROD FP16_VECTOR_ARITHMETIC SVE MATMUL_INT8 SVE2", "armv8.0_1 armv8.6_2"),
        ("ARM_APPLE", "DOTPROD FP16_VECTOR_ARITHMETIC", "apple_m1"),
        ("ARM_APPLE", "DOTPROD FP16_VECTOR_ARITHMETIC MATMUL_INT8 SME", "apple_m1 apple_m4"),
    ],
)
def test_a_native_build_has_the_baseline_and_the_best(cmake, variants, features, chosen):
    code, said = cmake(
        f'luup_runnable_cpu_variants(runnable "${{LUUP_{variants}_VARIANTS}}" "{features.replace(" ", ";")}")\n'
        'luup_native_cpu_variants(chosen "${runnable}")\nlist(JOIN chosen " " chosen)\nmessage(STATUS "${chosen}")\n'
    )
    assert (code, said) == (0, f"-- {chosen}")


WANTED = 'luup_cpu_variants_wanted(wanted)\nmessage(STATUS "${wanted}")\n'


def test_the_definition_comes_before_the_environment(cmake):
    assert cmake(WANTED) == (0, "-- native")
    assert cmake(WANTED, LUUP_CPU_VARIANTS="all") == (0, "-- all")
    assert cmake(WANTED, "-DLUUP_CPU_VARIANTS=native", LUUP_CPU_VARIANTS="all") == (0, "-- native")


@pytest.mark.parametrize("way", ["definition", "environment"])
def test_an_unknown_value_is_refused(cmake, way):
    definitions, variables = (
        (["-DLUUP_CPU_VARIANTS=best"], {}) if way == "definition" else ([], {"LUUP_CPU_VARIANTS": "best"})
    )
    code, said = cmake(WANTED, *definitions, **variables)
    assert code != 0
    assert 'LUUP_CPU_VARIANTS is "best", but must be "native" (' in said
    assert 'or "all".' in said


def test_a_variant_that_only_one_of_the_lists_has_stops_the_build(cmake):
    code, said = cmake("set(LUUP_CPU_VARIANT_NAMES x64)\nluup_wants_cpu_variant(wanted pentium)\n")
    assert code != 0
    assert "ggml has a CPU variant pentium that csrc/cmake/CpuVariants.cmake does not list" in said
    code, said = cmake('set(LUUP_CPU_VARIANT_NAMES x64 zen4)\nluup_check_cpu_variants("ggml-cpu-x64" "none")\n')
    assert code != 0
    assert "CpuVariants.cmake lists the CPU variant zen4, which ggml does not have" in said


@pytest.mark.parametrize("built", ["", "x64 zen4"])
def test_variants_with_the_code_of_another_are_left_out(cmake, built):
    for variant, wanted in [("icelake", "OFF"), ("cannonlake", "OFF"), ("zen4", "ON")]:
        code, said = cmake(
            f"set(LUUP_CPU_VARIANT_NAMES {built})\nluup_wants_cpu_variant(wanted {variant})\n"
            'message(STATUS "${wanted}")\n'
        )
        assert (code, said) == (0, f"-- {wanted}")


def test_modules_of_an_earlier_build_are_removed(cmake, tmp_path):
    names = ["libggml-cpu-x64.so", "libggml-cpu-zen4.so", "libggml-cpu-haswell.so", "libggml-rpc.so", "libluup-ggml.so"]
    for name in names:
        (tmp_path / name).touch()
    code, said = cmake(
        "set(CMAKE_SHARED_MODULE_SUFFIX .so)\nset(LUUP_CPU_VARIANT_NAMES x64 haswell)\n"
        f'luup_check_cpu_variants("ggml-cpu-x64;ggml-cpu-haswell;ggml-rpc" "{tmp_path.as_posix()}")\n'
    )
    assert (code, said) == (0, "-- CPU variants: x64, haswell")
    assert sorted(path.name for path in tmp_path.glob("lib*")) == sorted(set(names) - {"libggml-cpu-zen4.so"})
