"""`Model`: a GGUF file in memory, with one thread that decodes for all its agents; or one behind a server."""

from __future__ import annotations

import json
import os
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

from typing_extensions import Literal

from luup_agent import _logging, _native
from luup_agent.errors import HTTPError, InvalidParamError, ModelNotFoundError, UnsupportedError
from luup_agent.model_info import MemoryEstimate, ModelInfo, ModelStats

if TYPE_CHECKING:
    import httpx

    from luup_agent.remote import HTTPResponder

_Model = TypeVar("_Model", bound="Model")
SplitMode = Literal["none", "layer", "row"]


class Model:
    """A language model. Made by `Model.from_local` or `Model.from_remote`; safe to use from any thread.

    One model serves as many agents as you like; their runs are decoded together. It closes itself at the end of a
    ``with`` block, when it is collected, and at interpreter exit.

    Example:
        >>> with Model.from_local("model.gguf", context_size=4096) as model:
        ...     agent = Agent(model, "You are a helpful assistant.", temperature=0)
        ...     print(agent.generate("What is the capital of France?"))
        The capital of France is Paris.
    """

    _native_model: _native.NativeModel
    _remote: Optional[HTTPResponder] = None
    _parts: Tuple[Model, ...] = ()  # of a fallback
    _closed: bool
    _label: str

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Refuses: a model is made by `Model.from_local` and its siblings."""
        raise TypeError("a Model is made by Model.from_local(path) or Model.from_remote(base_url, model)")

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
        max_sequences: int = 64,
        max_waiting: Optional[int] = None,
        cache_ram: int = 1 << 30,
        prefix_cache: Union[str, os.PathLike[str], None] = None,
        use_mmap: bool = True,
        use_mlock: bool = False,
        devices: Optional[Sequence[str]] = None,
        split_mode: SplitMode = "layer",
        main_gpu: int = 0,
        tensor_split: Optional[Sequence[float]] = None,
        rpc_servers: Optional[Sequence[str]] = None,
        chat_template: Optional[str] = None,
        on_progress: Optional[Callable[[float], object]] = None,
        verbose: bool = False,
    ) -> _Model:
        """Loads a GGUF file.

        Args:
            path: The file; ``~`` is the home folder.
            gpu_layers: Layers to put on a GPU. -1 = all if there is a GPU, else none; more than 0 needs a GPU.
            context_size: Tokens, at least 256; all runs together share them. None = what the model was trained
                for, at most 8,192.
            batch_size: Tokens decoded in one step at most, 32 to 4096.
            threads: For decoding. 0 = as many as the machine grants.
            threads_batch: For prefill. 0 = as `threads`.
            max_sequences: Runs decoded at once, and histories kept warm, 1 to 256.
            max_waiting: Runs that may wait until there is room for them; one more is refused with `BusyError`. None =
                any number.
            cache_ram: Bytes of memory for histories that have to leave the context, which come back without a
                prefill; 0 = none.
            prefix_cache: A folder for what agents begin with, their system prompt and tools, so that the next process
                need not compute it; made if it is not there. Its files are as large as the KV cache of those tokens,
                all together 4 GiB at most, and trusted as the model's file is. None = none.
            use_mmap: Map the file instead of reading it.
            use_mlock: Keep it from being swapped out.
            devices: Names of GPUs, as `luup_agent.devices` tells them. None = all; integrated
                ones if there are no others.
            split_mode: How several GPUs share the model: by "layer", by "row" of large tensors where the backend can,
                or "none": `main_gpu` has all of it.
            main_gpu: For "none": which of the GPUs, from 0.
            tensor_split: Each GPU's share, such as ``[3, 1]``. None = by their free memory.
            rpc_servers: Other machines that hold a part of a model too large for this one: "host:port" of each
                llama.cpp ``ggml-rpc-server``. Their devices are used like GPUs, before this machine's own. Weights,
                texts and states go there unencrypted, and nothing is authenticated: trusted networks only. Such a
                server serves one process at a time; if it goes away, the model's runs end with an `InferenceError`.
            chat_template: A Jinja template instead of the model's own.
            on_progress: Called with 0.0 to 1.0 while the model loads. What it raises stops the load and comes
                out of this function.
            verbose: Write the library's log records, from INFO on, to stderr. They go to
                ``logging.getLogger("luup_agent")`` anyway.

        Returns:
            The model, loaded.

        Raises:
            ModelNotFoundError: There is no such file.
            ModelLoadError: The file is not a model that can generate text, or is damaged.
            ChatTemplateError: The chat template can't be used.
            BackendInitError: No CPU variant runs here, `gpu_layers` asks for a GPU that is not there, or one of
                `rpc_servers` can't be reached or is of another version.
            InvalidParamError: An argument is wrong.
            OutOfMemoryError: The weights or the context don't fit into the memory.

        Example:
            >>> model = Model.from_local("~/models/SmolLM2-135M-Instruct.Q4_1.gguf", context_size=4096)
        """
        if _native.encode_bool("verbose", verbose):
            _logging.log_to_stderr()
        model = cls.__new__(cls)
        try:
            model._native_model = _native.NativeModel(
                path,
                _native.Layout(
                    gpu_layers,
                    context_size,
                    batch_size,
                    max_sequences,
                    devices,
                    split_mode,
                    main_gpu,
                    tensor_split,
                    rpc_servers,
                ),
                threads=threads,
                threads_batch=threads_batch,
                max_waiting=max_waiting,
                cache_ram=cache_ram,
                prefix_cache=prefix_cache,
                use_mmap=use_mmap,
                use_mlock=use_mlock,
                chat_template=chat_template,
                on_progress=on_progress,
            )
        except ModelNotFoundError as error:
            raise _with_hint(error, path) from None
        model._closed = False
        model._label = _label(model.get_info())
        weakref.finalize(model, model._native_model.close)  # when collected, or at exit
        return model

    @staticmethod
    def estimate(
        path: Union[str, os.PathLike[str]],
        *,
        gpu_layers: int = -1,
        context_size: Optional[int] = None,
        batch_size: int = 512,
        max_sequences: int = 64,
        devices: Optional[Sequence[str]] = None,
        split_mode: SplitMode = "layer",
        main_gpu: int = 0,
        tensor_split: Optional[Sequence[float]] = None,
        rpc_servers: Optional[Sequence[str]] = None,
    ) -> MemoryEstimate:
        """Tells what a model will take of memory before it is loaded, from the file's header: no weight is read.

        Args:
            path: A GGUF file; ``~`` is the home folder.
            gpu_layers: As for `from_local`, and so are the others.
            context_size: Tokens. The KV cache grows with them.
            batch_size: Tokens. The scratch buffers grow with them.
            max_sequences: Runs decoded at once.
            devices: Names of GPUs.
            split_mode: How several GPUs share the model.
            main_gpu: For "none": which of the GPUs, from 0.
            tensor_split: Each GPU's share.
            rpc_servers: Other machines that are to hold a part of it; they are asked, and count as GPUs.

        Raises:
            ModelNotFoundError: There is no such file.
            ModelLoadError: The file is not a model, or its header is damaged.
            BackendInitError: A GPU is asked for that is not there, or a server that can't be reached.
            InvalidParamError: An argument is wrong.

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
        )
        return MemoryEstimate(**_native.estimate(path, layout))

    @classmethod
    def from_remote(
        cls: Type[_Model],
        base_url: str,
        model: str,
        *,
        api_key: Optional[str] = None,
        timeout: Optional[float] = 600.0,
        connect_timeout: Optional[float] = 10.0,
        idle_timeout: Optional[float] = 120.0,
        max_retries: int = 2,
        extra_body: Optional[Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, str]] = None,
        response_format: Literal["json_schema", "json_object", "none"] = "json_schema",
        http_client: Optional[httpx.Client] = None,
        async_http_client: Optional[httpx.AsyncClient] = None,
    ) -> _Model:
        """A model on an OpenAI-compatible server, such as vLLM, SGLang, llama-server, Ollama or OpenAI.

        Agents, tools and typed results are those of a local model; asynchronous runs need no threads. Nothing is sent
        before the first run. The answer of a typed run is asked for with ``response_format``, checked in any case, and
        asked for again if it is wrong. What needs the model's own tokens (`stats`, `tokenize`, `Agent.context`,
        `Agent.classify`, …) raises `UnsupportedError`.

        A request is made again, after a pause, if the server can't be reached, is busy (429) or fails (5xx), and
        nothing of the answer has come yet. Redirects to other addresses are not followed, and TLS is verified.

        Args:
            base_url: Such as "http://localhost:8000/v1"; "/chat/completions" is added.
            model: The name that the server knows the model by.
            api_key: Sent as a bearer token. None takes ``OPENAI_API_KEY`` from the environment if the server is
                api.openai.com, and else sends none. It is never shown.
            timeout: Seconds for one request, retries included; None for no limit.
            connect_timeout: Seconds for the connection.
            idle_timeout: Seconds without data; keep-alives are none.
            max_retries: How often a request is made again at most.
            extra_body: Merged into each request's body; None as a value takes a field away, such as
                ``{"max_tokens": None, "max_completion_tokens": 512}``. A `top_k`, `min_p` or `repeat_penalty` is only
                sent if it is not the default: not every server knows them.
            headers: Sent with each request. The values are never shown.
            response_format: How typed results are asked for; "none" for servers that don't know it. One that says so
                is asked without it from then on.
            http_client: For synchronous runs, in place of an own one: with a proxy, certificates, … It stays yours.
            async_http_client: Likewise for asynchronous runs. Without it, connections are kept only while runs overlap.

        Returns:
            The model. It needs no closing, but that gives its connections back.

        Raises:
            InvalidParamError: An argument is wrong.
            UnsupportedError: The package httpx is not installed.

        Example:
            >>> remote = Model.from_remote("http://localhost:8000/v1", "qwen3", api_key="sk-not-shown")
            >>> remote
            <Model 'qwen3' at http://localhost:8000/v1>
            >>> remote.stats()
            Traceback (most recent call last):
            luup_agent.UnsupportedError: ...
        """
        from luup_agent import remote
        from luup_agent.remote_request import Limits

        url = remote.check_base_url(base_url)
        limits = Limits(
            remote.check_seconds("timeout", timeout),
            remote.check_seconds("connect_timeout", connect_timeout),
            remote.check_seconds("idle_timeout", idle_timeout),
            _native.encode_int("max_retries", max_retries, 0, 100),
        )
        responder = remote.HTTPResponder(
            url,
            remote.find_key(url, api_key),
            remote.check_headers(headers),
            limits,
            http_client,
            async_http_client,
        )
        try:
            extra = None if extra_body is None else json.dumps(extra_body)
        except (TypeError, ValueError) as error:
            raise InvalidParamError(f"extra_body has no JSON form: {error}") from None
        made = cls._wrap(_native.NativeModel.remote(_native.RemoteSettings(model, extra, response_format), responder))
        made._remote = responder
        made._label = f"{model!r} at {url}"
        return made

    @classmethod
    def fallback(cls: Type[_Model], *models: Model) -> _Model:
        """A model of several: the first one answers, and when it fails before it said anything, the next one does.

        Results, tools and errors are the same whoever answers. A run that has changed to another model stays with it;
        the next run begins with the first one again. A warning in the log tells of each change.

        Args:
            *models: Local and remote ones, which stay open when this one is closed.

        Raises:
            InvalidParamError: There is none, or one is no `Model`.

        Example:
            >>> remote = Model.from_remote("http://127.0.0.1:9/v1", "qwen3", max_retries=0)  # nobody listens there
            >>> agent = Agent(Model.fallback(remote, model), "You are a helpful assistant.", temperature=0)
            >>> agent.generate("What is the capital of France?")
            'The capital of France is Paris.'
        """
        parts: List[Model] = []
        for index, part in enumerate(models):
            if not isinstance(part, Model):
                raise InvalidParamError(f"models[{index}] must be a luup_agent.Model, not {type(part).__name__}")
            parts.extend(part._parts or (part,))
        if not parts:
            raise InvalidParamError("a fallback needs at least one model")
        made = cls._wrap(_native.NativeModel.fallback([part._native_model for part in parts]))
        made._parts = tuple(parts)
        made._label = "fallback of " + ", ".join(map(repr, parts))
        return made

    @classmethod
    def _wrap(cls: Type[_Model], native: _native.NativeModel) -> _Model:
        model = cls.__new__(cls)
        model._native_model = native
        model._closed = False
        weakref.finalize(model, native.close)
        return model

    def list_models(self) -> List[str]:
        """The names of the models that a remote model's server has.

        Raises:
            UnsupportedError: The model is not a remote one.
            HTTPError: The server can't be reached, or its answer is no list of models.

        Example:
            >>> model.list_models()
            Traceback (most recent call last):
            luup_agent.UnsupportedError: list_models needs a model made by Model.from_remote
        """
        return _names(self._server("list_models").get("/models"))

    async def list_models_async(self) -> List[str]:
        """Does what `list_models` does, under asyncio.

        Raises:
            LuupError: As `list_models`.

        Example:
            >>> names = await remote.list_models_async()
        """
        return _names(await self._server("list_models_async").get_async("/models"))

    def _server(self, caller: str) -> HTTPResponder:
        if self._remote is None:
            raise UnsupportedError(f"{caller} needs a model made by Model.from_remote")
        return self._remote

    def get_info(self) -> ModelInfo:
        """Tells what the model is and where it runs. Answers after `close` too.

        Of a remote model the `description` is its name, `backend` is "remote" and `path` its address; of a fallback
        `backend` is "fallback". What is not known is 0 or "".

        Raises:
            ForkedError: The model belongs to the parent process.

        Example:
            >>> info = model.get_info()
            >>> info.architecture, info.parameters, info.context_size
            ('llama', 134515008, 8192)
        """
        values = self._native_model.info()
        if self._remote is not None:
            values["path"] = self._remote.base_url
        return ModelInfo(**values)

    def stats(self) -> ModelStats:
        """Tells what the decoding thread does and has done.

        Raises:
            ClosedError: The model was closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.stats().runs_active
            0
        """
        return ModelStats(**self._native_model.stats())

    def warmup(self) -> None:
        """Decodes a token, so that the weights are in memory before the first run. Waits behind the active runs.

        Raises:
            ClosedError: The model was closed.
            InferenceError: llama.cpp could not decode.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.warmup()
        """
        self._native_model.warmup()

    def tokenize(self, text: str, parse_special: bool = False) -> List[int]:
        """Splits a text into tokens. No beginning-of-text token is added.

        Args:
            text: Any text.
            parse_special: Let the names of control tokens in the text become those tokens: only for text that you
                wrote yourself.

        Returns:
            The numbers of the tokens.

        Raises:
            InvalidParamError: The text has a NUL or a lone surrogate.
            ClosedError: The model was closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.tokenize("Hello")
            [19556]
        """
        return self._native_model.tokenize(text, parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Gives the text of tokens, control tokens by their names. Bytes that are not UTF-8 become U+FFFD.

        Raises:
            InvalidParamError: A number is not a token of the model.
            ClosedError: The model was closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.detokenize(model.tokenize("Hello"))
            'Hello'
        """
        return self._native_model.detokenize(tokens)

    def close(self) -> None:
        """Ends every run with `ClosedError` and frees the memory. Closing twice is fine.

        Example:
            >>> model.close()
            >>> model.closed
            True
        """
        self._closed = True
        self._native_model.close()
        if self._remote is not None:
            self._remote.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def __enter__(self: _Model) -> _Model:
        """Gives the model itself."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Closes the model."""
        self.close()

    def __reduce__(self) -> Any:
        """Refuses: a model belongs to its process."""
        raise TypeError("a Model can't be pickled")

    def __repr__(self) -> str:
        """Such as ``<Model 'smollm2.gguf' llama 135M Q4_1 on CPU (zen4)>``."""
        return "<Model {}{}>".format(self._label, ", closed" if self._closed else "")


def _names(answer: Any) -> List[str]:
    """The ids in a server's list of models."""
    models = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(models, list):
        raise HTTPError("the server's answer is no list of models")
    return [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]


def _with_hint(error: ModelNotFoundError, path: object) -> ModelNotFoundError:
    """The error, with what to write for a name of the catalog."""
    from luup_agent import catalog

    known = any(model.name == path for model in catalog.available())
    return ModelNotFoundError(f"{error}; catalog.resolve({path!r}) gives its path") if known else error


def _label(info: ModelInfo) -> str:
    where = info.cpu_variant if info.backend == "CPU" else info.device
    what = (info.architecture, _short_count(info.parameters), info.file_type)
    return f"{os.path.basename(info.path)!r} {' '.join(what)} on {info.backend} ({where})"


def _short_count(count: int) -> str:
    """135M for 134515008, 7.2B for 7241732096."""
    for limit, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= limit:
            value = count / limit
            return ("{:.1f}" if value < 10 else "{:.0f}").format(value) + unit
    return str(count)
