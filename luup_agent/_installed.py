"""Installed distributions, without those in the current folder or beside the program.

Python searches these folders first, and they may contain untrusted files: downloads, or a project that was just cloned.
Models and code of other packages are taken from the folders of installed packages only.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Iterator, List, Optional

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["find_distributions", "installed_folders", "stray_origin"]

_INSTALLED = ("site-packages", "dist-packages")  # names of folders into which packages are installed


def installed_folders() -> List[str]:
    """Return the absolute entries of `sys.path` that are not the current folder or the program's.

    Example:
        >>> "" in installed_folders()
        False
    """
    avoided = _avoided_folders()
    paths = [entry for entry in sys.path if os.path.isabs(entry)]  # relative ones are below the current folder
    return [path for path in paths if _is_installed(path) or _real(path) not in avoided]


def find_distributions() -> Iterator[Distribution]:
    """Find the distributions in `installed_folders`, without importing them.

    Example:
        >>> "pydantic" in [each.metadata["Name"] for each in find_distributions()]
        True
    """
    from importlib import metadata  # slower to import than most of this package

    return iter(metadata.distributions(path=installed_folders()))


def stray_origin(module: str) -> Optional[str]:
    """Return the file of a module that Python would import from the current folder or the program's, else None."""
    from importlib.util import find_spec

    name = module.partition(".")[0]
    if name in sys.modules:
        return None  # the program itself has imported it
    spec = find_spec(name)  # does not import a module without dots
    places: List[str] = [] if spec is None else [*(spec.submodule_search_locations or ()), spec.origin or ""]
    avoided = _avoided_folders()
    for place in filter(None, places):
        folder = os.path.dirname(place)
        parent = os.path.dirname(folder) if os.path.basename(place).startswith("__init__.") else folder
        if not _is_installed(parent) and _real(parent) in avoided:
            return place
    return None


def _avoided_folders() -> List[str]:
    folders = []
    with contextlib.suppress(OSError):  # the folder was deleted
        folders.append(os.path.realpath(os.getcwd()))
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    if program and not getattr(sys, "frozen", False):  # a frozen program brings its packages beside itself
        folders.append(os.path.dirname(_real(program)))
    return folders


def _is_installed(folder: str) -> bool:
    return os.path.basename(folder.rstrip("/\\")) in _INSTALLED


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return path
