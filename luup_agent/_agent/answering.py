"""The methods of `Agent` that answer: messages and pending calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, List, Mapping, Optional, TypeVar, cast, overload

from typing_extensions import Unpack

from luup_agent._agent.history import check_approvals
from luup_agent._agent.hooks import followers_of
from luup_agent._agent.state import AgentState
from luup_agent._agent.toolbox import ToolsOfRun
from luup_agent._run import sync_run
from luup_agent._run.run import Run
from luup_agent._run.task import Task
from luup_agent._run.typed_output import output_spec
from luup_agent._tools.context import RunContext
from luup_agent.media import Content, read_content
from luup_agent.messages import AgentResponse, Event, Message
from luup_agent.outputs import Output, OutputT
from luup_agent.settings import DepsT, RunOptions
from luup_agent.toolsets import read_tools, read_toolsets

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from luup_agent._run.async_run import AsyncEventStream, AsyncTextStream
    from luup_agent._run.sync_run import Stream
    from luup_agent._run.tool_calls import Decision
    from luup_agent.agent import Agent

T = TypeVar("T")


class Answering(AgentState, Generic[DepsT, OutputT]):
    """Methods of `Agent` that answer messages."""

    def _new_run(
        self,
        caller: str,
        message: Optional[Content],
        options: Mapping[str, Any],
        output_type: Any = None,
        decisions: Optional[Mapping[str, Decision]] = None,
        raw: bool = False,
    ) -> Run:
        """Prepare a run for the function `caller`. `raw`: the message is the whole prompt, without a chat template."""
        parts = self._parts
        text: Optional[str] = read_content("message", message)
        settings = parts.settings.override(caller, options)
        extra, toolsets = read_tools(settings.tools), read_toolsets(settings.toolsets)
        output = parts.output if output_type is None else output_spec(output_type)
        task = Task(text, settings, output, decisions or {}, summarize=parts.builtins.summarize, raw=raw)
        agent = cast("Agent[Any, Any]", self)

        def asked() -> List[Message]:
            return [] if text is None else [Message(role="user", content=text)]

        context: RunContext[Any] = RunContext(settings.deps, agent, "", "", 0, asked)
        needed = () if decisions is None else {call.name for call in parts.history.pending()}
        enabled, builtin = self.enable_tool_calling, parts.builtins.names
        tools = ToolsOfRun(parts.toolbox, extra, toolsets, context, enabled, builtin, needed)
        run = Run(parts.handle.native, task, agent, tools)
        run.following.followers.extend(followers_of(parts, settings, context, agent.enable_history))
        return run

    # -- text ----------------------------------------------------------------------------------------------------------

    @overload
    def generate(
        self, message: Optional[Content], *, output_type: None = None, **options: Unpack[RunOptions[DepsT]]
    ) -> OutputT: ...
    @overload
    def generate(
        self, message: Optional[Content], *, output_type: TypeForm[T], **options: Unpack[RunOptions[DepsT]]
    ) -> T: ...
    @overload
    def generate(
        self, message: Optional[Content], *, output_type: Output[T], **options: Unpack[RunOptions[DepsT]]
    ) -> T: ...
    @overload
    def generate(
        self, message: Optional[Content], *, output_type: Any, **options: Unpack[RunOptions[DepsT]]
    ) -> Any: ...
    def generate(
        self, message: Optional[Content], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> Any:
        """Answer a message and return the answer.

        Args:
            message: The user's message: a text, or a list of texts, `Image` and `Audio`. None answers the history as it
                is, which must end with a user's message or with the results of tools.
            output_type: The type of the answer, or its form, such as a `Choice`; see `Agent`. None for the agent's own,
                str for text.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The answer: a str, or a validated value of `output_type`.

        Raises:
            LuupError: All errors below are. That of a run which has begun reports what the run did:
                `LuupError.messages`, `LuupError.tool_calls`, `LuupError.usage`.
            InvalidParamError: The message is empty, a picture or sound of it is broken, or an option is wrong.
            InvalidSchemaError: `output_type` has no JSON schema, or one that can't be enforced.
            InvalidOutputError: The answer was cut off by `max_tokens`, or is still wrong after all `retries`.
            ContextFullError: The conversation with this message does not fit into the context.
            BusyError: The agent is answering another message.
            RunTimeoutError: `timeout` passed; `partial_text` has the answer so far.
            MaxTurnsError: The model still called tools after `max_turns` turns.
            ToolRetryError: A tool wanted a better call in more turns than its `retries` allow.
            ToolLoopError: The model repeated a call with the same result more often than `loop_guard` allows.
            UsageLimitError: The run reached one of its `usage_limits`.
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
        return sync_run.value(self._new_run("generate", message, options, output_type))

    def generate_stream(
        self, message: Optional[Content], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> Stream[str]:
        """Answer a message and yield the answer piece by piece.

        The run begins with this call. Closing or dropping the iterator cancels it. Tools are called in between.

        Args:
            message: As for `generate`.
            output_type: As for `generate`; the pieces are those of the answer's text, which is JSON for a type.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An iterator of the pieces: all text that is ready each time, never a part of a character. Its
            `Stream.stop_thinking` ends the model's thoughts.

        Raises:
            LuupError: As `generate`; errors after the start are raised by the iteration.

        Example:
            >>> for piece in agent.generate_stream("What is the capital of France?"):
            ...     print(piece, end="", flush=True)
            The capital of France is Paris.
        """
        run = self._new_run("generate_stream", message, options, output_type)
        run.start()
        return sync_run.stream_text(run)

    @overload
    def generate_async(
        self, message: Optional[Content], *, output_type: None = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncTextStream[OutputT]: ...
    @overload
    def generate_async(
        self, message: Optional[Content], *, output_type: TypeForm[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncTextStream[T]: ...
    @overload
    def generate_async(
        self, message: Optional[Content], *, output_type: Output[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncTextStream[T]: ...
    @overload
    def generate_async(
        self, message: Optional[Content], *, output_type: Any, **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncTextStream[Any]: ...
    def generate_async(
        self, message: Optional[Content], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncTextStream[Any]:
        """Answer a message under asyncio.

        The run begins when the result is first awaited or iterated. Cancelling the task, closing or dropping the result
        cancels it, and the asynchronous tools that it runs.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An object to be awaited for the whole answer, or iterated for the pieces of its text.

        Raises:
            LuupError: As `generate`; raised by the ``await`` or the iteration.

        Example:
            >>> text = await agent.generate_async("What is the capital of France?")
            >>> async for piece in agent.generate_async("Tell me a story."):
            ...     print(piece, end="", flush=True)
        """
        from luup_agent._run.async_run import AsyncTextStream

        return AsyncTextStream(self._new_run("generate_async", message, options, output_type))

    # -- responses -----------------------------------------------------------------------------------------------------

    @overload
    def run(
        self, message: Optional[Content], *, output_type: None = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[OutputT]: ...
    @overload
    def run(
        self, message: Optional[Content], *, output_type: TypeForm[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[T]: ...
    @overload
    def run(
        self, message: Optional[Content], *, output_type: Output[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[T]: ...
    @overload
    def run(
        self, message: Optional[Content], *, output_type: Any, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[Any]: ...
    def run(
        self, message: Optional[Content], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[Any]:
        """Answer a message and return the answer with its messages, tool calls, token counts and timings.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The response. Its `pending` has the calls that wait for an approval.

        Raises:
            LuupError: As `generate`, but no `ApprovalRequiredError`.

        Example:
            >>> agent.run("What is the capital of France?").usage.completion_tokens
            8
        """
        return sync_run.respond(self._new_run("run", message, options, output_type))

    @overload
    async def run_async(
        self, message: Optional[Content], *, output_type: None = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[OutputT]: ...
    @overload
    async def run_async(
        self, message: Optional[Content], *, output_type: TypeForm[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[T]: ...
    @overload
    async def run_async(
        self, message: Optional[Content], *, output_type: Output[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[T]: ...
    @overload
    async def run_async(
        self, message: Optional[Content], *, output_type: Any, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[Any]: ...
    async def run_async(
        self, message: Optional[Content], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[Any]:
        """Do the same as `run`, under asyncio.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            The response.

        Raises:
            LuupError: As `run`.

        Example:
            >>> response = await agent.run_async("What is the capital of France?")
        """
        from luup_agent._run import async_run

        return await async_run.respond(self._new_run("run_async", message, options, output_type))

    # -- events --------------------------------------------------------------------------------------------------------

    @overload
    def stream_events(
        self, message: Optional[Content], *, output_type: None = None, **options: Unpack[RunOptions[DepsT]]
    ) -> Stream[Event[OutputT]]: ...
    @overload
    def stream_events(
        self, message: Optional[Content], *, output_type: TypeForm[T], **options: Unpack[RunOptions[DepsT]]
    ) -> Stream[Event[T]]: ...
    @overload
    def stream_events(
        self, message: Optional[Content], *, output_type: Output[T], **options: Unpack[RunOptions[DepsT]]
    ) -> Stream[Event[T]]: ...
    @overload
    def stream_events(
        self, message: Optional[Content], *, output_type: Any, **options: Unpack[RunOptions[DepsT]]
    ) -> Stream[Event[Any]]: ...
    def stream_events(
        self, message: Optional[Content], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> Stream[Event[Any]]:
        """Answer a message and yield an event for everything that happens.

        The run begins with this call. Closing or dropping the iterator cancels it. With an `output_type`, a
        `PartialEvent` follows whenever more of the result is complete.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An iterator of events of different `type`; the last one is a `DoneEvent`.

        Raises:
            LuupError: As `run`; errors after the start are raised by the iteration.

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
        return sync_run.stream_events(run)

    @overload
    def stream_events_async(
        self, message: Optional[Content], *, output_type: None = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncEventStream[OutputT]: ...
    @overload
    def stream_events_async(
        self, message: Optional[Content], *, output_type: TypeForm[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncEventStream[T]: ...
    @overload
    def stream_events_async(
        self, message: Optional[Content], *, output_type: Output[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncEventStream[T]: ...
    @overload
    def stream_events_async(
        self, message: Optional[Content], *, output_type: Any, **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncEventStream[Any]: ...
    def stream_events_async(
        self, message: Optional[Content], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AsyncEventStream[Any]:
        """Do the same as `stream_events`, under asyncio.

        The run begins when the first event is awaited. Cancelling the task, closing or dropping the iterator cancels
        it, and the asynchronous tools that it runs.

        Args:
            message: As for `generate`.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            An asynchronous iterator of events.

        Raises:
            LuupError: As `run`; raised by the iteration.

        Example:
            >>> async for event in agent.stream_events_async("Hi"):
            ...     print(event.type)
        """
        from luup_agent._run.async_run import AsyncEventStream

        return AsyncEventStream(self._new_run("stream_events_async", message, options, output_type))

    # -- pending calls -------------------------------------------------------------------------------------------------

    @overload
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: None = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[OutputT]: ...
    @overload
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: TypeForm[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[T]: ...
    @overload
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: Output[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[T]: ...
    @overload
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: Any, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[Any]: ...
    def resume(
        self, approvals: Mapping[str, Decision], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[Any]:
        """Continue a conversation whose last calls wait for an approval, see `pending`.

        The history may come from another process (`get_history`, `set_history`).

        Args:
            approvals: For each pending call, by its id: True runs the tool, False or a reason as a str denies it, and a
                `ToolResult` answers it without running the tool. A call without an entry goes to `approve`, or stays
                pending.
            output_type: As for `generate`.
            **options: Settings for this call, see `RunOptions`.

        Returns:
            As `run`.

        Raises:
            InvalidParamError: No call is pending under one of the ids, or a value is of another type.
            ToolNotFoundError: A pending call is for a tool that this run does not have.
            LuupError: As `run`.

        Example:
            >>> agent.resume({"call_1": True})
            Traceback (most recent call last):
            luup_agent.InvalidParamError: no call 'call_1' waits for an approval
        """
        return sync_run.respond(self._resumed_run("resume", approvals, options, output_type))

    @overload
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: None = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[OutputT]: ...
    @overload
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: TypeForm[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[T]: ...
    @overload
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: Output[T], **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[T]: ...
    @overload
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: Any, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[Any]: ...
    async def resume_async(
        self, approvals: Mapping[str, Decision], *, output_type: Any = None, **options: Unpack[RunOptions[DepsT]]
    ) -> AgentResponse[Any]:
        """Do the same as `resume`, under asyncio.

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
        from luup_agent._run import async_run

        return await async_run.respond(self._resumed_run("resume_async", approvals, options, output_type))

    def _resumed_run(
        self, caller: str, approvals: Mapping[str, Decision], options: Mapping[str, Any], output_type: Any
    ) -> Run:
        check_approvals(approvals, self._parts.history.pending())
        return self._new_run(caller, None, options, output_type, approvals)
