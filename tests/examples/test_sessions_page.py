"""docs/SESSIONS.md: its Python blocks run one after another, and print what their comments say."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "SESSIONS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_blocks_run(model_path, tmp_path):
    first, *others = BLOCKS
    assert len(others) == 2
    model = "model = Model.from_local(catalog.resolve('smollm2'))\nagent = Agent(model, temperature=0, max_tokens=16)\n"
    source = (
        "\n".join([first, model, *others]).replace("'smollm2'", '"smollm2"').replace('"smollm2"', repr(str(model_path)))
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", source + "\nmodel.close()"],
        capture_output=True,
        text=True,
        cwd=str(tmp_path),
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, "")
    expected = re.findall(r"print\(.*\)  # (.+)$", source, flags=re.MULTILINE)
    assert len(expected) == 5
    for text in expected:
        assert text in result.stdout
