"""AI agents on a local language model, in your own process.

Example:
    >>> from luup_agent import Agent, Model
    >>> with Model.from_local("model.gguf") as model:
    ...     agent = Agent(model, "You are a helpful assistant.", temperature=0)
    ...     print(agent.generate("What is the capital of France?"))
    The capital of France is Paris.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luup_agent.agent import Agent
from luup_agent.builtin_tools import Note, Notes, Summarization, SummarizationStatus, Todo, Todos
from luup_agent.classify import Classification
from luup_agent.devices import BackendInfo, CpuVariant, DeviceInfo, backends, cpu_variant, devices, llama_version
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
from luup_agent.model import MemoryEstimate, Model, ModelInfo, ModelStats
from luup_agent.sampling import RunOptions
from luup_agent.tool_context import ModelRetry, RunContext
from luup_agent.tools import Tool, tool

if TYPE_CHECKING:
    from luup_agent.async_run import AsyncEventStream, AsyncTextStream

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


def __getattr__(name: str) -> Any:
    """Gives what is too dear to be made at import."""
    if name == "__version__":
        from importlib import metadata

        value: Any = metadata.version("luup-agent")
    elif name in ("AsyncEventStream", "AsyncTextStream"):
        from luup_agent import async_run

        value = getattr(async_run, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _adopt() -> None:
    """Lets the public names say where users import them from; tracebacks show it."""
    for name in __all__:
        value = globals().get(name)
        if getattr(value, "__module__", "").startswith("luup_agent."):
            setattr(value, "__module__", __name__)  # noqa: B010


_adopt()
