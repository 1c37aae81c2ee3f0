"""Copies llama.cpp's source and applies the patches beside this script: ``python apply.py SOURCE TARGET PART...``.

``SOURCE`` stays as it is. Of it, the files and folders ``PART...`` are copied to ``TARGET``, which then has these and
nothing else. A target that exists is updated: only files that differ are written, so that a build compiles no more than
what changed. A new target appears complete or not at all.

A patch is a unified diff that must fit exactly: the lines of each hunk must be found in the file once. Only their line
numbers may differ. CMake runs this script, because a machine that builds may have neither git nor ``patch``.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

HERE = Path(__file__).resolve().parent


class PatchError(Exception):
    """A patch is malformed or does not fit."""


class Hunk(NamedTuple):
    """One change of a patch: its header line, the text that it expects and the text that replaces it."""

    header: str
    old: str
    new: str


def read_patch(path: Path) -> Dict[str, List[Hunk]]:
    """Return the hunks of a unified diff by file. Paths lose their first component, as with ``patch -p1``."""
    hunks: Dict[str, List[Hunk]] = {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    current: List[Hunk] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        sizes = re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line)
        position += 1
        if line.startswith("+++ "):
            current = hunks.setdefault(line[4:].strip().partition("/")[2], [])
        elif sizes:
            left = [int(size or 1) for size in sizes.groups()]
            old, new = [], []
            while left != [0, 0] and position < len(lines) and lines[position][0] in " -+":
                kind, text = lines[position][0], lines[position][1:]
                position += 1
                if kind != "+":
                    old.append(text)
                    left[0] -= 1
                if kind != "-":
                    new.append(text)
                    left[1] -= 1
            if left != [0, 0] or not old:
                raise PatchError(f"{path}: the hunk {line.strip()} has another number of lines than it says")
            current.append(Hunk(line.strip(), "".join(old), "".join(new)))
        elif not line.startswith("--- "):
            raise PatchError(f"{path}: cannot read the line {line.rstrip()!r}; write it with diff -u")
    if not all(hunks.values()) or not hunks:
        raise PatchError(f"{path}: it changes nothing")
    return hunks


def apply_hunks(text: str, hunks: List[Hunk], where: str) -> str:
    """Return `text` with the changes. `where` names the patch and the file for the error message."""
    for hunk in hunks:
        found = text.count(hunk.old)
        if found != 1:
            raise PatchError(
                f"{where}: the hunk {hunk.header} does not apply: its lines are in the file {found} times, not once.\n"
                f"{hunk.old}"
                "Either this is not the version of llama.cpp that the patch was made for, or the patch has to be "
                "updated: see csrc/llama_patches/README.md."
            )
        text = text.replace(hunk.old, hunk.new)
    return text


def list_files(folder: Path, parts: List[str]) -> Iterator[str]:
    """Yield the relative paths of the files in those parts of `folder` that exist."""
    for part in parts:
        start = folder / part
        if start.is_file():
            yield part
        for path in sorted(start.rglob("*")) if start.is_dir() else ():
            if path.is_file():
                yield path.relative_to(folder).as_posix()


def same_file(one: Path, other: Path) -> bool:
    """Tell whether `other` is an unchanged copy of `one`."""
    if not other.is_file():
        return False
    left, right = one.stat(), other.stat()
    if left.st_size != right.st_size:
        return False
    return int(left.st_mtime) == int(right.st_mtime) or one.read_bytes() == other.read_bytes()


def patched_texts(source: Path, patches: List[Path]) -> Dict[str, str]:
    """Return the new text of each file that the patches change."""
    texts: Dict[str, str] = {}
    for patch in patches:
        for file, hunks in read_patch(patch).items():
            if file not in texts:
                if not (source / file).is_file():
                    raise PatchError(f"{patch}: {source} has no file {file}")
                texts[file] = (source / file).read_text(encoding="utf-8")
            texts[file] = apply_hunks(texts[file], hunks, f"{patch}: {source / file}")
    return texts


def copy_patched(source: Path, target: Path, parts: List[str], patches: List[Path]) -> None:
    """Make `target` a patched copy of the parts of `source`."""
    texts = patched_texts(source, patches)
    work = target if target.is_dir() else target.with_name(f"{target.name}.partial-{os.getpid()}")
    files = dict.fromkeys(list_files(source, parts))
    for file in files:
        copy = work / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file in texts:
            if not copy.is_file() or copy.read_text(encoding="utf-8") != texts[file]:
                copy.write_bytes(texts[file].encode("utf-8"))
        elif not same_file(source / file, copy):
            shutil.copy2(str(source / file), str(copy))
    for file in list(list_files(work, [path.name for path in work.iterdir()])):
        if file not in files:
            (work / file).unlink()
    if work != target:
        work.rename(target)


def main(arguments: List[str]) -> Tuple[int, str]:
    """Run the command line; return the exit status and what to print to stderr."""
    if len(arguments) < 3:
        return 2, "usage: python apply.py SOURCE TARGET PART..."
    try:
        copy_patched(Path(arguments[0]), Path(arguments[1]), arguments[2:], sorted(HERE.glob("*.patch")))
    except PatchError as error:
        return 1, str(error)
    return 0, ""


if __name__ == "__main__":
    status, message = main(sys.argv[1:])
    if message:
        sys.stderr.write(f"{message}\n")
    sys.exit(status)
