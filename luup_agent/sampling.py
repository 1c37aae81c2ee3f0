"""The settings of a run: what an agent is made with, and what a single call may override."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional, Sequence, Union

from typing_extensions import TypedDict


class RunOptions(TypedDict, total=False):
    """What one call may set differently from its agent; the meanings and units are those of `Agent`'s parameters.

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
    timeout: Optional[float]


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
