"""`RunContext`, which a tool may take, and `ModelRetry`, which it may raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Generic, List

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from luup_agent.agent import Agent
    from luup_agent.messages import Message

Deps = TypeVar("Deps", default=None)


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

    Attributes:
        deps: The run's `deps`.
        agent: The agent that the tool runs for.
        tool_name: The name by which the model called the tool.
        call_id: The id of the call, unique in the conversation.
        retry: In how many turns of this run the model has called this tool in vain before.

    Example:
        >>> @agent.tool
        ... def order(ctx: RunContext[str], item: str) -> str:
        ...     return f"{ctx.deps} has ordered {item}."
    """

    __slots__ = ("_read_messages", "agent", "call_id", "deps", "retry", "tool_name")

    def __init__(
        self,
        deps: Deps,
        agent: Agent,
        tool_name: str,
        call_id: str,
        retry: int,
        read_messages: Callable[[], List[Message]],
    ) -> None:
        self.deps = deps
        self.agent = agent
        self.tool_name = tool_name
        self.call_id = call_id
        self.retry = retry
        self._read_messages = read_messages

    @property
    def messages(self) -> List[Message]:
        """The messages that the run has added to the conversation so far.

        Raises:
            ClosedError: The run has ended, for a tool that goes on after it.
        """
        return self._read_messages()

    def __repr__(self) -> str:
        """Return, for example, ``<RunContext of add, call_1>``."""
        return f"<RunContext of {self.tool_name}, {self.call_id}>"
