"""Compile the core's files for other systems, without linking: ``python .ci/check_systems.py``.

The compiler is zig's, which has the headers of all systems; it needs an environment with the package ``ziglang``. The
source of llama.cpp is the patched copy of the last build. Windows is checked with MinGW's headers, which are nearly
Microsoft's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Tuple

import ziglang

ROOT = Path(__file__).resolve().parent.parent
CMAKE = (ROOT / "csrc" / "CMakeLists.txt").read_text(encoding="utf-8")
SYSTEMS = ("x86_64-windows-gnu", "aarch64-windows-gnu", "aarch64-macos", "aarch64-linux-musl")
ROOMS = re.findall(r"[\w/]+", re.search(r"^set\(LUUP_ROOMS (.+)\)$", CMAKE, re.MULTILINE)[1])
OWN = tuple(f"csrc/{room}/*.cpp" for room in ROOMS)
PATCHED = ("ggml/src/ggml.c", "ggml/src/ggml-rpc/ggml-rpc.cpp", "ggml/src/ggml-rpc/transport.cpp")
PROBE = "csrc/cmake/cpu_features.cpp"


def last_build() -> Tuple[Path, Path]:
    """Return the folder of the last build and of its llama.cpp."""
    caches = sorted((ROOT / "build").glob("*/CMakeCache.txt"), key=lambda path: path.stat().st_mtime)
    for cache in reversed(caches):
        found = re.search(r"^llama\.cpp_SOURCE_DIR:\w+=(.+)$", cache.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return cache.parent, Path(found.group(1))
    raise SystemExit("build/ has no build; make one with: pip install -e .")


def compile_one(task: Tuple[str, Path, Tuple[str, ...]]) -> str:
    """Return the compiler's messages about a file, "" if it has none."""
    system, file, options = task
    language = ["cc", "-std=gnu11"] if file.suffix == ".c" else ["c++", "-std=c++17"]
    zig = Path(ziglang.__file__).with_name("zig")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(zig), *language, "-target", system, "-O0", *options, "-c", str(file), "-o", f"{folder}/out.o"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    quiet = done.returncode == 0 and "-w" in options
    return "" if quiet or not done.stderr else f"{system}: {file}:\n{done.stderr}"


def main() -> int:
    """Compile all files and print the problems; return 1 if there are any."""
    build, tree = last_build()
    folders = ("", "src", "ggml/src", "ggml/include", "include", "common", "vendor")
    system = tuple(f"-isystem{tree / folder}" for folder in folders)
    own = (f"-I{ROOT / 'csrc'}", *system, "-DLUUP_BUILD", '-DLUUP_VERSION="0"', '-DLUUP_LLAMA_COMMIT="0"')
    files = [(file, (*own, "-Wall", "-Wextra", "-Werror")) for pattern in OWN for file in sorted(ROOT.glob(pattern))]
    theirs = ("-w", "-D_GNU_SOURCE", f"-I{build / 'ggml/src'}", *system)
    files += [(tree / file, theirs) for file in PATCHED] + [(ROOT / PROBE, theirs)]
    tasks = [(target, file, options) for target in SYSTEMS for file, options in files]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [problem for problem in pool.map(compile_one, tasks) if problem]
    print("\n".join(problems), end="")
    print(f"{len(files)} files for {', '.join(SYSTEMS)}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
