"""The only package that touches the C library: handles, strings, numbers, errors, logs and the events of a run.

May use `errors`, `_logging`, `messages`, `settings`, `model_info` and `_gpu_packages`; knows nothing of the rest.
"""

from __future__ import annotations

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.agents import NativeAgent, check_grammar, check_settings
from luup_agent._native.diagnostics import (
    drain_logs,
    error_message,
    exit_quietly,
    log_level_of,
)
from luup_agent._native.embedders import EmbedCall, NativeEmbedder, encode_list
from luup_agent._native.library import (
    backends,
    check_pattern,
    check_schema,
    cpu_variant,
    devices,
    function_names,
    llama_version,
    version,
)
from luup_agent._native.media import read_header
from luup_agent._native.models import (
    WEIGHTS_CACHE_SIZE,
    Layout,
    NativeModel,
    RemoteSettings,
    default_model_params,
    estimate,
)
from luup_agent._native.runs import (
    EVENT_COMPLETION_REQUEST,
    EVENT_DONE,
    EVENT_ERROR,
    EVENT_NONE,
    EVENT_OUTPUT,
    EVENT_PROGRESS,
    EVENT_REASONING,
    EVENT_RETRY,
    EVENT_SUMMARIZED,
    EVENT_SUMMARY_REQUEST,
    EVENT_TEXT,
    EVENT_TOOL_CALL,
    EVENT_TOOL_RESULT,
    NativeRun,
)
from luup_agent._native.settings import OutputRequest, RunRequest, encode_settings
from luup_agent._native.values import (
    encode_absolute_path,
    encode_bool,
    encode_float,
    encode_int,
    encode_path,
    encode_text,
    encode_timeout,
    new_output,
    to_text,
)
from luup_agent._native.wakers import NativeWaker

__all__ = [
    "EVENT_COMPLETION_REQUEST",
    "EVENT_DONE",
    "EVENT_ERROR",
    "EVENT_NONE",
    "EVENT_OUTPUT",
    "EVENT_PROGRESS",
    "EVENT_REASONING",
    "EVENT_RETRY",
    "EVENT_SUMMARIZED",
    "EVENT_SUMMARY_REQUEST",
    "EVENT_TEXT",
    "EVENT_TOOL_CALL",
    "EVENT_TOOL_RESULT",
    "WEIGHTS_CACHE_SIZE",
    "EmbedCall",
    "Layout",
    "NativeAgent",
    "NativeEmbedder",
    "NativeModel",
    "NativeRun",
    "NativeWaker",
    "OutputRequest",
    "RemoteSettings",
    "RunRequest",
    "backends",
    "check_grammar",
    "check_pattern",
    "check_schema",
    "check_settings",
    "cpu_variant",
    "default_model_params",
    "devices",
    "drain_logs",
    "encode_absolute_path",
    "encode_bool",
    "encode_float",
    "encode_int",
    "encode_list",
    "encode_path",
    "encode_settings",
    "encode_text",
    "encode_timeout",
    "error_message",
    "estimate",
    "exit_quietly",
    "ffi",
    "function_names",
    "lib",
    "llama_version",
    "log_level_of",
    "new_output",
    "read_header",
    "to_text",
    "version",
]
