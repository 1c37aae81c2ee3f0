"""Small files that Python code of this package reads and writes: regular ones only, replaced completely or not at all.

The core does the same for its files, see ``csrc/base/atomic_file.h``; the names of unfinished files are the same.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import uuid
from typing import Optional

from typing_extensions import Literal

if sys.platform != "win32":
    import fcntl

__all__ = ["check_replaceable", "read_regular", "replace_file", "shorten_path", "user_folder"]

_PART_BEGIN, _PART_END = ".luup-", ".part"
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_TRIES = 100
_SHOWN = 200  # characters of a path in an error


def read_regular(path: str, limit: Optional[int] = None, whole: bool = True) -> bytes:
    """Return the content of a regular file, without waiting for the writer of a FIFO.

    Args:
        path: The file.
        limit: The most bytes.
        whole: Whether a file with more bytes is an error. Otherwise the first ``limit + 1`` of them are returned.

    Raises:
        OSError: It can't be read, is a folder, a device or a FIFO, or has more than `limit` bytes.
        ValueError: No file can have this path.
    """
    descriptor = os.open(path, _READ)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):  # for which fdopen() would leave the descriptor open
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read() if limit is None else file.read(limit + 1)
    finally:
        os.close(descriptor)
    if whole and limit is not None and len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes")
    return content


def replace_file(path: str, content: bytes) -> None:
    """Write a file completely, or leave it unchanged; missing folders are created.

    A new file is for its owner alone; one that is replaced keeps its mode. A symbolic link stays one.

    Raises:
        OSError: It can't be written, or is a folder, a device or a FIFO.
    """
    mode = _check_regular(path)
    target = os.path.realpath(path) if os.path.islink(path) else path
    folder = os.path.dirname(target) or "."
    os.makedirs(folder, exist_ok=True)
    _sweep(folder)
    descriptor, part = _create_part(folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                with contextlib.suppress(OSError):  # the file system has no modes
                    os.fchmod(descriptor, stat.S_IMODE(mode))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            if sys.platform != "win32":  # while the lock is held
                os.replace(part, target)
        if sys.platform == "win32":
            os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def check_replaceable(path: str) -> None:
    """Check that `replace_file` can write a file at an absolute path, as far as that can be seen before.

    Raises:
        OSError: The file or its folder can't be written, or no file can have this path.
    """
    _check_regular(path)
    folder, names = os.path.dirname(path), [os.path.basename(path)]
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        if os.path.lexists(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        names.append(os.path.basename(folder))
        folder = os.path.dirname(folder)
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.stat(os.path.join(folder, name))  # fails if the name is too long
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _check_regular(path: str) -> Optional[int]:
    """Return the mode of a regular file, or None if there is no file."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")
    return mode


def shorten_path(path: str) -> str:
    """Return a path for an error message: a long one without its middle, and one that is not text with escapes.

    Example:
        >>> shorten_path("/home/me/tape.json")
        '/home/me/tape.json'
    """
    text = path.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"


def _create_part(folder: str) -> tuple[int, str]:
    """Create a file whose lock says that a living process writes it; return its descriptor and its path."""
    for _ in range(_TRIES):
        part = os.path.join(folder, f"{_PART_BEGIN}{uuid.uuid4().int >> 64}-0{_PART_END}")
        descriptor = os.open(part, _CREATE, 0o600)
        if sys.platform == "win32" or (_lock(descriptor) and os.fstat(descriptor).st_nlink):
            return descriptor, part
        os.close(descriptor)  # another process, which sweeps the folder, deletes it
    raise OSError(errno.EBUSY, "other processes delete each file that is created in its folder")


def _lock(descriptor: int) -> bool:
    """Lock a file; return whether another process had not. A file system without locks counts as locked."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
    return True


def _sweep(folder: str) -> None:
    """Delete the unfinished files of processes that died."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(_PART_BEGIN) and name.endswith(_PART_END):
                _delete_left_over(os.path.join(folder, name))


def _delete_left_over(path: str) -> None:
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, _READ | os.O_NOFOLLOW)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
        finally:
            os.close(descriptor)


def user_folder(kind: Literal["data", "state"]) -> str:
    """Return this package's folder for the data or the state of a user, which may not exist yet."""
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        folder = os.path.join(home, "Library", "Application Support")
    else:
        folder = os.environ.get(f"XDG_{kind.upper()}_HOME") or ""
        if not os.path.isabs(folder):  # as the specification says
            folder = os.path.join(home, ".local", "share" if kind == "data" else kind)
    return os.path.join(folder, "luup-agent")
