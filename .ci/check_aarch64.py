"""Build the wheel for Linux on ARM, and test it under qemu: ``python .ci/check_aarch64.py MODEL [PYTEST OPTION…]``.

Runs on Debian, in an environment that has the package, scikit-build-core, cffi and cmake. Debian's clang builds the
wheel with all CPU variants. The arm64 Python of Debian's packages, unpacked into a folder, runs it with the wheels
of its dependencies. MODEL is a GGUF file. All is kept in build/aarch64, so that a second run is quicker.

Each processor that qemu emulates must get the variant that fits it, and give the answers of the package that is
installed here, up to near ties. Speed is not measured: an emulator says nothing about it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "aarch64"
SYSTEM = FOLDER / "system"  # Debian's files
SITE = FOLDER / "site"  # Python's packages
TOOLS = ("clang++-19", "aarch64-linux-gnu-g++", "qemu-aarch64", "apt-get", "dpkg-deb")

# The processors that qemu emulates, and the variant for each.
PROCESSORS = {
    "cortex-a53": "armv8.0_1",
    "cortex-a72": "armv8.0_1",
    "cortex-a76": "armv8.2_2",
    "neoverse-n1": "armv8.2_2",
    "a64fx": "armv8.0_1",  # has SVE, but not the dot products that come before it in the list of variants
    "max": "armv9.2_2",
}
TESTS = ["unit/test_tools.py", "unit/test_messages.py", "unit/test_output.py"]
NEAR = 0.25  # the difference of two log-probabilities that may come from rounding: ggml rounds activations to 8 bits

# A few tokens of the model with their probabilities; then, with a model of random weights, since the emulator is slow,
# a call of a tool and a typed result.
PROGRAM = """
import json, sys
from typing import Literal
from pydantic import BaseModel
from luup_agent import Agent, Model, cpu_variant

class Weather(BaseModel):
    city: Literal["Paris", "Rome"]
    degrees: int

with Model.from_local(sys.argv[1], threads=1, context_size=256) as model:
    agent = Agent(model, "Be brief.", temperature=0, max_tokens=8, top_logprobs=2)
    answer = agent.run("What is the capital of France?")
with Model.from_local(sys.argv[2], threads=1, context_size=1024) as model:
    agent = Agent(model, temperature=0, max_tokens=100)

    @agent.tool
    def weather(city: Literal["Paris", "Rome"]) -> str:
        "Return the weather in a city."
        return f"The weather in {city} is sunny, 21 degrees."

    calls = agent.run("What is the weather?", tool_choice="weather").tool_calls
    typed = agent.generate("Summarize the weather.", output_type=Weather, tools=())
print(json.dumps({
    "variant": cpu_variant().name,
    "tools": [[call.name, call.arguments] for call in calls],
    "typed": typed.model_dump(),
    "tokens": [[token.id, token.logprob, [[top.id, top.logprob] for top in token.top]] for token in answer.logprobs],
}))
"""


def run(*command: object, **options: Any) -> None:
    """Run a command, and stop if it fails."""
    subprocess.run([str(part) for part in command], check=True, cwd=str(ROOT), **options)


def unpack_system() -> None:
    """Unpack Debian's arm64 Python, and the packages that it needs, without changing this system's list of packages."""
    if (SYSTEM / "usr/bin/python3.11").exists():
        return
    state, archives = FOLDER / "apt", FOLDER / "apt" / "archives"
    for folder in (state / "lists" / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    options = [f"-oDir::State={state}", "-oDir::State::status=/dev/null", f"-oDir::Cache={state}"]
    options += [f"-oDir::Cache::archives={archives}", "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64"]
    options += ["-oAPT::Sandbox::User=", "-oDebug::NoLocking=1", "-qq"]
    run("apt-get", *options, "update")
    names = ("python3.11", "libstdc++6")
    run(
        "apt-get",
        *options,
        "install",
        "-y",
        "--no-install-recommends",
        "--download-only",
        *names,
        stdout=subprocess.DEVNULL,
    )
    for package in sorted(archives.glob("*.deb")):
        run("dpkg-deb", "-x", package, SYSTEM)


def build_wheel() -> Path:
    """Build the wheel, and return its file."""
    folder = FOLDER / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    environment = dict(
        os.environ,
        _PYTHON_HOST_PLATFORM="linux-aarch64",  # for the wheel's name
        LUUP_CPU_VARIANTS="all",
        CMAKE_TOOLCHAIN_FILE=str(ROOT / ".ci" / "aarch64.cmake"),
    )
    # Not isolated, where pip would install an arm64 cffi for this machine's Python.
    options = ["-q", "--no-deps", "--no-build-isolation", f"--config-settings=build-dir={FOLDER / 'wheel'}"]
    run(sys.executable, "-m", "pip", "wheel", ".", *options, "-w", folder, env=environment)
    return next(folder.glob("luup_agent-*-linux_aarch64.whl"))


def install(wheel: Path) -> None:
    """Install the wheel and what its tests need, for an arm64 Python."""
    platforms = [f"--platform=manylinux{name}_aarch64" for name in ("2014", "_2_17", "_2_28")]
    options = ["--quiet", "--target", str(SITE), "--python-version=3.11", "--only-binary=:all:", *platforms]
    if not (SITE / "pydantic").exists():
        needed = (
            "cffi",
            "pydantic",
            "httpx",
            "docstring_parser",
            "gguf",
            "numpy",
            "pytest",
            "pytest-asyncio",
            "hypothesis",
        )
        run(sys.executable, "-m", "pip", "install", *options, *needed)
    for old in SITE.glob("luup_agent*"):
        shutil.rmtree(old)
    run(sys.executable, "-m", "pip", "install", *options, "--platform=linux_aarch64", "--no-deps", wheel)
    # A process that a test starts runs this Python, too.
    python = FOLDER / "python3"
    python.write_text(
        f'#!/bin/sh\nexec qemu-aarch64 -L "{SYSTEM}" "{SYSTEM}/usr/bin/python3.11" "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    (SITE / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(python)!r}\n", encoding="utf-8")


def emulated(processor: str) -> Dict[str, str]:
    """Return the environment of a process that runs on a processor."""
    environment = {name: value for name, value in os.environ.items() if name != "LUUP_CPU_VARIANT"}
    return dict(environment, QEMU_CPU=processor, PYTHONPATH=str(SITE), PYTHONDONTWRITEBYTECODE="1")


def write_tiny(model: str) -> str:
    """Write a model of random weights with the vocabulary of `model`, and return its file."""
    import gguf
    import numpy as np

    sys.path.insert(0, str(ROOT / "tests"))
    from support import random_model

    path = FOLDER / "tiny.gguf"
    random_model.write(gguf, np, Path(model), path)
    return str(path)


def answer(command: List[str], environment: Dict[str, str], models: List[str]) -> Dict[str, Any]:
    """Return what the program prints."""
    done = subprocess.run(
        [*command, "-c", PROGRAM, *models],
        env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True, timeout=1800, cwd=str(FOLDER),
    )  # fmt: skip
    result: Dict[str, Any] = json.loads(done.stdout)
    return result


def difference(one: Dict[str, Any], other: Dict[str, Any]) -> str:
    """Return how two answers differ, "" if they do not: up to a near tie, where the next token may be either."""
    for key in ("tools", "typed"):
        if one[key] != other[key]:
            return f"{key}: {one[key]} and {other[key]}"
    for place, (a, b) in enumerate(zip(one["tokens"], other["tokens"])):
        if abs(a[1] - b[1]) > NEAR:
            return f"token {place}: log-probability {a[1]:.3f} and {b[1]:.3f}"
        if a[0] != b[0]:
            close = abs(a[2][0][1] - a[2][1][1]) < NEAR
            return "" if close else f"token {place}: {a[0]} and {b[0]}"
    return ""


def check_processors(model: str) -> int:
    """Print the variant and the answer of each processor; return how many are wrong."""
    models = [model, write_tiny(model)]
    expected = answer([sys.executable], dict(os.environ), models)
    problems = 0
    for processor, variant in PROCESSORS.items():
        got = answer([str(FOLDER / "python3")], emulated(processor), models)
        reason = "" if got["variant"] == variant else f"the variant is not {variant}"
        reason = reason or difference(expected, got)
        print(f"{processor:12} {got['variant']:10} {reason or 'ok'}", flush=True)
        problems += bool(reason)
    return problems


def main() -> int:
    """Build, install, compare, and run the tests; return 1 if anything differs or fails."""
    missing = [name for name in TOOLS if not shutil.which(name)]
    if missing:
        raise SystemExit(
            f"not found: {', '.join(missing)}. Debian: apt install clang-19 g++-aarch64-linux-gnu qemu-user"
        )
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    FOLDER.mkdir(parents=True, exist_ok=True)
    unpack_system()
    wheel = build_wheel()
    run(sys.executable, ".ci/check_dist.py", wheel.parent)
    install(wheel)
    problems = check_processors(sys.argv[1])
    # From a folder without a luup_agent/ of its own.
    tests = sys.argv[2:] or [str(ROOT / "tests" / test) for test in TESTS]
    command = [
        str(FOLDER / "python3"),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(ROOT / "pyproject.toml"),
    ]
    environment = dict(emulated("max"), LUUP_TEST_MODEL=sys.argv[1])
    done = subprocess.run([*command, *tests], env=environment, check=False, cwd=str(FOLDER))
    return 1 if done.returncode or problems else 0


if __name__ == "__main__":
    sys.exit(main())
