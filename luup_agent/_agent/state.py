"""`AgentState`: the attributes of an `Agent`, and the one way to set them.

The methods of `Agent` are in several classes, by subject. All of them inherit from `AgentState`, and none has state of
its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence, TypeVar

from luup_agent.toolsets import ToolsetLike, read_tools, read_toolsets

if TYPE_CHECKING:
    from luup_agent._agent.parts import Parts
    from luup_agent.tools import ToolLike

_Agent = TypeVar("_Agent", bound="AgentState")


class AgentState:
    """The attributes of an `Agent`: its parts, and the switches that its users may read and set."""

    enable_history: bool
    enable_tool_calling: bool
    enable_builtin_tools: bool
    _parts: Parts

    def _set_up(
        self, parts: Parts, enable_history: bool, enable_tool_calling: bool, enable_builtin_tools: bool
    ) -> None:
        """Set the attributes of a new agent."""
        self._parts = parts
        self.enable_history = enable_history
        self.enable_tool_calling = enable_tool_calling
        self.enable_builtin_tools = enable_builtin_tools

    def _equip(self, tools: Sequence[ToolLike], toolsets: Sequence[ToolsetLike]) -> None:
        """Add the first tools, the toolsets and the summarization of an agent that is not a fork."""
        if self.enable_builtin_tools and self.enable_history:
            self._parts.builtins.enable_summarization()
        for tool in read_tools(tools):
            self._parts.toolbox.add(tool)
        self._parts.toolbox.toolsets = read_toolsets(toolsets)

    def _with_parts(self: _Agent, parts: Parts) -> _Agent:
        """Return an agent of the same class with these parts, the same switches and the attributes of a subclass."""
        agent = object.__new__(type(self))
        agent._set_up(parts, self.enable_history, self.enable_tool_calling, self.enable_builtin_tools)
        own = vars(agent)
        for name, value in vars(self).items():
            if name not in own:
                setattr(agent, name, value)
        return agent
