"""The only module that touches the C library: handles, strings, numbers, errors, logs and the pump of a run.

Each class holds its handle in a cell, a pointer which the C function fills in place: an exception that strikes at any
point (`KeyboardInterrupt`) leaves the cell either empty or owned, so nothing leaks. The cell's finalizer destroys what
is in it; in the child of a fork the library makes that a no-op.
"""

from __future__ import annotations

import contextlib
import json
import math
import operator
import os
import threading
from numbers import Real
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from luup_agent._logging import logger
from luup_agent._luup_cffi import ffi, lib
from luup_agent.errors import ClosedError, ForkedError, InvalidParamError, LuupError, make_error
from luup_agent.exchange import Responder
from luup_agent.messages import FinishReason
from luup_agent.plugins import find_plugins
from luup_agent.sampling import Settings

EVENT_NONE: int = lib.LUUP_EVENT_NONE
EVENT_TEXT: int = lib.LUUP_EVENT_TEXT
EVENT_REASONING: int = lib.LUUP_EVENT_REASONING
EVENT_PROGRESS: int = lib.LUUP_EVENT_PROGRESS
EVENT_TOOL_CALL: int = lib.LUUP_EVENT_TOOL_CALL
EVENT_OUTPUT: int = lib.LUUP_EVENT_OUTPUT
EVENT_RETRY: int = lib.LUUP_EVENT_RETRY
EVENT_COMPLETION_REQUEST: int = lib.LUUP_EVENT_COMPLETION_REQUEST
EVENT_TOOL_RESULT: int = lib.LUUP_EVENT_TOOL_RESULT
EVENT_SUMMARY_REQUEST: int = lib.LUUP_EVENT_SUMMARY_REQUEST
EVENT_SUMMARIZED: int = lib.LUUP_EVENT_SUMMARIZED
EVENT_DONE: int = lib.LUUP_EVENT_DONE
EVENT_ERROR: int = lib.LUUP_EVENT_ERROR

_INT32_MAX = 2**31 - 1
_SEED_RANDOM: int = lib.LUUP_SEED_RANDOM
_FINISH_REASONS: Dict[int, FinishReason] = {
    lib.LUUP_FINISH_STOP: "stop",
    lib.LUUP_FINISH_LENGTH: "length",
    lib.LUUP_FINISH_TOOL_CALLS: "tool_calls",
}
_DEVICE_TYPES: Dict[int, str] = {
    lib.LUUP_DEVICE_CPU: "cpu",
    lib.LUUP_DEVICE_GPU: "gpu",
    lib.LUUP_DEVICE_IGPU: "igpu",
    lib.LUUP_DEVICE_ACCELERATOR: "accelerator",
}

_SPLIT_MODES: Dict[str, int] = {
    "none": lib.LUUP_SPLIT_NONE,
    "layer": lib.LUUP_SPLIT_LAYER,
    "row": lib.LUUP_SPLIT_ROW,
}

# ---------------------------------------------------------------------------------------------------------------------
# Errors and logs
# ---------------------------------------------------------------------------------------------------------------------

_LOG_CAPACITY = 4096  # bytes of one record
_LOG_RECORDS = 1000  # the library keeps no more
_LOG_LEVELS: Dict[int, int] = {  # of the library: of logging
    lib.LUUP_LOG_DEBUG: 10,
    lib.LUUP_LOG_INFO: 20,
    lib.LUUP_LOG_WARN: 30,
    lib.LUUP_LOG_ERROR: 40,
}


def error_message(code: int) -> str:
    """The message of this thread's last failed call if it failed with `code`, else the general text of `code`."""
    if lib.luup_last_error_code() == code:
        message = to_text(lib.luup_last_error_message())
        if message:
            return message
    return to_text(lib.luup_error_text(code))


def error_name(code: int) -> str:
    """The name of a code, such as ``"LUUP_ERROR_BUSY"``."""
    return to_text(lib.luup_error_name(code))


def check(code: int) -> None:
    """Raises the exception for `code` unless it is ``LUUP_SUCCESS``, and drains the logs then."""
    if code:
        error = make_error(code, error_message(code))
        drain_logs()
        raise exit_quietly(error)


def exit_quietly(error: LuupError) -> BaseException:
    """`error`, or SystemExit in a daemon thread whose model was closed because the interpreter exits.

    Such a thread is about to be frozen wherever it stands; a traceback of it would only confuse.
    """
    if isinstance(error, ClosedError) and not threading.main_thread().is_alive() and threading.current_thread().daemon:
        return SystemExit()
    return error


def set_log_level() -> None:
    """Lets the library keep what the package's logger would pass on."""
    lib.luup_log_set_level(log_level_of(logger.getEffectiveLevel()))


def log_level_of(wanted: int) -> int:
    """The library's level that lets through what `logging` would at level `wanted`."""
    return min((native for native, level in _LOG_LEVELS.items() if level >= wanted), default=int(lib.LUUP_LOG_NONE))


def drain_logs() -> None:
    """Hands the library's waiting records to `logging.getLogger("luup_agent")`."""
    level = ffi.new("luup_log_level *")
    text = ffi.new("char[]", _LOG_CAPACITY)
    for _ in range(_LOG_RECORDS):
        if not lib.luup_log_next(level, text, _LOG_CAPACITY):
            return
        logger.log(_LOG_LEVELS.get(int(level[0]), 40), "%s", to_text(text).rstrip("\n"))


# ---------------------------------------------------------------------------------------------------------------------
# Values in and out
# ---------------------------------------------------------------------------------------------------------------------


def to_text(value: Any) -> str:
    """A Python string from a ``const char *``; "" for NULL."""
    return "" if value == ffi.NULL else str(ffi.string(value).decode("utf-8", "replace"))


def encode_text(name: str, value: object) -> bytes:
    """`value` as UTF-8.

    Raises:
        InvalidParamError: It is not a `str`, or has a NUL or a lone surrogate; names the argument and the index.
    """
    if not isinstance(value, str):
        raise InvalidParamError(f"{name} must be a str, not {type(value).__name__}")
    nul = value.find("\0")
    if nul >= 0:
        raise InvalidParamError(f"{name} has a NUL character at index {nul}")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidParamError(
            f"{name} has a lone surrogate, U+{ord(value[error.start]):04X}, at index {error.start}"
        ) from None


def encode_path(name: str, value: object) -> bytes:
    """A path as UTF-8, ``~`` expanded."""
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidParamError(f"{name} must be a str or os.PathLike, not {type(value).__name__}")
    return encode_text(name, os.path.expanduser(os.fsdecode(value)))


def encode_int(name: str, value: object, low: int = -_INT32_MAX - 1, high: int = _INT32_MAX) -> int:
    """`value` as an int of `low` to `high`; a bool or a float is refused."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidParamError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= number <= high:
        raise InvalidParamError(f"{name} is {number}, but must be from {low} to {high}")
    return number


def encode_float(name: str, value: object) -> float:
    """`value` as a float; a bool or a str is refused, the range is the library's to check."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidParamError(f"{name} must be a float, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def encode_bool(name: str, value: object) -> bool:
    """`value` if it is a bool."""
    if not isinstance(value, bool):
        raise InvalidParamError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def encode_timeout(timeout: object) -> int:
    """Seconds as whole milliseconds, rounded up; -1 for None or infinity."""
    if timeout is None:
        return -1
    seconds = encode_float("timeout", timeout)
    if math.isnan(seconds) or seconds < 0:
        raise InvalidParamError(f"timeout is {timeout}, but must be a number of seconds from 0, or None")
    milliseconds = seconds * 1000
    return -1 if milliseconds >= 2**62 else math.ceil(milliseconds)


def _encode_stop(stop: object) -> List[bytes]:
    if stop is None:
        return []
    if isinstance(stop, str):
        stop = (stop,)
    if not isinstance(stop, (list, tuple)):
        raise InvalidParamError(f"stop must be a str, a list or a tuple of str, not {type(stop).__name__}")
    return [encode_text(f"stop[{index}]", text) for index, text in enumerate(stop)]


class _Struct(NamedTuple):
    """A C structure with what its pointers point at."""

    pointer: Any
    keep: Tuple[Any, ...]


def _sampling_params(settings: Settings) -> _Struct:
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
    return _Struct(params, (texts, stop))


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


def default_model_params() -> Dict[str, Any]:
    """The library's own defaults for loading a model, by field; None where Python has that for it."""
    params = ffi.new("luup_model_params *")
    lib.luup_model_default_params(params)
    skip = (
        "size",
        "progress",
        "user_data",
        "chat_template",
        "prefix_cache",
        "devices",
        "n_devices",
        "tensor_split",
        "n_tensor_split",
        "rpc_servers",
        "n_rpc_servers",
    )
    values = {name: getattr(params, name) for name, _ in ffi.typeof("luup_model_params").fields if name not in skip}
    if values["context_size"] == lib.LUUP_CONTEXT_SIZE_DEFAULT:
        values["context_size"] = None
    if values["max_waiting"] == -1:
        values["max_waiting"] = None
    values["split_mode"] = next(name for name, mode in _SPLIT_MODES.items() if mode == values["split_mode"])
    return values


def _output(type_name: str) -> Any:
    """A zeroed structure for the library to fill, its `size` set."""
    struct = ffi.new(type_name + " *")
    struct.size = ffi.sizeof(type_name)
    return struct


def _to_dict(struct: Any) -> Dict[str, Any]:
    """The fields of a C structure, strings decoded, `size` left out."""
    values: Dict[str, Any] = {}
    for name, field in ffi.typeof(struct).item.fields:
        if name != "size":
            value = getattr(struct, name)
            values[name] = to_text(value) if field.type.kind == "pointer" else value
    return values


def check_schema(schema: str) -> None:
    """Lets the library say whether it can enforce a JSON schema.

    Raises:
        InvalidSchemaError: It can't; the message has the JSON pointer of the part.
    """
    check(lib.luup_schema_check(encode_text("schema", schema)))


def _take_string(call: Callable[[Any], int]) -> str:
    """The string that `call` leaves in its ``char **``."""
    text = ffi.new("char **")
    check(call(text))
    try:
        return to_text(text[0])
    finally:
        lib.luup_string_free(text[0])


def _take_tokens(call: Callable[[Any, int, Any], int], guess: int) -> List[int]:
    """The tokens that `call(buffer, capacity, n_tokens)` gives, however many."""
    n_tokens = ffi.new("size_t *")
    capacity = guess
    while True:
        buffer = ffi.new("int32_t[]", capacity)
        check(call(buffer, capacity, n_tokens))
        if n_tokens[0] <= capacity:
            return list(ffi.unpack(buffer, n_tokens[0])) if n_tokens[0] else []
        capacity = n_tokens[0]


# ---------------------------------------------------------------------------------------------------------------------
# The library as a whole
# ---------------------------------------------------------------------------------------------------------------------


def version() -> str:
    """The C library's version."""
    return to_text(lib.luup_version())


def llama_version() -> str:
    """The version and commit of the llama.cpp inside."""
    return to_text(lib.luup_llama_version())


def function_names() -> List[str]:
    """The functions of the C library that this package knows of."""
    return sorted(name for name in dir(lib) if name.startswith("luup_") and not name.startswith("luup_py_"))


_backends_lock = threading.Lock()
_backends_added = False


def load_backends() -> None:
    """Tells the library of the packages with backends, once, and lets it load what there is."""
    global _backends_added
    with _backends_lock:
        if not _backends_added:
            for plugin in find_plugins():
                _add_backend(plugin.package, plugin.version, plugin.load)
            _backends_added = True
    check(lib.luup_backends_load())


def _add_backend(package: str, version: str, load: Callable[[], str]) -> None:
    """A package that can't be used keeps no model from being loaded: it is told when a GPU is asked for."""
    folder = package
    if version == to_text(lib.luup_version()):
        try:
            folder = load()
        except Exception as error:  # it is the package's own code
            logger.warning("%s can't be imported: %s: %s", package, type(error).__name__, error)
            return
    code = lib.luup_backends_add(encode_path(f"the folder of {package}", folder), encode_text("version", version))
    if code:
        logger.warning("%s", error_message(code))


def backends() -> List[Dict[str, Any]]:
    """The backends that were loaded, or refused."""
    load_backends()
    return [_get("luup_backend_info", lib.luup_backend_get, index) for index in range(lib.luup_backend_count())]


def devices() -> List[Dict[str, Any]]:
    """The devices that a model can run on."""
    load_backends()
    found = [_get("luup_device_info", lib.luup_device_get, index) for index in range(lib.luup_device_count())]
    return [{**values, "type": _DEVICE_TYPES[values["type"]]} for values in found]


def _get(type_name: str, function: Any, index: int) -> Dict[str, Any]:
    info = _output(type_name)
    check(function(index, info))
    return _to_dict(info)


def cpu_variant() -> Dict[str, Any]:
    """The CPU variant in use."""
    load_backends()
    variant = _output("luup_cpu_variant")
    check(lib.luup_cpu_variant_get(variant))
    return _to_dict(variant)


# ---------------------------------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------------------------------


def _new_cell(type_name: str, destroy: Any, keep: Optional[List[object]] = None) -> Any:
    """An empty cell for a handle; `destroy` gets what is in it when the cell is released or collected.

    What is in `keep` lives at least until then.
    """

    def finalize(cell: Any, _keep: object = keep) -> None:
        destroy(cell[0])

    return ffi.gc(ffi.new(type_name + " **"), finalize)


class _Load:
    """One load of a model, as its progress callback sees it."""

    def __init__(self, on_progress: Optional[Callable[[float], object]]) -> None:
        self.on_progress = on_progress
        self.error: Optional[BaseException] = None


def _stop_load(_type: object, error: Optional[BaseException], traceback: Any) -> None:
    """Keeps what the callback raised; the callback then answers False, and the load ends."""
    if traceback is not None:
        ffi.from_handle(traceback.tb_frame.f_locals["user_data"]).error = error


@ffi.def_extern(error=False, onerror=_stop_load)  # type: ignore[untyped-decorator, unused-ignore]
def luup_py_load_progress(progress: float, user_data: Any) -> bool:
    """Runs in the thread that loads. Being here at all lets Python see a Ctrl-C."""
    load = ffi.from_handle(user_data)
    if load.error is not None:
        return False
    if load.on_progress is not None:
        load.on_progress(progress)
    return True


class Layout(NamedTuple):
    """The parameters of `Model.from_local` that decide what a model takes of which memory."""

    gpu_layers: int
    context_size: Optional[int]
    batch_size: int
    max_sequences: int
    devices: Optional[Sequence[str]]
    split_mode: str
    main_gpu: int
    tensor_split: Optional[Sequence[float]]
    rpc_servers: Optional[Sequence[str]] = None


def _layout_params(layout: Layout) -> _Struct:
    params = ffi.new("luup_model_params *")
    lib.luup_model_default_params(params)
    params.gpu_layers = encode_int("gpu_layers", layout.gpu_layers)
    if layout.context_size is not None:
        params.context_size = encode_int("context_size", layout.context_size, low=-_INT32_MAX)
    params.batch_size = encode_int("batch_size", layout.batch_size)
    params.max_sequences = encode_int("max_sequences", layout.max_sequences)
    if layout.split_mode not in _SPLIT_MODES:
        raise InvalidParamError(f"split_mode must be one of {', '.join(_SPLIT_MODES)}, not {layout.split_mode!r}")
    params.split_mode = _SPLIT_MODES[layout.split_mode]
    params.main_gpu = encode_int("main_gpu", layout.main_gpu)
    names, devices = _texts("devices", layout.devices)
    servers, addresses = _texts("rpc_servers", layout.rpc_servers)
    shares = ffi.new("float[]", [encode_float(*item) for item in _items("tensor_split", layout.tensor_split)])
    if names:
        params.devices, params.n_devices = devices, len(names)
    if len(shares):
        params.tensor_split, params.n_tensor_split = shares, len(shares)
    if servers:
        params.rpc_servers, params.n_rpc_servers = addresses, len(servers)
    return _Struct(params, (names, devices, shares, servers, addresses))


def _texts(name: str, values: object) -> Tuple[List[Any], Any]:
    """The texts of a list or tuple, and the array that points to them."""
    texts = [ffi.new("char[]", encode_text(*item)) for item in _items(name, values)]
    return texts, ffi.new("const char *[]", texts)


def _items(name: str, values: object) -> List[Tuple[str, object]]:
    """The items of a list or tuple, each with its own name; none for None."""
    if values is None:
        return []
    if not isinstance(values, (list, tuple)):
        raise InvalidParamError(f"{name} must be a list or a tuple, not {type(values).__name__}")
    if not values:
        raise InvalidParamError(f"{name} is empty; leave it out to let the library choose")
    return [(f"{name}[{index}]", value) for index, value in enumerate(values)]


def estimate(path: object, layout: Layout) -> Dict[str, Any]:
    """The fields of ``luup_memory_estimate``."""
    c_path = encode_path("path", path)
    params = _layout_params(layout)
    load_backends()
    set_log_level()
    result = _output("luup_memory_estimate")
    check(lib.luup_model_estimate(c_path, params.pointer, result))
    drain_logs()
    return _to_dict(result)


class RemoteSettings(NamedTuple):
    """What the requests of a remote model have beside the conversation: the parameters of `NativeModel.remote`."""

    name: object
    extra_body: Optional[str] = None
    response_format: object = "json_schema"


class NativeModel:
    """A ``luup_model``.

    Attributes:
        responders: Who answers the requests of its runs, by the index that these have; none for a local model.
        settings: Of a remote model; None for another one.
    """

    responders: Tuple[Responder, ...] = ()
    settings: Optional[RemoteSettings] = None

    def __init__(
        self,
        path: Union[str, os.PathLike[str]],
        layout: Layout,
        *,
        threads: int,
        threads_batch: int,
        max_waiting: Optional[int],
        cache_ram: int,
        prefix_cache: Union[str, os.PathLike[str], None],
        use_mmap: bool,
        use_mlock: bool,
        chat_template: Optional[str],
        on_progress: Optional[Callable[[float], object]],
    ) -> None:
        """Loads the file; the parameters are those of `Model.from_local`."""
        c_path = encode_path("path", path)
        template = ffi.NULL
        if chat_template is not None:
            template = ffi.new("char[]", encode_text("chat_template", chat_template))
        folder = ffi.NULL if prefix_cache is None else ffi.new("char[]", encode_path("prefix_cache", prefix_cache))
        if on_progress is not None and not callable(on_progress):
            raise InvalidParamError(f"on_progress must be callable, not {type(on_progress).__name__}")
        load = _Load(on_progress)
        user_data = ffi.new_handle(load)
        struct = _layout_params(layout)
        params = struct.pointer
        params.threads = encode_int("threads", threads)
        params.threads_batch = encode_int("threads_batch", threads_batch)
        if max_waiting is not None:
            params.max_waiting = encode_int("max_waiting", max_waiting, low=0)
        params.cache_ram = encode_int("cache_ram", cache_ram, -(1 << 63), (1 << 63) - 1)
        params.use_mmap = encode_bool("use_mmap", use_mmap)
        params.use_mlock = encode_bool("use_mlock", use_mlock)
        params.prefix_cache = folder
        params.chat_template = template
        params.progress = lib.luup_py_load_progress
        params.user_data = user_data
        load_backends()
        set_log_level()
        self._cell = _new_cell("luup_model", lib.luup_model_destroy)
        try:
            code = lib.luup_model_load(c_path, params, self._cell)
            if load.error is not None:
                raise load.error
            check(code)
        finally:
            load.error = None  # breaks the cycle error - traceback - frame - load
            drain_logs()
        self.handle = self._cell[0]

    @classmethod
    def remote(cls, settings: RemoteSettings, responder: Responder) -> NativeModel:
        """A model that `responder` answers for; the settings' `extra_body` is the text of a JSON object."""
        model = object.__new__(cls)
        params = ffi.new("luup_remote_params *")
        lib.luup_remote_default_params(params)
        texts = [ffi.new("char[]", encode_text("model", settings.name))]
        texts.append(ffi.new("char[]", encode_text("response_format", settings.response_format)))
        params.model, params.response_format = texts
        if settings.extra_body is not None:
            texts.append(ffi.new("char[]", encode_text("extra_body", settings.extra_body)))
            params.extra_body = texts[-1]
        model._cell = _new_cell("luup_model", lib.luup_model_destroy)
        check(lib.luup_model_create_remote(params, model._cell))
        model.handle = model._cell[0]
        model.responders = (responder,)
        model.settings = settings
        return model

    @classmethod
    def fallback(cls, models: Sequence[NativeModel]) -> NativeModel:
        """A model of several, the next of which answers when one fails."""
        model = object.__new__(cls)
        handles = ffi.new("luup_model *[]", [each.handle for each in models])
        model._cell = _new_cell("luup_model", lib.luup_model_destroy)
        check(lib.luup_model_create_fallback(handles, len(models), model._cell))
        model.handle = model._cell[0]
        local = Responder()  # is never asked
        if any(each.responders for each in models):
            model.responders = tuple(each.responders[0] if each.responders else local for each in models)
        return model

    def info(self) -> Dict[str, Any]:
        """The fields of ``luup_model_info``."""
        info = _output("luup_model_info")
        check(lib.luup_model_get_info(self.handle, info))
        return _to_dict(info)

    def stats(self) -> Dict[str, Any]:
        """The fields of ``luup_model_stats``."""
        stats = _output("luup_model_stats")
        check(lib.luup_model_get_stats(self.handle, stats))
        return _to_dict(stats)

    def warmup(self) -> None:
        """Decodes a token so that the weights are in memory."""
        check(lib.luup_model_warmup(self.handle))
        drain_logs()

    def tokenize(self, text: object, parse_special: object) -> List[int]:
        """The tokens of `text`."""
        c_text = encode_text("text", text)
        special = encode_bool("parse_special", parse_special)
        return _take_tokens(
            lambda buffer, capacity, n: lib.luup_model_tokenize(self.handle, c_text, special, buffer, capacity, n),
            len(c_text) + 8,
        )

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`."""
        ids = [encode_int(f"tokens[{index}]", token) for index, token in enumerate(tokens)]
        buffer = ffi.new("int32_t[]", ids)
        return _take_string(lambda text: lib.luup_model_detokenize(self.handle, buffer, len(ids), text))

    def close(self) -> None:
        """Ends the runs and frees the memory; the handle stays. In the child of a fork nothing happens."""
        with contextlib.suppress(ForkedError):
            check(lib.luup_model_close(self.handle))
        drain_logs()


# ---------------------------------------------------------------------------------------------------------------------
# Agents and runs
# ---------------------------------------------------------------------------------------------------------------------


def _optional_path(path: object) -> Any:
    """A path as UTF-8, or NULL for None."""
    return ffi.NULL if path is None else ffi.new("char[]", encode_path("path", path))


class NativeAgent:
    """A ``luup_agent``."""

    def __init__(self, model: NativeModel, system_prompt: Optional[str], settings: Settings, history: bool) -> None:
        """Makes the agent; `settings` are what its runs use unless told otherwise."""
        _run_params(settings, settings, RunRequest(None))  # a wrong one is told now, not by the first run
        params = ffi.new("luup_agent_params *")
        lib.luup_agent_default_params(params)
        sampling = _sampling_params(settings)
        params.sampling = sampling.pointer
        params.enable_history = encode_bool("enable_history", history)
        prompt = ffi.NULL
        if system_prompt is not None:
            prompt = ffi.new("char[]", encode_text("system_prompt", system_prompt))
        params.system_prompt = prompt
        self._cell = _new_cell("luup_agent", lib.luup_agent_destroy)
        check(lib.luup_agent_create(model.handle, params, self._cell))
        self.handle = self._cell[0]
        self.settings: Optional[Settings] = settings
        self.responders = model.responders

    def fork(self, model: Optional[NativeModel] = None) -> NativeAgent:
        """Another agent with the settings, the tools and the history of this one; `model`: what it answers with."""
        fork = object.__new__(NativeAgent)
        fork._cell = _new_cell("luup_agent", lib.luup_agent_destroy)
        check(lib.luup_agent_fork(self.handle, ffi.NULL if model is None else model.handle, fork._cell))
        fork.handle = fork._cell[0]
        fork.settings = self.settings
        fork.responders = self.responders if model is None else model.responders
        return fork

    def save(self, path: object, extra: str) -> None:
        """Saves the agent, and `extra`, to a file."""
        check(lib.luup_agent_save(self.handle, encode_path("path", path), encode_text("extra", extra)))

    @classmethod
    def load(cls, model: NativeModel, path: object) -> Tuple[NativeAgent, str]:
        """An agent from a file, whose runs must bring all of their settings; and what was saved with it."""
        agent = object.__new__(cls)
        agent._cell = _new_cell("luup_agent", lib.luup_agent_destroy)
        c_path = encode_path("path", path)
        extra = _take_string(lambda text: lib.luup_agent_load(model.handle, c_path, ffi.NULL, agent._cell, text))
        drain_logs()
        agent.handle = agent._cell[0]
        agent.settings = None
        agent.responders = model.responders
        return agent, extra

    def add_message(self, role: object, content: object) -> None:
        """Appends a message to the history."""
        check(lib.luup_agent_add_message(self.handle, encode_text("role", role), encode_text("content", content)))

    def clear_history(self) -> None:
        """Empties the history."""
        check(lib.luup_agent_clear_history(self.handle))

    def get_history(self) -> List[Dict[str, Any]]:
        """The history as OpenAI chat messages, without the system prompt."""
        history: List[Dict[str, Any]] = json.loads(
            _take_string(lambda text: lib.luup_agent_get_history(self.handle, text))
        )
        return history

    def set_history(self, messages: List[Dict[str, Any]]) -> None:
        """Replaces the history."""
        check(lib.luup_agent_set_history(self.handle, json.dumps(messages).encode("ascii")))

    def register_tool(self, name: str, description: str, parameters: str) -> None:
        """Gives the agent's later runs a tool; `parameters` is the text of a JSON schema."""
        params = ffi.new("luup_tool_params *")
        lib.luup_tool_default_params(params)
        texts = [ffi.new("char[]", encode_text("tool", text)) for text in (name, description, parameters)]
        params.name, params.description, params.parameters = texts
        check(lib.luup_agent_register_tool(self.handle, params))

    def unregister_tool(self, name: str) -> None:
        """Takes a tool away from the agent's later runs."""
        check(lib.luup_agent_unregister_tool(self.handle, encode_text("name", name)))

    def enable_todo(self, path: object) -> None:
        """Gives the agent's later runs the built-in to-do list; in memory if `path` is None."""
        check(lib.luup_agent_enable_builtin_todo(self.handle, _optional_path(path)))

    def enable_notes(self, path: object) -> None:
        """Gives the agent's later runs the built-in notes; in memory if `path` is None."""
        check(lib.luup_agent_enable_builtin_notes(self.handle, _optional_path(path)))

    def enable_summarization(
        self, threshold: object = None, keep: object = None, by_host: bool = False, tool: object = False
    ) -> None:
        """Turns summarization on, or changes how it is done; None stands for the library's defaults."""
        params = ffi.new("luup_summarization_params *")
        lib.luup_summarization_default_params(params)
        if threshold is not None:
            params.threshold = encode_float("threshold", threshold)
        if keep is not None:
            params.keep = encode_float("keep", keep)
        params.by_host = by_host
        params.tool = encode_bool("tool", tool)
        check(lib.luup_agent_enable_builtin_summarization(self.handle, params))

    def call_builtin(self, name: str, arguments: Dict[str, Any]) -> Any:
        """What a built-in tool gives, as JSON values. The GIL is free meanwhile."""
        c_name, c_arguments = name.encode("ascii"), json.dumps(arguments).encode("ascii")
        result = _take_string(lambda text: lib.luup_agent_call_builtin(self.handle, c_name, c_arguments, text))
        drain_logs()
        return json.loads(result)

    def context(self) -> Dict[str, int]:
        """The fields of ``luup_context_usage``."""
        usage = _output("luup_context_usage")
        check(lib.luup_agent_get_context(self.handle, usage))
        return _to_dict(usage)

    def prompt_tokens(self, message: Optional[str]) -> List[int]:
        """The tokens that a run of `message` would prefill."""
        c_message = ffi.NULL if message is None else encode_text("message", message)
        return _take_tokens(
            lambda buffer, capacity, n: lib.luup_agent_get_prompt(self.handle, c_message, buffer, capacity, n), 1024
        )


def check_settings(model: NativeModel, settings: Settings) -> None:
    """Raises what an agent of these settings would raise when it is made."""
    NativeAgent(model, None, settings, True)


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


def _run_params(settings: Settings, base: Optional[Settings], request: RunRequest) -> _Struct:
    params = ffi.new("luup_run_params *")
    lib.luup_run_default_params(params)
    keep: List[Any] = []
    if settings is not base:
        sampling = _sampling_params(settings)
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
    return _Struct(params, tuple(keep))


class NativeRun:
    """A ``luup_run`` and its pump: `next` fills the event, the properties and methods read it.

    One thread at a time may use it; `cancel` and `messages` may come from any.
    """

    __slots__ = ("__weakref__", "_cell", "_event", "_guard", "_handle", "_keep")

    def __init__(self) -> None:
        """Makes an empty one, which `close` may be called on from now on."""
        self._keep: List[object] = []
        self._cell: Any = _new_cell("luup_run", lib.luup_run_destroy, self._keep)
        self._handle: Any = ffi.NULL
        self._event: Any = ffi.new("luup_event *")
        self._guard = threading.RLock()  # between `close` and a tool's thread that asks for the messages

    def start(self, agent: NativeAgent, settings: Settings, request: RunRequest) -> None:
        """Begins to answer; never waits for the model."""
        params = _run_params(settings, agent.settings, request)
        c_message = ffi.NULL if request.message is None else encode_text("message", request.message)
        check(lib.luup_run_start(agent.handle, c_message, params.pointer, self._cell))
        self._handle = self._cell[0]

    def next(self, timeout_ms: int) -> int:
        """Waits up to `timeout_ms` for an event and gives its type. The GIL is free meanwhile."""
        code = lib.luup_run_next(self._handle, timeout_ms, self._event)
        if code:
            check(code)
        kind: int = self._event.type
        return kind

    def wait(self, timeout_ms: int) -> bool:
        """Waits up to `timeout_ms` for the run's end, whatever events come, and tells whether it is there."""
        ended = ffi.new("bool *")
        check(lib.luup_run_wait(self._handle, timeout_ms, ended))
        return bool(ended[0])

    def text(self) -> str:
        """The text of the last event: of a TOOL_CALL its arguments, of a TOOL_RESULT what the model is told."""
        event = self._event
        text: str = ffi.unpack(event.text, event.text_length).decode("utf-8")
        return text

    def error(self, partial_text: str) -> LuupError:
        """The exception for an ERROR event."""
        return make_error(self._event.error, self.text() or error_message(self._event.error), partial_text)

    def progress(self) -> Tuple[int, int]:
        """Prompt tokens done and in total, of a PROGRESS event; messages replaced and in total, of a SUMMARIZED one."""
        return self._event.progress_done, self._event.progress_total

    def call(self) -> Tuple[str, str, int]:
        """Of a TOOL_CALL event: the id, the tool's name, and how many more calls of the turn follow."""
        event = self._event
        return to_text(event.call_id), to_text(event.tool_name), event.calls_left

    def builtin_result(self) -> Tuple[str, str, str, bool]:
        """Of a TOOL_RESULT event: the call's id, the tool's name, the arguments, and whether the call failed."""
        event = self._event
        return to_text(event.call_id), to_text(event.tool_name), to_text(event.arguments), bool(event.is_error)

    def submit_summary(self, summary: str) -> None:
        """Answers a SUMMARY_REQUEST event."""
        check(lib.luup_run_submit_summary(self._handle, encode_text("summary", summary)))

    def finish_reason(self) -> FinishReason:
        """Of a DONE event: "stop", "length" or "tool_calls"."""
        return _FINISH_REASONS[self._event.finish_reason]

    def confidence(self) -> Dict[str, float]:
        """Of a DONE event: how sure the model was of the enums and bools in its answer, by JSON pointer."""
        text = to_text(self._event.confidence)
        values: Dict[str, float] = json.loads(text) if text else {}
        return values

    def measures(self) -> Dict[str, Any]:
        """The token counts, turns and seconds of a DONE event, by field."""
        return {
            name: getattr(self._event, name)
            for name, _ in ffi.typeof("luup_event").fields
            if name.endswith(("_tokens", "_seconds", "turns"))
        }

    def submit_result(self, call_id: str, content: str, is_error: bool) -> None:
        """Answers a TOOL_CALL event."""
        check(
            lib.luup_run_submit_tool_result(
                self._handle, encode_text("call_id", call_id), encode_text("content", content), is_error
            )
        )

    def model_index(self) -> int:
        """Of a COMPLETION_REQUEST event: which of a fallback's models is asked."""
        index: int = self._event.model_index
        return index

    def push_chunk(self, chunk: str) -> bool:
        """Gives the run a chunk of the answer to its request, from any thread; False once no more are wanted."""
        more = ffi.new("bool *")
        text = encode_text("chunk", chunk)
        with self._guard:
            if self._handle == ffi.NULL:
                return False
            check(lib.luup_run_push_chunk(self._handle, text, more))
        return bool(more[0])

    def end_completion(self, code: int, message: str) -> None:
        """Ends the answer to the run's request, from any thread; 0 if it came whole."""
        text = encode_text("message", message.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8"))
        with self._guard:
            if self._handle != ffi.NULL:
                check(lib.luup_run_end_completion(self._handle, code, text))

    def review(self, problem: Optional[str]) -> None:
        """Answers an OUTPUT event; None accepts the answer."""
        check(
            lib.luup_run_review_output(self._handle, ffi.NULL if problem is None else encode_text("problem", problem))
        )

    def suspend(self) -> None:
        """Ends a run that waits for tool results with a DONE event; the calls wait in the history."""
        check(lib.luup_run_suspend(self._handle))

    def messages(self) -> List[Dict[str, Any]]:
        """The messages that the run has added so far, as OpenAI chat messages."""
        with self._guard:
            if self._handle == ffi.NULL:
                raise ClosedError("the run has ended")
            text = _take_string(lambda text: lib.luup_run_get_messages(self._handle, text))
        messages: List[Dict[str, Any]] = json.loads(text)
        return messages

    def set_wakeup(self, descriptor: int, owner: object) -> None:
        """Lets the library write a byte to `descriptor` when events come; `owner` is kept until the run is gone."""
        self._keep.append(owner)
        check(lib.luup_run_set_wakeup_fd(self._handle, descriptor))
        del self._keep[:-1]

    def cancel(self) -> None:
        """Ends the run soon, with an ERROR event."""
        if self._handle != ffi.NULL:
            lib.luup_run_cancel(self._handle)

    def close(self) -> None:
        """Cancels the run if it goes on, and gives the handle back. No method may be called afterwards but this."""
        with self._guard:
            cell, self._cell, self._handle = self._cell, None, ffi.NULL
            if cell is not None:
                ffi.release(cell)
        if cell is not None:
            self._keep.clear()
            drain_logs()
