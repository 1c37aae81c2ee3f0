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


def find_templates():
    """Return the chat templates that llama.cpp bundles, sorted; [] without a build."""
    caches = (ROOT / "build").glob("*/CMakeCache.txt")
    for cache in sorted(caches, key=lambda path: path.stat().st_mtime, reverse=True):
        found = re.search(r"^llama\.cpp_SOURCE_DIR:\w+=(.+)$", cache.read_text(encoding="utf-8"), re.MULTILINE)
        files = sorted(Path(found.group(1)).glob("models/templates/*.jinja")) if found else []
        if files:
            return files
    return []
