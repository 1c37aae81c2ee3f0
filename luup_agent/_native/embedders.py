"""`NativeEmbedder`, the handle of a ``luup_embedder``, and the calls that compute with it."""

from __future__ import annotations

import contextlib
import os
from array import array
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check, drain_logs
from luup_agent._native.handles import Owner
from luup_agent._native.models import Load, set_weights_cache
from luup_agent._native.values import (
    INT32_MAX,
    encode_bool,
    encode_int,
    encode_path,
    encode_text,
    encode_texts,
    new_output,
    to_dict,
)
from luup_agent.errors import ForkedError, InvalidParamError

_POOLINGS: Dict[str, int] = {
    "mean": lib.LUUP_POOLING_MEAN,
    "cls": lib.LUUP_POOLING_CLS,
    "last": lib.LUUP_POOLING_LAST,
}
_POOLING_NAMES = {**{value: name for name, value in _POOLINGS.items()}, lib.LUUP_POOLING_RANK: "rank"}


class EmbedCall:
    """A call that is under way.

    Attributes:
        on_progress: Called with the number of texts that are done, and of all.
        cancelled: Set from any thread to end the call.
        error: What `on_progress`, or a signal's handler, raised.
    """

    def __init__(self, on_progress: Optional[Callable[[int, int], object]] = None) -> None:
        if on_progress is not None and not callable(on_progress):
            raise InvalidParamError(f"on_progress must be callable, not {type(on_progress).__name__}")
        self.on_progress = on_progress
        self.cancelled = False
        self.error: Optional[BaseException] = None


def _stop_call(_type: object, error: Optional[BaseException], traceback: Any) -> None:
    """Keep the exception of the callback, which returns False then and so ends the call."""
    if traceback is not None:
        ffi.from_handle(traceback.tb_frame.f_locals["user_data"]).error = error


@ffi.def_extern(error=False, onerror=_stop_call)  # type: ignore[untyped-decorator, unused-ignore]
def luup_py_embed_progress(done: int, total: int, user_data: Any) -> bool:
    """Report the progress, in the thread of the call. Entering Python also lets Ctrl-C interrupt it."""
    call = ffi.from_handle(user_data)
    if call.error is not None or call.cancelled:
        return False
    if call.on_progress is not None:
        call.on_progress(done, total)
    return True


class NativeEmbedder:
    """A ``luup_embedder``."""

    def __init__(
        self,
        path: Union[str, os.PathLike[str]],
        *,
        gpu_layers: int,
        context_size: Optional[int],
        batch_size: int,
        threads: int,
        pooling: Optional[str],
        use_mmap: bool,
        use_mlock: bool,
        weights_cache: Union[str, os.PathLike[str], None],
        weights_cache_size: Optional[int],
        devices: Optional[Sequence[str]],
        on_progress: Optional[Callable[[float], object]],
    ) -> None:
        """Load a file; the parameters are those of `Embedder.from_local`."""
        c_path = encode_path("path", path)
        load = Load(on_progress)
        user_data = ffi.new_handle(load)
        params = ffi.new("luup_embedder_params *")
        lib.luup_embedder_default_params(params)
        params.gpu_layers = encode_int("gpu_layers", gpu_layers)
        if context_size is not None:
            params.context_size = encode_int("context_size", context_size, low=-INT32_MAX)
        params.batch_size = encode_int("batch_size", batch_size)
        params.threads = encode_int("threads", threads)
        if pooling is not None:
            if not isinstance(pooling, str) or pooling not in _POOLINGS:
                raise InvalidParamError(f"pooling must be None or one of {', '.join(_POOLINGS)}, not {pooling!r}")
            params.pooling = _POOLINGS[pooling]
        params.use_mmap = encode_bool("use_mmap", use_mmap)
        params.use_mlock = encode_bool("use_mlock", use_mlock)
        kept_folder = set_weights_cache(params, weights_cache, weights_cache_size)
        names, pointers = encode_texts("devices", devices)
        if names:
            params.devices, params.n_devices = pointers, len(names)
        params.progress = lib.luup_py_load_progress
        params.user_data = user_data
        self._owner = Owner("embedder", lib.luup_embedder_destroy)
        load.perform(lambda: lib.luup_embedder_load(c_path, params, self._owner.cell))
        del kept_folder
        self.dimensions: int = self.info()["dimensions"]

    def info(self) -> Dict[str, Any]:
        """Return the fields of ``luup_embedder_info``, with the name of the pooling."""
        info = new_output("luup_embedder_info")
        check(lib.luup_embedder_get_info(self._owner.pointer, info))
        values = to_dict(info)
        values["pooling"] = _POOLING_NAMES[values["pooling"]]
        return values

    def count_tokens(self, text: object) -> int:
        """Return the number of tokens of `text`."""
        n_tokens = ffi.new("size_t *")
        check(lib.luup_embedder_count_tokens(self._owner.pointer, encode_text("text", text), n_tokens))
        return int(n_tokens[0])

    def embed(
        self, texts: List[bytes], call: EmbedCall, *, normalize: object, truncate: object
    ) -> Tuple[array[float], List[int]]:
        """Return the vectors one after the other, and the number of tokens of each text."""
        vectors = array("f", [0.0]) * (len(texts) * self.dimensions)
        n_tokens = ffi.new("int32_t[]", len(texts))
        keep, pointers = _pointers(texts)
        self._compute(
            call,
            _params(normalize, truncate),
            lambda params: lib.luup_embedder_embed(
                self._owner.pointer,
                pointers,
                len(keep),
                params,
                ffi.from_buffer("float[]", vectors),
                len(vectors),
                n_tokens,
            ),
        )
        return vectors, ffi.unpack(n_tokens, len(texts)) if texts else []

    def rerank(
        self, query: bytes, documents: List[bytes], call: EmbedCall, *, truncate: object
    ) -> Tuple[List[float], int]:
        """Return the scores of the documents, and the number of tokens that were read in all."""
        scores = ffi.new("float[]", len(documents))
        n_tokens = ffi.new("int32_t[]", len(documents) + 1)
        keep, pointers = _pointers(documents)
        self._compute(
            call,
            _params(True, truncate),
            lambda params: lib.luup_embedder_rerank(
                self._owner.pointer, query, pointers, len(keep), params, scores, n_tokens
            ),
        )
        return ffi.unpack(scores, len(documents)) if documents else [], sum(n_tokens)

    def _compute(self, call: EmbedCall, params: Any, work: Callable[[Any], int]) -> None:
        handle = ffi.new_handle(call)
        params.progress = lib.luup_py_embed_progress
        params.user_data = handle
        try:
            code = work(params)
            if call.error is not None:
                raise call.error
            check(code)
        finally:
            call.error = None  # breaks the cycle error - traceback - frame - call
            drain_logs()

    def close(self) -> None:
        """End all calls and free the memory; the handle stays valid. Does nothing in the child of a fork."""
        with contextlib.suppress(ForkedError):
            check(lib.luup_embedder_close(self._owner.pointer))
        drain_logs()


def encode_list(name: str, texts: object) -> List[bytes]:
    """Return texts as UTF-8.

    Raises:
        InvalidParamError: They are not a list, or another iterable, of `str`; the message has the index.
    """
    if isinstance(texts, (str, bytes, bytearray, dict)):
        raise InvalidParamError(
            f"{name} must be a list of str, not a {type(texts).__name__}; for one text write [text]"
        )
    try:
        items = list(texts)  # type: ignore[call-overload]
    except TypeError:
        raise InvalidParamError(f"{name} must be a list of str, not {type(texts).__name__}") from None
    return [encode_text(f"{name}[{index}]", item) for index, item in enumerate(items)]


def _pointers(texts: List[bytes]) -> Tuple[List[Any], Any]:
    keep = [ffi.new("char[]", text) for text in texts]
    return keep, ffi.new("const char *[]", keep)


def _params(normalize: object, truncate: object) -> Any:
    params = ffi.new("luup_embed_params *")
    lib.luup_embed_default_params(params)
    params.normalize = encode_bool("normalize", normalize)
    params.truncate = encode_bool("truncate", truncate)
    return params
