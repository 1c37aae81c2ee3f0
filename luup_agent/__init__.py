"""AI agents on a local language model, in your own process.

Example:
    >>> from luup_agent import Agent, Model
    >>> with Model.from_local("model.gguf") as model:
    ...     agent = Agent(model, "You are a helpful assistant.", temperature=0)
    ...     print(agent.generate("What is the capital of France?"))
    The capital of France is Paris.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from luup_agent.errors import (
    ApprovalRequiredError,
    BackendInitError,
    BusyError,
    ChatTemplateError,
    ClosedError,
    ContextFullError,
    ForkedError,
    HTTPError,
    InferenceError,
    InternalError,
    InvalidOutputError,
    InvalidParamError,
    InvalidSchemaError,
    JSONParseError,
    LuupError,
    MaxTurnsError,
    ModelLoadError,
    ModelNotFoundError,
    OutOfMemoryError,
    RunCancelledError,
    RunTimeoutError,
    StorageError,
    ToolNotFoundError,
    ToolRetryError,
    UnsupportedError,
    check_error,
)

if TYPE_CHECKING:
    from luup_agent.agent import Agent
    from luup_agent.async_run import AsyncEventStream, AsyncTextStream
    from luup_agent.builtin_tools import Note, Notes, Summarization, SummarizationStatus, Todo, Todos
    from luup_agent.classify import Classification
    from luup_agent.hardware import BackendInfo, CpuVariant, DeviceInfo, backends, cpu_variant, devices, llama_version
    from luup_agent.messages import (
        AgentResponse,
        ContextUsage,
        DoneEvent,
        Event,
        Message,
        PartialEvent,
        ProgressEvent,
        ReasoningEvent,
        RetryEvent,
        SummaryEvent,
        TextEvent,
        Timings,
        ToolCall,
        ToolCallEvent,
        ToolResult,
        ToolResultEvent,
        Usage,
    )
    from luup_agent.model import Model
    from luup_agent.model_info import MemoryEstimate, ModelInfo, ModelStats
    from luup_agent.sampling import RunOptions
    from luup_agent.tool_context import ModelRetry, RunContext
    from luup_agent.tools import Tool, tool

    __version__: str

__all__ = [
    "Agent",
    "AgentResponse",
    "ApprovalRequiredError",
    "AsyncEventStream",
    "AsyncTextStream",
    "BackendInfo",
    "BackendInitError",
    "BusyError",
    "ChatTemplateError",
    "Classification",
    "ClosedError",
    "ContextFullError",
    "ContextUsage",
    "CpuVariant",
    "DeviceInfo",
    "DoneEvent",
    "Event",
    "ForkedError",
    "HTTPError",
    "InferenceError",
    "InternalError",
    "InvalidOutputError",
    "InvalidParamError",
    "InvalidSchemaError",
    "JSONParseError",
    "LuupError",
    "MaxTurnsError",
    "MemoryEstimate",
    "Message",
    "Model",
    "ModelInfo",
    "ModelLoadError",
    "ModelNotFoundError",
    "ModelRetry",
    "ModelStats",
    "Note",
    "Notes",
    "OutOfMemoryError",
    "PartialEvent",
    "ProgressEvent",
    "ReasoningEvent",
    "RetryEvent",
    "RunCancelledError",
    "RunContext",
    "RunOptions",
    "RunTimeoutError",
    "StorageError",
    "Summarization",
    "SummarizationStatus",
    "SummaryEvent",
    "TextEvent",
    "Timings",
    "Todo",
    "Todos",
    "Tool",
    "ToolCall",
    "ToolCallEvent",
    "ToolNotFoundError",
    "ToolResult",
    "ToolResultEvent",
    "ToolRetryError",
    "UnsupportedError",
    "Usage",
    "__version__",
    "backends",
    "check_error",
    "cpu_variant",
    "devices",
    "llama_version",
    "tool",
]

# Modules that are imported when one of their names is first asked for: pydantic's models take time to make, and who
# needs an exception, or the help of the command line, does not wait for them.
_LATER: Dict[str, Tuple[str, ...]] = {
    "agent": ("Agent",),
    "async_run": ("AsyncEventStream", "AsyncTextStream"),
    "builtin_tools": ("Note", "Notes", "Summarization", "SummarizationStatus", "Todo", "Todos"),
    "classify": ("Classification",),
    "hardware": ("BackendInfo", "CpuVariant", "DeviceInfo", "backends", "cpu_variant", "devices", "llama_version"),
    "messages": (
        "AgentResponse",
        "ContextUsage",
        "DoneEvent",
        "Event",
        "Message",
        "PartialEvent",
        "ProgressEvent",
        "ReasoningEvent",
        "RetryEvent",
        "SummaryEvent",
        "TextEvent",
        "Timings",
        "ToolCall",
        "ToolCallEvent",
        "ToolResult",
        "ToolResultEvent",
        "Usage",
    ),
    "model": ("Model",),
    "model_info": ("MemoryEstimate", "ModelInfo", "ModelStats"),
    "sampling": ("RunOptions",),
    "tool_context": ("ModelRetry", "RunContext"),
    "tools": ("Tool", "tool"),
}
_MODULES = {name: module for module, names in _LATER.items() for name in names}


def _adopt(value: Any) -> Any:
    """Lets a public class or function say where users import it from; tracebacks show it."""
    if getattr(value, "__module__", "").startswith("luup_agent."):
        setattr(value, "__module__", __name__)  # noqa: B010
    return value


def __getattr__(name: str) -> Any:
    """Gives a public name from the module that has it."""
    if name == "__version__":
        from importlib import metadata

        value: Any = metadata.version("luup-agent")
    elif name in _MODULES:
        value = _adopt(getattr(import_module(f"luup_agent.{_MODULES[name]}"), name))
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    """The public names, and what is in this module."""
    return sorted({*globals(), *__all__})


for _name in __all__:
    _adopt(globals().get(_name))
