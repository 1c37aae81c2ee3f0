"""`Embedder`: a model that makes vectors of texts, or ranks documents for a query."""

from __future__ import annotations

import contextlib
import os
import weakref
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Iterable,
    List,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
)

from typing_extensions import Literal, TypedDict, Unpack

from luup_agent import _native, _weights
from luup_agent._hub.names import is_model_name, looks_like_repository
from luup_agent._loops import Check, after, load_in_thread, require_asyncio
from luup_agent._run import operations
from luup_agent._threads import start_thread
from luup_agent.errors import InvalidParamError, ModelNotFoundError
from luup_agent.vectors import EmbedderInfo, Ranked, Vectors

if TYPE_CHECKING:
    import asyncio

__all__ = ["Embedder", "EmbedderOptions"]

_Embedder = TypeVar("_Embedder", bound="Embedder")
_T = TypeVar("_T")
Pooling = Literal["mean", "cls", "last"]


class EmbedderOptions(TypedDict, total=False):
    """The keywords of `Embedder.from_local`, which documents them."""

    gpu_layers: int
    context_size: Optional[int]
    batch_size: int
    threads: int
    pooling: Optional[Pooling]
    weights_cache: Union[bool, str, os.PathLike[str]]
    use_mmap: bool
    use_mlock: bool
    devices: Optional[Sequence[str]]
    on_progress: Optional[Callable[[float], object]]


class Embedder:
    """A model that makes vectors of texts, made by `Embedder.from_local` or `Embedder.from_hub`.

    The closer the meanings of two texts, the larger the cosine of their vectors. Short texts are computed together.
    Safe to use from any thread: calls take turns, batch by batch and in the order in which they came, and other Python
    code runs meanwhile.

    Example:
        >>> with Embedder.from_local("minilm.gguf") as embedder:
        ...     vectors = embedder.embed(["A cat sleeps.", "A kitten naps.", "Interest rates rise again."])
        ...     [ranked.index for ranked in embedder.rerank("pets", ["Interest rates rise again.", "A cat sleeps."])]
        [1, 0]
    """

    _native_embedder: _native.NativeEmbedder
    _closed: bool
    _label: str

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Raise TypeError: an embedder is made by `Embedder.from_local` or `Embedder.from_hub`."""
        raise TypeError("use Embedder.from_local(path) or Embedder.from_hub(repository) to make an Embedder")

    @classmethod
    def from_local(
        cls: Type[_Embedder],
        path: Union[str, os.PathLike[str]],
        *,
        gpu_layers: int = -1,
        context_size: Optional[int] = None,
        batch_size: int = 512,
        threads: int = 0,
        pooling: Optional[Pooling] = None,
        weights_cache: Union[bool, str, os.PathLike[str]] = True,
        use_mmap: bool = True,
        use_mlock: bool = False,
        devices: Optional[Sequence[str]] = None,
        on_progress: Optional[Callable[[float], object]] = None,
    ) -> _Embedder:
        """Load a GGUF file.

        Args:
            path: The file; ``~`` is the home folder. Also a name of `luup_agent.hub`, unless there is a file of that
                name: "hf:owner/repo:Q8_0" (downloaded if it is missing), "ollama:…" or "lmstudio:…".
            gpu_layers: Layers to put on a GPU: -1 for all if there is a GPU, else none. More than 0 needs a GPU.
            context_size: Tokens of the longest text, 8 to 65,536; the memory grows with it. None for those that the
                model was trained with, at most 2,048.
            batch_size: Tokens of short texts that are computed together; 32 to 16,384.
            threads: Threads that compute; 0 for as many as the process may use.
            pooling: How a vector is made of those of the tokens: "mean", "cls" (the first one) or "last". None for what
                the file says. A model that was made to generate text says nothing: it makes usable vectors with "last"
                or "mean", though worse ones than a model for this purpose.
            weights_cache: Whether to keep weights in a file for the next load, as `Model.from_local` does.
            use_mmap: Map the file into memory instead of reading it.
            use_mlock: Lock the weights in RAM, so that they are never swapped out.
            devices: Names of the GPUs to use, see `luup_agent.devices`. None for all.
            on_progress: Called with 0.0 to 1.0 while the model loads. An exception that it raises stops the load and is
                raised from this function.

        Returns:
            The loaded model.

        Raises:
            ModelNotFoundError: The file does not exist.
            ModelLoadError: The file is damaged, its model can't make vectors, or nothing says how it pools.
            BackendInitError: No CPU variant runs on this machine, or `gpu_layers` needs a GPU and there is none.
            InvalidParamError: An argument is invalid.
            OutOfMemoryError: The weights or the scratch buffers don't fit into memory.

        Example:
            >>> embedder = Embedder.from_local("minilm.gguf", threads=2)
        """
        embedder = cls.__new__(cls)
        if is_model_name(path):
            from luup_agent import hub

            path = hub.find(str(path), layout=hub.DEFAULT_LAYOUT._replace(gpu_layers=gpu_layers, devices=devices))
        try:
            embedder._native_embedder = _native.NativeEmbedder(
                path,
                gpu_layers=gpu_layers,
                context_size=context_size,
                batch_size=batch_size,
                threads=threads,
                pooling=pooling,
                use_mmap=use_mmap,
                use_mlock=use_mlock,
                weights_cache=_weights.folder(weights_cache),
                weights_cache_size=_weights.limit(),
                devices=devices,
                on_progress=on_progress,
            )
        except ModelNotFoundError as error:
            if isinstance(path, str) and looks_like_repository(path):
                hint = f"{error}; for a repository on a hub use Embedder.from_hub({path!r})"
                raise ModelNotFoundError(hint) from None
            raise
        embedder._closed = False
        info = embedder.get_info()
        embedder._label = f"{os.path.basename(info.path)!r} {info.description} on {info.backend}"
        weakref.finalize(embedder, embedder._native_embedder.close)  # runs at exit, too
        return embedder

    @classmethod
    def from_hub(
        cls: Type[_Embedder],
        repository: str,
        quantization: Optional[str] = None,
        *,
        file: Optional[str] = None,
        revision: Optional[str] = None,
        token: Optional[str] = None,
        on_download: Optional[Callable[[int, int], object]] = None,
        **options: Unpack[EmbedderOptions],
    ) -> _Embedder:
        """Load a model from a hub; download it first if its cache, which other programs share, lacks it.

        Args:
            repository: The repository, such as "owner/repo". The other arguments are those of `Model.from_hub`.
            quantization: The quantization, such as "Q8_0". None for the best that fits the memory.
            file: The path of a file in the repository, instead of a quantization.
            revision: A branch, a tag or a commit; None for the main branch.
            token: An access token; None for the one of ``HF_TOKEN`` or ``hf auth login``.
            on_download: Called with the bytes so far and the bytes in total.
            **options: The other arguments of `from_local`.

        Returns:
            The loaded model.

        Raises:
            LuupError: The errors of `luup_agent.hub.download` and of `from_local`.

        Example:
            >>> embedder = Embedder.from_hub("owner/repo", "Q8_0")  # doctest: +SKIP
        """
        from luup_agent import hub

        layout = hub.DEFAULT_LAYOUT._replace(gpu_layers=options.get("gpu_layers", -1), devices=options.get("devices"))
        path = hub.download(
            repository,
            quantization,
            file=file,
            revision=revision,
            token=token,
            on_progress=on_download,
            layout=layout,
        )
        return cls.from_local(path, **options)

    @classmethod
    async def from_local_async(
        cls: Type[_Embedder], path: Union[str, os.PathLike[str]], **options: Unpack[EmbedderOptions]
    ) -> _Embedder:
        """Do the same as `from_local`, under asyncio: the model loads in a thread, and a cancelled task stops the load.

        `on_progress` is called in that thread.

        Raises:
            LuupError: The errors of `from_local`.

        Example:
            >>> embedder = await Embedder.from_local_async("minilm.gguf")
        """
        return await load_in_thread(lambda check: cls.from_local(path, **_checked(options, check)), cls.close)

    @classmethod
    async def from_hub_async(
        cls: Type[_Embedder],
        repository: str,
        quantization: Optional[str] = None,
        *,
        file: Optional[str] = None,
        revision: Optional[str] = None,
        token: Optional[str] = None,
        on_download: Optional[Callable[[int, int], object]] = None,
        **options: Unpack[EmbedderOptions],
    ) -> _Embedder:
        """Do the same as `from_hub`, under asyncio, in a thread. A cancelled task stops the download or the load.

        Raises:
            LuupError: The errors of `from_hub`.

        Example:
            >>> embedder = await Embedder.from_hub_async("owner/repo", "Q8_0")  # doctest: +SKIP
        """

        def load(check: Check) -> _Embedder:
            return cls.from_hub(
                repository,
                quantization,
                file=file,
                revision=revision,
                token=token,
                on_download=after(check, on_download),
                **_checked(options, check),
            )

        return await load_in_thread(load, cls.close)

    def embed(
        self,
        texts: Iterable[str],
        *,
        normalize: bool = True,
        truncate: bool = False,
        on_progress: Optional[Callable[[int, int], object]] = None,
    ) -> Vectors:
        """Return a vector of each text, in the order of the texts.

        Ctrl-C ends the call within a part of a second.

        Args:
            texts: The texts. Names of control tokens in them, such as "[SEP]", stay text.
            normalize: Scale each vector to the length 1, so that the cosine of two vectors is the sum of the products
                of their numbers.
            truncate: Leave out the last tokens of texts that are longer than the model can read.
            on_progress: Called about every 100 ms with the number of texts that are done, and of all. An exception that
                it raises ends the call and is raised from this function.

        Returns:
            The vectors, with the number of tokens of each text.

        Raises:
            ContextFullError: A text is too long, and `truncate` is False: the message has its index, its tokens and the
                limit. Nothing was computed.
            InvalidParamError: `texts` is not a list of str.
            UnsupportedError: The model ranks texts: use `rerank`.
            InferenceError: llama.cpp could not compute, or a result is not a number.
            ClosedError: The model is closed, or was closed meanwhile.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> vectors = embedder.embed(["A cat sleeps.", "A kitten naps."])
            >>> round(sum(a * b for a, b in zip(vectors[0], vectors[1])), 2)
            0.71
        """
        call = _native.EmbedCall(on_progress)
        return self._embed(_native.encode_list("texts", texts), call, normalize, truncate)()

    async def embed_async(
        self,
        texts: Iterable[str],
        *,
        normalize: bool = True,
        truncate: bool = False,
        on_progress: Optional[Callable[[int, int], object]] = None,
    ) -> Vectors:
        """Do the same as `embed`, under asyncio: it computes in a thread, and a cancelled task ends it.

        `on_progress` is called in that thread.

        Raises:
            LuupError: The same errors as `embed`.

        Example:
            >>> vectors = await embedder.embed_async(["A cat sleeps."])
        """
        call = _native.EmbedCall(on_progress)
        encoded = _native.encode_list("texts", texts)
        return await _in_thread(call, self._embed(encoded, call, normalize, truncate))

    def _embed(
        self, texts: List[bytes], call: _native.EmbedCall, normalize: bool, truncate: bool
    ) -> Callable[[], Vectors]:
        """Return what computes."""

        def work() -> Vectors:
            numbers, tokens = self._native_embedder.embed(texts, call, normalize=normalize, truncate=truncate)
            return Vectors(numbers, self._native_embedder.dimensions, tokens)

        return self._watched("embeddings", work, lambda vectors: [sum(vectors.tokens), vectors.dimensions])

    def _watched(self, name: str, work: Callable[[], _T], counts: Callable[[_T], List[int]]) -> Callable[[], _T]:
        if operations.begin is None:
            return work
        return operations.watched(name, self._native_embedder.info()["path"], work, counts)

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top: Optional[int] = None,
        truncate: bool = False,
        on_progress: Optional[Callable[[int, int], object]] = None,
    ) -> List[Ranked]:
        """Return documents with their scores, those that answer the query best first.

        A model that ranks (its pooling is "rank") reads the query and a document together; its scores have no bounds,
        and compare documents of one query. Other models compare their vectors: the scores are cosines.

        Args:
            query: The query.
            documents: The documents.
            top: How many to return, at most; None for all.
            truncate: Leave out the ends of documents that are longer than the model can read.
            on_progress: Called about every 100 ms with the number of documents that are done, and of all.

        Raises:
            LuupError: The same errors as `embed`.

        Example:
            >>> embedder.rerank("pets", ["Interest rates rise again.", "A cat sleeps."], top=1)[0].document
            'A cat sleeps.'
        """
        call = _native.EmbedCall(on_progress)
        return self._rerank(query, documents, top, truncate, call)()

    async def rerank_async(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top: Optional[int] = None,
        truncate: bool = False,
        on_progress: Optional[Callable[[int, int], object]] = None,
    ) -> List[Ranked]:
        """Do the same as `rerank`, under asyncio: it computes in a thread, and a cancelled task ends it.

        Raises:
            LuupError: The same errors as `rerank`.

        Example:
            >>> ranked = await embedder.rerank_async("pets", ["A cat sleeps."])
        """
        call = _native.EmbedCall(on_progress)
        return await _in_thread(call, self._rerank(query, documents, top, truncate, call))

    def _rerank(
        self, query: str, documents: Iterable[str], top: Optional[int], truncate: bool, call: _native.EmbedCall
    ) -> Callable[[], List[Ranked]]:
        """Check the arguments, and return what computes."""
        if top is not None:
            top = _native.encode_int("top", top, low=1)
        asked = _native.encode_text("query", query)
        if isinstance(documents, str):
            raise InvalidParamError("documents must be a list of str, not a str; for one document write [document]")
        kept = list(documents) if isinstance(documents, Iterable) else documents
        encoded = _native.encode_list("documents", kept)

        read: List[int] = []  # tokens

        def work() -> List[Ranked]:
            scores, tokens = self._native_embedder.rerank(asked, encoded, call, truncate=truncate)
            read.append(tokens)
            ranked = [Ranked(index, score, text) for index, (score, text) in enumerate(zip(scores, kept))]
            return sorted(ranked, key=lambda each: -each.score)[:top]

        return self._watched("rerank", work, lambda _: read)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, with those that begin and end it.

        Raises:
            ClosedError: The model is closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> embedder.count_tokens("A cat sleeps.")
            6
        """
        return self._native_embedder.count_tokens(text)

    def get_info(self) -> EmbedderInfo:
        """Return the model's description, and where it runs. Works after `close`, too.

        Raises:
            ForkedError: The model belongs to the parent process.

        Example:
            >>> info = embedder.get_info()
            >>> info.dimensions, info.pooling, info.context_size
            (384, 'mean', 512)
        """
        return EmbedderInfo(**self._native_embedder.info())

    def close(self) -> None:
        """End every call with `ClosedError` and free the memory. Closing twice is allowed.

        Example:
            >>> embedder.close()
            >>> embedder.closed
            True
        """
        self._closed = True
        self._native_embedder.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def __enter__(self: _Embedder) -> _Embedder:
        """Return the embedder itself."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close the embedder."""
        self.close()

    def __reduce__(self) -> Any:
        """Raise TypeError: an embedder belongs to its process."""
        raise TypeError("an Embedder can't be pickled; load it in each process")

    def __repr__(self) -> str:
        """Return text such as ``<Embedder 'minilm.gguf' bert 22M F16 on CPU>``."""
        return "<Embedder {}{}>".format(self._label, ", closed" if self._closed else "")


def _checked(options: EmbedderOptions, check: Check) -> EmbedderOptions:
    checked = options.copy()
    checked["on_progress"] = after(check, options.get("on_progress"))
    return checked


async def _in_thread(call: _native.EmbedCall, work: Callable[[], _T]) -> _T:
    """Return the result of `work`, which runs in a thread of its own; end it if the task is cancelled."""
    require_asyncio()
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def finish(result: Optional[_T], error: Optional[BaseException]) -> None:
        if future.done():
            return  # the task was cancelled
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: Optional[_T] = None
        failure: Optional[BaseException] = None
        try:
            result = work()
        except BaseException as error:  # the task raises it
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(finish, result, failure)
        del failure  # breaks the cycle error - traceback - frame

    start_thread("luup-embed", run)
    try:
        return await future
    finally:
        call.cancelled = True
