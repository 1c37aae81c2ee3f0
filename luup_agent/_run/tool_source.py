"""Where a run gets its tools."""

from __future__ import annotations

from typing import Mapping, Optional, Tuple

from luup_agent.tools import AnyTool

RunTools = Tuple[Mapping[str, AnyTool], Optional[str]]


class ToolSource:
    """Where a run gets its tools when it begins; here, none.

    A run gets them by name, with their definitions as a JSON array, or None if they are those of the core's agent.
    """

    def read(self) -> RunTools:
        """Return the tools of a run that begins now."""
        return {}, None

    async def read_async(self) -> RunTools:
        """Do the same without blocking the event loop."""
        return self.read()
