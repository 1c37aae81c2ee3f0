"""`Agent`: a system prompt, settings and a history on top of a model."""

from __future__ import annotations

from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Generator,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
)

from typing_extensions import Unpack

from luup_agent import _native
from luup_agent import run as _run
from luup_agent.errors import ClosedError, InvalidParamError
from luup_agent.messages import AgentResponse, ContextUsage, Event, Message
from luup_agent.model import Model
from luup_agent.sampling import RunOptions, Settings

if TYPE_CHECKING:
    from luup_agent.async_run import AsyncEventStream, AsyncTextStream

_Agent = TypeVar("_Agent", bound="Agent")


class Agent:
    """Answers messages with a model, and remembers the conversation.

    An agent answers one message at a time (`BusyError` otherwise); with ``enable_history=False`` any number. Make as
    many agents as you like: those that run at the same time are decoded together. Safe to use from any thread.

    Every answering method takes the sampling parameters and `timeout` again, as keywords (`RunOptions`), for that one
    call. A run that fails, is cancelled or left half-way leaves the history as it was.

    Attributes:
        enable_history: Whether the agent remembers.
        enable_tool_calling: Kept for the tools, which this version does not have yet; has no effect.
        enable_builtin_tools: Likewise.

    Example:
        >>> agent = Agent(model, "You are a helpful assistant.", temperature=0)
        >>> agent.generate("What is the capital of France?")
        'The capital of France is Paris.'
        >>> for piece in agent.generate_stream("And of Italy?"):
        ...     print(piece, end="", flush=True)
        The capital of Italy is Rome.
    """

    def __init__(
        self,
        model: Model,
        system_prompt: Optional[str] = None,
        *,
        temperature: float = 0.7,
        top_p: float = 0.95,
        top_k: int = 40,
        min_p: float = 0.05,
        repeat_penalty: float = 1.0,
        repeat_last_n: int = 64,
        seed: Optional[int] = None,
        stop: Union[str, Sequence[str], None] = None,
        max_tokens: Optional[int] = 512,
        timeout: Optional[float] = None,
        enable_history: bool = True,
        enable_tool_calling: bool = True,
        enable_builtin_tools: bool = True,
    ) -> None:
        """Makes an agent.

        Args:
            model: The model to answer with.
            system_prompt: What the model is told before the conversation; None or "" for nothing.
            temperature: 0 takes the likeliest token always; higher is more varied, at most 100.
            top_p: Keep the likeliest tokens that make up this probability, 0 to 1; 1 is off.
            top_k: Keep that many of the likeliest tokens; 0 is off.
            min_p: Keep tokens at least this probable relative to the likeliest, 0 to 1; 0 is off.
            repeat_penalty: Makes tokens that came before less likely; 1 is off, at most 10.
            repeat_last_n: How many tokens the penalty looks back, 0 to 65,536.
            seed: 0 to 4,294,967,294 for the same answer to the same conversation; None for a new one each run.
            stop: The answer ends before any of these texts.
            max_tokens: Of one answer; None = until the context is full.
            timeout: Seconds for one run, waiting included; None for no limit.
            enable_history: False lets every run start afresh, and several go on at once.
            enable_tool_calling: Has no effect in this version, which has no tools yet.
            enable_builtin_tools: Has no effect in this version, which has no tools yet.

        Raises:
            InvalidParamError: An argument is wrong; the message names it.
            ClosedError: The model was closed.
            ForkedError: The model belongs to the parent process.
        """
        if not isinstance(model, Model):
            raise InvalidParamError(f"model must be a luup_agent.Model, not {type(model).__name__}")
        self._settings = Settings(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            min_p=min_p,
            repeat_penalty=repeat_penalty,
            repeat_last_n=repeat_last_n,
            seed=seed,
            stop=tuple(stop) if isinstance(stop, list) else stop,
            max_tokens=max_tokens,
            timeout=timeout,
        )
        self._model = model
        self._system_prompt = system_prompt or None
        self.enable_history = enable_history
        self.enable_tool_calling = _native.encode_bool("enable_tool_calling", enable_tool_calling)
        self.enable_builtin_tools = _native.encode_bool("enable_builtin_tools", enable_builtin_tools)
        self._agent: Optional[_native.NativeAgent] = _native.NativeAgent(
            model._native_model, system_prompt, self._settings, enable_history
        )

    @property
    def _native_agent(self) -> _native.NativeAgent:
        agent = self._agent
        if agent is None:
            raise ClosedError("the agent was closed")
        return agent

    def _new_run(self, caller: str, message: Optional[str], options: Mapping[str, Any]) -> _run.Run:
        settings = self._settings.override(caller, options)
        return _run.Run(self._native_agent, message, settings, self)

    # -- answers -------------------------------------------------------------------------------------------------------

    def generate(self, message: Optional[str], **options: Unpack[RunOptions]) -> str:
        """Answers a message.

        Args:
            message: What the user says. None answers the history as it stands, which must end with a user's message.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The answer.

        Raises:
            InvalidParamError: The message is empty, or an option is wrong.
            ContextFullError: The conversation with this message does not fit into the context.
            BusyError: The agent is answering another message.
            RunTimeoutError: `timeout` passed; `partial_text` has the answer so far.
            ClosedError: The model or the agent was closed.
            InferenceError: llama.cpp could not decode.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> agent.generate("What is the capital of France?", max_tokens=16)
            'The capital of France is Paris.'
        """
        run = self._new_run("generate", message, options)
        try:
            _run.complete(run)
            return run.text()
        finally:
            run.close()

    def generate_stream(self, message: Optional[str], **options: Unpack[RunOptions]) -> Generator[str, None, None]:
        """Answers a message piece by piece.

        The run begins with this call. Closing or dropping the iterator cancels it.

        Args:
            message: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An iterator of the pieces: all the text that is ready each time, never half a character.

        Raises:
            LuupError: As `generate`; the failures of a run under way come out of the iteration.

        Example:
            >>> for piece in agent.generate_stream("What is the capital of France?"):
            ...     print(piece, end="", flush=True)
            The capital of France is Paris.
        """
        run = self._new_run("generate_stream", message, options)
        run.start()
        return _run.stream_text(run)

    def generate_async(self, message: Optional[str], **options: Unpack[RunOptions]) -> AsyncTextStream:
        """Answers a message under asyncio.

        The run begins when the result is first awaited or iterated. Cancelling the task, closing or dropping the result
        cancels it.

        Args:
            message: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            What can be awaited for the whole answer, or iterated for its pieces.

        Raises:
            LuupError: As `generate`, out of the ``await`` or the iteration.

        Example:
            >>> text = await agent.generate_async("What is the capital of France?")
            >>> async for piece in agent.generate_async("Tell me a story."):
            ...     print(piece, end="", flush=True)
        """
        from luup_agent.async_run import AsyncTextStream

        return AsyncTextStream(self._new_run("generate_async", message, options))

    def run(self, message: Optional[str], **options: Unpack[RunOptions]) -> AgentResponse[str]:
        """Answers a message, and tells how it went.

        Args:
            message: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The answer with its messages, token counts and timings.

        Raises:
            LuupError: As `generate`.

        Example:
            >>> agent.run("What is the capital of France?").usage.completion_tokens
            8
        """
        run = self._new_run("run", message, options)
        try:
            _run.complete(run)
            return run.response()
        finally:
            run.close()

    async def run_async(self, message: Optional[str], **options: Unpack[RunOptions]) -> AgentResponse[str]:
        """Does what `run` does, under asyncio.

        Args:
            message: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The answer with its messages, token counts and timings.

        Raises:
            LuupError: As `generate`.

        Example:
            >>> response = await agent.run_async("What is the capital of France?")
        """
        from luup_agent import async_run

        return await async_run.respond(self._new_run("run_async", message, options))

    def stream_events(self, message: Optional[str], **options: Unpack[RunOptions]) -> Generator[Event, None, None]:
        """Answers a message and tells all that happens.

        The run begins with this call. Closing or dropping the iterator cancels it.

        Args:
            message: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An iterator of events, told apart by their `type`; the last one is a `DoneEvent`.

        Raises:
            LuupError: As `generate`; the failures of a run under way come out of the iteration.

        Example:
            >>> for event in agent.stream_events("What is the capital of France?"):
            ...     if event.type == "text":
            ...         print(event.text, end="")
            ...     elif event.type == "done":
            ...         print(f" ({event.response.usage.completion_tokens} tokens)")
            The capital of France is Paris. (8 tokens)
        """
        run = self._new_run("stream_events", message, options)
        run.start()
        return _run.stream_events(run)

    def stream_events_async(self, message: Optional[str], **options: Unpack[RunOptions]) -> AsyncEventStream:
        """Does what `stream_events` does, under asyncio.

        The run begins with the first event that is asked for. Cancelling the task, closing or dropping the iterator
        cancels it.

        Args:
            message: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An asynchronous iterator of events.

        Raises:
            LuupError: As `generate`, out of the iteration.

        Example:
            >>> async for event in agent.stream_events_async("Hi"):
            ...     print(event.type)
        """
        from luup_agent.async_run import AsyncEventStream

        return AsyncEventStream(self._new_run("stream_events_async", message, options))

    # -- history -------------------------------------------------------------------------------------------------------

    def add_message(self, role: str, content: str) -> None:
        """Appends a message to the history.

        Args:
            role: "user" or "assistant".
            content: The text.

        Raises:
            InvalidParamError: The role is another one, or the text is empty or not text.
            BusyError: The agent is answering a message.

        Example:
            >>> agent.add_message("user", "My name is Ada.")
            >>> agent.add_message("assistant", "Nice to meet you, Ada.")
        """
        self._native_agent.add_message(role, content)

    def clear_history(self) -> None:
        """Empties the history; the system prompt stays.

        Raises:
            BusyError: The agent is answering a message.

        Example:
            >>> agent.clear_history()
        """
        self._native_agent.clear_history()

    def get_history(self) -> List[Dict[str, Any]]:
        """The conversation as OpenAI chat messages, the system prompt first if there is one.

        Example:
            >>> agent.get_history()[-1]
            {'role': 'assistant', 'content': 'Hello!'}
        """
        history = self._native_agent.get_history()
        if self._system_prompt is not None:
            history.insert(0, {"role": "system", "content": self._system_prompt})
        return history

    def set_history(self, messages: Iterable[Union[Message, Mapping[str, Any]]]) -> None:
        """Replaces the history; on failure it stays as it was.

        Args:
            messages: `Message` objects or OpenAI chat messages, as `get_history` gives them. A system message may only
                come first, and must be the agent's own.

        Raises:
            InvalidParamError: It is not a list of messages; the error names the first that is wrong.
            BusyError: The agent is answering a message.

        Example:
            >>> other = Agent(model, agent.system_prompt)
            >>> other.set_history(agent.get_history())
        """
        if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
            raise InvalidParamError(f"messages must be a list of messages, not {type(messages).__name__}")
        history: List[Dict[str, Any]] = []
        for index, item in enumerate(messages):
            name = f"messages[{index}]"
            if not isinstance(item, (Message, Mapping)):
                raise InvalidParamError(f"{name} must be a Message or a dict, not {type(item).__name__}")
            message = item if isinstance(item, Message) else Message.from_dict(name, item)
            if message.role == "system":
                if index or message.content != self._system_prompt:
                    raise InvalidParamError(f"{name} is a system message, but not the agent's own, first")
                continue
            for part, text in message.to_dict().items():
                _native.encode_text(f"{name}.{part}", text)
            history.append(message.to_dict())
        self._native_agent.set_history(history)

    @property
    def messages(self) -> List[Message]:
        """The conversation as `Message` objects, the system prompt first if there is one."""
        return [Message.from_dict("history", message) for message in self.get_history()]

    @property
    def context(self) -> ContextUsage:
        """How the context of the next run would be filled, in exact tokens.

        Raises:
            ClosedError: The model or the agent was closed.
        """
        return ContextUsage(**self._native_agent.context())

    @property
    def model(self) -> Model:
        """The model that the agent answers with."""
        return self._model

    @property
    def system_prompt(self) -> Optional[str]:
        """What the model is told before the conversation; None for nothing."""
        return self._system_prompt

    def _prompt_tokens(self, message: Optional[str]) -> List[int]:
        """The tokens that a run of `message` would prefill."""
        return self._native_agent.prompt_tokens(message)

    # -- end -----------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Gives the agent's memory back; a run under way may be read to its end. Closing twice is fine.

        Not necessary: an agent that is not referred to any more is given back as well.

        Example:
            >>> agent.close()
        """
        self._agent = None

    def __enter__(self: _Agent) -> _Agent:
        """Gives the agent itself."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Closes the agent."""
        self.close()

    def __repr__(self) -> str:
        """Such as ``<Agent on <Model …>>``."""
        return "<Agent on {!r}{}>".format(self._model, ", closed" if self._agent is None else "")
