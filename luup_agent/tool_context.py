"""What a tool may know of its run, and how it asks the model for a better call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Generic, List

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from luup_agent.agent import Agent
    from luup_agent.messages import Message

Deps = TypeVar("Deps", default=None)


class ModelRetry(Exception):
    """Raised by a tool, or by a validator of a typed result: tells the model what to do better, and lets it try again.

    Example:
        >>> def find_user(name: str) -> int:
        ...     if " " not in name:
        ...         raise ModelRetry("Give the first name and the last name.")
        ...     return 17
    """


class RunContext(Generic[Deps]):
    """What a tool gets if its first parameter is annotated with it; the model knows nothing of it.

    Attributes:
        deps: What the run was given as `deps`.
        agent: The agent that the tool runs for.
        tool_name: The name by which the model called the tool.
        call_id: Tells this call from the others of the conversation.
        retry: How often the model was asked to call this tool better in this run, before this call.

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
        """Such as ``<RunContext of add, call_1>``."""
        return f"<RunContext of {self.tool_name}, {self.call_id}>"
