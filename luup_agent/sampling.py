"""The settings of a run: what an agent is made with, and what a single call may override."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Awaitable, Callable, Mapping, NamedTuple, Optional, Sequence, Union

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from luup_agent.messages import ToolCall
    from luup_agent.tools import ToolLike

    Approve = Callable[[ToolCall], Union[bool, str, Awaitable[Union[bool, str]]]]


class RunOptions(TypedDict, total=False):
    """What one call may set differently from its agent; the meanings and units are those of `Agent`'s parameters.

    `tools` come to the agent's own for this call; one of the same name takes its place.

    Example:
        >>> options: RunOptions = {"temperature": 0, "max_tokens": 32, "timeout": 10}
        >>> agent.generate("What is the capital of France?", **options)
        'The capital of France is Paris.'
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repeat_penalty: float
    repeat_last_n: int
    seed: Optional[int]
    stop: Union[str, Sequence[str], None]
    max_tokens: Optional[int]
    jump_forward: bool
    prompt_lookup: bool
    timeout: Optional[float]
    priority: int
    tools: Sequence[ToolLike]
    tool_choice: str
    parallel_tool_calls: bool
    max_turns: int
    retries: int
    deps: Any
    approve: Optional[Approve]


class Settings(NamedTuple):
    """All settings of a run, as the user wrote them. The core and `_native` check the values."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repeat_penalty: float
    repeat_last_n: int
    seed: Optional[int]
    stop: Union[str, Sequence[str], None]
    max_tokens: Optional[int]
    timeout: Optional[float]
    jump_forward: bool = True
    prompt_lookup: bool = True
    priority: int = 0
    tools: Sequence[ToolLike] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    max_turns: int = 16
    retries: int = 1
    deps: Any = None
    approve: Optional[Approve] = None

    def override(self, caller: str, options: Mapping[str, Any]) -> Settings:
        """These settings with `options` put over them.

        Raises:
            TypeError: There is no such option; as Python itself says it of the function `caller`.
        """
        if not options:
            return self
        for name in options:
            if name not in self._fields:
                raise TypeError(f"{caller}() got an unexpected keyword argument {name!r}")
        return self._replace(**options)
