"""The library as a C program sees it: the header's sample, the exported symbols, what it needs of the system."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEADER = Path(__file__).parents[2] / "csrc" / "luup_agent.h"

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses gcc and nm as on Linux")


def header_sample():
    """Return the program in the header's introduction."""
    introduction = HEADER.read_text(encoding="utf-8").split("*/")[0]
    lines = [line[5:] for line in introduction.splitlines() if line.startswith(" *   ")]
    text = "\n".join(lines)
    return text[text.index("#include <stdio.h>") : text.index("\n}\n") + 3]


@linux
def test_runs_with_tools_end_as_they_may_whatever_is_done_to_them(tool, tiny_path):
    result = subprocess.run(
        [str(tool("luup-storm")), str(tiny_path), "4"], capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert re.fullmatch(r"[1-9]\d* runs\n", result.stdout)


@linux
def test_the_library_calls_no_function_of_c_that_keeps_its_result_for_all_threads(package):
    if not shutil.which("nm"):
        pytest.skip("nm is not here")
    command = ["nm", "-D", "--undefined-only", str(package / "libluup-agent.so")]
    listed = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    called = {name.split("@")[0] for name in listed.split()}
    assert "localtime_r" in called
    assert not called & {"localtime", "gmtime", "asctime", "ctime", "strtok", "rand", "tmpnam"}


@linux
def test_what_threads_do_at_once_with_models_and_an_embedder_ends_as_it_may(tool, tiny_path, tmp_path):
    command = [str(tool("luup-races")), str(tiny_path), str(tmp_path), "4"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert re.fullmatch(r"[1-9]\d* runs\n", result.stdout)


@linux
@pytest.mark.parametrize("compiler", [["gcc", "-std=c99"], ["g++", "-x", "c++", "-std=c++20"]], ids=["c", "c++"])
def test_header_sample_compiles_and_answers(compiler, package, model_path, tmp_path):
    if not shutil.which(compiler[0]):
        pytest.skip(f"{compiler[0]} is not here")
    source, program = tmp_path / "sample.c", tmp_path / "sample"
    source.write_text(header_sample())
    command = [*compiler, "-Wall", "-Wextra", "-Werror", f"-I{package / 'include'}", str(source), "-o", str(program)]
    subprocess.run([*command, f"-L{package}", "-lluup-agent", f"-Wl,-rpath,{package}"], check=True, timeout=60)
    answered = subprocess.run(
        [str(program), str(model_path)], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert (answered.returncode, answered.stderr) == (0, "")
    assert answered.stdout.strip()
    failed = subprocess.run(
        [str(program), "no such file"], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "no such file" in failed.stderr


@linux
def test_tools_and_typed_output_from_c(package, model_path, tmp_path):
    if not shutil.which("gcc"):
        pytest.skip("gcc is not here")
    program = tmp_path / "tools"
    source = Path(__file__).parent / "programs" / "tools.c"
    command = [
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{package / 'include'}",
        str(source),
        "-o",
        str(program),
    ]
    subprocess.run([*command, f"-L{package}", "-lluup-agent", f"-Wl,-rpath,{package}"], check=True, timeout=60)
    result = subprocess.run(
        [str(program), str(model_path)], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    refused, called, silent, output, history = result.stdout.splitlines()
    assert re.fullmatch(r'add \{"a":-?\d+,"b":-?\d+\} user data', called)
    assert "third" in refused
    assert "/properties/a/not" in refused
    assert silent == "silent"
    assert re.fullmatch(r'output \{"sum":\d{1,2}\}', output)
    assert "the tool gave no result" in history
    assert '"tool_call_id"' in history


@linux
def test_exported_symbols_are_those_of_the_header(package):
    if not shutil.which("nm"):
        pytest.skip("nm is not here")
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", str(package / "libluup-agent.so")],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout
    exported = {line.split()[-1] for line in listing.splitlines()}
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    declared = set(re.findall(r"LUUP_API[^;(]*?(luup_\w+)\(", text))
    assert len(declared) > 35
    assert exported == declared


@linux
def test_libraries_lie_together_and_need_nothing_but_the_system(package):
    """Each library once, no versioned copies; no OpenMP, no OpenSSL, no C++ library of ours."""
    names = sorted(path.name for path in package.glob("*.so*"))
    assert [name for name in names if re.search(r"\.so\.\d", name)] == []
    assert {"libluup-agent.so", "libluup-ggml.so", "libluup-ggml-base.so"} <= set(names)
    for name in names:
        needed = subprocess.run(
            ["objdump", "-p", str(package / name)], stdout=subprocess.PIPE, encoding="utf-8", check=True
        ).stdout
        libraries = set(re.findall(r"NEEDED\s+(\S+)", needed))
        system = re.compile(
            r"(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|ld-linux-x86-64|ld-linux-aarch64)\.so.*"
        )
        ours = re.compile(r"libluup-(agent|ggml|ggml-base)\.so")
        assert [lib for lib in libraries if not system.fullmatch(lib) and not ours.fullmatch(lib)] == [], name


@linux
def test_amx_tile_configuration_is_stored_whole(package):
    """gcc 12 drops most of the 64 bytes that `ldtilecfg` reads; the mended build stores all eight rows before it."""
    library = package / "libggml-cpu-sapphirerapids.so"
    if not library.exists() or not shutil.which("objdump"):
        pytest.skip("no AMX variant here")
    code = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(library)], stdout=subprocess.PIPE, encoding="utf-8", check=True
    ).stdout
    lines = code.splitlines()
    places = [i for i, line in enumerate(lines) if "ldtilecfg" in line]
    assert places
    widths = {"xmm": 16, "ymm": 32, "zmm": 64}
    for place in places:
        operand = re.search(r"ldtilecfg\s+(-?0x[0-9a-f]+)?\(%(\w+)\)", lines[place])
        assert operand, lines[place]
        base, register = int(operand.group(1) or "0", 16), operand.group(2)
        written = set()
        for line in lines[max(0, place - 120) : place]:
            store = re.search(r"\s(v?mov\w*)\s+([%$][\w-]+),(-?0x[0-9a-f]+)?\(%" + register + r"\)$", line)
            if store:
                vector = re.match(r"%([xyz]mm)", store.group(2))
                suffix = {"b": 1, "w": 2, "l": 4, "q": 8}.get(store.group(1)[-1], 8)
                start = int(store.group(3) or "0", 16)
                written |= set(range(start, start + (widths[vector.group(1)] if vector else suffix)))
        assert set(range(base, base + 64)) <= written, lines[place]
