"""Print the section of CHANGELOG.md for a version: ``python .ci/release_notes.py v0.1.0``.

The version must be the one in pyproject.toml.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def release_notes(tag: str, changelog: str, project: str) -> str:
    """Return the section of the version that `tag` names.

    Raises:
        ValueError: The tag is not the version of the project, or the changelog has no section for it.
    """
    version = tag[1:] if tag.startswith("v") else tag
    found = re.search(r'^version = "([^"]+)"$', project, re.MULTILINE)
    if not found or found.group(1) != version:
        raise ValueError(f"the tag {tag} is not the version in pyproject.toml, {found and found.group(1)}")
    section = re.search(
        rf"^## \[?{re.escape(version)}\]?(?: .*)?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if not section or not section.group(1).strip():
        raise ValueError(f"CHANGELOG.md has no section, or an empty one, under the heading ## {version}")
    return section.group(1).strip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python .ci/release_notes.py TAG")
    try:
        print(
            release_notes(
                sys.argv[1], (ROOT / "CHANGELOG.md").read_text("utf-8"), (ROOT / "pyproject.toml").read_text("utf-8")
            )
        )
    except ValueError as error:
        sys.exit(str(error))
