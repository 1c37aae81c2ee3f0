"""A question about a picture, as a C program asks it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import pictures, projectors, random_model

SOURCE = Path(__file__).parent / "programs" / "pictures.c"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses gcc as on Linux")
def test_a_picture_from_c(package, model_path, tmp_path):
    if not shutil.which("gcc"):
        pytest.skip("gcc is not here")
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    paths = [tmp_path / name for name in ("model.gguf", "mmproj.gguf", "cat.png", "broken.png")]
    random_model.write(gguf, numpy, model_path, paths[0])
    projectors.write(gguf, numpy, paths[1], random_model.WIDTH, scale=4.0)
    paths[2].write_bytes(pictures.png(32, 24))
    paths[3].write_bytes(pictures.png(320, 240, level=0)[:5000])
    program = tmp_path / "pictures"
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{package / 'include'}", str(SOURCE)]
    command += ["-o", str(program), f"-L{package}", "-lluup-agent", f"-Wl,-rpath,{package}"]
    subprocess.run(command, check=True, timeout=60)
    result = subprocess.run([str(program), *map(str, paths)], capture_output=True, encoding="utf-8", timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    said = result.stdout.splitlines()
    assert said[0] == "png 32 x 24, sees 1, hears 0"
    assert said[1].startswith("answer of ")
    assert said[2].startswith('[{"role":"user","content":[{"type":"text","text":"Look "},{"type":"image_url"')
    problems = [line.split(": ", 1)[1] for line in said[3:]]
    assert [problem.split()[0] for problem in problems] == ["LUUP_ERROR_INVALID_PARAM"] * 7
    for problem, words in zip(
        problems,
        [
            "media[0].offset is 99",
            "without data",
            "data",
            "no bytes",
            "WAV, MP3 or FLAC",
            "luup_media_type",
            "broken png",
        ],
    ):
        assert words in problem
