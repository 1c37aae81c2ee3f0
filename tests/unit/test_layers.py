"""The order of the rooms: no file uses a later one.

csrc/README.md lists the rooms of the core, ORDER those of the package.
"""

import functools
import shutil
from pathlib import Path

import pytest
from support import layers

ROOT = Path(__file__).resolve().parents[2]

# From the lowest to the highest. Modules of one line may import one another.
ORDER = [
    (
        "luup_agent._luup_cffi",
        "luup_agent._logging",
        "luup_agent._json",
        "luup_agent._data",
        "luup_agent._shown",
        "luup_agent._installed",
        "luup_agent._files",
        "luup_agent._pyinstaller",
        "luup_agent._threads",
        "luup_agent._loops",
        "luup_agent.errors",
        "luup_agent.limits",
        "luup_agent.settings",
    ),
    ("luup_agent._fetching", "luup_agent.media"),
    (
        "luup_agent.messages",
        "luup_agent.turns",
        "luup_agent.outputs",
        "luup_agent.vectors",
        "luup_agent.model_info",
        "luup_agent._gpu_packages",
    ),
    ("luup_agent._native",),
    ("luup_agent._completions",),
    ("luup_agent._verified", "luup_agent._hub"),
    (
        "luup_agent.hardware",
        "luup_agent.catalog",
        "luup_agent.hub",
        "luup_agent._weights",
        "luup_agent._loading",
        "luup_agent._mapping",
        "luup_agent.model",
    ),
    ("luup_agent._tools",),
    ("luup_agent.tools",),
    ("luup_agent.toolsets",),
    ("luup_agent._mcp", "luup_agent.mcp"),
    ("luup_agent._run",),
    ("luup_agent._agent", "luup_agent.builtin_tools"),
    ("luup_agent._bulk",),
    ("luup_agent.agent", "luup_agent.embeddings"),
    ("luup_agent._telemetry",),
    ("luup_agent.telemetry",),
    ("luup_agent._sessions", "luup_agent.sessions", "luup_agent._durable", "luup_agent.durable"),
    ("luup_agent._one_turn", "luup_agent.handoffs", "luup_agent._team_work", "luup_agent.team"),
    ("luup_agent.integrations",),
    ("luup_agent.testing", "luup_agent.mcp_server"),
    ("luup_agent.pytest_plugin",),
    ("luup_agent",),
    ("luup_agent.doctor",),
    ("luup_agent._server",),
    ("luup_agent.server",),
    ("luup_agent.cli",),
    ("luup_agent.__main__",),
]

# Rooms in which a unit (a .h and a .cpp of one name) may not include another one that includes it.
WITHOUT_CYCLES = (
    "base",
    "schema",
    "tokens",
    "media",
    "grammar",
    "chat",
    "device",
    "engine",
    "answer",
    "model",
    "embed",
    "agent",
    "api",
)


def core_problems(csrc):
    ordered, apart = layers.rooms_of_readme((csrc / "README.md").read_text(encoding="utf-8"))
    includes = layers.read_includes(csrc)
    problems = layers.upward_includes(includes, ordered, apart)
    cycles = [cycle for cycle in layers.cycles(includes) if cycle[0].startswith(WITHOUT_CYCLES)]
    return problems + [f"these include one another: {', '.join(cycle)}" for cycle in cycles]


def package_problems(package):
    return layers.upward_imports(layers.read_imports(package), ORDER)


def test_the_readme_lists_the_rooms_of_the_core():
    ordered, apart = layers.rooms_of_readme((ROOT / "csrc" / "README.md").read_text(encoding="utf-8"))
    folders = {path.name for path in (ROOT / "csrc").iterdir() if path.is_dir()} - {"llama.cpp"}
    assert {room for room in [*ordered, *apart] if "." not in room} == folders
    assert len(ordered) == len(set(ordered)) >= 12


def test_no_include_points_upward_and_none_in_a_circle():
    assert core_problems(ROOT / "csrc") == []


def test_no_import_points_upward():
    assert package_problems(ROOT / "luup_agent") == []


@pytest.fixture
def csrc(tmp_path):
    copy = tmp_path / "csrc"
    shutil.copytree(str(ROOT / "csrc"), str(copy), ignore=shutil.ignore_patterns("llama.cpp"))
    return copy


@pytest.fixture
def package(tmp_path):
    copy = tmp_path / "luup_agent"
    shutil.copytree(str(ROOT / "luup_agent"), str(copy), ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return copy


def plant(path, line):
    path.write_text(line + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8")


CORE_BEFORE = functools.lru_cache(maxsize=None)(lambda: core_problems(ROOT / "csrc"))
PACKAGE_BEFORE = functools.lru_cache(maxsize=None)(lambda: package_problems(ROOT / "luup_agent"))


def found(problems, before):
    """Return the problems that are not those of the tree without the planted file."""
    return [problem for problem in problems if problem not in before()]


@pytest.mark.parametrize(
    ("file", "included"),
    [
        ("base/text.h", "api/api.h"),
        ("grammar/gbnf.cpp", "chat/template.h"),
        ("luup_agent.h", "base/error.h"),
        ("kernels/attention.cpp", "base/text.h"),
    ],
)
def test_an_upward_include_is_found(csrc, file, included):
    plant(csrc / file, f'#include "{included}"')
    problems = found(core_problems(csrc), CORE_BEFORE)
    assert any(problem.startswith(f'{file} includes "{included}"') for problem in problems), problems


def test_a_circle_of_units_is_found(csrc):
    (csrc / "base" / "first.h").write_text("#pragma once\n")
    (csrc / "base" / "first.cpp").write_text('#include "second.h"\n')
    (csrc / "base" / "second.h").write_text('#pragma once\n#include "base/first.h"\n')
    assert found(core_problems(csrc), CORE_BEFORE) == ["these include one another: base/first, base/second"]


def test_a_file_in_no_room_is_found(csrc):
    (csrc / "attic").mkdir()
    (csrc / "attic" / "old.h").write_text("#pragma once\n")
    assert found(core_problems(csrc), CORE_BEFORE) == ["attic/old.h is in no room"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "from luup_agent.agent import Agent",
        "import luup_agent.agent",
        "from luup_agent import Agent",
        "from ..agent import Agent",
        "try:\n    from luup_agent import agent\nexcept ImportError:\n    pass",
    ],
)
def test_an_eager_upward_import_is_found(package, line):
    plant(package / "_native" / "values.py", line)
    problems = found(package_problems(package), PACKAGE_BEFORE)
    assert [problem.split(" imports ")[0] for problem in problems] == ["luup_agent._native.values"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from luup_agent.agent import Agent",
        "def later():\n    from luup_agent.agent import Agent\n    return Agent",
    ],
)
def test_an_import_that_does_not_run_at_once_may_point_upward(package, line):
    plant(package / "_native" / "values.py", line)
    assert found(package_problems(package), PACKAGE_BEFORE) == []


def test_a_module_in_no_room_is_found(package):
    (package / "attic.py").write_text("")
    assert found(package_problems(package), PACKAGE_BEFORE) == ["luup_agent.attic is in no room"]
