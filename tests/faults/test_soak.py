"""A minute of the soak; `python tests/faults/soak.py` runs an hour of it."""

import subprocess
import sys
from pathlib import Path

import pytest

gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")


@pytest.mark.gate
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_minute_of_mixed_agents_stays_flat(model_path, tmp_path):
    from support import projectors, random_model

    random_model.write(gguf, numpy, model_path, tmp_path / "tiny.gguf", context=8192)
    projectors.write(gguf, numpy, tmp_path / "mmproj.gguf", random_model.WIDTH, "mlp", scale=4.0)
    program = Path(__file__).with_name("soak.py")
    options = ["--seconds", "60", "--model", tmp_path / "tiny.gguf", "--mmproj", tmp_path / "mmproj.gguf"]
    done = subprocess.run(
        [sys.executable, str(program), *map(str, options)], capture_output=True, encoding="utf-8", timeout=400
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
