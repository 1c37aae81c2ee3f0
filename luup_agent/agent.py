"""`Agent`: a system prompt, settings and a history on top of a model."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Generator,
    Mapping,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
    overload,
)

from typing_extensions import Unpack

from luup_agent import _native
from luup_agent import run as _run
from luup_agent.builtin_tools import BuiltinTools
from luup_agent.classify import Classifier
from luup_agent.conversation import Conversation
from luup_agent.copies import Copies
from luup_agent.errors import InvalidParamError, ToolNotFoundError
from luup_agent.messages import AgentResponse, Event
from luup_agent.model import Model
from luup_agent.output import output_spec
from luup_agent.sampling import RunOptions, Settings
from luup_agent.toolbox import read_tools
from luup_agent.tools import AnyTool, ToolLike

if TYPE_CHECKING:
    from luup_agent.async_run import AsyncEventStream, AsyncTextStream
    from luup_agent.sampling import Approve
    from luup_agent.tool_calls import Decision

T = TypeVar("T")
_Agent = TypeVar("_Agent", bound="Agent")


class Agent(Classifier, Copies, BuiltinTools, Conversation):
    """Answers messages with a model, calls tools meanwhile, and remembers the conversation.

    An agent answers one message at a time (`BusyError` otherwise); with ``enable_history=False`` any number. Make as
    many agents as you like: those that run at the same time are decoded together. Safe to use from any thread.

    Every answering method takes the agent's settings again, as keywords (`RunOptions`), for that one call, and
    `output_type`: a pydantic model, a dataclass, a TypedDict, an enum, a ``Literal``, ``int``, a list, a union or a
    sequence of these, or whatever else pydantic makes a JSON schema of. The answer is held to that schema while it is
    decoded; what validators want beyond it is told to the model, which answers again, `retries` times. A run that
    fails, is cancelled or left half-way leaves the history as it was.

    Attributes:
        enable_history: Whether the agent remembers.
        enable_tool_calling: Whether runs may use tools.
        enable_builtin_tools: Whether the agent may have built-in tools.

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
        jump_forward: bool = True,
        prompt_lookup: bool = True,
        timeout: Optional[float] = None,
        priority: int = 0,
        tools: Sequence[ToolLike] = (),
        tool_choice: str = "auto",
        parallel_tool_calls: bool = True,
        max_turns: int = 16,
        retries: int = 1,
        deps: Any = None,
        approve: Optional[Approve] = None,
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
            jump_forward: Decode what a typed result or a tool call must say anyway, such as the names of fields, in one
                batch. False decodes it token by token: slower, and the same values up to near ties.
            prompt_lookup: Where the answer repeats a text of the conversation, guess that it goes on as that did, and
                check several tokens at once; only as long as that is faster. The answers are the same, up to near
                ties.
            timeout: Seconds for one run, waiting and tools included; None for no limit.
            priority: Where not all runs of a model can go on at once, those of a higher priority do; -1,000 to 1,000.
            tools: Functions that the model may call, and `Tool` objects.
            tool_choice: Whether the first answer of a run calls tools: "auto" as the model likes, "required" at least
                one, "none" none at all, or the name of a tool: that one.
            parallel_tool_calls: Whether one answer may call several tools, which then run side by side.
            max_turns: Answers of the model in one run, those that call tools included, 1 to 1,000.
            retries: How often a run may ask for a better typed result, and for a better call of each tool that has no
                `retries` of its own, 0 to 100.
            deps: For the tools: `RunContext.deps`.
            approve: Asked before a call of a tool with `requires_approval`: gets the `ToolCall`, and answers True,
                False or the reason of a denial; in asynchronous runs it may be asynchronous. Without it such calls
                end the run and wait for `resume`.
            enable_history: False lets every run start afresh, and several go on at once.
            enable_tool_calling: False offers no tools to the model.
            enable_builtin_tools: Allows the built-in tools. The model is offered only those that are switched on, by
                `enable_builtin_todo` and its siblings: small models are confused by tools that nobody asked for, and
                each takes room in the prompt. An agent that remembers summarizes conversations which fill the
                context, see `enable_builtin_summarization`. False: none of this.

        Raises:
            InvalidParamError: An argument is wrong; the message names it.
            InvalidSchemaError: A tool's parameter has no JSON schema, or one that can't be enforced.
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
            jump_forward=jump_forward,
            prompt_lookup=prompt_lookup,
            timeout=timeout,
            priority=priority,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            max_turns=max_turns,
            retries=retries,
            deps=deps,
            approve=approve,
        )
        self._model = model
        self._system_prompt = system_prompt or None
        self.enable_history = enable_history
        self.enable_tool_calling = _native.encode_bool("enable_tool_calling", enable_tool_calling)
        self.enable_builtin_tools = _native.encode_bool("enable_builtin_tools", enable_builtin_tools)
        self._agent: Optional[_native.NativeAgent] = _native.NativeAgent(
            model._native_model, system_prompt, self._settings, enable_history
        )
        self._tools: Dict[str, AnyTool] = {}
        self._tools_lock = threading.Lock()
        if enable_builtin_tools and enable_history:
            self.enable_builtin_summarization()
        for tool in read_tools(tools):
            self.add_tool(tool)

    def _new_run(
        self,
        caller: str,
        message: Optional[str],
        options: Mapping[str, Any],
        output_type: Any = None,
        decisions: Optional[Mapping[str, Decision]] = None,
    ) -> _run.Run:
        settings = self._settings.override(caller, options)
        extra = read_tools(settings.tools)
        task = _run.Task(message, settings, output_spec(output_type), decisions or {}, summarize=self._summarize)
        return _run.Run(self._native_agent, task, self, lambda: self._tools_for_run(extra))

    # -- answers -------------------------------------------------------------------------------------------------------

    @overload
    def generate(self, message: Optional[str], *, output_type: None = None, **options: Unpack[RunOptions]) -> str: ...
    @overload
    def generate(self, message: Optional[str], *, output_type: Type[T], **options: Unpack[RunOptions]) -> T: ...
    @overload
    def generate(self, message: Optional[str], *, output_type: Any, **options: Unpack[RunOptions]) -> Any: ...
    def generate(self, message: Optional[str], *, output_type: Any = None, **options: Unpack[RunOptions]) -> Any:
        """Answers a message.

        Args:
            message: What the user says. None answers the history as it stands, which must end with a user's message
                or with the results of tools.
            output_type: The type of the answer; None for text.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The answer: a str, or a validated value of `output_type`.

        Raises:
            InvalidParamError: The message is empty, or an option is wrong.
            InvalidSchemaError: `output_type` has no JSON schema, or one that can't be enforced.
            InvalidOutputError: The answer was cut off by `max_tokens`, or is still wrong after all `retries`.
            ContextFullError: The conversation with this message does not fit into the context.
            BusyError: The agent is answering another message.
            RunTimeoutError: `timeout` passed; `partial_text` has the answer so far.
            MaxTurnsError: The model still called tools after `max_turns` turns.
            ToolRetryError: A tool asked for a better call more often than its `retries` allow.
            ApprovalRequiredError: Calls wait for an approval.
            ClosedError: The model or the agent was closed.
            InferenceError: llama.cpp could not decode.
            ForkedError: The model belongs to the parent process.

        Example:
            >>> agent.generate("What is the capital of France?", max_tokens=16)
            'The capital of France is Paris.'
            >>> from typing import Literal
            >>> agent.generate("Is the sky blue?", output_type=Literal["yes", "no"]) in ("yes", "no")
            True
        """
        run = self._new_run("generate", message, options, output_type)
        try:
            _run.complete(run)
            return run.value()
        finally:
            run.close()

    def generate_stream(
        self, message: Optional[str], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> Generator[str, None, None]:
        """Answers a message piece by piece.

        The run begins with this call. Closing or dropping the iterator cancels it. Tools are called in between.

        Args:
            message: As for `generate`.
            output_type: The type that the answer is held to; the pieces are those of its JSON text.
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
        run = self._new_run("generate_stream", message, options, output_type)
        run.start()
        return _run.stream_text(run)

    @overload
    def generate_async(
        self, message: Optional[str], *, output_type: None = None, **options: Unpack[RunOptions]
    ) -> AsyncTextStream[str]: ...
    @overload
    def generate_async(
        self, message: Optional[str], *, output_type: Type[T], **options: Unpack[RunOptions]
    ) -> AsyncTextStream[T]: ...
    @overload
    def generate_async(
        self, message: Optional[str], *, output_type: Any, **options: Unpack[RunOptions]
    ) -> AsyncTextStream[Any]: ...
    def generate_async(
        self, message: Optional[str], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> AsyncTextStream[Any]:
        """Answers a message under asyncio.

        The run begins when the result is first awaited or iterated. Cancelling the task, closing or dropping the result
        cancels it, and the asynchronous tools that it runs.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            What can be awaited for the whole answer, or iterated for the pieces of its text.

        Raises:
            LuupError: As `generate`, out of the ``await`` or the iteration.

        Example:
            >>> text = await agent.generate_async("What is the capital of France?")
            >>> async for piece in agent.generate_async("Tell me a story."):
            ...     print(piece, end="", flush=True)
        """
        from luup_agent.async_run import AsyncTextStream

        return AsyncTextStream(self._new_run("generate_async", message, options, output_type))

    @overload
    def run(
        self, message: Optional[str], *, output_type: None = None, **options: Unpack[RunOptions]
    ) -> AgentResponse[str]: ...
    @overload
    def run(
        self, message: Optional[str], *, output_type: Type[T], **options: Unpack[RunOptions]
    ) -> AgentResponse[T]: ...
    @overload
    def run(self, message: Optional[str], *, output_type: Any, **options: Unpack[RunOptions]) -> AgentResponse[Any]: ...
    def run(
        self, message: Optional[str], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> AgentResponse[Any]:
        """Answers a message, and tells how it went.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The answer with its messages, tool calls, token counts and timings. Calls that wait for an approval are in
            its `pending`.

        Raises:
            LuupError: As `generate`, but no `ApprovalRequiredError`.

        Example:
            >>> agent.run("What is the capital of France?").usage.completion_tokens
            8
        """
        return self._respond(self._new_run("run", message, options, output_type))

    def _respond(self, run: _run.Run) -> AgentResponse[Any]:
        try:
            _run.complete(run)
            return run.response()
        finally:
            run.close()

    @overload
    async def run_async(
        self, message: Optional[str], *, output_type: None = None, **options: Unpack[RunOptions]
    ) -> AgentResponse[str]: ...
    @overload
    async def run_async(
        self, message: Optional[str], *, output_type: Type[T], **options: Unpack[RunOptions]
    ) -> AgentResponse[T]: ...
    @overload
    async def run_async(
        self, message: Optional[str], *, output_type: Any, **options: Unpack[RunOptions]
    ) -> AgentResponse[Any]: ...
    async def run_async(
        self, message: Optional[str], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> AgentResponse[Any]:
        """Does what `run` does, under asyncio.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The answer with its messages, tool calls, token counts and timings.

        Raises:
            LuupError: As `run`.

        Example:
            >>> response = await agent.run_async("What is the capital of France?")
        """
        from luup_agent import async_run

        return await async_run.respond(self._new_run("run_async", message, options, output_type))

    @overload
    def stream_events(
        self, message: Optional[str], *, output_type: None = None, **options: Unpack[RunOptions]
    ) -> Generator[Event[str], None, None]: ...
    @overload
    def stream_events(
        self, message: Optional[str], *, output_type: Type[T], **options: Unpack[RunOptions]
    ) -> Generator[Event[T], None, None]: ...
    @overload
    def stream_events(
        self, message: Optional[str], *, output_type: Any, **options: Unpack[RunOptions]
    ) -> Generator[Event[Any], None, None]: ...
    def stream_events(
        self, message: Optional[str], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> Generator[Event[Any], None, None]:
        """Answers a message and tells all that happens.

        The run begins with this call. Closing or dropping the iterator cancels it. With an `output_type`, a
        `PartialEvent` comes whenever more of the result is complete.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An iterator of events, told apart by their `type`; the last one is a `DoneEvent`.

        Raises:
            LuupError: As `run`; the failures of a run under way come out of the iteration.

        Example:
            >>> for event in agent.stream_events("What is the capital of France?"):
            ...     if event.type == "text":
            ...         print(event.text, end="")
            ...     elif event.type == "done":
            ...         print(f" ({event.response.usage.completion_tokens} tokens)")
            The capital of France is Paris. (8 tokens)
        """
        run = self._new_run("stream_events", message, options, output_type)
        run.want_events()
        run.start()
        return _run.stream_events(run)

    @overload
    def stream_events_async(
        self, message: Optional[str], *, output_type: None = None, **options: Unpack[RunOptions]
    ) -> AsyncEventStream[str]: ...
    @overload
    def stream_events_async(
        self, message: Optional[str], *, output_type: Type[T], **options: Unpack[RunOptions]
    ) -> AsyncEventStream[T]: ...
    @overload
    def stream_events_async(
        self, message: Optional[str], *, output_type: Any, **options: Unpack[RunOptions]
    ) -> AsyncEventStream[Any]: ...
    def stream_events_async(
        self, message: Optional[str], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> AsyncEventStream[Any]:
        """Does what `stream_events` does, under asyncio.

        The run begins with the first event that is asked for. Cancelling the task, closing or dropping the iterator
        cancels it, and the asynchronous tools that it runs.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An asynchronous iterator of events.

        Raises:
            LuupError: As `run`, out of the iteration.

        Example:
            >>> async for event in agent.stream_events_async("Hi"):
            ...     print(event.type)
        """
        from luup_agent.async_run import AsyncEventStream

        return AsyncEventStream(self._new_run("stream_events_async", message, options, output_type))

    # -- calls that wait -----------------------------------------------------------------------------------------------

    @overload
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: None = None, **options: Unpack[RunOptions]
    ) -> AgentResponse[str]: ...
    @overload
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: Type[T], **options: Unpack[RunOptions]
    ) -> AgentResponse[T]: ...
    @overload
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: Any, **options: Unpack[RunOptions]
    ) -> AgentResponse[Any]: ...
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> AgentResponse[Any]:
        """Goes on with a conversation whose last calls wait for an approval, see `pending`.

        The history may come from another process (`get_history`, `set_history`).

        Args:
            approvals: For each waiting call, by its id: True runs the tool, False or a reason as a str denies it, and a
                `ToolResult` answers it without running the tool. A call that is not in it goes to `approve`, or waits
                again.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            As `run`.

        Raises:
            InvalidParamError: No call waits under one of the ids, or a value is none of the above.
            ToolNotFoundError: A waiting call is for a tool that this run does not have.
            LuupError: As `run`.

        Example:
            >>> agent.resume({"call_1": True})
            Traceback (most recent call last):
            luup_agent.InvalidParamError: no call 'call_1' waits for an approval
        """
        self._check_approvals(approvals, options)
        return self._respond(self._new_run("resume", None, options, output_type, approvals))

    @overload
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: None = None, **options: Unpack[RunOptions]
    ) -> AgentResponse[str]: ...
    @overload
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: Type[T], **options: Unpack[RunOptions]
    ) -> AgentResponse[T]: ...
    @overload
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: Any, **options: Unpack[RunOptions]
    ) -> AgentResponse[Any]: ...
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> AgentResponse[Any]:
        """Does what `resume` does, under asyncio.

        Args:
            approvals: As for `resume`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            As `run`.

        Raises:
            LuupError: As `resume`.

        Example:
            >>> response = await agent.resume_async({call.id: True for call in agent.pending})
        """
        from luup_agent import async_run

        self._check_approvals(approvals, options)
        return await async_run.respond(self._new_run("resume_async", None, options, output_type, approvals))

    def _check_approvals(self, approvals: Mapping[str, Decision], options: Mapping[str, Any]) -> None:
        if not isinstance(approvals, Mapping):
            raise InvalidParamError(f"approvals must be a dict, not {type(approvals).__name__}")
        waiting = {call.id: call.name for call in self.pending}
        for call_id in approvals:
            if call_id not in waiting:
                raise InvalidParamError(f"no call {call_id!r} waits for an approval")
        if not waiting:
            raise InvalidParamError("no call waits for an approval")
        missing = set(waiting.values()) - set(self.tools) - self._builtin_names
        missing -= {tool.name for tool in read_tools(options.get("tools", ()))} if missing else set()
        if missing:
            raise ToolNotFoundError(f"calls wait for tools that this run does not have: {', '.join(sorted(missing))}")

    # -- end -----------------------------------------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        """The model that the agent answers with."""
        return self._model

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
