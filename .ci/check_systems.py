"""Compiles the core's files, and no more than that, for systems that are not here: ``python .ci/check_systems.py``.

By zig's compiler, which has the headers of all of them, in an environment with the package ``ziglang``; with the tree
of llama.cpp that the last build used. For Windows with MinGW's headers, which are Microsoft's but for details.
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
SYSTEMS = ("x86_64-windows-gnu", "aarch64-windows-gnu", "aarch64-macos", "aarch64-linux-musl")
OWN = ("csrc/*.cpp", "csrc/builtins/*.cpp")
FORCED = (  # files of ggml, and what is forced into them
    ("ggml/src/ggml.c", "huge_pages.h"),
    ("ggml/src/ggml-rpc/ggml-rpc.cpp", "rpc_lost.h"),
    ("ggml/src/ggml-rpc/transport.cpp", "rpc_keep_alive.h"),
)


def last_build() -> Tuple[Path, Path]:
    """The folder of the last build, and its tree of llama.cpp."""
    caches = sorted((ROOT / "build").glob("*/CMakeCache.txt"), key=lambda path: path.stat().st_mtime)
    for cache in reversed(caches):
        found = re.search(r"^llama\.cpp_SOURCE_DIR:\w+=(.+)$", cache.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return cache.parent, Path(found.group(1))
    raise SystemExit("there is no build in build/: pip install -e .")


def compile_one(task: Tuple[str, Path, Tuple[str, ...]]) -> str:
    """What the compiler said of a file; "" if it likes it."""
    system, file, options = task
    language = ["cc", "-std=gnu11"] if file.suffix == ".c" else ["c++", "-std=c++17"]
    zig = Path(ziglang.__file__).with_name("zig")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(zig), *language, "-target", system, "-O0", *options, "-c", str(file), "-o", f"{folder}/out.o"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    quiet = done.returncode == 0 and "-w" in options
    return "" if quiet or not done.stderr else f"{system}: {file}:\n{done.stderr}"


def main() -> int:
    """Compiles all, tells what failed."""
    build, tree = last_build()
    folders = ("", "src", "ggml/src", "ggml/include", "include", "common", "vendor")
    system = tuple(f"-isystem{tree / folder}" for folder in folders)
    own = (f"-I{ROOT / 'csrc'}", *system, "-DLUUP_BUILD", '-DLUUP_VERSION="0"', '-DLUUP_LLAMA_COMMIT="0"')
    files = [(file, (*own, "-Wall", "-Wextra", "-Werror")) for pattern in OWN for file in sorted(ROOT.glob(pattern))]
    theirs = ("-w", "-D_GNU_SOURCE", f"-I{build / 'ggml/src'}", *system)
    files += [(tree / file, (*theirs, f"-include{ROOT / 'csrc/cmake' / header}")) for file, header in FORCED]
    tasks = [(target, file, options) for target in SYSTEMS for file, options in files]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [problem for problem in pool.map(compile_one, tasks) if problem]
    print("\n".join(problems), end="")
    print(f"{len(files)} files for {', '.join(SYSTEMS)}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
