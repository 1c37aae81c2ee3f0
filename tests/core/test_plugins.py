"""Packages with a GPU backend: found by entry point, and refused with a clear message where they don't fit."""

import os
import sys

import pytest

import luup_agent

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its libraries are named as on Linux")

TELL = """
import logging, sys
logging.basicConfig(format="%(message)s")
import luup_agent
for backend in luup_agent.backends():
    print(backend.name, "|", backend.path, "|", backend.reason)
try:
    luup_agent.Model.from_local(sys.argv[1], gpu_layers=1)
except luup_agent.BackendInitError as error:
    print("error:", error)
with luup_agent.Model.from_local(sys.argv[1], context_size=256, threads=1, gpu_layers=0) as model:
    print(model.get_info().backend)
"""


@pytest.fixture
def plugin(tmp_path, child, model_path):
    """Installs a package with an entry point, as pip would; returns the lines that TELL printed, and stderr."""

    def install(version=luup_agent.__version__, source="", files=()):
        package = tmp_path / "luup_agent_abacus"
        package.mkdir()
        (package / "__init__.py").write_text(source or "def folder():\n    return __path__[0]\n")
        for name, content in files:
            (package / name).write_bytes(content)
        info = tmp_path / f"luup_agent_abacus-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: luup-agent-abacus\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[luup_agent.backends]\nabacus = luup_agent_abacus:folder\n")
        result = child(TELL, model_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines(), result.stderr

    return install


def test_another_version_is_refused_and_told_when_a_gpu_is_asked_for(plugin):
    reason = f"its version is 0.0.7, but this library's is {luup_agent.__version__}; install the same version of both"
    lines, log = plugin(version="0.0.7", source="raise AssertionError('must not be imported')")
    assert lines[0] == f"luup-agent-abacus | luup-agent-abacus | {reason}"
    assert f"luup-agent-abacus was not loaded: {reason}" in next(line for line in lines if line.startswith("error:"))
    assert reason in log
    assert lines[-1] == "CPU"


def test_a_library_that_can_not_be_loaded_is_told_with_its_path(plugin, tmp_path):
    path = tmp_path / "luup_agent_abacus" / "libggml-abacus.so"
    lines, log = plugin(files=[(path.name, b"not a library")])
    assert lines[0].startswith(f"abacus | {path} | ")
    assert lines[0].rpartition(" | ")[2].strip()
    assert str(path) in next(line for line in lines if line.startswith("error:"))
    assert str(path) in log
    assert lines[-1] == "CPU"


def test_a_cpu_variant_in_a_plugin_is_not_used(plugin, package):
    variant = next(package.glob("libggml-cpu-*.so"))
    lines, _ = plugin(files=[(variant.name, variant.read_bytes())])
    assert [line for line in lines if "luup_agent_abacus" in line] == []


@pytest.mark.parametrize(
    "source", ["import no_such_module", "def folder():\n    raise RuntimeError('broken')", "x = 1"]
)
def test_a_broken_package_keeps_nothing_from_working(plugin, source):
    lines, log = plugin(source=source)
    assert lines[-1] == "CPU"
    assert "luup-agent-abacus can't be imported" in log


def test_a_folder_that_is_not_there_is_told(plugin):
    _, log = plugin(source="def folder():\n    return '/no/such/folder'\n")
    assert "there is no folder /no/such/folder" in log


def test_backends_can_not_be_added_once_they_are_loaded():
    luup_agent.backends()
    lib = luup_agent._native.lib
    assert lib.luup_backends_add(b"/tmp", luup_agent.__version__.encode()) == lib.LUUP_ERROR_UNSUPPORTED
    assert "loaded already" in luup_agent._native.error_message(lib.LUUP_ERROR_UNSUPPORTED)


def test_a_backend_that_is_not_there():
    info = luup_agent._native.new_output("luup_backend_info")
    code = luup_agent._native.lib.luup_backend_get(99, info)
    assert code == luup_agent._native.lib.LUUP_ERROR_INVALID_PARAM
