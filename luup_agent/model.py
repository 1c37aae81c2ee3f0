"""`Model`: a local GGUF file, a model on a server, or a fallback of several."""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar

from typing_extensions import Literal

from luup_agent import _native
from luup_agent._completions.exchange import combine_responders
from luup_agent._json import write_json
from luup_agent._loading import Loading
from luup_agent._mapping import MapsItems
from luup_agent._threads import first_use
from luup_agent.errors import InvalidParamError, UnsupportedError
from luup_agent.model_info import ModelInfo, ModelStats

if TYPE_CHECKING:
    import httpx

    from luup_agent._completions.http import HTTPResponder

_Model = TypeVar("_Model", bound="Model")


class Model(Loading, MapsItems):
    """A language model, made by `Model.from_local` or `Model.from_remote`. Safe to use from any thread.

    A model serves any number of agents. One thread decodes the runs of all of them together. The model closes itself
    at the end of a ``with`` block, when it is garbage-collected, and at interpreter exit.

    Example:
        >>> with Model.from_local("model.gguf", context_size=4096) as model:
        ...     agent = Agent(model, "You are a helpful assistant.", temperature=0)
        ...     print(agent.generate("What is the capital of France?"))
        The capital of France is Paris.
    """

    _remote: Optional[HTTPResponder] = None
    _parts: Tuple[Model, ...] = ()  # the models of a fallback

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Raise TypeError: a model is made by `Model.from_local`, `Model.from_remote` or `Model.fallback`."""
        raise TypeError("use Model.from_local(path) or Model.from_remote(base_url, model) to make a Model")

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
        message_fields: Literal["auto", "all", "none"] = "auto",
        empty_content: Literal["auto", "null", "text", "absent"] = "auto",
        http_client: Optional[httpx.Client] = None,
        async_http_client: Optional[httpx.AsyncClient] = None,
    ) -> _Model:
        """Use a model on an OpenAI-compatible server, such as vLLM, SGLang, llama-server, Ollama or OpenAI.

        Agents, tools and typed results work as with a local model; asynchronous runs need no threads. Nothing is sent
        before the first run. A typed run sends its schema as ``response_format``, checks the answer in any case, and
        asks again if it is invalid. Methods that need the model's own tokens (`stats`, `tokenize`, `Agent.context`,
        `Agent.classify`, …) raise `UnsupportedError`.

        A request is retried, after a pause, if the server can't be reached, is busy (429) or fails (5xx), and no part
        of the answer has arrived yet. Redirects to other servers are not followed, and TLS certificates are verified.

        Args:
            base_url: The address, such as "http://localhost:8000/v1"; "/chat/completions" is added to it.
            model: The name of the model on the server.
            api_key: A key to send as a bearer token; it is never shown. With None, ``OPENAI_API_KEY`` from the
                environment is sent to https://api.openai.com, and no key to other servers.
            timeout: Seconds for one request, including retries; None for no limit.
            connect_timeout: Seconds to connect; None for no limit.
            idle_timeout: Seconds without data; keep-alive comments do not count as data. None for no limit.
            max_retries: Number of times that a request is retried, at most.
            extra_body: Fields to merge into the body of each request; a field whose value is None is removed, as in
                ``{"max_tokens": None, "max_completion_tokens": 512}``. `top_k`, `min_p` and `repeat_penalty` are only
                sent if they are not the defaults, because some servers reject them.
            headers: Headers to send with each request. Their values are never shown.
            response_format: How to ask for typed results; "none" for servers that do not support it. If a server
                rejects it, later requests leave it out.
            message_fields: Which fields of the server's own messages go back to it, beside those that the API defines:
                its reasoning, ``thought_signature``, … "auto" sends all of them, and the reasoning of turns with tool
                calls, until the server rejects them or asks for them; "all" and "none" never change.
            empty_content: The content of a message that has tool calls and no text: "null", "text" (``""``) or
                "absent". "auto" begins with null, and tries the others if the server rejects it.
            http_client: A client for synchronous runs, with a proxy, certificates, …; it is not closed by the model.
                Without one, the proxy is the one of ``HTTPS_PROXY``, ``HTTP_PROXY`` or ``ALL_PROXY``, except for this
                machine and for the servers in ``NO_PROXY``.
            async_http_client: A client for asynchronous runs. Without one, connections are kept only while runs
                overlap.

        Returns:
            The model. Closing it is optional and releases its connections.

        Raises:
            InvalidParamError: An argument is invalid.
            UnsupportedError: The package httpx is not installed.

        Example:
            >>> remote = Model.from_remote("http://localhost:8000/v1", "qwen3", api_key="sk-not-shown")
            >>> remote
            <Model 'qwen3' at http://localhost:8000/v1>
            >>> remote.stats()
            Traceback (most recent call last):
            luup_agent.UnsupportedError: ...
        """
        from luup_agent._completions.http import connect  # brings urllib, which local models need not load
        from luup_agent._completions.secrets import hide, hide_values

        key, values = hide(api_key), hide_values(headers)
        del api_key, headers  # tracebacks show local variables
        responder = connect(
            base_url,
            api_key=key,
            timeout=timeout,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            max_retries=max_retries,
            headers=values,
            http_client=http_client,
            async_http_client=async_http_client,
        )
        extra = None if extra_body is None else write_json("extra_body", extra_body)
        settings = _native.RemoteSettings(model, extra, response_format, message_fields, empty_content)
        made = cls._wrap(_native.NativeModel.remote(settings, responder))
        made._remote = responder
        made._label = f"{model!r} at {responder.base_url}"
        return made

    @classmethod
    def fallback(cls: Type[_Model], *models: Model) -> _Model:
        """Combine several models: the first one answers, or the next one if it fails before any text arrives.

        Results, tools and errors do not depend on which model answers. A run that has switched to another model stays
        with it; the next run begins with the first one again. Each switch is logged as a warning.

        Args:
            *models: Local and remote models, which stay open when this one is closed.

        Raises:
            InvalidParamError: There are no models, or an argument is not a `Model`.

        Example:
            >>> remote = Model.from_remote("http://127.0.0.1:9/v1", "qwen3", max_retries=0)  # no server there
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
        natives = [part._native_model for part in parts]
        responders = combine_responders([native.responders for native in natives])
        made = cls._wrap(_native.NativeModel.fallback(natives, responders))
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
        """Return the names of the models on a remote model's server.

        Raises:
            UnsupportedError: The model is not a remote one.
            HTTPError: The server can't be reached, or its answer is not a list of models.

        Example:
            >>> model.list_models()
            Traceback (most recent call last):
            luup_agent.UnsupportedError: list_models needs a model made by Model.from_remote
        """
        return self._server("list_models").list_models()

    async def list_models_async(self) -> List[str]:
        """Do the same as `list_models`, under asyncio.

        Raises:
            LuupError: The same errors as `list_models`.

        Example:
            >>> names = await remote.list_models_async()
        """
        return await self._server("list_models_async").list_models_async()

    def _server(self, caller: str) -> HTTPResponder:
        if self._remote is None:
            raise UnsupportedError(f"{caller} needs a model made by Model.from_remote")
        return self._remote

    def get_info(self) -> ModelInfo:
        """Return the model's description, and where it runs. Works after `close`, too.

        For a remote model, `description` is its name, `backend` is "remote" and `path` is its address; for a fallback,
        `backend` is "fallback". Unknown values are 0 or "".

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
        with first_use:  # pydantic imports modules when it makes the first object
            return ModelInfo(**values)

    def stats(self) -> ModelStats:
        """Return a snapshot of the decoding thread and its counters.

        Raises:
            ClosedError: The model is closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.stats().runs_active
            0
        """
        return ModelStats(**self._native_model.stats())

    def warmup(self) -> None:
        """Decode a token, so that the weights are in memory before the first run. Waits for the active runs.

        Raises:
            ClosedError: The model is closed.
            InferenceError: llama.cpp could not decode.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.warmup()
        """
        self._native_model.warmup()

    def tokenize(self, text: str, parse_special: bool = False) -> List[int]:
        """Split a text into tokens, without a beginning-of-text token.

        Args:
            text: Any text.
            parse_special: Convert names of control tokens in the text to these tokens. Use it only for text that you
                wrote yourself.

        Returns:
            The ids of the tokens.

        Raises:
            InvalidParamError: The text contains a NUL or a lone surrogate.
            ClosedError: The model is closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.tokenize("Hello")
            [19556]
        """
        return self._native_model.tokenize(text, parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, with control tokens by name. Bytes that are not UTF-8 become U+FFFD.

        Raises:
            InvalidParamError: A number is not a token of the model.
            ClosedError: The model is closed.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> model.detokenize(model.tokenize("Hello"))
            'Hello'
        """
        return self._native_model.detokenize(tokens)

    def close(self) -> None:
        """End every run with `ClosedError` and free the memory. Closing twice is allowed.

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
        """Return the model itself."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close the model."""
        self.close()

    def __reduce__(self) -> Any:
        """Raise TypeError: a model belongs to its process."""
        raise TypeError("a Model can't be pickled; load it in each process")

    def __repr__(self) -> str:
        """Return text such as ``<Model 'smollm2.gguf' llama 135M Q4_1 on CPU (zen4)>``."""
        return "<Model {}{}>".format(self._label, ", closed" if self._closed else "")
