"""`AgentSettings`, the view of an agent's settings that reads and changes them, and the refusal of other attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from luup_agent import _native
from luup_agent._agent.hooks import check_hooks
from luup_agent._agent.state import AgentState
from luup_agent._shown import Short
from luup_agent.limits import check_limits
from luup_agent.settings import Adapter, KeepHistory, LogitBias, Reasoning, Settings

if TYPE_CHECKING:
    from luup_agent._agent.parts import Parts
    from luup_agent.limits import LoopGuard, UsageLimits
    from luup_agent.settings import Approve, HistoryProcessor, OnEvent

_ELSEWHERE = {"tools": "agent.add_tool(…)", "toolsets": "Agent(toolsets=…)"}
NAMES = tuple(name for name in Settings._fields if name not in _ELSEWHERE)


class AgentSettings:
    """The settings of an agent's runs, which begin with them from now on; `Agent` documents their meanings.

    Example:
        >>> agent.settings.temperature = 0
        >>> agent.settings.update(max_tokens=16, seed=5)
        >>> agent.settings.max_tokens
        16
    """

    __module__ = "luup_agent"
    __slots__ = ("_parts",)

    _parts: Parts
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repeat_penalty: float
    repeat_last_n: int
    seed: Optional[int]
    stop: Union[str, Sequence[str], None]
    max_tokens: Optional[int]
    reasoning: Optional[Reasoning]
    template_options: Optional[Mapping[str, Any]]
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Optional[LogitBias]
    adapter: Optional[Adapter]
    logprobs: bool
    top_logprobs: int
    jump_forward: bool
    prompt_lookup: bool
    timeout: Optional[float]
    priority: int
    tool_choice: str
    parallel_tool_calls: bool
    max_turns: int
    retries: int
    deps: Any
    approve: Optional[Approve]
    keep_history: KeepHistory
    record_prompts: bool
    usage_limits: Optional[UsageLimits]
    loop_guard: Optional[LoopGuard]
    on_event: Optional[OnEvent]
    process_history: Union[HistoryProcessor, Sequence[HistoryProcessor], None]

    def __init__(self, parts: Parts) -> None:
        """Make the view of an agent's parts."""
        object.__setattr__(self, "_parts", parts)

    if not TYPE_CHECKING:  # checkers know the names above, and no others

        def __getattr__(self, name: str) -> Any:
            """Return the setting of this name."""
            if name not in NAMES:
                raise AttributeError(_unknown(name))
            return getattr(self._parts.settings, name)

        def __setattr__(self, name: str, value: object) -> None:
            """Change the setting of this name."""
            self._change({name: value})

    def update(self, **values: Any) -> None:
        """Change several settings at once: all of them, or none if one is wrong.

        Raises:
            AttributeError: There is no setting of a name.
            InvalidParamError: A value is wrong.
            ClosedError: The model was closed.
        """
        self._change(values)

    def _change(self, values: Mapping[str, Any]) -> None:
        for name in values:
            if name not in NAMES:
                raise AttributeError(_unknown(name))
        copied: Dict[str, Any] = {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()
        }
        if isinstance(copied.get("stop"), list):
            copied["stop"] = tuple(copied["stop"])
        settings = self._parts.settings._replace(**copied)
        check_limits(settings.usage_limits, settings.loop_guard)
        check_hooks(settings)
        _native.NativeAgent(self._parts.model._native_model, None, settings, False)  # checks the other values
        self._parts.settings = settings

    def to_dict(self) -> Dict[str, Any]:
        """Return the settings by name."""
        return {name: getattr(self._parts.settings, name) for name in NAMES}

    def __dir__(self) -> List[str]:
        """Return the names of the settings, and of the methods."""
        return sorted([*NAMES, "to_dict", "update"])

    def __repr__(self) -> str:
        """Return the settings that differ from their defaults, such as ``AgentSettings(temperature=0)``."""
        defaults = Settings._field_defaults
        changed = [f"{name}={Short(value)!r}" for name, value in self.to_dict().items() if value != defaults[name]]
        return f"AgentSettings({', '.join(changed)})"


def _unknown(name: str) -> str:
    if name in _ELSEWHERE:
        return f"{name} is not among the settings that can be changed here: use {_ELSEWHERE[name]}"
    return f"there is no setting {name!r}; the settings: {', '.join(NAMES)}"


class KnownAttributes(AgentState):
    """The settings of an agent, and the check of the attributes that are set. A subclass may add attributes."""

    @property
    def settings(self) -> AgentSettings:
        """The settings of the agent's runs: ``agent.settings.temperature = 0`` changes one."""
        return AgentSettings(self._parts)

    if not TYPE_CHECKING:  # else checkers would accept any name

        def __setattr__(self, name: str, value: object) -> None:
            """Set an attribute that agents have.

            Raises:
                AttributeError: They have no such attribute; the message names the setting if it is one.
            """
            cls = type(self)
            if name in NAMES and not hasattr(cls, name):
                raise AttributeError(f"Agent has no attribute {name!r}; write agent.settings.{name} = {value!r}")
            if (
                cls.__module__.partition(".")[0] == "luup_agent"
                and not name.startswith("_")
                and not _declared(cls, name)
            ):
                raise AttributeError(f"Agent has no attribute {name!r}; a subclass may have attributes of its own")
            object.__setattr__(self, name, value)


def _declared(cls: type, name: str) -> bool:
    return any(name in vars(part) or name in getattr(part, "__annotations__", {}) for part in cls.__mro__)
