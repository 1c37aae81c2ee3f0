"""The embedder as a C program sees it: the header's sample, and what happens in threads and after mistakes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import bert

gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
HEADER = Path(__file__).parents[2] / "csrc" / "luup_agent.h"

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compiles as on Linux"),
    pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not here"),
]


def header_sample():
    """Return the program in the header's section about vectors."""
    section = HEADER.read_text(encoding="utf-8").split(" * Vectors of texts")[1].split("*/")[0]
    lines = [line[5:] for line in section.splitlines() if line.startswith(" *   ")]
    text = "\n".join(lines)
    return text[text.index("#include <stdio.h>") : text.index("\n}") + 3]


@pytest.fixture
def build(package, tmp_path):
    def compile_(source):
        file, program = tmp_path / "program.c", tmp_path / "program"
        file.write_text(source)
        command = [
            "gcc",
            "-std=c99",
            "-D_POSIX_C_SOURCE=200809L",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{package / 'include'}",
            str(file),
            "-o",
        ]
        command += [str(program), f"-L{package}", "-lluup-agent", "-lpthread", f"-Wl,-rpath,{package}"]
        subprocess.run(command, check=True, timeout=60)
        return program

    return compile_


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert") / "bert.gguf"
    bert.write(gguf, numpy, bert.random_bert(numpy, ["cat", "kitten", "sleeps"]), path)
    return path


def run(program, *arguments):
    command = [str(program), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)


def test_the_sample_of_the_header_compares_three_texts(build, model_file):
    program = build(header_sample())
    result = run(program, model_file)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"A kitten naps\. -?\d\.\d\d\nRates rise again\. -?\d\.\d\d\n", result.stdout)
    failed = run(program, "no such file")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "no such file" in failed.stderr


def test_threads_share_an_embedder_and_mistakes_leave_it_usable(build, model_file):
    program = build((Path(__file__).parent / "programs" / "embedder.c").read_text())
    result = run(program, model_file)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "vectors is NULL",
        "texts[1] is NULL",
        "capacity is 32, but 2 vectors have 32 numbers each",
        "params->size is 0: fill the structure with its default function first",
        "threads agree",
        "LUUP_ERROR_BUSY in its own progress function",
        "LUUP_ERROR_CANCELLED",
        "LUUP_ERROR_CLOSED by its own progress function",
        "LUUP_ERROR_CLOSED",
    ]
