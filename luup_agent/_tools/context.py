"""`RunContext`, which a tool may take, and `ModelRetry`, which it may raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Generic, List, Optional

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from luup_agent.agent import Agent
    from luup_agent.messages import Message, Usage

Deps = TypeVar("Deps", covariant=True, default=Any)


class ModelRetry(Exception):
    """Raised by a tool, or by a validator of a typed result, to have the model try again. The model gets the message.

    Example:
        >>> def find_user(name: str) -> int:
        ...     if " " not in name:
        ...         raise ModelRetry("Give the first name and the last name.")
        ...     return 17
    """


class RunContext(Generic[Deps]):
    """The context of a tool call, for a tool whose first parameter is annotated with it. The model does not see it.

    A function that chooses the tools of a run gets one too, before the first call: see `DynamicToolset`.

    Attributes:
        deps: The run's `deps`.
        agent: The agent that the tool runs for.
        tool_name: The name by which the model called the tool; "" before the first call.
        call_id: The id of the call, unique in the conversation; "" before the first call.
        retry: The number of earlier turns of this run in which calls of this tool failed.
        run_id: The id of a durable run, see `DurableRuns`; None for other runs. With `call_id` it is a key by which a
            tool can recognise a call that another process has begun.

    Example:
        >>> @agent.tool
        ... def order(ctx: RunContext[str], item: str) -> str:
        ...     return f"{ctx.deps} has ordered {item}."
    """

    __slots__ = ("_add_usage", "_read_messages", "agent", "call_id", "deps", "retry", "run_id", "tool_name")

    if TYPE_CHECKING:
        __reduce__: None  # type: ignore[assignment]  # pyright: ignore  # see `_agent.declaring`

    def __init__(
        self,
        deps: Deps,
        agent: Agent[Any, Any],
        tool_name: str,
        call_id: str,
        retry: int,
        read_messages: Callable[[], List[Message]],
        add_usage: Optional[Callable[[Usage], object]] = None,
    ) -> None:
        self.deps = deps
        self.agent = agent
        self.tool_name = tool_name
        self.call_id = call_id
        self.retry = retry
        self.run_id: Optional[str] = None
        self._read_messages = read_messages
        self._add_usage = add_usage

    @property
    def messages(self) -> List[Message]:
        """The messages that the run has added to the conversation so far.

        Raises:
            ClosedError: The run has ended, for a tool that goes on after it.
        """
        return self._read_messages()

    def add_usage(self, usage: Usage) -> None:
        """Add the tokens of another run, which the tool has made, to the `usage` of the run that called the tool.

        Example:
            >>> @agent.tool
            ... def ask_expert(ctx: RunContext, question: str) -> str:
            ...     response = expert.run(question)
            ...     ctx.add_usage(response.usage)
            ...     return response.output
        """
        if self._add_usage is not None:
            self._add_usage(usage)

    def __repr__(self) -> str:
        """Return, for example, ``<RunContext of add, call_1>``."""
        return f"<RunContext of {self.tool_name}, {self.call_id}>"
