"""Models: their parameters, and the handle."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check, drain_logs, set_log_level
from luup_agent._native.handles import new_cell, take_string, take_tokens
from luup_agent._native.library import load_backends
from luup_agent._native.values import (
    INT32_MAX,
    Struct,
    encode_bool,
    encode_float,
    encode_int,
    encode_items,
    encode_path,
    encode_text,
    encode_texts,
    new_output,
    to_dict,
)
from luup_agent.errors import ForkedError, InvalidParamError
from luup_agent.exchange import Responder

_SPLIT_MODES: Dict[str, int] = {
    "none": lib.LUUP_SPLIT_NONE,
    "layer": lib.LUUP_SPLIT_LAYER,
    "row": lib.LUUP_SPLIT_ROW,
}


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
    rpc_servers: Optional[Sequence[str]]


def _layout_params(layout: Layout) -> Struct:
    params = ffi.new("luup_model_params *")
    lib.luup_model_default_params(params)
    params.gpu_layers = encode_int("gpu_layers", layout.gpu_layers)
    if layout.context_size is not None:
        params.context_size = encode_int("context_size", layout.context_size, low=-INT32_MAX)
    params.batch_size = encode_int("batch_size", layout.batch_size)
    params.max_sequences = encode_int("max_sequences", layout.max_sequences)
    if layout.split_mode not in _SPLIT_MODES:
        raise InvalidParamError(f"split_mode must be one of {', '.join(_SPLIT_MODES)}, not {layout.split_mode!r}")
    params.split_mode = _SPLIT_MODES[layout.split_mode]
    params.main_gpu = encode_int("main_gpu", layout.main_gpu)
    names, devices = encode_texts("devices", layout.devices)
    servers, addresses = encode_texts("rpc_servers", layout.rpc_servers)
    shares = ffi.new("float[]", [encode_float(*item) for item in encode_items("tensor_split", layout.tensor_split)])
    if names:
        params.devices, params.n_devices = devices, len(names)
    if len(shares):
        params.tensor_split, params.n_tensor_split = shares, len(shares)
    if servers:
        params.rpc_servers, params.n_rpc_servers = addresses, len(servers)
    return Struct(params, (names, devices, shares, servers, addresses))


def estimate(path: object, layout: Layout) -> Dict[str, Any]:
    """The fields of ``luup_memory_estimate``."""
    c_path = encode_path("path", path)
    params = _layout_params(layout)
    load_backends()
    set_log_level()
    result = new_output("luup_memory_estimate")
    check(lib.luup_model_estimate(c_path, params.pointer, result))
    drain_logs()
    return to_dict(result)


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
        self._cell = new_cell("luup_model", lib.luup_model_destroy)
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
        model._cell = new_cell("luup_model", lib.luup_model_destroy)
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
        model._cell = new_cell("luup_model", lib.luup_model_destroy)
        check(lib.luup_model_create_fallback(handles, len(models), model._cell))
        model.handle = model._cell[0]
        local = Responder()  # is never asked
        if any(each.responders for each in models):
            model.responders = tuple(each.responders[0] if each.responders else local for each in models)
        return model

    def info(self) -> Dict[str, Any]:
        """The fields of ``luup_model_info``."""
        info = new_output("luup_model_info")
        check(lib.luup_model_get_info(self.handle, info))
        return to_dict(info)

    def stats(self) -> Dict[str, Any]:
        """The fields of ``luup_model_stats``."""
        stats = new_output("luup_model_stats")
        check(lib.luup_model_get_stats(self.handle, stats))
        return to_dict(stats)

    def warmup(self) -> None:
        """Decodes a token so that the weights are in memory."""
        check(lib.luup_model_warmup(self.handle))
        drain_logs()

    def tokenize(self, text: object, parse_special: object) -> List[int]:
        """The tokens of `text`."""
        c_text = encode_text("text", text)
        special = encode_bool("parse_special", parse_special)
        return take_tokens(
            lambda buffer, capacity, n: lib.luup_model_tokenize(self.handle, c_text, special, buffer, capacity, n),
            len(c_text) + 8,
        )

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`."""
        ids = [encode_int(f"tokens[{index}]", token) for index, token in enumerate(tokens)]
        buffer = ffi.new("int32_t[]", ids)
        return take_string(lambda text: lib.luup_model_detokenize(self.handle, buffer, len(ids), text))

    def close(self) -> None:
        """Ends the runs and frees the memory; the handle stays. In the child of a fork nothing happens."""
        with contextlib.suppress(ForkedError):
            check(lib.luup_model_close(self.handle))
        drain_logs()
