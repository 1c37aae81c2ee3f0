"""What the parts of `Agent` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from luup_agent.errors import ClosedError

if TYPE_CHECKING:
    from luup_agent import _native
    from luup_agent.model import Model
    from luup_agent.sampling import Settings


class AgentBase:
    """The handle and the settings of an agent."""

    _model: Model
    _system_prompt: Optional[str]
    _settings: Settings
    _agent: Optional[_native.NativeAgent]  # None once the agent was closed

    @property
    def _native_agent(self) -> _native.NativeAgent:
        agent = self._agent
        if agent is None:
            raise ClosedError("the agent was closed")
        return agent
