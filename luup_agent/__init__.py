"""AI agents on a local language model, in your own process.

All public names can be imported from here. Submodules with more: `catalog` (models by name), `testing` (scripted and
recorded models), `pytest_plugin` (fixtures), `errors` (the tree of exceptions).

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
    SessionConflictError,
    SessionNotFoundError,
    StorageError,
    ToolLoopError,
    ToolNotFoundError,
    ToolRetryError,
    ToolsetError,
    UnsupportedError,
    UsageLimitError,
    check_error,
)

if TYPE_CHECKING:
    from luup_agent import catalog as catalog
    from luup_agent import errors as errors
    from luup_agent import hub as hub
    from luup_agent import mcp_server as mcp_server
    from luup_agent import server as server
    from luup_agent import testing as testing
    from luup_agent._agent.agent_settings import AgentSettings
    from luup_agent._agent.classify import Classification
    from luup_agent._bulk.async_map import AsyncMapStream
    from luup_agent._bulk.results import MapResult, MapResults
    from luup_agent._bulk.sync_map import MapStream
    from luup_agent._run.async_run import AsyncEventStream, AsyncTextStream
    from luup_agent._run.sync_run import Stream
    from luup_agent._tools.context import ModelRetry, RunContext
    from luup_agent.agent import Agent
    from luup_agent.builtin_tools import Note, Notes, Summarization, SummarizationStatus, Todo, Todos
    from luup_agent.durable import DurableRuns
    from luup_agent.embeddings import Embedder
    from luup_agent.handoffs import HandedOver, Handoff
    from luup_agent.hardware import BackendInfo, CpuVariant, DeviceInfo, backends, cpu_variant, devices, llama_version
    from luup_agent.limits import LoopGuard, UsageLimits
    from luup_agent.mcp import MCP
    from luup_agent.media import Audio, Image
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
        TokenLogprob,
        ToolCall,
        ToolCallEvent,
        ToolResult,
        ToolResultEvent,
        TopLogprob,
        Usage,
    )
    from luup_agent.model import Model
    from luup_agent.model_info import MemoryEstimate, ModelInfo, ModelStats
    from luup_agent.outputs import Choice, Grammar, JSONSchema, Output, Regex
    from luup_agent.sessions import (
        Session,
        SessionInfo,
        SessionMatch,
        Sessions,
        SQLiteSessions,
        SQLSessions,
    )
    from luup_agent.settings import AgentOptions, LoadOptions, RopeScaling, RunOptions
    from luup_agent.team import Team, TeamResponse
    from luup_agent.tools import Tool, tool
    from luup_agent.toolsets import DynamicToolset, FunctionToolset, Toolset
    from luup_agent.turns import Prompt, Turn
    from luup_agent.vectors import EmbedderInfo, Ranked, Vectors

    __version__: str

__all__ = [
    "MCP",
    "Agent",
    "AgentOptions",
    "AgentResponse",
    "AgentSettings",
    "ApprovalRequiredError",
    "AsyncEventStream",
    "AsyncMapStream",
    "AsyncTextStream",
    "Audio",
    "BackendInfo",
    "BackendInitError",
    "BusyError",
    "ChatTemplateError",
    "Choice",
    "Classification",
    "ClosedError",
    "ContextFullError",
    "ContextUsage",
    "CpuVariant",
    "DeviceInfo",
    "DoneEvent",
    "DurableRuns",
    "DynamicToolset",
    "Embedder",
    "EmbedderInfo",
    "Event",
    "ForkedError",
    "FunctionToolset",
    "Grammar",
    "HTTPError",
    "HandedOver",
    "Handoff",
    "Image",
    "InferenceError",
    "InternalError",
    "InvalidOutputError",
    "InvalidParamError",
    "InvalidSchemaError",
    "JSONParseError",
    "JSONSchema",
    "LoadOptions",
    "LoopGuard",
    "LuupError",
    "MapResult",
    "MapResults",
    "MapStream",
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
    "Output",
    "PartialEvent",
    "ProgressEvent",
    "Prompt",
    "Ranked",
    "ReasoningEvent",
    "Regex",
    "RetryEvent",
    "RopeScaling",
    "RunCancelledError",
    "RunContext",
    "RunOptions",
    "RunTimeoutError",
    "SQLSessions",
    "SQLiteSessions",
    "Session",
    "SessionConflictError",
    "SessionInfo",
    "SessionMatch",
    "SessionNotFoundError",
    "Sessions",
    "StorageError",
    "Stream",
    "Summarization",
    "SummarizationStatus",
    "SummaryEvent",
    "Team",
    "TeamResponse",
    "TextEvent",
    "Timings",
    "Todo",
    "Todos",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallEvent",
    "ToolLoopError",
    "ToolNotFoundError",
    "ToolResult",
    "ToolResultEvent",
    "ToolRetryError",
    "Toolset",
    "ToolsetError",
    "TopLogprob",
    "Turn",
    "UnsupportedError",
    "Usage",
    "UsageLimitError",
    "UsageLimits",
    "Vectors",
    "__version__",
    "backends",
    "check_error",
    "cpu_variant",
    "devices",
    "llama_version",
    "tool",
]

# Imported on first use: building pydantic's models takes time, which a program that needs only an exception, or the
# help of the command line, should not pay.
_LATER: Dict[str, Tuple[str, ...]] = {
    "agent": ("Agent",),
    "_run.async_run": ("AsyncEventStream", "AsyncTextStream"),
    "_run.sync_run": ("Stream",),
    "builtin_tools": ("Note", "Notes", "Summarization", "SummarizationStatus", "Todo", "Todos"),
    "_agent.agent_settings": ("AgentSettings",),
    "_agent.classify": ("Classification",),
    "_bulk.async_map": ("AsyncMapStream",),
    "_bulk.results": ("MapResult", "MapResults"),
    "_bulk.sync_map": ("MapStream",),
    "durable": ("DurableRuns",),
    "embeddings": ("Embedder",),
    "vectors": ("EmbedderInfo", "Ranked", "Vectors"),
    "handoffs": ("HandedOver", "Handoff"),
    "hardware": ("BackendInfo", "CpuVariant", "DeviceInfo", "backends", "cpu_variant", "devices", "llama_version"),
    "limits": ("LoopGuard", "UsageLimits"),
    "mcp": ("MCP",),
    "media": ("Audio", "Image"),
    "messages": (
        "AgentResponse",
        "ContextUsage",
        "DoneEvent",
        "Event",
        "Message",
        "PartialEvent",
        "ProgressEvent",
        "ReasoningEvent",
        "Regex",
        "RetryEvent",
        "SummaryEvent",
        "TextEvent",
        "Timings",
        "TokenLogprob",
        "ToolCall",
        "ToolCallEvent",
        "ToolResult",
        "ToolResultEvent",
        "TopLogprob",
        "Usage",
    ),
    "model": ("Model",),
    "model_info": ("MemoryEstimate", "ModelInfo", "ModelStats"),
    "outputs": ("Choice", "Grammar", "JSONSchema", "Output", "Regex"),
    "sessions": ("SQLSessions", "SQLiteSessions", "Session", "SessionInfo", "SessionMatch", "Sessions"),
    "settings": ("AgentOptions", "LoadOptions", "RopeScaling", "RunOptions"),
    "_tools.context": ("ModelRetry", "RunContext"),
    "team": ("Team", "TeamResponse"),
    "tools": ("Tool", "tool"),
    "toolsets": ("DynamicToolset", "FunctionToolset", "Toolset"),
    "turns": ("Prompt", "Turn"),
}
_MODULES = {name: module for module, names in _LATER.items() for name in names}
_SUBMODULES = ("catalog", "errors", "hub", "mcp_server", "server", "testing")


def _adopt(value: Any) -> Any:
    """Set `__module__` of a public class or function to this package, as tracebacks should show it."""
    if getattr(value, "__module__", "").startswith("luup_agent."):
        setattr(value, "__module__", __name__)  # noqa: B010
    return value


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name == "__version__":
        from importlib import metadata

        try:
            value: Any = metadata.version("luup-agent")
        except metadata.PackageNotFoundError:  # copied or frozen without its metadata
            value = import_module("luup_agent._native").version()
    elif name in _SUBMODULES:
        return import_module(f"luup_agent.{name}")
    elif name in _MODULES:
        value = _adopt(getattr(import_module(f"luup_agent.{_MODULES[name]}"), name))
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    """Return the public names and modules."""
    return sorted({*__all__, *_SUBMODULES, "__doc__", "__file__", "__name__", "__path__"})


for _name in __all__:
    _adopt(globals().get(_name))
