"""Installed packages that bring a GPU backend, such as luup-agent-vulkan, found by their entry points.

`_native.library` loads those whose version is that of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Iterator, NamedTuple

from luup_agent._installed import find_distributions, stray_origin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "Plugin", "find_plugins"]

ENTRY_POINTS = "luup_agent.backends"


class Plugin(NamedTuple):
    """An installed package with a backend.

    Attributes:
        package: The name, such as "luup-agent-vulkan".
        version: The version.
        load: Imports the package and returns the folder of the backend's library. May raise anything.
    """

    package: str
    version: str
    load: Callable[[], str]


def find_plugins() -> Iterator[Plugin]:
    """Find the packages with a backend among the installed distributions, without importing them.

    A package in the current folder is not installed, see `luup_agent._installed`.

    Example:
        >>> [plugin.package for plugin in find_plugins()]
        []
    """
    seen = set()
    for distribution in find_distributions():
        for point in distribution.entry_points:
            name = distribution.metadata["Name"]
            if point.group == ENTRY_POINTS and name not in seen:
                seen.add(name)  # a folder that is twice in sys.path yields its packages twice
                yield Plugin(name, distribution.version, lambda point=point: _folder_of(point))  # type: ignore[misc]


def _folder_of(point: EntryPoint) -> str:
    """Import the package of an entry point, and return the folder that it names."""
    other = stray_origin(point.value.partition(":")[0])
    if other is not None:
        raise ImportError(
            f"another module of this name would be imported instead: {other}; rename it, or start Python with -P"
        )
    return str(point.load()())
