"""The parts of luup-agent that PyInstaller can't see in its code.

The shared libraries beside the compiled module are loaded by name: ggml chooses one of ``libggml-cpu-…`` when the
program runs. Public names and optional parts are imported when they are first used. GPU packages and the version are
found by the metadata of distributions. The files of the server's page are data.
"""

from __future__ import annotations

import os
from typing import List, Tuple

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

from luup_agent import _luup_cffi

_LIBRARIES = (".so", ".dylib", ".dll", ".pyd")


def _libraries() -> List[Tuple[str, str]]:
    """Return the libraries with their place in the program. An editable install has them apart from the package."""
    folder = os.path.dirname(str(_luup_cffi.__file__))
    names = [name for name in sorted(os.listdir(folder)) if name.endswith(_LIBRARIES)]
    return [(os.path.join(folder, name), "luup_agent") for name in names]


def _is_imported(name: str) -> bool:
    """Return whether a module is needed: not the hooks, and not a library, which `collect_submodules` also finds.

    The modules for other frameworks would bring these; a program that imports one is found to need it.
    """
    last = name.rpartition(".")[2]
    apart = "_pyinstaller" in name or ".integrations." in name
    return not apart and not last.startswith("lib") and last != "pytest_plugin"


hiddenimports = [*collect_submodules("luup_agent", filter=_is_imported), "_cffi_backend"]
binaries = _libraries()
datas = copy_metadata("luup-agent") + collect_data_files("luup_agent", includes=["_server/page_files/*"])
