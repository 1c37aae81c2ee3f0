"""The settings of a run: `Settings` is the one table of them, `RunOptions` the keywords that one call may override.

`LoadOptions` are the keywords of `Model.from_local`, for functions that pass them on. `RopeScaling` is one of their
values.

The type of each field of `Settings` says where its value goes in the C library (`Native`); `_native.settings` fills the
library's structures from that. Type checkers need the names and types written out three times more, in `RunOptions`, in
the signature of `Agent` and in `AgentSettings`; tests/unit/test_signatures.py compares the four, and the defaults with
those of the library.
"""

# No `from __future__ import annotations`: the annotations of `Settings` are read when the package runs.

import os
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Dict,
    Generic,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from typing_extensions import Annotated, Literal, TypedDict, TypeVar

from luup_agent.limits import LoopGuard, UsageLimits

KeepHistory = Literal["on_success", "on_error"]
SplitMode = Literal["none", "layer", "row"]
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
CacheTypes = Union[CacheType, Tuple[CacheType, CacheType]]
LogitBias = Mapping[Union[int, str], float]
Adapter = Union[str, Mapping[str, float]]
Reasoning = Union[bool, int, Literal["low", "medium", "high"]]
LOOP_GUARD = LoopGuard()  # the default
DepsT = TypeVar("DepsT", default=Any)  # the type of an agent's `deps`

if TYPE_CHECKING:
    from luup_agent._tools.context import RunContext
    from luup_agent.messages import Event, Message, ToolCall
    from luup_agent.tools import ToolLike
    from luup_agent.toolsets import ToolsetLike

    Approve = Callable[[ToolCall], Union[bool, str, Awaitable[Union[bool, str]]]]
    OnEvent = Callable[[Event[Any]], Any]  # returns nothing, or an awaitable
    _Messages = Union[Sequence[Message], Awaitable[Sequence[Message]]]
    HistoryProcessor = Union[
        Callable[[List[Message]], _Messages], Callable[[RunContext[Any], List[Message]], _Messages]
    ]
    _Text = Union[Optional[str], Awaitable[Optional[str]]]
    SystemPrompt = Union[str, Callable[[], _Text], Callable[[RunContext[DepsT]], _Text]]


class _RunOptions(TypedDict, total=False):
    """All but `deps`, which the signature of `Agent` has by itself: a checker reads its type there."""

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
    record_prompts: bool
    jump_forward: bool
    prompt_lookup: bool
    timeout: Optional[float]
    priority: int
    tools: Sequence["ToolLike"]
    toolsets: Sequence["ToolsetLike"]
    tool_choice: str
    parallel_tool_calls: bool
    max_turns: int
    retries: int
    approve: Optional["Approve"]
    keep_history: KeepHistory
    usage_limits: Optional[UsageLimits]
    loop_guard: Optional[LoopGuard]
    on_event: Optional["OnEvent"]
    process_history: Union["HistoryProcessor", Sequence["HistoryProcessor"], None]


class RunOptions(_RunOptions, Generic[DepsT], total=False):
    """The settings that one call may change; `Agent` documents their meanings and units.

    `tools` and `toolsets` are added to the agent's own for this call; a tool of the same name replaces the agent's.

    Example:
        >>> options: RunOptions = {"temperature": 0, "max_tokens": 32, "timeout": 10}
        >>> agent.generate("What is the capital of France?", **options)
        'The capital of France is Paris.'
    """

    deps: DepsT


class _AgentOptions(_RunOptions, total=False):
    enable_history: bool
    enable_tool_calling: bool
    enable_builtin_tools: bool


class AgentOptions(_AgentOptions, Generic[DepsT], total=False):
    """The keywords of `Agent`, for functions that pass them on.

    Example:
        >>> options: AgentOptions = {"temperature": 0, "enable_history": False}
        >>> agent = Agent(model, **options)
    """

    deps: DepsT


class RopeScaling(NamedTuple):
    """How to scale a model's rotary positions, so that it reads contexts longer than those of its training.

    Attributes:
        type: "yarn" or "linear".
        factor: How many times longer the context becomes; 1 to 1000.
        original_context_size: Tokens of the context that the model was trained with; None for what its file says.

    Example:
        >>> scaling = RopeScaling("yarn", 4.0)
        >>> model = Model.from_local("model.gguf", context_size=32768, rope_scaling=scaling)
    """

    type: Literal["yarn", "linear"]
    factor: float
    original_context_size: Optional[int] = None


class LoadOptions(TypedDict, total=False):
    """The keywords of `Model.from_local`, which documents their meanings and units.

    Example:
        >>> options: LoadOptions = {"context_size": 512, "threads": 1}
        >>> model = Model.from_local("model.gguf", **options)
    """

    gpu_layers: int
    context_size: Optional[int]
    batch_size: int
    threads: int
    threads_batch: int
    max_sequences: Optional[int]
    max_waiting: Optional[int]
    cache_ram: int
    prefix_cache: Union[str, "os.PathLike[str]", None]
    weights_cache: Union[bool, str, "os.PathLike[str]"]
    use_mmap: bool
    use_mlock: bool
    keep_alive: Optional[float]
    devices: Optional[Sequence[str]]
    split_mode: SplitMode
    main_gpu: int
    tensor_split: Optional[Sequence[float]]
    rpc_servers: Optional[Sequence[str]]
    cache_type: CacheTypes
    rope_scaling: Optional[RopeScaling]
    adapters: Optional[Mapping[str, Union[str, "os.PathLike[str]"]]]
    mmproj: Union[str, "os.PathLike[str]", Literal[False], None]
    draft: Union[str, "os.PathLike[str]", Literal[False], None]
    chat_template: Optional[str]
    on_progress: Optional[Callable[[float], object]]
    verbose: bool


class Native(NamedTuple):
    """Where the C library takes a setting, and as what.

    Attributes:
        struct: "sampling" for ``luup_sampling_params``, "run" for ``luup_run_params``.
        kind: The type to check and convert; "seconds" become whole milliseconds.
        field: The structure's name for the setting; "" if it is the same.
        none: The number that stands for None in the structure; a setting without it may not be None.
        low: The least int. The library checks the ranges of all values itself; `low` and `high` are for a setting that
            it knows by another name, or has a number of its own in the place of None.
        high: The greatest int.
    """

    struct: Literal["sampling", "run"]
    kind: Literal[
        "float",
        "int",
        "bool",
        "seconds",
        "texts",
        "reasoning",
        "json",
        "bias",
        "adapter",
        "tool_choice",
        "keep_history",
    ]
    field: str = ""
    none: Optional[int] = None
    low: Optional[int] = None
    high: Optional[int] = None


class Settings(NamedTuple):
    """All settings of a run, as the user wrote them. `_native` and the C library check the values."""

    temperature: Annotated[float, Native("sampling", "float")] = 0.7
    top_p: Annotated[float, Native("sampling", "float")] = 0.95
    top_k: Annotated[int, Native("sampling", "int")] = 40
    min_p: Annotated[float, Native("sampling", "float")] = 0.05
    repeat_penalty: Annotated[float, Native("sampling", "float")] = 1.0
    repeat_last_n: Annotated[int, Native("sampling", "int")] = 64
    seed: Annotated[Optional[int], Native("sampling", "int", none=2**32 - 1, low=0, high=2**32 - 2)] = None
    stop: Annotated[Union[str, Sequence[str], None], Native("sampling", "texts")] = None
    max_tokens: Annotated[Optional[int], Native("sampling", "int", none=-1)] = 512
    reasoning: Annotated[Optional[Reasoning], Native("sampling", "reasoning")] = None
    template_options: Annotated[Optional[Mapping[str, Any]], Native("sampling", "json")] = None
    presence_penalty: Annotated[float, Native("sampling", "float")] = 0.0
    frequency_penalty: Annotated[float, Native("sampling", "float")] = 0.0
    logit_bias: Annotated[Optional[LogitBias], Native("sampling", "bias")] = None
    adapter: Annotated[Optional[Adapter], Native("sampling", "adapter", "adapters")] = None
    logprobs: Annotated[bool, Native("sampling", "bool")] = False
    top_logprobs: Annotated[int, Native("sampling", "int")] = 0
    record_prompts: Annotated[bool, Native("run", "bool")] = False
    jump_forward: Annotated[bool, Native("sampling", "bool")] = True
    prompt_lookup: Annotated[bool, Native("sampling", "bool")] = True
    timeout: Annotated[Optional[float], Native("run", "seconds", "timeout_ms")] = None
    priority: Annotated[int, Native("run", "int")] = 0
    tools: Sequence["ToolLike"] = ()
    toolsets: Sequence["ToolsetLike"] = ()
    tool_choice: Annotated[str, Native("run", "tool_choice")] = "auto"
    parallel_tool_calls: Annotated[bool, Native("run", "bool", "parallel_calls")] = True
    max_turns: Annotated[int, Native("run", "int")] = 16
    retries: Annotated[int, Native("run", "int", "output_retries", low=0, high=100)] = 1
    deps: Any = None
    approve: Optional["Approve"] = None
    keep_history: Annotated[KeepHistory, Native("run", "keep_history", "keep_on_error")] = "on_success"
    usage_limits: Optional[UsageLimits] = None
    loop_guard: Optional[LoopGuard] = LOOP_GUARD
    on_event: Optional["OnEvent"] = None
    process_history: Union["HistoryProcessor", Sequence["HistoryProcessor"], None] = None

    def override(self, caller: str, options: Mapping[str, Any]) -> "Settings":
        """Return these settings with `options` in place of their own.

        Raises:
            TypeError: There is no such option; the message is Python's own for the function `caller`.
        """
        if not options:
            return self
        for name in options:
            if name not in self._fields:
                raise TypeError(f"{caller}() got an unexpected keyword argument {name!r}")
        return self._replace(**options)


def native_settings() -> Dict[str, Native]:
    """Return the settings that the C library takes, by name."""
    found: Dict[str, Native] = {}
    for name, annotation in Settings.__annotations__.items():
        for part in getattr(annotation, "__metadata__", ()):
            if isinstance(part, Native):
                found[name] = part
    return found
