"""Check the installation, without a model, for ``luup-agent doctor``."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import cffi
import pydantic

from luup_agent import __version__, _luup_cffi, _native, _weights, catalog
from luup_agent.errors import LuupError

__all__ = ["Report", "examine"]

MINIMUM_CFFI = (1, 14, 6)
MINIMUM_PYDANTIC = (2,)


@dataclass
class Report:
    """The result of `examine`.

    Attributes:
        facts: JSON values by name; sizes are in bytes.
        problems: A sentence for each problem, which says what to do.
    """

    facts: Dict[str, Any] = field(default_factory=dict)
    problems: List[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the report as one JSON object: the facts, ``ok`` and ``problems``.

        Example:
            >>> json.loads(examine().to_json())["ok"]
            True
        """
        return json.dumps({**self.facts, "ok": not self.problems, "problems": self.problems}, indent=2)

    def to_text(self) -> str:
        """Return the report as text, with one fact a line.

        Example:
            >>> print(examine().to_text().splitlines()[0])
            luup-agent     0.1.0 (llama.cpp 0.5.0 (0c1e57098))
        """
        facts = self.facts
        lines = [
            ("luup-agent", f"{facts['luup_agent']} (llama.cpp {facts['llama_cpp']})"),
            ("Python", f"{facts['python']} at {facts['executable']}"),
            ("packages", f"cffi {facts['cffi']}, pydantic {facts['pydantic']}, {'' if facts['pip'] else 'no '}pip"),
            ("system", facts["system"]),
            ("library", facts["library"]),
            ("functions", f"{facts['functions_exported']} of {facts['functions_declared']} found in the library"),
            ("processors", f"{facts['processors_usable']:g} of {facts['processors']} usable by this process"),
        ]
        variant = facts["cpu_variant"]
        if variant:
            lines += [("CPU variant", f"{variant['name']}: {variant['reason']}"), ("", variant["path"])]
        for backend in facts["backends"]:
            found = backend["reason"] or f"{backend['n_devices']} device{'' if backend['n_devices'] == 1 else 's'}"
            lines += [("backend", f"{backend['name']}: {found}"), ("", backend["path"])]
        lines += [("device", _device_line(device)) for device in facts["devices"]]
        lines += [("model", f"{model['name']}: {model['path'] or 'not downloaded'}") for model in facts["models"]]
        lines += [("model cache", facts["model_cache"]), ("weights cache", _weights_line(facts["weights_cache"]))]
        text = [f"{name:<14} {value}" for name, value in lines]
        text += [f"{'PROBLEM':<14} {problem}" for problem in self.problems] or ["No problems found."]
        return "\n".join(text)


def examine() -> Report:
    """Check this installation and machine.

    Returns:
        The report. Failures become its problems; nothing is raised.

    Example:
        >>> examine().problems
        []
    """
    report = Report()
    facts, problems = report.facts, report.problems
    facts.update(
        luup_agent=__version__,
        llama_cpp=_native.llama_version(),
        python=platform.python_version(),
        executable=sys.executable,
        cffi=cffi.__version__,
        pydantic=pydantic.VERSION,
        pip=importlib.util.find_spec("pip") is not None,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        library=str(_luup_cffi.__file__),
        processors=os.cpu_count() or 1,
        processors_usable=_usable_processors(),
    )
    _add_models(report)
    _check_versions(report)
    _check_functions(report)
    facts["cpu_variant"], facts["backends"], facts["devices"] = None, [], []
    try:
        facts["cpu_variant"] = _native.cpu_variant()
        facts["backends"] = _native.backends()
        facts["devices"] = _native.devices()
        _native.drain_logs()
    except LuupError as error:
        variable = os.environ.get("LUUP_CPU_VARIANT")
        hint = f"unset LUUP_CPU_VARIANT, now {variable!r}" if variable else "reinstall luup-agent for this machine"
        problems.append(f"no model can be loaded: {error}; {hint}")
    else:
        problems += [f"{b['path']} was not loaded: {b['reason']}" for b in facts["backends"] if b["reason"]]
        if not facts["devices"]:
            problems.append("the library found no device, not even the CPU; reinstall luup-agent for this machine")
    return report


def _add_models(report: Report) -> None:
    """Add the models of the catalog, and the cache."""
    report.facts.update(model_cache=None, models=[], weights_cache={})
    try:
        report.facts["weights_cache"] = _weights.contents()._asdict()
        report.facts["model_cache"] = str(catalog.cache_folder())
        report.facts["models"] = [_describe(model) for model in catalog.available()]
    except LuupError as error:
        report.problems.append(str(error))


def _check_versions(report: Report) -> None:
    library = _native.version()
    if library != __version__:
        report.problems.append(
            f"the library has version {library}, but the Python files have {__version__}; reinstall luup-agent"
        )
    for name, version, minimum in (
        ("cffi", cffi.__version__, MINIMUM_CFFI),
        ("pydantic", pydantic.VERSION, MINIMUM_PYDANTIC),
    ):
        if _numbers(version) < minimum:
            wanted = ".".join(map(str, minimum))
            report.problems.append(f"{name} {version} is too old; run `pip install '{name}>={wanted}'`")


def _numbers(version: str) -> Tuple[int, ...]:
    """Return the leading numbers of a version: (2, 1) for "2.1rc1"."""
    numbers: List[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _check_functions(report: Report) -> None:
    """Check that the library exports all functions that the compiled module declares."""
    names = _native.function_names()
    missing = names
    try:
        library = ctypes.CDLL(str(_luup_cffi.__file__))
        missing = [name for name in names if not hasattr(library, name)]
    except OSError as error:
        report.problems.append(f"the library can't be opened: {error}; reinstall luup-agent")
    else:
        if missing:
            report.problems.append(f"the library does not export {', '.join(missing)}; reinstall luup-agent")
    report.facts.update(functions_declared=len(names), functions_exported=len(names) - len(missing))


def _usable_processors() -> float:
    """Return the number of processors that affinity and the cgroup let this process use."""
    usable = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    share = _cgroup_share(Path("/sys/fs/cgroup/cpu.max"))
    return usable if share is None else min(usable, share)


def _cgroup_share(path: Path) -> Optional[float]:
    """Return the number of processors that a cgroup's `cpu.max` allows; None for no limit."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no cgroup v2, or "max"
        return None


def _weights_line(cache: Dict[str, Any]) -> str:
    if not cache or cache["folder"] is None:
        return "off"
    return (
        f"{cache['folder']}: {cache['files']} model{'' if cache['files'] == 1 else 's'}, {cache['size'] / 1e6:.0f} MB; "
        f"at most {cache['limit'] / 1e9:.0f} GB"
    )


def _describe(model: catalog.CatalogModel) -> Dict[str, Any]:
    path = catalog.find(model.name)
    return {
        "name": model.name,
        "description": model.description,
        "license": model.license,
        "size": model.size,
        "path": str(path) if path else None,
    }


def _device_line(device: Dict[str, Any]) -> str:
    total, free = device["memory_total"], device["memory_free"]
    memory = f", {free / 1e9:.1f} of {total / 1e9:.1f} GB free" if total else ""
    return f"{device['name']} ({device['backend']}): {device['description']}{memory}"
