"""Check .github/workflows/ and [tool.cibuildwheel], without a network: ``python .ci/check_workflows.py``.

The tools are those of the dependency group ``workflows`` in pyproject.toml. Beyond what they check: every action is
pinned by a commit and named by its version, the same one everywhere; no job has more rights than it needs; one gate job
waits for all others; cibuildwheel will build the wheels that a release must have; and pre-commit runs the versions
that the step ``lint`` runs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterator, List

import yaml
from check_dist import PLATFORMS, PYTHONS

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

PINNED = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<commit>[0-9a-f]{40}) # v(?P<version>\d+\.\d+\.\d+)$")
LOCAL = re.compile(r"uses: \./\.github/workflows/[\w-]+\.yml( #.*)?$")

# The only rights beyond reading the contents that a job may have.
GRANTED = {
    ("release.yml", "publish"): {"id-token": "write", "attestations": "write"},
    ("release.yml", "release"): {"contents": "write"},
}

# The names of each platform's runners, and cibuildwheel's identifiers for it.
RUNNERS = {
    "ubuntu-24.04": ("linux", "x86_64", ("manylinux_x86_64", "musllinux_x86_64")),
    "ubuntu-24.04-arm": ("linux", "aarch64", ("manylinux_aarch64", "musllinux_aarch64")),
    "macos-15": ("macos", "arm64", ("macosx_arm64",)),
    "macos-15-intel": ("macos", "x86_64", ("macosx_x86_64",)),
    "windows-2025": ("windows", "AMD64", ("win_amd64",)),
    "windows-11-arm": ("windows", "ARM64", ("win_arm64",)),
}


def tool(*command: str) -> Iterator[str]:
    """Yield the output of a tool that fails."""
    result = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False,
    )  # fmt: skip
    if result.returncode:
        yield f"{command[0]}:\n{result.stdout.strip()}"


def pin_problems(texts: Dict[str, str]) -> Iterator[str]:
    """Yield the actions that are not pinned, or not to one commit everywhere."""
    commits: Dict[str, str] = {}
    cibuildwheel = metadata.version("cibuildwheel")
    for name, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            uses = re.search(r"\buses: .*$", line)
            if not uses or LOCAL.match(uses.group()):
                continue
            pin = PINNED.match(uses.group())
            if not pin:
                yield f"{name}:{number}: not pinned as OWNER/ACTION@COMMIT # vX.Y.Z: {line.strip()}"
            elif commits.setdefault(pin.group("action"), pin.group("commit")) != pin.group("commit"):
                yield f"{name}:{number}: {pin.group('action')} is pinned to another commit elsewhere"
            elif pin.group("action") == "pypa/cibuildwheel" and pin.group("version") != cibuildwheel:
                yield f"{name}:{number}: cibuildwheel is {pin.group('version')}, but {cibuildwheel} in pyproject.toml"


def right_problems(name: str, workflow: Dict[str, Any]) -> Iterator[str]:
    """Yield the jobs that have more rights than they need, or no time limit."""
    if workflow.get("permissions") != {}:
        yield f"{name}: must begin with `permissions: {{}}`, so that each job is granted its own"
    for key, job in workflow["jobs"].items():
        allowed = GRANTED.get((name, key), {})
        for right, level in (job.get("permissions") or {}).items():
            if (right, level) != ("contents", "read") and allowed.get(right) != level:
                yield f"{name}: the job {key} must not have {right}: {level}"
        if "uses" not in job and "timeout-minutes" not in job:
            yield f"{name}: the job {key} has no timeout-minutes"


def gate_problems(ci: Dict[str, Any]) -> Iterator[str]:
    """Yield the jobs that a branch could fail and still be merged."""
    jobs = dict(ci["jobs"])
    gate = jobs.pop("gate", {})
    for missing in sorted(set(jobs) - set(gate.get("needs", []))):
        yield f"ci.yml: the gate does not wait for the job {missing}"
    if gate.get("if") != "always()":
        yield "ci.yml: the gate is skipped, and so passes, where a job fails: it needs `if: always()`"


def wheel_problems(wheels: Dict[str, Any]) -> Iterator[str]:
    """Yield the differences between the wheels that will be built and those that a release must have."""
    runners = wheels["jobs"]["wheel"]["strategy"]["matrix"]["os"]
    if sorted(runners) != sorted(RUNNERS):
        yield f"wheels.yml: runs on {sorted(runners)}, but a release needs {sorted(RUNNERS)}"
    n_platforms = 0
    for system, machine, suffixes in RUNNERS.values():
        wanted = sorted(f"{python}-{suffix}" for python in ("cp39", "cp314t") for suffix in suffixes)
        n_platforms += len(suffixes)
        command = ["cibuildwheel", "--platform", system, "--archs", machine, "--print-build-identifiers", str(ROOT)]
        result = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
        builds = sorted(result.stdout.split())
        if builds != wanted:
            yield f"cibuildwheel builds {builds} for {system} {machine}, but a release needs {wanted}"
    if n_platforms != len(PLATFORMS) or len(PYTHONS) != 2:
        yield "check_dist.py asks for other platforms than these"


def hook_problems(hooks: Dict[str, Any], project: str) -> Iterator[str]:
    """Yield the requirements of pre-commit's hooks that pyproject.toml does not name with the same version."""
    for hook in (hook for repository in hooks["repos"] for hook in repository["hooks"]):
        for requirement in hook["additional_dependencies"]:
            if f'"{requirement}"' not in project:
                yield f".pre-commit-config.yaml: {hook['id']} runs {requirement}, which is not in pyproject.toml"


def problems() -> Iterator[str]:
    """Yield all problems."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in WORKFLOWS}
    if sorted(texts) != ["ci.yml", "release.yml", "wheels.yml"]:
        yield f"the workflows are {sorted(texts)}"
        return
    files = [str(path.relative_to(ROOT)) for path in WORKFLOWS]
    yield from tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    yield from tool("zizmor", "--offline", "--no-progress", "--quiet", ".github")
    yield from tool("jactionlint", *files)
    yield from tool("validate-pyproject", "pyproject.toml")
    yield from pin_problems(texts)
    workflows = {name: yaml.safe_load(text) for name, text in texts.items()}
    for name, workflow in workflows.items():
        yield from right_problems(name, workflow)
    yield from gate_problems(workflows["ci.yml"])
    yield from wheel_problems(workflows["wheels.yml"])
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    yield from hook_problems(hooks, (ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def main() -> int:
    """Print the problems and return the exit status."""
    found: List[str] = list(problems())
    print("\n".join(found) or f"{len(WORKFLOWS)} workflows are correct")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
