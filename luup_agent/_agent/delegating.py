"""The method of `Agent` that makes a tool of an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, cast

from luup_agent._agent.state import AgentState
from luup_agent._tools.context import RunContext
from luup_agent._tools.results import MAX_RESULT_CHARS
from luup_agent.errors import LuupError
from luup_agent.messages import ToolResult
from luup_agent.tools import AnyTool, Tool

if TYPE_CHECKING:
    from luup_agent.agent import Agent


class Delegating(AgentState):
    """The method of `Agent` that makes a tool of an agent."""

    def as_tool(
        self,
        name: str,
        description: str,
        *,
        timeout: Optional[float] = None,
        requires_approval: bool = False,
        max_result_chars: int = MAX_RESULT_CHARS,
    ) -> AnyTool:
        """Return a tool with which another agent's model asks this agent.

        Each call starts a conversation of its own, which this agent does not remember; several may run at once. Its
        tokens are in the `usage` of the run that calls the tool. The agent's tools get the `deps` of that run, unless
        the agent has its own. An error of this agent becomes the result of the call.

        Args:
            name: The name of the tool for the model.
            description: When to ask this agent, for the model.
            timeout: Seconds for a call; None for no limit.
            requires_approval: Have calls wait for an approval.
            max_result_chars: The most characters of the answer that the model gets.

        Returns:
            The tool. Its only parameter is the message for this agent.

        Raises:
            InvalidParamError: An argument is wrong.

        Example:
            >>> geographer = Agent(model, "You know the countries of the world.", temperature=0)
            >>> lead = Agent(model, tools=[geographer.as_tool("ask_geographer", "Answers questions about countries.")])
        """
        agent = cast("Agent[Any, Any]", self)

        async def ask(ctx: RunContext[Any], message: str) -> Any:
            with agent.fork() as asked:
                asked.clear_history()
                deps = agent._parts.settings.deps
                try:
                    response = await asked.run_async(message, deps=ctx.deps if deps is None else deps)
                except LuupError as error:
                    if error.usage is not None:
                        ctx.add_usage(error.usage)
                    return ToolResult(f"Error: {type(error).__name__}: {error}", True)
            ctx.add_usage(response.usage)
            if response.pending:
                names = ", ".join(call.name for call in response.pending)
                return ToolResult(f"Error: ApprovalRequiredError: calls wait for an approval: {names}", True)
            return response.output

        parameters = {
            "type": "object",
            "properties": {"message": {"type": "string", "description": "What to ask."}},
            "required": ["message"],
        }
        return Tool(
            ask,
            name=name,
            description=description,
            parameters=parameters,
            timeout=timeout,
            requires_approval=requires_approval,
            max_result_chars=max_result_chars,
        )
