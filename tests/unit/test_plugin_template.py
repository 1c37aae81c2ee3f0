"""The projects of packages with a GPU backend, as csrc/plugin/make.py writes them."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import luup_agent
from luup_agent._gpu_packages import ENTRY_POINTS

MAKE = Path(__file__).parents[2] / "csrc" / "plugin" / "make.py"
KINDS = {"cuda12": "cuda", "rocm": "hip", "vulkan": "vulkan"}


def make(*arguments):
    return subprocess.run(
        [sys.executable, str(MAKE), *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.fixture(params=sorted(KINDS))
def project(request, tmp_path):
    folder = tmp_path / "project"
    result = make(request.param, folder)
    assert (result.returncode, result.stderr) == (0, "")
    return request.param, folder


def test_a_project_is_whole(project):
    kind, folder = project
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search(r"@\w+@", text)
    assert f'name = "luup-agent-{kind}"' in text
    assert f'version = "{luup_agent.__version__}"' in text
    assert f'dependencies = ["luup-agent=={luup_agent.__version__}"' in text
    assert f'[project.entry-points."{ENTRY_POINTS}"]\n{kind} = "luup_agent_{kind}:folder"' in text
    assert f'LUUP_GPU_BACKENDS = "{KINDS[kind]}"' in text
    assert "--exclude libluup-ggml-base.so" in text
    source = re.search(r'^cmake\.source-dir = "(.+)"$', text, re.MULTILINE).group(1)
    assert (folder / source / "CMakeLists.txt").samefile(MAKE.with_name("CMakeLists.txt"))
    assert (folder / "LICENSE").is_file()


def test_its_module_names_its_own_folder(project):
    kind, folder = project
    path = folder / f"luup_agent_{kind}" / "__init__.py"
    spec = importlib.util.spec_from_file_location(f"luup_agent_{kind}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert Path(module.folder()) == path.parent


def test_its_pyproject_says_what_pip_needs(project):
    tomllib = pytest.importorskip("tomllib")
    kind, folder = project
    values = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert values["project"]["entry-points"] == {ENTRY_POINTS: {kind: f"luup_agent_{kind}:folder"}}
    assert values["project"]["dependencies"][0] == f"luup-agent=={luup_agent.__version__}"
    assert values["tool"]["scikit-build"]["wheel"]["py-api"] == "py3"


@pytest.mark.parametrize("arguments", [(), ("vulkan",), ("opencl", "folder"), ("vulkan", "folder", "more")])
def test_wrong_arguments_tell_the_kinds(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = make(*arguments)
    assert result.returncode == 2
    assert "{cuda12,rocm,vulkan} FOLDER" in result.stderr
    assert list(tmp_path.iterdir()) == []
