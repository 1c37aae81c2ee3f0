"""The folder that keeps weights in the layout of this machine's kernels: its place, its content, and its deletion."""

from __future__ import annotations

import math
import os
import sys
from typing import List, NamedTuple, Optional, Union

from luup_agent import _native
from luup_agent.errors import InvalidParamError, StorageError

SWITCH = "LUUP_WEIGHTS_CACHE"
SIZE = "LUUP_WEIGHTS_CACHE_GB"
_OFF = ("0", "off", "no", "false")
_ON = ("", "1", "on", "yes", "true")
_GB = 1 << 30
_ENDS = (".weights", ".checked", ".known", ".lock", ".part")  # of the files that the core makes there


class Contents(NamedTuple):
    """The files of the folder, in numbers.

    Attributes:
        folder: The folder; None if weights are not kept.
        files: The number of models' layouts in it.
        size: Bytes of all its files.
        limit: Bytes that they may take.
    """

    folder: Optional[str]
    files: int
    size: int
    limit: int


def folder(chosen: Union[bool, str, os.PathLike[str], None]) -> Optional[Union[str, os.PathLike[str]]]:
    """Return the folder that the argument `weights_cache` means; None for none.

    Args:
        chosen: True for the user's own folder, unless the environment says otherwise; False or None for no folder.
    """
    if chosen is False or chosen is None:
        return None
    if chosen is not True:
        if not isinstance(chosen, (str, os.PathLike)):
            raise InvalidParamError(f"weights_cache must be a bool or a path, not {type(chosen).__name__}")
        return chosen
    variable = os.environ.get(SWITCH, "").strip()
    if variable.lower() in _OFF or not sys.platform.startswith("linux"):
        return None
    if variable.lower() not in _ON:
        return os.path.expanduser(variable)
    from luup_agent import catalog  # imports much, and is not needed for a chosen folder

    try:
        return str(catalog.cache_folder().parent / "weights")
    except StorageError:  # a user without a home folder
        return None


def limit() -> Optional[int]:
    """Return the bytes that the environment allows the folder; None for the default."""
    text = os.environ.get(SIZE, "").strip()
    if not text:
        return None
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 <= size < (1 << 33):
        raise InvalidParamError(f"{SIZE} must be a number of gigabytes, at least 0, got {text!r}")
    return int(size * _GB)


def contents() -> Contents:
    """Return the content of the user's folder."""
    chosen = folder(True)
    allowed = limit()
    names = _names(chosen)
    size = 0
    for name in names:
        try:
            size += os.lstat(os.path.join(str(chosen), name)).st_size
        except OSError:  # another process has removed it
            continue
    return Contents(
        None if chosen is None else str(chosen),
        sum(name.endswith(_ENDS[0]) for name in names),
        size,
        _native.WEIGHTS_CACHE_SIZE if allowed is None else allowed,
    )


def clear() -> List[str]:
    """Delete the files of the user's folder. Processes that use them keep what they have mapped.

    Returns:
        The paths of the files that are gone.

    Raises:
        StorageError: A file can't be deleted.
    """
    chosen = folder(True)
    removed = []
    for name in _names(chosen):
        path = os.path.join(str(chosen), name)
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"{path} can't be deleted: {error.strerror or error}") from error
        removed.append(path)
    return removed


def _names(chosen: Optional[Union[str, os.PathLike[str]]]) -> List[str]:
    try:
        return [] if chosen is None else sorted(name for name in os.listdir(str(chosen)) if name.endswith(_ENDS))
    except OSError:
        return []
