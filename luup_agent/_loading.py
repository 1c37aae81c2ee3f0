"""The methods of `Model` for models in this process: how they are loaded, and leave the memory while they are idle."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

from typing_extensions import Literal, Unpack

from luup_agent import _logging, _native, _weights
from luup_agent._hub.names import is_model_name, looks_like_repository, prefix_of
from luup_agent._loops import Check, after, load_in_thread
from luup_agent.errors import InvalidParamError, ModelNotFoundError, UnsupportedError
from luup_agent.model_info import MemoryEstimate, ModelInfo, short_description
from luup_agent.settings import CacheTypes, LoadOptions, RopeScaling, SplitMode

_Model = TypeVar("_Model", bound="Loading")


class Loading:
    """Methods of `Model` for local models. `Model` has all of the state."""

    _native_model: _native.NativeModel
    _closed: bool
    _label: str

    if TYPE_CHECKING:

        def close(self) -> None: ...
        def get_info(self) -> ModelInfo: ...

    @classmethod
    def from_local(
        cls: Type[_Model],
        path: Union[str, os.PathLike[str]],
        *,
        gpu_layers: int = -1,
        context_size: Optional[int] = None,
        batch_size: int = 512,
        threads: int = 0,
        threads_batch: int = 0,
        max_sequences: Optional[int] = None,
        max_waiting: Optional[int] = None,
        cache_ram: int = 1 << 30,
        prefix_cache: Union[str, os.PathLike[str], None] = None,
        weights_cache: Union[bool, str, os.PathLike[str]] = True,
        use_mmap: bool = True,
        use_mlock: bool = False,
        keep_alive: Optional[float] = None,
        devices: Optional[Sequence[str]] = None,
        split_mode: SplitMode = "layer",
        main_gpu: int = 0,
        tensor_split: Optional[Sequence[float]] = None,
        rpc_servers: Optional[Sequence[str]] = None,
        cache_type: CacheTypes = "f16",
        rope_scaling: Optional[RopeScaling] = None,
        adapters: Optional[Mapping[str, Union[str, os.PathLike[str]]]] = None,
        mmproj: Union[str, os.PathLike[str], Literal[False], None] = None,
        draft: Union[str, os.PathLike[str], Literal[False], None] = None,
        chat_template: Optional[str] = None,
        on_progress: Optional[Callable[[float], object]] = None,
        verbose: bool = False,
    ) -> _Model:
        """Load a GGUF file.

        Args:
            path: The file; ``~`` is the home folder. Also a name of `luup_agent.hub`, unless there is a file of that
                name: "hf:owner/repo:Q4_K_M" (downloaded if it is missing), "ollama:qwen3:4b" or
                "lmstudio:publisher/model".
            gpu_layers: Layers to put on a GPU: -1 for all if there is a GPU, else none. More than 0 needs a GPU.
            context_size: Size of the context in tokens, at least 256; all runs share it. None for the size that the
                model was trained with, times the factor of `rope_scaling`, at most 8,192.
            batch_size: Tokens in one decoding step, at most; 32 to 4096.
            threads: Threads for decoding. 0 for as many as the process may use, and fewer of them as long as other
                programs keep the processors busy (`ModelStats.threads`); another number is fixed.
            threads_batch: Threads for the prefill; 0 for the same as `threads`.
            max_sequences: Runs decoded at once, and histories kept in the KV cache; 1 to 256. None for 64; for a model
                with recurrent layers as many as have room for their states in 512 MiB, 8 to 64.
            max_waiting: Runs that may wait for room; a further one fails with `BusyError`. None for no limit.
            cache_ram: Bytes of RAM for histories evicted from the KV cache, so that they need no new prefill; 0 for
                none.
            prefix_cache: A folder that keeps the KV cache of system prompts and tools for later processes; created if
                missing. Its files are as large as the KV cache of these tokens, at most 4 GiB in all, and must be as
                trustworthy as the model file. None for no such folder.
            weights_cache: Whether to keep the weights in a file in the layout of this machine's kernels, so that the
                next load is quick and processes share the memory; on Linux, without a GPU. True for the user's own
                folder, unless ``LUUP_WEIGHTS_CACHE=0`` is in the environment; a path for another folder.
            use_mmap: Map the file into memory instead of reading it.
            use_mlock: Lock the weights in RAM, so that they are never swapped out.
            keep_alive: Seconds after which an unused model frees its weights and its context; 0 for right
                after the last run. The next run, and whatever else needs them, loads the file again, and takes that
                much longer. Agents keep their histories, settings and tools. If the file is missing by then or has
                changed, that run fails with a `ModelLoadError`, and the next one tries again. None for never.
            devices: Names of the GPUs to use, see `luup_agent.devices`. None for all; integrated ones only if there
                are no others.
            split_mode: How several GPUs share the model: by "layer", by "row" of large tensors where the backend
                supports it, or "none", where `main_gpu` holds all of it.
            main_gpu: The index of the GPU to use with "none".
            tensor_split: The share of each GPU, such as ``[3, 1]``. None for shares by their free memory.
            rpc_servers: Other machines that hold a part of a model too large for this one: "host:port" of each
                llama.cpp ``ggml-rpc-server``. Their devices are used like GPUs, before this machine's own. Weights,
                texts and states are sent unencrypted and without authentication, so use trusted networks only. Such a
                server serves one process at a time; if it fails, the model's runs end with an `InferenceError`.
            cache_type: The type of the KV cache: "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0" or
                "iq4_nl"; or a pair of them, for keys and for values. "q8_0" takes about half of the memory of "f16".
                Quantized types need heads whose size is a multiple of 32.
            rope_scaling: How to scale the positions, for a `context_size` beyond that of the training. None for what
                the model's file says.
            adapters: LoRA adapters for `Agent(adapter=…)`: GGUF files by names of your choice. They stay in memory with
                the model.
            mmproj: The projector of a model that sees or hears, for `Image` and `Audio` in messages: a GGUF file, often
                named "mmproj-…". It is tried in a child process first, which encodes a small picture and takes about
                as long as loading it. None for a model that reads text alone; but a model of a hub ("hf:owner/repo")
                brings the projector of its repository along, unless this is False.
            draft: A smaller model with the same vocabulary, which guesses the next tokens: a path, or a name as for
                `catalog.resolve`. The answers are the same. It is used only while that is faster. None for the heads
                of the model's own file that guess several tokens (MTP), if it has some (`ModelInfo.mtp`); False for
                no such guesses.
            chat_template: A Jinja template to use instead of the model's own.
            on_progress: Called with 0.0 to 1.0 while the model loads. An exception that it raises stops the load and is
                raised from this function.
            verbose: Write the library's log records from level INFO on to stderr, in addition to
                ``logging.getLogger("luup_agent")``.

        Returns:
            The loaded model.

        Raises:
            ModelNotFoundError: The file does not exist.
            ModelLoadError: The file is damaged, or its model can't generate text.
            ChatTemplateError: The chat template can't be used.
            BackendInitError: No CPU variant runs on this machine, `gpu_layers` needs a GPU and there is none, or one of
                `rpc_servers` can't be reached or has another version.
            InvalidParamError: An argument is invalid.
            OutOfMemoryError: The weights or the context don't fit into memory.

        Example:
            >>> model = Model.from_local("~/models/SmolLM2-135M-Instruct.Q4_1.gguf", context_size=4096)
        """
        if _native.encode_bool("verbose", verbose):
            _logging.log_to_stderr()
        draft = _draft_file(draft)
        layout = _native.Layout(
            gpu_layers,
            context_size,
            batch_size,
            max_sequences,
            devices,
            split_mode,
            main_gpu,
            tensor_split,
            rpc_servers,
            cache_type,
            rope_scaling,
            mmproj,
            draft,
        )
        path, mmproj = _named_files(path, layout, mmproj)
        model = cls.__new__(cls)
        try:
            model._native_model = _native.NativeModel(
                path,
                layout,
                threads=threads,
                threads_batch=threads_batch,
                max_waiting=max_waiting,
                cache_ram=cache_ram,
                prefix_cache=prefix_cache,
                weights_cache=_weights.folder(weights_cache),
                weights_cache_size=_weights.limit(),
                use_mmap=use_mmap,
                use_mlock=use_mlock,
                keep_alive=keep_alive,
                adapters=adapters,
                mmproj=None if mmproj is False else mmproj,
                draft=draft,
                chat_template=chat_template,
                on_progress=on_progress,
            )
        except ModelNotFoundError as error:
            raise _with_hint(error, path) from None
        model._closed = False
        model._label = short_description(model.get_info())
        weakref.finalize(model, model._native_model.close)  # runs at exit, too
        return model

    @classmethod
    def from_hub(
        cls: Type[_Model],
        repository: str,
        quantization: Optional[str] = None,
        *,
        file: Optional[str] = None,
        revision: Optional[str] = None,
        token: Optional[str] = None,
        on_download: Optional[Callable[[int, int], object]] = None,
        **options: Unpack[LoadOptions],
    ) -> _Model:
        """Load a model from a hub; download it first if its cache, which other programs share, lacks it.

        It needs the package huggingface_hub: ``pip install "luup-agent[hub]"``. ``HF_ENDPOINT``, ``HF_HOME``,
        ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` mean the same as there. See `luup_agent.hub` for more.

        Args:
            repository: The repository, such as "owner/repo".
            quantization: The quantization, such as "Q4_K_M", in upper or lower case. None for the best that fits the
                memory which this machine has available now; the logger ``luup_agent.hub`` reports it and the reason.
            file: The path of a file in the repository, instead of a quantization.
            revision: A branch, a tag or a commit; None for the main branch.
            token: An access token; None for the one of ``HF_TOKEN`` or ``hf auth login``.
            on_download: Called with the bytes so far and the bytes in total. An exception that it raises stops
                the download, which the next one continues.
            **options: The other arguments of `from_local`.

        Returns:
            The loaded model.

        Raises:
            InvalidParamError: An argument is invalid, or several files match.
            ModelNotFoundError: The repository, the revision or the file does not exist.
            HTTPError: The hub refused, can't be reached, or a file has a wrong hash.
            StorageError: The cache can't be written, or the disk is full.
            OutOfMemoryError: No quantization fits, and none is named.
            UnsupportedError: The package huggingface_hub is not installed.
            LuupError: The errors of `from_local`.

        Example:
            >>> model = Model.from_hub("owner/repo", "Q4_K_M", context_size=4096)  # doctest: +SKIP
        """
        from luup_agent import hub

        draft = options.get("draft")
        if draft is not None:
            options["draft"] = _draft_file(draft)
        chosen: Mapping[str, Any] = {k: v for k, v in options.items() if k in _native.Layout._fields}
        wanted = options.get("mmproj")
        path, projector = hub._download(
            repository,
            quantization,
            file,
            revision,
            token,
            on_download,
            hub.DEFAULT_LAYOUT._replace(**chosen),
            wanted is None,
        )
        if projector is not None:
            options["mmproj"] = projector
        return cls.from_local(path, **options)

    @classmethod
    async def from_local_async(
        cls: Type[_Model], path: Union[str, os.PathLike[str]], **options: Unpack[LoadOptions]
    ) -> _Model:
        """Do the same as `from_local`, under asyncio: the model loads in a thread, and a cancelled task stops the load.

        `on_progress` is called in that thread.

        Raises:
            UnsupportedError: No event loop of asyncio runs.
            LuupError: The errors of `from_local`.

        Example:
            >>> model = await Model.from_local_async("model.gguf", context_size=4096)
        """
        return await load_in_thread(lambda check: cls.from_local(path, **_checked(options, check)), cls.close)

    @classmethod
    async def from_hub_async(
        cls: Type[_Model],
        repository: str,
        quantization: Optional[str] = None,
        *,
        file: Optional[str] = None,
        revision: Optional[str] = None,
        token: Optional[str] = None,
        on_download: Optional[Callable[[int, int], object]] = None,
        **options: Unpack[LoadOptions],
    ) -> _Model:
        """Do the same as `from_hub`, under asyncio, in a thread. A cancelled task stops the download or the load.

        The next download continues a stopped one. `on_download` and `on_progress` are called in that thread.

        Raises:
            UnsupportedError: No event loop of asyncio runs.
            LuupError: The errors of `from_hub`.

        Example:
            >>> model = await Model.from_hub_async("owner/repo", "Q4_K_M")  # doctest: +SKIP
        """

        def load(check: Check) -> _Model:
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

    @staticmethod
    def estimate(
        path: Union[str, os.PathLike[str]],
        *,
        gpu_layers: int = -1,
        context_size: Optional[int] = None,
        batch_size: int = 512,
        max_sequences: Optional[int] = None,
        devices: Optional[Sequence[str]] = None,
        split_mode: SplitMode = "layer",
        main_gpu: int = 0,
        tensor_split: Optional[Sequence[float]] = None,
        rpc_servers: Optional[Sequence[str]] = None,
        cache_type: CacheTypes = "f16",
        rope_scaling: Optional[RopeScaling] = None,
        mmproj: Union[str, os.PathLike[str], Literal[False], None] = None,
        draft: Union[str, os.PathLike[str], Literal[False], None] = None,
    ) -> MemoryEstimate:
        """Estimate the memory that a model takes, from the file's header alone: it reads no weights.

        Args:
            path: A GGUF file; ``~`` is the home folder. Also a name such as "ollama:qwen3:4b", see `from_local`; only
                the header of a file on a hub is downloaded.
            gpu_layers: Layers to put on a GPU. All parameters mean the same as those of `from_local`.
            context_size: Size of the context in tokens. The KV cache grows with it.
            batch_size: Tokens in one decoding step. The scratch buffers grow with it.
            max_sequences: Runs decoded at once.
            devices: Names of the GPUs to use.
            split_mode: How several GPUs share the model.
            main_gpu: The index of the GPU to use with "none".
            tensor_split: The share of each GPU.
            rpc_servers: Other machines to hold a part of the model. They are asked for their free memory, and count as
                GPUs.
            cache_type: The type of the KV cache, whose size depends on it.
            rope_scaling: How to scale the positions.
            mmproj: The projector of a model that sees or hears. A repository on a hub has its own, unless this is
                False.
            draft: The draft model; None for the heads of the model's own file, if it has some, False for neither.

        Raises:
            ModelNotFoundError: A file does not exist.
            ModelLoadError: A file is of another kind, or its header is damaged.
            BackendInitError: A GPU is missing, or a server can't be reached.
            InvalidParamError: An argument is invalid.

        Example:
            >>> estimate = Model.estimate("model.gguf", context_size=8192)
            >>> estimate.fits, estimate.memory_context
            (True, 188743680)
        """
        layout = _native.Layout(
            gpu_layers,
            context_size,
            batch_size,
            max_sequences,
            devices,
            split_mode,
            main_gpu,
            tensor_split,
            rpc_servers,
            cache_type,
            rope_scaling,
            mmproj,
            _draft_file(draft),
        )
        if is_model_name(path) and prefix_of(str(path)) == "hf":
            from luup_agent._hub import obtain

            return obtain.estimate(str(path), layout)
        return MemoryEstimate(**_native.estimate(_named_file(path, layout), layout))

    def unload(self) -> None:
        """Free the weights and the context of a local model now; their next use loads the file again.

        `keep_alive` of `from_local` does this for a model that is idle.

        Raises:
            BusyError: Runs are under way, or wait for results of tools.
            UnsupportedError: The model is not a local one.
            ClosedError: The model is closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.unload()
            >>> model.loaded
            False
            >>> agent.generate("What is the capital of France?")
            'The capital of France is Paris.'
        """
        self._native_model.unload()

    @property
    def loaded(self) -> bool:
        """Whether the weights of a local model are in memory; False for other models, and after `close`."""
        try:
            return self._native_model.is_loaded()
        except UnsupportedError:
            return False


def _checked(options: LoadOptions, check: Check) -> LoadOptions:
    checked = options.copy()
    checked["on_progress"] = after(check, options.get("on_progress"))
    return checked


def _named_file(path: Union[str, os.PathLike[str]], layout: _native.Layout) -> Union[str, os.PathLike[str]]:
    """Return the path of the model that a name of `luup_agent.hub` means; other paths unchanged."""
    if not is_model_name(path):
        return path
    from luup_agent import hub

    return hub.find(str(path), layout=layout)


def _named_files(path: Any, layout: _native.Layout, mmproj: Any) -> Tuple[Any, Any]:
    """Return the path of a model, and that of its projector; a repository on a hub brings one along."""
    if mmproj is None and is_model_name(path) and prefix_of(str(path)) == "hf":
        from luup_agent import hub

        return hub.download_with_projector(str(path), layout=layout)
    if mmproj == "":
        raise InvalidParamError("mmproj must not be empty: give a path, or None for a model without a projector")
    return _named_file(path, layout), mmproj


def _draft_file(
    draft: Union[str, os.PathLike[str], Literal[False], None],
) -> Union[str, os.PathLike[str], Literal[False], None]:
    """Return the path of a draft model; that of a name which is downloaded if it is missing."""
    from luup_agent import catalog

    if draft is None or draft is False:
        return draft
    try:
        return catalog.resolve(draft)
    except InvalidParamError as error:
        raise InvalidParamError(str(error).replace("model:", "draft", 1)) from None


def _with_hint(error: ModelNotFoundError, path: object) -> ModelNotFoundError:
    """Return the error, with a hint if `path` is a name of the catalog or a repository on a hub."""
    from luup_agent import catalog

    names = [*(model.name for model in catalog.available()), *(model.name for model in catalog.hub_models())]
    if path in names:
        return ModelNotFoundError(f"{error}; use catalog.resolve({path!r}) to get its path")
    if isinstance(path, str) and looks_like_repository(path):
        return ModelNotFoundError(f"{error}; for a repository on a hub use Model.from_hub({path!r})")
    return error
