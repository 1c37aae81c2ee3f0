"""The settings of agents and runs, as the library's structures."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.values import Struct, encode_bool, encode_float, encode_int, encode_text, encode_timeout
from luup_agent.errors import InvalidParamError
from luup_agent.sampling import Settings

_SEED_RANDOM: int = lib.LUUP_SEED_RANDOM


def _encode_stop(stop: object) -> List[bytes]:
    if stop is None:
        return []
    if isinstance(stop, str):
        stop = (stop,)
    if not isinstance(stop, (list, tuple)):
        raise InvalidParamError(f"stop must be a str, a list or a tuple of str, not {type(stop).__name__}")
    return [encode_text(f"stop[{index}]", text) for index, text in enumerate(stop)]


def sampling_params(settings: Settings) -> Struct:
    params = ffi.new("luup_sampling_params *")
    lib.luup_sampling_default_params(params)
    params.temperature = encode_float("temperature", settings.temperature)
    params.top_p = encode_float("top_p", settings.top_p)
    params.top_k = encode_int("top_k", settings.top_k)
    params.min_p = encode_float("min_p", settings.min_p)
    params.repeat_penalty = encode_float("repeat_penalty", settings.repeat_penalty)
    params.repeat_last_n = encode_int("repeat_last_n", settings.repeat_last_n)
    if settings.seed is not None:  # the highest number means "random" to the library
        params.seed = encode_int("seed", settings.seed, 0, _SEED_RANDOM - 1)
    params.max_tokens = -1 if settings.max_tokens is None else encode_int("max_tokens", settings.max_tokens)
    params.jump_forward = encode_bool("jump_forward", settings.jump_forward)
    params.prompt_lookup = encode_bool("prompt_lookup", settings.prompt_lookup)
    texts = [ffi.new("char[]", text) for text in _encode_stop(settings.stop)]
    stop = ffi.new("const char *[]", texts) if texts else ffi.NULL
    params.stop = stop
    params.n_stop = len(texts)
    return Struct(params, (texts, stop))


def default_sampling() -> Dict[str, Any]:
    """The library's own sampling defaults, by field."""
    params = ffi.new("luup_sampling_params *")
    lib.luup_sampling_default_params(params)
    return {name: getattr(params, name) for name in Settings._fields if hasattr(params, name)}


def default_run_params() -> Dict[str, Any]:
    """The library's own defaults for a run, by the names that `Settings` has for them."""
    params = ffi.new("luup_run_params *")
    lib.luup_run_default_params(params)
    names = {"parallel_tool_calls": "parallel_calls", "retries": "output_retries"}
    own = ("priority", "max_turns")
    return {name: getattr(params, names.get(name, name)) for name in (*own, *names)}


class RunRequest(NamedTuple):
    """What a run is to do, beside its settings: the pointers of ``luup_run_params`` as texts.

    Attributes:
        message: The user's message; None answers the history.
        tools: A JSON array of tool definitions; None for the agent's own.
        output_schema: The JSON schema of a typed result.
        choices: Answers to be scored instead of generating one.
    """

    message: Optional[str]
    tools: Optional[str] = None
    output_schema: Optional[str] = None
    choices: Tuple[str, ...] = ()


def run_params(settings: Settings, base: Optional[Settings], request: RunRequest) -> Struct:
    params = ffi.new("luup_run_params *")
    lib.luup_run_default_params(params)
    keep: List[Any] = []
    if settings is not base:
        sampling = sampling_params(settings)
        params.sampling = sampling.pointer
        keep.append(sampling)

    def text(name: str, value: str) -> Any:
        keep.append(ffi.new("char[]", encode_text(name, value)))
        return keep[-1]

    params.timeout_ms = encode_timeout(settings.timeout)
    params.parallel_calls = encode_bool("parallel_tool_calls", settings.parallel_tool_calls)
    params.priority = encode_int("priority", settings.priority)
    params.max_turns = encode_int("max_turns", settings.max_turns)
    params.output_retries = encode_int("retries", settings.retries, 0, 100)
    if settings.tool_choice != "auto":
        params.tool_choice = text("tool_choice", settings.tool_choice)
    if request.tools is not None:
        params.tools = text("tools", request.tools)
    if request.output_schema is not None:
        params.output_schema = text("output_schema", request.output_schema)
        params.review_output = params.confidence = True
    if request.choices:
        choices = ffi.new("const char *[]", [text("choices", choice) for choice in request.choices])
        keep.append(choices)
        params.choices = choices
        params.n_choices = len(request.choices)
    return Struct(params, tuple(keep))
