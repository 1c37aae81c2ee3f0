"""Errors of a build: each names the cause and the remedy. Nothing is compiled here."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
CMAKE = shutil.which("cmake")

pytestmark = [
    pytest.mark.skipif(not CMAKE, reason="cmake is not here"),
    pytest.mark.skipif(sys.platform == "win32", reason="CMake has Visual Studio there, whatever CC says"),
]

FIND = """
cmake_minimum_required(VERSION 3.21)
include("${FOLDER}/LlamaCpp.cmake")
luup_find_llama(found)
message(STATUS "found ${found}")
"""


def cmake(*arguments, **variables):
    """Run CMake; return its status, and its output as one line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LUUP_", "PIP_"))}
    result = subprocess.run(
        [CMAKE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
        check=False,
        env={**environment, **{name: str(value) for name, value in variables.items()}},
    )
    return result.returncode, re.sub(r"\s+", " ", result.stdout)


@pytest.fixture
def find(tmp_path):
    """Looks for llama.cpp with the lock file's text given, and with a folder of packages instead of an index."""

    def run(lock=None, **variables):
        folder = tmp_path / "csrc" / "cmake"
        shutil.copytree(str(CSRC / "cmake"), str(folder))
        if lock:
            (folder / "llama.cpp.lock").write_text(lock)
        script = tmp_path / "find.cmake"
        script.write_text(FIND)
        packages = tmp_path / "packages"
        packages.mkdir(exist_ok=True)
        return cmake(
            f"-DFOLDER={folder}", f"-DPython_EXECUTABLE={sys.executable}", "-P", script,
            LUUP_CACHE_DIR=tmp_path / "cache", PIP_NO_INDEX=1, PIP_FIND_LINKS=packages, **variables,
        )  # fmt: skip

    return run


@pytest.fixture
def archive(tmp_path):
    """The hash of an empty source distribution with the name from the lock file."""
    path = tmp_path / "packages" / "llama_cpp_python-0.3.36.tar.gz"
    path.parent.mkdir()
    text = b"Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: 0.3.36\n"
    with tarfile.open(path, "w:gz") as file:
        entry = tarfile.TarInfo("llama_cpp_python-0.3.36/PKG-INFO")
        entry.size = len(text)
        file.addfile(entry, io.BytesIO(text))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_no_network(find, tmp_path):
    code, said = find()
    assert code != 0
    assert "llama.cpp's source could not be downloaded" in said
    assert "No matching distribution found for llama-cpp-python==0.3.36" in said
    assert "LUUP_LLAMA_SOURCE_DIR=/path/to/llama.cpp" in said
    assert [path.name for path in (tmp_path / "cache" / "src").iterdir()] == ["lock"]


def test_another_package_than_the_locked_one(find, archive, tmp_path):
    code, said = find()
    assert code != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in said
    assert archive in said
    assert "is not the one that" in said
    assert "do not build it" in said
    assert [path.name for path in (tmp_path / "cache" / "src").iterdir()] == ["lock"]


def test_a_folder_that_is_not_llama_cpp(find, tmp_path):
    code, said = find(LUUP_LLAMA_SOURCE_DIR=tmp_path)
    assert code != 0
    assert f"{tmp_path} is not a llama.cpp source tree" in said


def test_no_compiler(tmp_path):
    arguments = ("-G", "Unix Makefiles") if shutil.which("make") else ("-G", "Ninja")
    code, said = cmake(*arguments, "-S", CSRC, "-B", tmp_path / "build", CC="no-such-cc", CXX="no-such-c++")
    assert code != 0
    assert "there is no compiler for C and C++17" in said
    assert 'CC and CXX name "no-such-cc" and "no-such-c++"' in said
    assert "pip install --only-binary luup-agent luup-agent" in said
    assert "apt install g++" in said


def test_a_gpu_backend_that_is_not_known(tmp_path):
    script = tmp_path / "choose.cmake"
    script.write_text(
        f'cmake_minimum_required(VERSION 3.21)\ninclude("{CSRC}/cmake/LlamaCpp.cmake")\nluup_choose_gpu_backends()\n'
    )
    code, said = cmake("-DLUUP_GPU_BACKENDS=opencl", "-P", script)
    assert code != 0
    assert "there is no backend opencl; choose from: metal, cuda, hip, vulkan" in said


def test_a_patch_that_does_not_fit(tmp_path):
    tree = tmp_path / "tree"
    patch = min((CSRC / "llama_patches").glob("*.patch"))  # the first that is applied
    patched = patch.read_text("utf-8").partition("\n+++ b/")[2].partition("\n")[0]
    for file in ("ggml/CMakeLists.txt", "common/chat.h", patched):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text("# another version\n")
    script = tmp_path / "patch.cmake"
    script.write_text(
        f'cmake_minimum_required(VERSION 3.21)\ninclude("{CSRC}/cmake/LlamaCpp.cmake")\n'
        f'set(CMAKE_BINARY_DIR "{tmp_path}/build")\nluup_patched_llama(found)\n'
    )
    code, said = cmake(f"-DPython_EXECUTABLE={sys.executable}", "-P", script, LUUP_LLAMA_SOURCE_DIR=tree)
    assert code != 0
    assert "llama.cpp could not be patched" in said
    assert f"{patch.name}: {tree}/{patched}: the hunk @@ " in said
    assert "does not apply" in said
    assert "see csrc/llama_patches/README.md" in said
    assert not (tmp_path / "build").exists()
