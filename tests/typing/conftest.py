"""Type checkers, run over programs that use the package."""

import json
import re
import subprocess
import sys

import pytest


def run(*command, folder):
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=str(folder), stdout=subprocess.PIPE, encoding="utf-8", check=False
    ).stdout


@pytest.fixture(scope="session")
def mypy(tmp_path_factory):
    """Runs `mypy --strict` on a program; returns its lines."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("mypy")

    def check(source):
        (folder / "program.py").write_text(source)
        cache = f"--cache-dir={folder / 'cache'}"
        return run("mypy", "--strict", "--config-file=", cache, "program.py", folder=folder).splitlines()

    return check


@pytest.fixture(scope="session")
def problems(mypy):
    """Runs `mypy --strict` on a program; returns the errors."""
    return lambda source: [line for line in mypy(source) if ": error:" in line]


def _mypy_types(lines):
    return [found.group(1) for found in (re.search(r'Revealed type is "(.*)"$', line) for line in lines) if found]


def _pyright_types(diagnostics):
    notes = [note["message"] for note in diagnostics]
    return [found.group(1) for found in (re.search(r' is "(.*)"$', note, re.DOTALL) for note in notes) if found]


@pytest.fixture(scope="session")
def pyright(tmp_path_factory):
    """Runs pyright on a program; returns its diagnostics."""
    pytest.importorskip("pyright")
    folder = tmp_path_factory.mktemp("pyright")

    def check(source):
        (folder / "program.py").write_text(source)
        output = run("pyright", "--pythonpath", sys.executable, "--outputjson", "program.py", folder=folder)
        if not output.startswith("{"):
            pytest.skip("pyright can't be run here: it wants to download its program")
        return json.loads(output)["generalDiagnostics"]

    return check


@pytest.fixture(scope="session")
def pyright_problems(pyright):
    """Runs pyright on a program; returns the numbers of the lines with errors, from 0."""
    return lambda source: [note["range"]["start"]["line"] for note in pyright(source) if note["severity"] == "error"]


@pytest.fixture(scope="session", params=["mypy", "pyright"])
def revealed(request):
    """The types that a checker reveals for a program, without module names."""
    if request.param == "mypy":
        mypy = request.getfixturevalue("mypy")
        return lambda source: [re.sub(r"\b(\w+\.)+(?=\w)", "", text) for text in _mypy_types(mypy(source))]
    pyright = request.getfixturevalue("pyright")
    return lambda source: _pyright_types(pyright(source))
