"""Programs that PyInstaller made run without Python: the hook brings the libraries that are loaded by name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from luup_agent import _pyinstaller

PROGRAM = """
import sys
from luup_agent import Agent, Model, catalog
if __name__ == "__main__":
    with Model.from_local(sys.argv[1], threads=1, context_size=256) as model:
        print(model.get_info().backend, len(Agent(model, temperature=0, max_tokens=4).run("Hi").text) > 0)
    print(catalog.cache_folder().name)
"""


def test_the_entry_point_names_the_folder_of_the_hook():
    (folder,) = _pyinstaller.get_hook_dirs()
    assert (Path(folder) / "hook-luup_agent.py").is_file()
    metadata = pytest.importorskip("importlib.metadata")
    points = [
        (point.name, point.value)
        for point in metadata.distribution("luup-agent").entry_points
        if point.group == "pyinstaller40"
    ]
    assert points == [("hook-dirs", "luup_agent._pyinstaller:get_hook_dirs")]


@pytest.mark.gate
@pytest.mark.slow
@pytest.mark.parametrize("form", ["onedir", "onefile"])
def test_a_program_answers(form, tiny_path, tmp_path):
    pytest.importorskip("PyInstaller")
    (tmp_path / "app.py").write_text(PROGRAM)
    environment = {**os.environ, "PYINSTALLER_CONFIG_DIR": str(tmp_path / "config")}
    command = [sys.executable, "-m", "PyInstaller", "--log-level", "WARN", "--noconfirm", f"--{form}", "app.py"]
    made = subprocess.run(command, cwd=str(tmp_path), env=environment, capture_output=True, text=True, timeout=900)
    assert made.returncode == 0, made.stderr[-3000:]
    program = tmp_path / "dist" / ("app/app" if form == "onedir" else "app")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_", "VIRTUAL"))}
    result = subprocess.run(
        [str(program), str(tiny_path)], cwd="/", env=kept, capture_output=True, text=True, timeout=300
    )
    assert result.stdout == "CPU True\nmodels\n", result.stderr[-3000:]
