"""Packages that bring a GPU backend: found by their entry points, and used if they are of this package's version."""

from __future__ import annotations

from typing import Callable, Iterator, NamedTuple

__all__ = ["ENTRY_POINTS", "Plugin", "find_plugins"]

ENTRY_POINTS = "luup_agent.backends"


class Plugin(NamedTuple):
    """An installed package with a backend.

    Attributes:
        package: Its name, such as "luup-agent-vulkan".
        version: Its version.
        load: Imports it and gives the folder with the backend's library. May raise anything.
    """

    package: str
    version: str
    load: Callable[[], str]


def find_plugins() -> Iterator[Plugin]:
    """Looks at every installed distribution, without importing any.

    Example:
        >>> [plugin.package for plugin in find_plugins()]
        []
    """
    from importlib import metadata  # takes longer to import than most of this package

    seen = set()
    for distribution in metadata.distributions():
        for point in distribution.entry_points:
            name = distribution.metadata["Name"]
            if point.group == ENTRY_POINTS and name not in seen:
                seen.add(name)  # a path that is listed twice shows its packages twice
                yield Plugin(name, distribution.version, lambda point=point: str(point.load()()))  # type: ignore[misc]
