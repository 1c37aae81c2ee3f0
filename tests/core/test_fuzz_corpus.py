"""The inputs that are kept for the fuzz targets, by any compiler: each target reads or refuses them."""

import pathlib
import subprocess

FUZZ = pathlib.Path(__file__).parents[1] / "fuzz"


def test_each_target_stands_its_inputs(tool, model_path):
    result = subprocess.run(
        [tool("luup-fuzz-corpus"), f"--model={model_path}", FUZZ / "corpus"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    last = result.stdout[-300:].splitlines()[-1:]
    assert result.returncode == 0, f"at {last}: {result.stderr[-2000:]}"
    targets = [path.stem for path in FUZZ.glob("*.cpp") if "\nFUZZ_TARGET" in path.read_text(encoding="utf-8")]
    assert len(targets) > 10
    assert sorted(line.split(":")[0] for line in result.stdout.splitlines() if line.endswith(" runs")) == sorted(
        targets
    )
