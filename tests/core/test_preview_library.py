"""The prompt and the turns of a run, as a C program sees them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "programs" / "preview.c"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses gcc as on Linux")
def test_the_prompt_and_the_turns_from_c(package, model_path, tmp_path):
    if not shutil.which("gcc"):
        pytest.skip("gcc is not here")
    program = tmp_path / "preview"
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{package / 'include'}", str(SOURCE)]
    command += ["-o", str(program), f"-L{package}", "-lluup-agent", f"-Wl,-rpath,{package}"]
    subprocess.run(command, check=True, timeout=60)
    result = subprocess.run([str(program), str(model_path)], capture_output=True, encoding="utf-8", timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    (turn,) = json.loads(result.stdout)
    assert (turn["kind"], turn["error"], turn["error_code"]) == ("answer", None, 0)
    assert turn["prompt"].endswith("Hello<|im_end|>\n<|im_start|>assistant\n")
    assert len(turn["prompt_ids"]) == turn["prompt_tokens"]
    assert turn["raw"] == turn["text"]
    assert 0 <= turn["began_seconds"] < turn["ended_seconds"]
    assert turn["began_unix_seconds"] > 1.7e9
    described = Path(package / "include" / "luup_agent.h").read_text(encoding="utf-8")
    assert [name for name in turn if f'"{name}"' not in described] == []
