"""Virtual environments for the peers, made once in the cache folder."""

import subprocess
import sys
import venv

from luup_agent import catalog

LLAMA_CPP_PYTHON = "llama-cpp-python==0.3.36"
XLLAMACPP = "xllamacpp==2026.10.11549"


def environment(*requirements):
    """The folder of a virtual environment that has the `requirements`."""
    folder = catalog.cache_folder().parent / "benchmarks" / "+".join(requirements).replace("==", "-")
    done = folder / "done"
    if not done.is_file():
        print(f"building {', '.join(requirements)}", flush=True)
        venv.create(str(folder), with_pip=True, clear=True)
        subprocess.run([str(programs(folder) / "python"), "-m", "pip", "install", "-q", *requirements], check=True)
        done.touch()
    return folder


def programs(folder):
    """The folder of an environment's programs."""
    return folder / ("Scripts" if sys.platform == "win32" else "bin")
