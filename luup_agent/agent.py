"""`Agent`: a system prompt, settings and a history on top of a model."""

from __future__ import annotations

from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
    overload,
)

from typing_extensions import ParamSpec, SupportsIndex, Unpack

from luup_agent import _native
from luup_agent._agent.agent_settings import KnownAttributes
from luup_agent._agent.answering import Answering
from luup_agent._agent.copying import Copying
from luup_agent._agent.declaring import ToolDecorator
from luup_agent._agent.delegating import Delegating
from luup_agent._agent.hooks import check_hooks
from luup_agent._agent.labelling import Labelling
from luup_agent._agent.mapping import InBulk
from luup_agent._agent.parts import Parts, check_model, read_prompt
from luup_agent._agent.previewing import Previewing
from luup_agent._agent.signatures import show_options
from luup_agent._run.typed_output import check_for_model, output_spec
from luup_agent._tools.context import RunContext
from luup_agent._tools.results import MAX_RESULT_CHARS
from luup_agent.builtin_tools import BuiltinTools
from luup_agent.errors import UnsupportedError
from luup_agent.limits import LoopGuard, UsageLimits, check_limits
from luup_agent.media import Content, MessageText, read_content
from luup_agent.messages import ContextUsage, Message, ToolCall
from luup_agent.model import Model
from luup_agent.outputs import Output, OutputT
from luup_agent.settings import LOOP_GUARD, Adapter, DepsT, KeepHistory, LogitBias, Reasoning, Settings
from luup_agent.tools import AnyTool, OnError, Tool, ToolLike, as_tool
from luup_agent.toolsets import Toolset, ToolsetLike

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from luup_agent._agent.declaring import Plain, Taking
    from luup_agent._mcp.questions import AskUser
    from luup_agent.settings import Approve, HistoryProcessor, OnEvent, SystemPrompt, _AgentOptions

P = ParamSpec("P")
R = TypeVar("R")
_Agent = TypeVar("_Agent", bound="Agent[Any, Any]")


class Agent(
    Answering[DepsT, OutputT],
    InBulk[DepsT, OutputT],
    Labelling,
    Copying,
    Delegating,
    Previewing,
    BuiltinTools,
    KnownAttributes,
):
    """Answers messages with a model, calls tools, and remembers the conversation.

    An agent answers one message at a time (`BusyError` otherwise); with ``enable_history=False`` any number. Make as
    many agents as you like: those that run at the same time are decoded together. Safe to use from any thread.

    Every answering method accepts the agent's settings as keywords (`RunOptions`), for that one call, and
    `output_type`: a pydantic model, a dataclass, a TypedDict, an enum, a ``Literal``, ``int``, a list, a union or a
    sequence of these, or any other type that pydantic makes a JSON schema of; a JSON schema itself, as a dict or a
    `JSONSchema`; or the form of a plain text: `Choice`, `Regex` or `Grammar`. Decoding is constrained to it. If the
    answer fails in a validator, the model gets the error and answers again, `retries` times. A run that fails, is
    cancelled or is not read to its end leaves the history unchanged, unless `keep_history` is "on_error"; the error
    reports what the run did (`LuupError.messages`, `LuupError.tool_calls`, `LuupError.usage`).

    Attributes:
        enable_history: Whether the agent remembers.
        enable_tool_calling: Whether runs may use tools.
        enable_builtin_tools: Whether the agent may have built-in tools.
        name: A name for logs and telemetry, to be set at any time; None for none.

    Example:
        >>> agent = Agent(model, "You are a helpful assistant.", temperature=0)
        >>> agent.generate("What is the capital of France?")
        'The capital of France is Paris.'
        >>> for piece in agent.generate_stream("And of Italy?"):
        ...     print(piece, end="", flush=True)
        The capital of Italy is Rome.
    """

    name: Optional[str] = None
    _ask_user: Optional[AskUser] = None  # asks the person who talks with the agent what an MCP server wants to know

    if not TYPE_CHECKING:

        def __class_getitem__(cls, parameters: Any) -> Any:
            """Fill in the default of the second parameter, as typing_extensions before 4.12 does not."""
            return super().__class_getitem__(
                (parameters, str) if cls is Agent and not isinstance(parameters, tuple) else parameters
            )

    @overload
    def __init__(
        self,
        model: Model,
        system_prompt: Optional[SystemPrompt[DepsT]] = None,
        *,
        output_type: None = None,
        deps: Optional[DepsT] = None,
        **options: Unpack[_AgentOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        model: Model,
        system_prompt: Optional[SystemPrompt[DepsT]] = None,
        *,
        output_type: TypeForm[OutputT],
        deps: Optional[DepsT] = None,
        **options: Unpack[_AgentOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        model: Model,
        system_prompt: Optional[SystemPrompt[DepsT]] = None,
        *,
        output_type: Output[OutputT],
        deps: Optional[DepsT] = None,
        **options: Unpack[_AgentOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Agent[DepsT, Any],  # pyright: ignore[reportInvalidTypeVarUse]
        model: Model,
        system_prompt: Optional[SystemPrompt[DepsT]] = None,
        *,
        output_type: Any,
        deps: Optional[DepsT] = None,
        **options: Unpack[_AgentOptions],
    ) -> None: ...
    def __init__(
        self,
        model: Model,
        system_prompt: Optional[SystemPrompt[DepsT]] = None,
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
        reasoning: Optional[Reasoning] = None,
        template_options: Optional[Mapping[str, Any]] = None,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        logit_bias: Optional[LogitBias] = None,
        adapter: Optional[Adapter] = None,
        logprobs: bool = False,
        top_logprobs: int = 0,
        record_prompts: bool = False,
        jump_forward: bool = True,
        prompt_lookup: bool = True,
        timeout: Optional[float] = None,
        priority: int = 0,
        tools: Sequence[ToolLike] = (),
        toolsets: Sequence[ToolsetLike] = (),
        tool_choice: str = "auto",
        parallel_tool_calls: bool = True,
        max_turns: int = 16,
        retries: int = 1,
        deps: Any = None,
        approve: Optional[Approve] = None,
        keep_history: KeepHistory = "on_success",
        usage_limits: Optional[UsageLimits] = None,
        loop_guard: Optional[LoopGuard] = LOOP_GUARD,
        on_event: Optional[OnEvent] = None,
        process_history: Union[HistoryProcessor, Sequence[HistoryProcessor], None] = None,
        output_type: Any = None,
        enable_history: bool = True,
        enable_tool_calling: bool = True,
        enable_builtin_tools: bool = True,
    ) -> None:
        """Make an agent.

        Args:
            model: The model to answer with.
            system_prompt: Instructions for the model before the conversation; None or "" for none. Or a function that
                returns them, of the `RunContext` or without a parameter, which each run calls when it begins; in
                asynchronous runs it may be asynchronous.
            temperature: 0 always takes the likeliest token; higher is more varied, at most 100.
            top_p: Keep the likeliest tokens that make up this probability, 0 to 1; 1 is off.
            top_k: Keep this many of the likeliest tokens; 0 is off.
            min_p: Keep tokens at least this probable relative to the likeliest, 0 to 1; 0 is off.
            repeat_penalty: Makes tokens that came before less likely; 1 is off, at most 10.
            repeat_last_n: How many tokens the penalty looks back, 0 to 65,536.
            seed: 0 to 4,294,967,294 for the same answer to the same conversation; None for a new one each run.
            stop: The answer ends before any of these texts; thoughts may have them.
            max_tokens: The most tokens of one answer, its thoughts aside; None = until the context is full.
            reasoning: How much the model thinks before its answer: True, False, "low", "medium" or "high", by the
                arguments that the chat template has for it, or at most this many tokens. None leaves it to the
                template. In any case the thoughts of one answer end: after 512 tokens with "low", 8,192 with "high",
                else 2,048, and earlier where the context holds no more. Then the library writes the end of the thoughts
                in the model's own format, and the answer goes on. A model without such a switch gets an end
                at once with False. The server of a remote model gets what it knows (``reasoning_effort``,
                ``enable_thinking``) and bounds the thoughts itself.
            template_options: Arguments for the chat template, JSON values such as ``{"enable_thinking": False}``; they
                replace those that `reasoning` sets. A remote model gets them as ``chat_template_kwargs``.
            presence_penalty: Taken once from the logit of each token that the answer has already, -2 to 2; its thoughts
                count, the prompt doesn't. 0 is off.
            frequency_penalty: The same, as often as the answer has the token.
            logit_bias: Added to the logits of tokens, -100 to 100, by their numbers or texts: ``{" delve": -100}``. A
                text must be one token. A remote model takes numbers only.
            adapter: The LoRA adapter to answer with, by its name in the `adapters` of `Model.from_local`; or several,
                with how strongly each changes the weights: ``{"sql": 1.0, "brief": 0.5}``. None for the model alone.
            logprobs: Report how probable each token of the answer was, see `AgentResponse.logprobs`.
            top_logprobs: With that many of the likeliest tokens, 0 to 20; more than 0 implies `logprobs`.
            record_prompts: Keep the prompt of each turn, see `AgentResponse.turns`.
            jump_forward: Decode the tokens that a schema or a tool call dictates, such as the names of fields, in one
                batch. False decodes them one by one: slower, with the same values up to near ties.
            prompt_lookup: Where the answer repeats a text of the conversation, draft the next tokens from that text and
                check several at once, as long as that is faster. The answers are the same up to near ties.
            timeout: Seconds for one run, with waiting and tools; None for no limit.
            priority: If not all runs of a model can go on at once, those of a higher priority do; -1,000 to 1,000.
            tools: Functions that the model may call, and `Tool` objects.
            toolsets: Tools from elsewhere, which each run asks for again: `MCP` servers, other `Toolset` objects, and
                functions of the `RunContext` that return tools.
            tool_choice: Whether the first answer of a run calls tools: "auto" lets the model decide, "required" wants
                at least one call, "none" forbids calls, the name of a tool wants a call of that tool.
            parallel_tool_calls: Whether one answer may call several tools, which then run side by side.
            max_turns: The most answers of the model in one run, those that call tools included, 1 to 1,000.
            retries: How often a run may ask for a better typed result, and in how many turns for a better call of each
                tool that has no `retries` of its own, 0 to 100.
            deps: Passed to the tools as `RunContext.deps`.
            approve: Called before a tool with `requires_approval` runs: gets the `ToolCall`, and returns True, False or
                the reason of a denial; in asynchronous runs it may be asynchronous. Without it such calls end the run
                and wait for `resume`.
            keep_history: Which runs enter the history: with "on_success" those that answer, with "on_error" also those
                that fail, are cancelled or are not read to their end, with the calls and the results so far. The
                messages are those of `LuupError.messages`.
            usage_limits: How much a run may use, together with the agents that its tools run; None for no limit.
            loop_guard: What to do when a run repeats a call with the same result; None lets it.
            on_event: Called with each event of a run, as `stream_events` yields them, before a reader gets it; in
                asynchronous runs it may be asynchronous. An exception in it is logged, and the run goes on.
            process_history: A function of the history, or of the `RunContext` and the history, that returns the
                messages which the model sees in its place in this run; or several, one after another. The stored
                history stays as it is. In asynchronous runs it may be asynchronous.
            output_type: The type of the agent's answers, or their form; a run may have another. None for text.
            enable_history: False starts every run afresh, and allows several at once.
            enable_tool_calling: False offers no tools to the model.
            enable_builtin_tools: Allow the built-in tools. The model is offered only those that are switched on, by
                `enable_builtin_todo` and similar methods: needless tools confuse small models, and each takes room in
                the prompt. An agent that remembers summarizes conversations that fill the context, see
                `enable_builtin_summarization`. False switches all of this off.

        Raises:
            InvalidParamError: An argument is wrong; the message names it.
            InvalidSchemaError: A tool's parameter or `output_type` has no JSON schema, or one that can't be enforced.
            ClosedError: The model was closed.
            ForkedError: The model belongs to the parent process.
        """
        output = output_spec(output_type)
        if isinstance(template_options, Mapping):
            template_options = dict(template_options)
        if isinstance(logit_bias, Mapping):
            logit_bias = dict(logit_bias)
        if isinstance(adapter, Mapping):
            adapter = dict(adapter)
        arguments = {**locals(), "tools": (), "toolsets": (), "stop": tuple(stop) if isinstance(stop, list) else stop}
        settings = Settings._make(map(arguments.__getitem__, Settings._fields))
        check_limits(usage_limits, loop_guard)
        check_hooks(settings)
        prompt, prompt_function = read_prompt(system_prompt)
        native = _native.NativeAgent(check_model(model)._native_model, prompt, settings, enable_history)
        _native.encode_bool("enable_tool_calling", enable_tool_calling)
        _native.encode_bool("enable_builtin_tools", enable_builtin_tools)
        check_for_model(output, model._native_model)
        parts = Parts(model, native, prompt, settings, output)
        parts.prompt_function, parts.history.prompt_changes = prompt_function, prompt_function is not None
        self._set_up(parts, enable_history, enable_tool_calling, enable_builtin_tools)
        self._equip(tools, toolsets)

    # -- conversation --------------------------------------------------------------------------------------------------

    def add_message(self, role: str, content: Content) -> None:
        """Append a message to the history.

        Args:
            role: "user" or "assistant".
            content: The text, or for "user" a list of texts, `Image` and `Audio`.

        Raises:
            InvalidParamError: The role is another one, or the text is empty or not a str.
            BusyError: The agent is answering a message.

        Example:
            >>> agent.add_message("user", "My name is Ada.")
            >>> agent.add_message("assistant", "Nice to meet you, Ada.")
        """
        text = read_content("content", content)
        if isinstance(text, MessageText):
            self._parts.history.append(role, text)
        else:
            self._parts.handle.native.add_message(role, text)

    def clear_history(self) -> None:
        """Empty the history; the system prompt stays.

        Raises:
            BusyError: The agent is answering a message.

        Example:
            >>> agent.clear_history()
        """
        self._parts.handle.native.clear_history()

    def get_history(self) -> List[Dict[str, Any]]:
        """Return the conversation as OpenAI chat messages, the system prompt first if there is one.

        JSON can hold all of it: with `set_history` another process continues, pending calls included.

        Example:
            >>> agent.get_history()[-1]
            {'role': 'assistant', 'content': 'Hello!'}
        """
        return self._parts.history.get()

    def set_history(self, messages: Iterable[Union[Message, Mapping[str, Any]]]) -> None:
        """Replace the history; on failure it stays as it was.

        Args:
            messages: `Message` objects or OpenAI chat messages, as `get_history` returns them. If the first is a system
                message, it must be the agent's own; later ones may be any. Where the chat template refuses an order,
                such as two messages of the user in a row, the prompt has the same texts in one that it takes.

        Raises:
            InvalidParamError: It is not a list of messages; the error names the first that is wrong.
            BusyError: The agent is answering a message.

        Example:
            >>> other = Agent(model, agent.system_prompt)
            >>> other.set_history(agent.get_history())
        """
        self._parts.history.set(messages)

    @property
    def messages(self) -> List[Message]:
        """The conversation as `Message` objects, the system prompt first if there is one."""
        return self._parts.history.messages()

    @property
    def pending(self) -> List[ToolCall]:
        """The calls at the end of the history that wait for an approval; see `resume`."""
        return self._parts.history.pending()

    @property
    def context(self) -> ContextUsage:
        """How the context of the next run would be filled, in exact tokens; without the tools of toolsets.

        Raises:
            ClosedError: The model or the agent was closed.
        """
        return ContextUsage(**self._parts.handle.native.context())

    @property
    def output_type(self) -> Any:
        """The type or the form of the answers, unless a run has another; None for text."""
        output = self._parts.output
        return None if output is None else output.type

    @property
    def system_prompt(self) -> Optional[SystemPrompt[DepsT]]:
        """The instructions for the model before the conversation, or the function that makes them; None without any.

        A new value is for the runs that begin from now on.

        Raises:
            BusyError: The agent is answering a message.
            InvalidParamError: The new value is neither a str, a function nor None.

        Example:
            >>> agent.system_prompt = "Answer in one word."
        """
        parts = self._parts
        return parts.system_prompt if parts.prompt_function is None else parts.prompt_function

    @system_prompt.setter
    def system_prompt(self, system_prompt: Optional[SystemPrompt[DepsT]]) -> None:
        self._parts.set_prompt_source(system_prompt)

    def _prompt_tokens(self, message: Optional[str]) -> List[int]:
        """Return the tokens of the prompt of a run; for tests and benchmarks."""
        return self._parts.handle.native.prompt_tokens(message)

    # -- tools ---------------------------------------------------------------------------------------------------------

    @overload
    def tool(self, function: Tool[P, R]) -> Tool[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def tool(self, function: Taking[RunContext[DepsT], P, R]) -> Tool[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def tool(self, function: Taking[Plain, P, R]) -> Tool[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def tool(self, function: Callable[[], R]) -> Tool[[], R]: ...
    @overload
    def tool(
        self,
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        parameters: Optional[Mapping[str, Any]] = None,
        timeout: Optional[float] = None,
        retries: Optional[int] = None,
        requires_approval: bool = False,
        on_error: OnError = "model",
        max_result_chars: int = MAX_RESULT_CHARS,
    ) -> ToolDecorator[DepsT]: ...
    def tool(self, function: Optional[Callable[..., Any]] = None, **options: Any) -> Any:
        """Add a tool; a decorator, bare or with the keywords of `Tool`.

        Returns:
            The `Tool`, which is called like the function. Given to another agent it keeps its options, such as
            `requires_approval`. A `Tool` that is decorated bare is returned as it is.

        Raises:
            InvalidParamError: The function can't be a tool, or the agent has one of that name; names the parameter.
            InvalidSchemaError: A parameter's type has no JSON schema, or one that can't be enforced.

        Example:
            >>> @agent.tool
            ... def add(a: int, b: int) -> int:
            ...     '''Adds two numbers.'''
            ...     return a + b
            >>> @agent.tool(timeout=5, requires_approval=True)
            ... def delete(path: str) -> None:
            ...     '''Deletes a file.'''
            >>> sorted(agent.tools)
            ['add', 'delete']
        """

        def declare(function: Callable[..., Any]) -> AnyTool:
            made = Tool(function, **options) if options else as_tool(function)
            self.add_tool(made)
            return made

        return ToolDecorator(declare) if function is None else declare(function)

    def add_tool(self, tool: ToolLike) -> None:
        """Add a tool, for the runs that begin from now on.

        Args:
            tool: A `Tool`, or a function to make one of.

        Raises:
            InvalidParamError: It can't be a tool, or the agent has one of that name; names the parameter.
            InvalidSchemaError: A parameter's type has no JSON schema, or one that can't be enforced.

        Example:
            >>> def total(*numbers: int) -> int:
            ...     '''Adds numbers.'''
            ...     return sum(numbers)
            >>> agent.add_tool(total)
            Traceback (most recent call last):
            luup_agent.InvalidParamError: tool 'total', parameter 'numbers': ...
        """
        self._parts.toolbox.add(tool)

    def remove_tool(self, name: str) -> None:
        """Remove a tool, for the runs that begin from now on.

        Raises:
            ToolNotFoundError: The agent has no tool of that name.

        Example:
            >>> agent.add_tool(Tool(print, name="say", parameters={"type": "object"}))
            >>> agent.remove_tool("say")
            >>> list(agent.tools)
            []
        """
        self._parts.toolbox.remove(name)

    @property
    def tools(self) -> Mapping[str, AnyTool]:
        """The agent's tools by name, without those of toolsets; a copy."""
        return self._parts.toolbox.tools()

    @property
    def toolsets(self) -> Sequence[Toolset]:
        """The agent's toolsets."""
        return self._parts.toolbox.toolsets

    # -- end -----------------------------------------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        """The model that the agent answers with."""
        return self._parts.model

    def close(self) -> None:
        """Release the agent's memory; a run under way can be read to its end. Closing twice is fine.

        Not necessary: an agent is released when it is garbage collected.

        Example:
            >>> agent.close()
        """
        self._parts.handle.close()

    def __enter__(self: _Agent) -> _Agent:
        """Return the agent itself."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close the agent."""
        self.close()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be copied or pickled: the conversation and its part of the context are in the C library.

        Raises:
            UnsupportedError: Always; names what to do instead.
        """
        raise UnsupportedError(
            "an Agent can't be copied or pickled: use agent.fork() for a second agent that continues from here, "
            "agent.save() for another process"
        )

    def __repr__(self) -> str:
        """Return, for example, ``<Agent on <Model …>>``."""
        return "<Agent on {!r}{}>".format(self._parts.model, ", closed" if self._parts.handle.closed else "")


show_options(Agent)
