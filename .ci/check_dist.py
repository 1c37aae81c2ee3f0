"""Check distributions before they are published: ``python .ci/check_dist.py FOLDER [--complete]``.

Of a wheel: its size, its licences, that it has all CPU variants of its platform and each shared library once, and that
it has no copy of a library of the system or of another package. Of a package with a GPU backend: that it has nothing
else, and that it requires the core of its own version. Of the source distribution: its size, and that it contains
llama.cpp. With ``--complete`` also that the folder has every file that a release must have, and no other.
"""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Iterator, List

MAX_WHEEL = 12_000_000
MAX_PLUGIN = 100_000_000  # the default limit of an index
MAX_SDIST = 8_000_000

# The platform tag of a wheel's name. manylinux may have several tags, and older ones than the build asked for.
PLATFORMS = {
    "manylinux x86_64": r"(manylinux_2_\d+_x86_64\.?)+",
    "manylinux aarch64": r"(manylinux_2_\d+_aarch64\.?)+",
    "musllinux x86_64": r"musllinux_1_\d+_x86_64",
    "musllinux aarch64": r"musllinux_1_\d+_aarch64",
    "macOS arm64": r"macosx_\d+_\d+_arm64",
    "macOS x86_64": r"macosx_\d+_\d+_x86_64",
    "Windows x86_64": "win_amd64",
    "Windows ARM64": "win_arm64",
}
# The number of CPU variants of a platform; see csrc/cmake/CpuVariants.cmake.
VARIANTS = {
    r"linux_\S*x86_64|macosx_\d+_\d+_x86_64|win_amd64": 11,
    r"linux_\S*aarch64": 8,
    r"macosx_\d+_\d+_arm64": 3,
    r"win_arm64": 1,
}
PYTHONS = {"stable ABI": "cp38-abi3", "free-threaded 3.14": "cp314-cp314t"}

LIBRARY = re.compile(r"\.(so|dylib|dll)(\.[\d.]+)?$|\.pyd$")
OURS = re.compile(r"^(lib)?(luup-|ggml-)|^_luup_cffi\.")
BACKENDS = {"cuda12": "cuda", "rocm": "hip", "vulkan": "vulkan"}  # the library's name, for each luup-agent-*
PLUGIN = re.compile(rf"luup_agent_({'|'.join(BACKENDS)})-([^-]+)-py3-none-\w+(\.\w+)*\.whl")
NEEDED_FILES = ("luup_agent/py.typed", "luup_agent/_luup_cffi.pyi", "luup_agent/include/luup_agent.h")


def wheel_problems(path: Path) -> Iterator[str]:
    """Yield the problems of a wheel."""
    size = path.stat().st_size
    if size > MAX_WHEEL:
        yield f"has {size:,} bytes, more than {MAX_WHEEL:,}"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    libraries = [name for name in names if LIBRARY.search(name)]
    bases = [re.sub(r"-[0-9a-f]{8,}(?=\.)", "", name.rpartition("/")[2]) for name in libraries]
    for base in sorted({base for base in bases if bases.count(base) > 1}):
        yield f"has {base} more than once"
    for base in bases:
        if not OURS.match(base):
            yield f"has a copy of {base}"
    for wanted in ("_luup_cffi", "luup-agent", "luup-ggml", "luup-ggml-base", "ggml-cpu"):
        if not any(re.match(rf"(lib)?{wanted}\b", base) for base in bases):
            yield f"has no {wanted}"
    variants = sum(bool(re.match(r"(lib)?ggml-cpu\b", base)) for base in bases)
    for platform, count in VARIANTS.items():
        if re.search(platform, path.stem) and variants != count:
            yield f"has {variants} CPU variants, not {count}: build it with LUUP_CPU_VARIANTS=all"
    for wanted in NEEDED_FILES:
        if wanted not in names:
            yield f"has no {wanted}"
    for owner in ("", "llama.cpp/"):
        if not any(re.search(rf"\.dist-info/licenses/{owner}LICENSE", name) for name in names):
            yield f"has no licence {owner}LICENSE"


def plugin_problems(path: Path) -> Iterator[str]:
    """Yield the problems of the wheel of a GPU backend."""
    size = path.stat().st_size
    if size > MAX_PLUGIN:
        yield f"has {size:,} bytes, more than {MAX_PLUGIN:,}"
    name = PLUGIN.fullmatch(path.name)
    if not name:
        yield f"must be named luup_agent_KIND-VERSION-py3-none-PLATFORM.whl, with KIND one of {', '.join(BACKENDS)}"
        return
    kind, version = name.group(1, 2)
    package, info = f"luup_agent_{kind}", f"luup_agent_{kind}-{version}.dist-info"
    with zipfile.ZipFile(path) as archive:
        texts = {file: archive.read(file) for file in archive.namelist() if file.startswith(f"{info}/")}
        others = sorted(file for file in archive.namelist() if not file.startswith(f"{info}/") and file[-1] != "/")
    wanted = [f"{package}/__init__.py", f"{package}/{'' if 'win' in path.name else 'lib'}ggml-{BACKENDS[kind]}"]
    if len(others) != 2 or others[0] != wanted[0] or not re.fullmatch(rf"{wanted[1]}\.(so|dll)", others[1]):
        yield f"has {', '.join(others)}; it must have {wanted[0]} and the library {wanted[1]}, and nothing else"
    if f"Requires-Dist: luup-agent=={version}".encode() not in texts.get(f"{info}/METADATA", b"").splitlines():
        yield f"does not require luup-agent=={version}"
    points = texts.get(f"{info}/entry_points.txt", b"").decode().replace(" ", "").split()
    if points != ["[luup_agent.backends]", f"{kind}={package}:folder"]:
        yield "has no entry point luup_agent.backends"
    for owner in ("", "llama.cpp/"):
        if f"{info}/licenses/{owner}LICENSE" not in texts:
            yield f"has no licence {owner}LICENSE"


def sdist_problems(path: Path) -> Iterator[str]:
    """Yield the problems of a source distribution."""
    size = path.stat().st_size
    if size > MAX_SDIST:
        yield f"has {size:,} bytes, more than {MAX_SDIST:,}"
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive}
    for wanted in (
        "pyproject.toml",
        "build_ffi.py",
        "LICENSE",
        "csrc/luup_agent.h",
        "csrc/llama.cpp/CMakeLists.txt",
        "csrc/llama.cpp/LICENSE",
    ):
        if wanted not in names:
            yield f"has no {wanted}"
    for name in sorted(names):
        if name.endswith((".gguf", ".whl", ".so")) or name.startswith(("build/", "dist/", "shared/")):
            yield f"must not have {name}"


def file_problems(path: Path) -> Iterator[str]:
    """Yield the problems of a file of the folder."""
    if path.suffix == ".whl":
        return wheel_problems(path) if path.name.startswith("luup_agent-") else plugin_problems(path)
    return sdist_problems(path) if path.name.endswith(".tar.gz") else iter(["is not a distribution"])


def set_problems(names: List[str]) -> Iterator[str]:
    """Yield the files that a release lacks or should not have."""
    patterns = {"source distribution": r"luup_agent-[^-]+\.tar\.gz"}
    for python, tag in PYTHONS.items():
        for platform, pattern in PLATFORMS.items():
            patterns[f"wheel for {platform}, {python}"] = rf"luup_agent-[^-]+-{tag}-{pattern}\.whl"
    left = set(names)
    for what, pattern in patterns.items():
        found = [name for name in names if re.fullmatch(pattern, name)]
        left -= set(found)
        if len(found) != 1:
            yield f"{len(found) or 'no'} {what}"
    for name in sorted(left):
        yield f"{name} does not belong to a release"
    versions = {name.split("-")[1].replace(".tar.gz", "") for name in names if name.count("-")}
    if len(versions) > 1:
        yield f"several versions: {', '.join(sorted(versions))}"


def main(arguments: List[str]) -> int:
    """Print the problems; return 1 if there are any."""
    folders = [Path(argument) for argument in arguments if not argument.startswith("--")]
    if len(folders) != 1 or not folders[0].is_dir():
        print("usage: python .ci/check_dist.py FOLDER [--complete]", file=sys.stderr)
        return 2
    files = sorted(folders[0].iterdir())
    problems = []
    for path in files:
        found = list(file_problems(path))
        problems += [f"{path.name} {problem}" for problem in found]
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    if "--complete" in arguments:
        problems += list(set_problems([path.name for path in files]))
    elif not files:
        problems.append(f"{folders[0]} is empty")
    for problem in problems:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
