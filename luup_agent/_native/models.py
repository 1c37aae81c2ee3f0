"""`NativeModel`, the handle of a ``luup_model``, and the parameters that create one."""

from __future__ import annotations

import contextlib
import os
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check, drain_logs, set_log_level
from luup_agent._native.handles import Owner, take_string, take_tokens
from luup_agent._native.library import load_backends
from luup_agent._native.values import (
    INT32_MAX,
    Struct,
    encode_absolute_path,
    encode_bool,
    encode_float,
    encode_int,
    encode_items,
    encode_path,
    encode_text,
    encode_texts,
    encode_timeout,
    new_output,
    to_dict,
)
from luup_agent.errors import ForkedError, InvalidParamError
from luup_agent.settings import RopeScaling

if TYPE_CHECKING:
    from luup_agent._completions.exchange import Responder

_SPLIT_MODES: Dict[str, int] = {
    "none": lib.LUUP_SPLIT_NONE,
    "layer": lib.LUUP_SPLIT_LAYER,
    "row": lib.LUUP_SPLIT_ROW,
}


WEIGHTS_CACHE_SIZE: int = lib.LUUP_WEIGHTS_CACHE_SIZE_DEFAULT


def default_model_params() -> Dict[str, Any]:
    """Return the library's defaults for loading a model, with None for "default" and "no limit" as in Python."""
    params = ffi.new("luup_model_params *")
    lib.luup_model_default_params(params)
    skip = (
        "size",
        "progress",
        "user_data",
        "chat_template",
        "prefix_cache",
        "mmproj",
        "weights_cache",
        "weights_cache_size",
        "devices",
        "n_devices",
        "tensor_split",
        "n_tensor_split",
        "rpc_servers",
        "n_rpc_servers",
        "cache_type_k",
        "cache_type_v",
        "rope_scaling",
        "rope_factor",
        "rope_original_context",
        "adapters",
        "n_adapters",
        "draft",
        "use_mtp",
    )
    values = {name: getattr(params, name) for name, _ in ffi.typeof("luup_model_params").fields if name not in skip}
    if values["context_size"] == lib.LUUP_CONTEXT_SIZE_DEFAULT:
        values["context_size"] = None
    if values["max_sequences"] == 0:
        values["max_sequences"] = None
    if values["max_waiting"] == -1:
        values["max_waiting"] = None
    keep_alive_ms = values.pop("keep_alive_ms")
    values["keep_alive"] = None if keep_alive_ms == -1 else keep_alive_ms / 1000
    values["split_mode"] = next(name for name, mode in _SPLIT_MODES.items() if mode == values["split_mode"])
    return values


def set_weights_cache(params: Any, folder: Union[str, os.PathLike[str], None], size: Optional[int]) -> Any:
    """Set the fields of the parameters of a load. Return what must live as long as these.

    Args:
        params: A ``luup_model_params`` or ``luup_embedder_params``.
        folder: The folder; None for none.
        size: Bytes that its files may take; None for the default.
    """
    if size is not None:
        params.weights_cache_size = size
    if folder is None:
        return None
    path = ffi.new("char[]", encode_absolute_path("weights_cache", folder))
    params.weights_cache = path
    return path


class Load:
    """The state of one load, for its progress callback."""

    def __init__(self, on_progress: Optional[Callable[[float], object]]) -> None:
        if on_progress is not None and not callable(on_progress):
            raise InvalidParamError(f"on_progress must be callable, not {type(on_progress).__name__}")
        self.on_progress = on_progress
        self.error: Optional[BaseException] = None

    def perform(self, load: Callable[[], int]) -> None:
        """Call a load function of the library, with this as its `user_data`, and raise what its callback raised.

        Raises:
            LuupError: The load failed.
        """
        load_backends()
        set_log_level()
        try:
            code = load()
            if self.error is not None:
                raise self.error
            check(code)
        finally:
            self.error = None  # breaks the cycle error - traceback - frame - load
            drain_logs()


def _stop_load(_type: object, error: Optional[BaseException], traceback: Any) -> None:
    """Keep the exception of the callback, which returns False then and so stops the load."""
    if traceback is not None:
        ffi.from_handle(traceback.tb_frame.f_locals["user_data"]).error = error


@ffi.def_extern(error=False, onerror=_stop_load)  # type: ignore[untyped-decorator, unused-ignore]
def luup_py_load_progress(progress: float, user_data: Any) -> bool:
    """Report the progress, in the thread that loads. Entering Python also lets Ctrl-C interrupt the load."""
    load = ffi.from_handle(user_data)
    if load.error is not None:
        return False
    if load.on_progress is not None:
        load.on_progress(progress)
    return True


class Layout(NamedTuple):
    """The parameters of `Model.from_local` that determine how much memory a model takes, and where.

    Attributes:
        mmproj: None for the projector of a repository on a hub, if there is one; False for no projector.
    """

    gpu_layers: int
    context_size: Optional[int]
    batch_size: int
    max_sequences: Optional[int]
    devices: Optional[Sequence[str]]
    split_mode: str
    main_gpu: int
    tensor_split: Optional[Sequence[float]]
    rpc_servers: Optional[Sequence[str]]
    cache_type: object = "f16"
    rope_scaling: Optional[RopeScaling] = None
    mmproj: object = None
    draft: object = None


def _layout_params(layout: Layout) -> Struct:
    params = ffi.new("luup_model_params *")
    lib.luup_model_default_params(params)
    params.gpu_layers = encode_int("gpu_layers", layout.gpu_layers)
    if layout.context_size is not None:
        params.context_size = encode_int("context_size", layout.context_size, low=-INT32_MAX)
    params.batch_size = encode_int("batch_size", layout.batch_size)
    if layout.max_sequences is not None:
        params.max_sequences = encode_int("max_sequences", layout.max_sequences, 1, 256)
    if layout.split_mode not in _SPLIT_MODES:
        raise InvalidParamError(f"split_mode must be one of {', '.join(_SPLIT_MODES)}, not {layout.split_mode!r}")
    params.split_mode = _SPLIT_MODES[layout.split_mode]
    params.main_gpu = encode_int("main_gpu", layout.main_gpu)
    names, devices = encode_texts("devices", layout.devices)
    servers, addresses = encode_texts("rpc_servers", layout.rpc_servers)
    shares = ffi.new("float[]", [encode_float(*item) for item in encode_items("tensor_split", layout.tensor_split)])
    types = _cache_types(layout.cache_type)
    params.cache_type_k, params.cache_type_v = types
    scaling = _write_rope_scaling(params, layout.rope_scaling)
    if names:
        params.devices, params.n_devices = devices, len(names)
    if len(shares):
        params.tensor_split, params.n_tensor_split = shares, len(shares)
    if servers:
        params.rpc_servers, params.n_rpc_servers = addresses, len(servers)
    return Struct(params, (names, devices, shares, servers, addresses, types, scaling))


def _cache_types(value: object) -> List[Any]:
    """Return the types of keys and values as C strings."""
    types = value if isinstance(value, (list, tuple)) else (value, value)
    if len(types) != 2:
        raise InvalidParamError(f"cache_type must be one type, or two for keys and values, not {len(types)}")
    return [ffi.new("char[]", encode_text("cache_type", each)) for each in types]


def _write_rope_scaling(params: Any, scaling: object) -> Any:
    if scaling is None:
        return None
    if not isinstance(scaling, RopeScaling):
        raise InvalidParamError(
            f'rope_scaling must be a RopeScaling, such as RopeScaling("yarn", 4.0), not {type(scaling).__name__}'
        )
    name = ffi.new("char[]", encode_text("the type of rope_scaling", scaling.type))
    params.rope_scaling = name
    params.rope_factor = encode_float("the factor of rope_scaling", scaling.factor)
    if scaling.original_context_size is not None:
        params.rope_original_context = encode_int(
            "the original_context_size of rope_scaling", scaling.original_context_size, low=1
        )
    return name


def _encode_adapters(adapters: object) -> Tuple[Any, int, List[Any]]:
    """Return the ``luup_adapter_file`` array, its length, and the objects that have to live while it is used."""
    if adapters is None:
        return ffi.NULL, 0, []
    if not isinstance(adapters, Mapping):
        raise InvalidParamError(
            f"adapters must be a dict of names and files, such as {{'sql': 'sql.gguf'}}, not {type(adapters).__name__}"
        )
    array, texts = ffi.new("luup_adapter_file[]", len(adapters)), []
    for entry, (name, path) in zip(array, adapters.items()):
        texts += [
            ffi.new("char[]", encode_text("a name in adapters", name)),
            ffi.new("char[]", encode_path(f"adapters[{name!r}]", path)),
        ]
        entry.name, entry.path = texts[-2:]
    return array, len(adapters), [array, *texts]


def estimate(path: object, layout: Layout) -> Dict[str, Any]:
    """Return the fields of ``luup_memory_estimate``."""
    c_path = encode_path("path", path)
    params = _layout_params(layout)
    files = [
        ffi.new("char[]", encode_path(name, value)) if value not in (None, False) else ffi.NULL
        for name, value in (("mmproj", layout.mmproj), ("draft", layout.draft))
    ]
    params.pointer.mmproj, params.pointer.draft = files
    params.pointer.use_mtp = layout.draft is not False
    load_backends()
    set_log_level()
    result = new_output("luup_memory_estimate")
    check(lib.luup_model_estimate(c_path, params.pointer, result))
    drain_logs()
    return to_dict(result)


class RemoteSettings(NamedTuple):
    """The parts of a remote model's requests that do not depend on the conversation.

    Attributes:
        name: The model's name on its server.
        extra_body: The text of a JSON object to merge into each request.
        response_format: How to ask for typed results, see `Model.from_remote`.
        message_fields: Which of the server's own fields go back to it.
        empty_content: The content of a message that has tool calls and no text.
    """

    name: object
    extra_body: Optional[str] = None
    response_format: object = "json_schema"
    message_fields: object = "auto"
    empty_content: object = "auto"


class NativeModel:
    """A ``luup_model``.

    Attributes:
        responders: The responders of its runs' requests by model index; () for a local model, which makes no requests.
        settings: The settings of a remote model; None for other kinds.
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
        weights_cache: Union[str, os.PathLike[str], None],
        weights_cache_size: Optional[int],
        use_mmap: bool,
        use_mlock: bool,
        adapters: Optional[Mapping[str, Union[str, os.PathLike[str]]]],
        mmproj: Union[str, os.PathLike[str], None] = None,
        draft: Union[str, os.PathLike[str], Literal[False], None] = None,
        keep_alive: Optional[float],
        chat_template: Optional[str],
        on_progress: Optional[Callable[[float], object]],
    ) -> None:
        """Load a file; the parameters are those of `Model.from_local`."""
        c_path = encode_path("path", path)
        template = ffi.NULL
        if chat_template is not None:
            template = ffi.new("char[]", encode_text("chat_template", chat_template))
        folder = (
            ffi.NULL if prefix_cache is None else ffi.new("char[]", encode_absolute_path("prefix_cache", prefix_cache))
        )
        projector = ffi.NULL if mmproj is None else ffi.new("char[]", encode_path("mmproj", mmproj))
        load = Load(on_progress)
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
        params.keep_alive_ms = encode_timeout(keep_alive, "keep_alive")
        params.prefix_cache = folder
        params.mmproj = projector
        kept_folder = set_weights_cache(params, weights_cache, weights_cache_size)
        c_draft = ffi.NULL if draft is None or draft is False else ffi.new("char[]", encode_path("draft", draft))
        params.draft = c_draft
        params.use_mtp = draft is not False
        params.adapters, params.n_adapters, kept = _encode_adapters(adapters)
        params.chat_template = template
        params.progress = lib.luup_py_load_progress
        params.user_data = user_data
        self._owner = Owner("model", lib.luup_model_destroy)
        load.perform(lambda: lib.luup_model_load(c_path, params, self._owner.cell))
        del kept, kept_folder

    @property
    def handle(self) -> Any:
        """The C pointer."""
        return self._owner.pointer

    @classmethod
    def remote(cls, settings: RemoteSettings, responder: Responder) -> NativeModel:
        """Create a model whose requests `responder` answers."""
        model = object.__new__(cls)
        params = ffi.new("luup_remote_params *")
        lib.luup_remote_default_params(params)
        texts = [ffi.new("char[]", encode_text("model", settings.name))]
        params.model = texts[0]
        for name in ("response_format", "message_fields", "empty_content"):
            texts.append(ffi.new("char[]", encode_text(name, getattr(settings, name))))
            setattr(params, name, texts[-1])
        if settings.extra_body is not None:
            texts.append(ffi.new("char[]", encode_text("extra_body", settings.extra_body)))
            params.extra_body = texts[-1]
        model._owner = Owner("model", lib.luup_model_destroy)
        check(lib.luup_model_create_remote(params, model._owner.cell))
        model.responders = (responder,)
        model.settings = settings
        return model

    @classmethod
    def fallback(cls, models: Sequence[NativeModel], responders: Tuple[Responder, ...]) -> NativeModel:
        """Create a model that asks the next of `models` when one fails; `responders` are in the same order."""
        model = object.__new__(cls)
        handles = ffi.new("luup_model *[]", [each.handle for each in models])
        model._owner = Owner("model", lib.luup_model_destroy)
        check(lib.luup_model_create_fallback(handles, len(models), model._owner.cell))
        model.responders = responders
        return model

    def info(self) -> Dict[str, Any]:
        """Return the fields of ``luup_model_info``."""
        info = new_output("luup_model_info")
        check(lib.luup_model_get_info(self.handle, info))
        return to_dict(info)

    def stats(self) -> Dict[str, Any]:
        """Return the fields of ``luup_model_stats``."""
        stats = new_output("luup_model_stats")
        check(lib.luup_model_get_stats(self.handle, stats))
        return to_dict(stats)

    def warmup(self) -> None:
        """Decode a token, so that the weights are in memory."""
        check(lib.luup_model_warmup(self.handle))
        drain_logs()

    def unload(self) -> None:
        """Free the weights until they are needed again."""
        check(lib.luup_model_unload(self.handle))
        drain_logs()

    def is_loaded(self) -> bool:
        """Return whether the weights are in memory."""
        loaded = ffi.new("bool *")
        check(lib.luup_model_is_loaded(self.handle, loaded))
        return bool(loaded[0])

    def tokenize(self, text: object, parse_special: object) -> List[int]:
        """Return the tokens of `text`."""
        c_text = encode_text("text", text)
        special = encode_bool("parse_special", parse_special)
        return take_tokens(
            lambda buffer, capacity, n: lib.luup_model_tokenize(self.handle, c_text, special, buffer, capacity, n),
            len(c_text) + 8,
        )

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`."""
        ids = [encode_int(f"tokens[{index}]", token) for index, token in enumerate(tokens)]
        buffer = ffi.new("int32_t[]", ids)
        return take_string(lambda text: lib.luup_model_detokenize(self.handle, buffer, len(ids), text))

    def close(self) -> None:
        """End all runs and free the memory; the handle stays valid. Does nothing in the child of a fork."""
        with contextlib.suppress(ForkedError):
            check(lib.luup_model_close(self.handle))
        drain_logs()
