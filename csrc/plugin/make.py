"""Write the project of a package with a GPU backend: ``python csrc/plugin/make.py KIND FOLDER``.

All kinds have one template, ``pyproject.toml.in``. The package has the core's version and requires exactly that one.
``pip wheel FOLDER`` builds it. Its ``[tool.cibuildwheel]`` has the command that repairs a wheel, which leaves out the
core's library and those of the GPU's driver.
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
    """The differences between the packages.

    Attributes:
        title: The name of the backend for readers.
        backend: Its name in LUUP_GPU_BACKENDS.
        dependencies: The packages with the vendor's libraries.
        library_folders: The folders of these libraries, relative to site-packages.
        outside: The libraries that are not copied into the wheel: the vendor's and the driver's.
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
    # AMD's libraries come with its driver; no package index has them for all distributions.
    "rocm": Kind("ROCm", "hip", [], [], ["libamdhip64.so.*", "libhipblas.so.*", "librocblas.so.*"]),
    "vulkan": Kind("Vulkan", "vulkan", [], [], ["libvulkan.so.*"]),
}


def core_value(name: str) -> str:
    """Return a value of the core's pyproject.toml, such as its version."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf'^{name} = "(.+?)"$', text, re.MULTILINE)
    if not found:
        raise ValueError(f"{ROOT / 'pyproject.toml'} has no {name}")
    return found.group(1)


def make(kind: str, folder: Path) -> None:
    """Write the project into `folder`, and keep what is built there."""
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
    """Write one project; return 2 if the arguments are wrong."""
    if len(arguments) != 2 or arguments[0] not in KINDS:
        print(f"usage: python csrc/plugin/make.py {{{','.join(KINDS)}}} FOLDER", file=sys.stderr)
        return 2
    make(arguments[0], Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
