"""One run for one answer to a request: the agent, its history and its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncGenerator, Callable, Dict, List, Mapping, Optional, Tuple, Union

from luup_agent._agent.hooks import make_prompt
from luup_agent._run.async_run import AsyncEventStream
from luup_agent._server.chat_request import ChatTask
from luup_agent._server.config import Served
from luup_agent._server.failures import RequestError
from luup_agent._server.questions import AnswerQuestions
from luup_agent._tools.context import RunContext
from luup_agent.agent import Agent
from luup_agent.messages import Message

if TYPE_CHECKING:
    from luup_agent._run.run import Run
    from luup_agent._server.text_request import TextTask


Events = Union[AsyncEventStream[Any], AsyncGenerator[Any, None]]


class Answer:
    """An answer that is being made.

    Attributes:
        agent: The agent that answers; its tools need it as long as the run goes on.
        events: The events of its run, which begins when the first of them is awaited.
    """

    def __init__(self, agent: Agent[Any, Any], run: Run) -> None:
        """Read the events of a run of an agent."""
        self.agent = agent
        self.events: Events = AsyncEventStream(run)

    def ask_with(self, questions: AnswerQuestions) -> None:
        """Pass questions of MCP servers on to the client, as events of the answer."""
        self.agent._ask_user = questions.ask
        assert isinstance(self.events, AsyncEventStream)
        self.events = questions.among(self.events)

    async def close(self) -> None:
        """Cancel the run if it goes on, and release the memory."""
        await self.events.aclose()
        self.agent.close()


def answer_chat(served: Served, task: ChatTask, index: int) -> Answer:
    """Prepare the answer with this index of a request.

    Raises:
        RequestError: The request does not fit the model.
        LuupError: A value of the request is wrong.
    """
    options = _options(task.options, index)
    if served.kind == "agent" and not task.names_length:
        options["max_tokens"] = _shorter(served.value._parts.settings.max_tokens, options["max_tokens"])
    agent = _agent_for(served, task, options)
    pending = {call.id for call in agent.pending}
    if pending and not task.approvals:
        missing = ", ".join(sorted(pending))
        raise RequestError(400, f"messages have no result for these calls: {missing}", "invalid_value", "messages")
    if task.approvals:
        return Answer(agent, agent._resumed_run("resume", task.approvals, options, task.output))
    return Answer(agent, agent._new_run("stream_events_async", None, options, task.output))


def answer_text(served: Served, task: TextTask, index: int) -> Answer:
    """Prepare the answer with this index of a request for completions.

    Raises:
        LuupError: A value of the request is wrong.
    """
    agent: Agent[Any, Any] = Agent(served.value, enable_builtin_tools=False, enable_history=False)
    prompt = task.prompts[index // task.each]
    options = _options(task.options, index % task.each)
    return Answer(agent, agent._new_run("stream_events_async", prompt, options, raw=True))


def _shorter(first: Optional[int], second: Optional[int]) -> Optional[int]:
    """Return the smaller limit; None stands for none."""
    return min((each for each in (first, second) if each is not None), default=None)


def _options(options: Mapping[str, Any], index: int) -> Dict[str, Any]:
    """Return the settings of the answer with this index: with a seed, answers should differ."""
    if index and "seed" in options:
        return {**options, "seed": (options["seed"] + index) % (2**32 - 1)}
    return dict(options)


def _agent_for(served: Served, task: ChatTask, options: Dict[str, Any]) -> Agent[Any, Any]:
    """Return an agent with the conversation of a request; `options` get what the run needs."""
    if task.approvals and served.kind != "agent":
        raise RequestError(
            400, "approvals need an agent: a model has no tools of its own", "invalid_value", "approvals"
        )
    if task.output is not None and task.stream:
        options["retries"] = 0  # a client can't take back what it has read
    if served.kind == "model":
        system, rest = _split(task.messages)
        agent: Agent[Any, Any] = Agent(served.value, system, tools=task.tools, enable_builtin_tools=False)
        agent.set_history(rest)
        return agent
    agent = _copy(served.value, task)
    taken = sorted({tool.name for tool in task.tools} & set(served.value.tools))
    if taken:
        named = ", ".join(map(repr, taken))
        raise RequestError(400, f"the agent has tools of its own with these names: {named}", "invalid_value", "tools")
    if task.tools:
        options["tools"] = task.tools
    return agent


def _copy(original: Agent[Any, Any], task: ChatTask) -> Agent[Any, Any]:
    """Return a copy of an agent with the conversation of a request.

    The agent's own system prompt comes first, and that of the request follows it.
    """
    own = original._parts.system_prompt
    system, rest = _split(task.messages)
    if original._parts.prompt_function is not None:
        agent = original.fork()
        if system is not None:
            agent.system_prompt = _followed_by(system, original._parts.prompt_function)
        agent.set_history(rest)
        return agent
    if system is None or own is not None:
        agent = original.fork()
        first = [] if own is None else [Message(role="system", content=own)]
        agent.set_history([*first, *task.messages])
        return agent
    if original._parts.builtins.names:
        message = "this agent takes no system message: it has built-in tools and no system prompt of its own"
        raise RequestError(400, message, "invalid_value", "messages")
    options: Dict[str, Any] = {**original._parts.settings._asdict(), "tools": tuple(original.tools.values())}
    options.update(output_type=original.output_type, enable_tool_calling=original.enable_tool_calling)
    agent = Agent(original.model, system, enable_builtin_tools=False, **options)
    agent.set_history(rest)
    return agent


def _followed_by(system: str, function: Callable[..., Any]) -> Callable[[RunContext[Any]], Any]:
    async def prompt(context: RunContext[Any]) -> str:
        own = await make_prompt(function, context, True)
        return system if own is None else f"{own}\n\n{system}"

    return prompt


def _split(messages: List[Message]) -> Tuple[Optional[str], List[Message]]:
    """Return the system message at the beginning of a conversation, None without one, and the rest."""
    if messages[0].role == "system":
        return messages[0].content or None, messages[1:]
    return None, messages
