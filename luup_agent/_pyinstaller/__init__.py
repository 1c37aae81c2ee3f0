"""Hooks for PyInstaller, which finds them by the entry point ``pyinstaller40``."""

from __future__ import annotations

import os
from typing import List


def get_hook_dirs() -> List[str]:
    """Return the folder of the hooks.

    Example:
        >>> get_hook_dirs()[0].endswith("_pyinstaller")
        True
    """
    return [os.path.dirname(__file__)]
