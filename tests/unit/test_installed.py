"""Code of other packages comes from installed ones, not from the current folder or that of the program."""

import os
import subprocess
import sys

import pytest

import luup_agent

TELL = """
import logging, sys
logging.basicConfig(format="%(message)s")
from luup_agent import _gpu_packages
from luup_agent._native import library
for plugin in _gpu_packages.find_plugins():
    print(plugin.package)
    library._add_backend(plugin.package, plugin.version, plugin.load)
"""
CODE = "print('FOREIGN CODE')\ndef folder():\n    return __path__[0] if '__path__' in globals() else '.'\n"


def install(folder, source="def folder():\n    return __path__[0]\n"):
    """Put a package with a backend into a folder, as pip would."""
    (folder / "luup_agent_abacus").mkdir(parents=True)
    (folder / "luup_agent_abacus" / "__init__.py").write_text(source)
    info = folder / f"luup_agent_abacus-{luup_agent.__version__}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: luup-agent-abacus\nVersion: {luup_agent.__version__}\n"
    )
    (info / "entry_points.txt").write_text("[luup_agent.backends]\nabacus = luup_agent_abacus:folder\n")


def run(folder, here, way):
    """Run TELL in the folder `here`, with the packages in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", TELL]
    if way == "program":
        (here / "main.py").write_text(TELL)
        command = [sys.executable, str(here / "main.py")]
        here = here.parent
    result = subprocess.run(command, cwd=str(here), env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split("\n")[:-1], result.stderr


@pytest.mark.processes
@pytest.mark.parametrize("way", ["current folder", "program"])
def test_a_distribution_there_is_not_installed(way, tmp_path):
    install(tmp_path / "here", CODE)
    (tmp_path / "site").mkdir()
    assert run(tmp_path / "site", tmp_path / "here", way)[0] == []


@pytest.mark.processes
@pytest.mark.parametrize("way", ["current folder", "program"])
@pytest.mark.parametrize("form", ["package", "module", "namespace"])
def test_a_module_there_does_not_hide_the_installed_one(way, form, tmp_path):
    install(tmp_path / "site")
    here = tmp_path / "here"
    here.mkdir()
    if form == "module":
        (here / "luup_agent_abacus.py").write_text(CODE)
    elif form == "package":
        (here / "luup_agent_abacus").mkdir()
        (here / "luup_agent_abacus" / "__init__.py").write_text(CODE)
    else:
        (here / "luup_agent_abacus").mkdir()
    output, log = run(tmp_path / "site", here, way)
    assert output == ["luup-agent-abacus"]
    if form == "namespace":  # the installed one wins by Python's own rules
        assert "can't be imported" not in log
    else:
        assert f"another module of this name would be imported instead: {here}" in log
