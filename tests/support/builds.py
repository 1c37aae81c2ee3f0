"""The last build in build/: its programs, and the tree of llama.cpp that it used."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def find_program(name):
    """Return the path of a program of a build with LUUP_BUILD_TOOLS=ON, the newest one; None without such a build."""
    found = sorted((ROOT / "build").glob(f"*/luup_agent/{name}"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def not_built(name):
    """Return the reason for which a test is skipped that needs a program."""
    return f"{name} is not built: install with --config-settings=cmake.define.LUUP_BUILD_TOOLS=ON"


def find_llama():
    """Return the folder of llama.cpp's source, that of the newest build; None without a build."""
    caches = (ROOT / "build").glob("*/CMakeCache.txt")
    for cache in sorted(caches, key=lambda path: path.stat().st_mtime, reverse=True):
        found = re.search(r"^llama\.cpp_SOURCE_DIR:\w+=(.+)$", cache.read_text(encoding="utf-8"), re.MULTILINE)
        if found and Path(found.group(1)).is_dir():
            return Path(found.group(1))
    return None


def find_templates():
    """Return the chat templates that llama.cpp bundles, sorted; [] without a build."""
    source = find_llama()
    return sorted(source.glob("models/templates/*.jinja")) if source else []
