"""Files whose SHA-256 was checked, remembered so that the next load need not read the whole file again.

A record keeps a file's size, times, inode and device. The time of the last change of the inode (ctime), which programs
can't set, changes with each write, rename and replacement; then the file is read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import Any, Dict, Optional, Tuple

from luup_agent._files import read_regular, replace_file
from luup_agent._json import read_json
from luup_agent._threads import Lock

__all__ = ["has_sha256"]

_VERSION = 1
_MAX_RECORD = 1 << 20  # bytes
_MAX_FILES = 200
_TICK = 0.02  # seconds; file systems count time in steps of at most 10 ms
_BLOCK = 1 << 20

_lock = Lock()
_checked: Dict[str, Dict[str, Any]] = {}  # in this process, by path: as in the record


def has_sha256(path: str, sha256: str, record: Optional[str]) -> bool:
    """Return whether the regular file at the absolute `path` has a hash, which `record` remembers.

    Args:
        path: The file.
        sha256: The hash as hexadecimal digits.
        record: The path of the record; None, or one that can't be read or written, only costs time.

    Raises:
        OSError: The file can't be read.
    """
    known: Any = _checked.get(path) or (_read_record(record).get(path) if record else None)
    if known == _entry(os.stat(path), sha256):
        _checked[path] = known
        return True
    entry, found = _hash(path)
    if found != sha256:
        return False
    if entry is not None:
        _checked[path] = entry
        if record:
            _write_record(record, path, entry)
    return True


def _entry(info: os.stat_result, sha256: str) -> Dict[str, Any]:
    numbers = [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev]
    return {"sha256": sha256, "stat": numbers}


def _hash(path: str) -> Tuple[Optional[Dict[str, Any]], str]:
    """Return the entry of a file, or None if it changed meanwhile, and its hash."""
    before = os.stat(path)
    age = time.time() - max(before.st_mtime, before.st_ctime)
    if 0 <= age < _TICK:  # a change during the next tick would not change its times
        time.sleep(_TICK)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            digest.update(block)
    found = digest.hexdigest()
    entry = _entry(before, found)
    return (entry if entry == _entry(os.stat(path), found) else None), found


def _read_record(record: str) -> Dict[str, Dict[str, Any]]:
    """Return the entries by path; {} if there is no usable record."""
    try:
        value = read_json("the record", read_regular(record, _MAX_RECORD))
    except (OSError, ValueError):
        return {}
    files = value.get("files") if isinstance(value, dict) and value.get("version") == _VERSION else None
    return files if isinstance(files, dict) else {}


def _write_record(record: str, path: str, entry: Dict[str, Any]) -> None:
    """Add an entry, and drop those of files that no longer exist."""
    with _lock, contextlib.suppress(OSError):
        entries = [each for each in _read_record(record).items() if each[0] != path and os.path.exists(each[0])]
        files = dict(entries[-_MAX_FILES:])
        text = json.dumps({"version": _VERSION, "files": {**files, path: entry}}, indent=1)
        replace_file(record, text.encode("ascii"))
