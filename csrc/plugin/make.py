"""Writes the project of a package with a GPU backend: ``python csrc/plugin/make.py KIND FOLDER``.

All kinds are made from one template, ``pyproject.toml.in``. The version is the core's, and the package asks for exactly
that core. ``pip wheel FOLDER`` builds it. ``[tool.cibuildwheel]`` in it has the command that repairs a wheel: the
core's library and those of the GPU's driver stay outside.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Kind(NamedTuple):
    """What sets one package apart from the others.

    Attributes:
        title: The backend, for readers.
        backend: Its name in LUUP_GPU_BACKENDS.
        dependencies: Packages with the vendor's libraries.
        library_folders: Where these lie, from site-packages.
        outside: What stays out of the wheel: those libraries, and the driver's.
    """

    title: str
    backend: str
    dependencies: List[str]
    library_folders: List[str]
    outside: List[str]


KINDS = {
    "cuda12": Kind(
        "CUDA 12",
        "cuda",
        ["nvidia-cublas-cu12", "nvidia-cuda-runtime-cu12"],
        ["nvidia/cublas/lib", "nvidia/cuda_runtime/lib"],
        ["libcublas.so.*", "libcublasLt.so.*", "libcudart.so.*", "libcuda.so.*"],
    ),
    # AMD's libraries come with its driver; no index has packages of them that all distributions could use.
    "rocm": Kind("ROCm", "hip", [], [], ["libamdhip64.so.*", "libhipblas.so.*", "librocblas.so.*"]),
    "vulkan": Kind("Vulkan", "vulkan", [], [], ["libvulkan.so.*"]),
}


def core_value(name: str) -> str:
    """A value of the core's pyproject.toml, such as its version."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf'^{name} = "(.+?)"$', text, re.MULTILINE)
    if not found:
        raise ValueError(f"{ROOT / 'pyproject.toml'} has no {name}")
    return found.group(1)


def make(kind: str, folder: Path) -> None:
    """Writes the project into `folder`; what is built there already stays."""
    one = KINDS[kind]
    version = core_value("version")
    package = f"luup_agent_{kind}"
    values: Dict[str, str] = {
        "kind": kind,
        "version": version,
        "python": core_value("requires-python"),
        "title": one.title,
        "backend": one.backend,
        "package": package,
        "source": Path(os.path.relpath(HERE, folder.resolve())).as_posix(),
        "dependencies": json.dumps([f"luup-agent=={version}", *one.dependencies]),
        "rpath": ":".join(["$ORIGIN"] + [f"$ORIGIN/../{libraries}" for libraries in one.library_folders]),
        "excluded": " ".join(f"--exclude {name}" for name in ["libluup-ggml-base.so", *one.outside]),
    }
    template = (HERE / "pyproject.toml.in").read_text(encoding="utf-8")
    project = re.sub(r"@(\w+)@", lambda match: values[match.group(1)], template)
    (folder / package).mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    shutil.copyfile(HERE / "backend.py", folder / package / "__init__.py")
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")


def main(arguments: List[str]) -> int:
    """Writes one project; 2 if the arguments are wrong."""
    if len(arguments) != 2 or arguments[0] not in KINDS:
        print(f"usage: python csrc/plugin/make.py {{{','.join(KINDS)}}} FOLDER", file=sys.stderr)
        return 2
    make(arguments[0], Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
