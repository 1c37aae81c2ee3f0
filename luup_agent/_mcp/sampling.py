"""Texts that a server asks a model for, written without a callback of the user."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, List, Optional, Union

from luup_agent._logging import logger
from luup_agent._mcp import sdk
from luup_agent._mcp.callers import Caller, Callers
from luup_agent.errors import InvalidParamError, LuupError
from luup_agent.messages import Message
from luup_agent.model import Model

MOST_REQUESTS = 10  # of one call; as many as the SDK allows within a call of the newest protocol
_MOST_TOKENS = 2**31 - 1

_depth: contextvars.ContextVar[int] = contextvars.ContextVar("luup_mcp_sampling", default=0)


class Refused(Exception):
    """The request is not answered; the server gets the reason."""


class Sampler:
    """Answers the requests of a server with a model. All of it runs in the background loop."""

    def __init__(self, model: Optional[Model], timeout: Optional[float], callers: Callers) -> None:
        """Prepare to answer.

        Args:
            model: The model; None for that of the agent whose call is under way.
            timeout: Seconds for an answer.
            callers: The calls that may ask.
        """
        self._model = model
        self._timeout = timeout
        self._callers = callers

    async def __call__(self, params: Any) -> Any:
        """Answer a request: the SDK's `CreateMessageRequestParams`."""
        types = sdk.load("mcp_types")
        caller = self._callers.find(lambda caller: caller.run._read_messages)
        try:
            answering = self._answer(self._model_for(caller), _read(params), params)
            if caller is None:
                turn = await answering
            else:
                # In the tool's context, so that its tokens count against the run's limits.
                turn = await caller.wait(caller.context.run(asyncio.ensure_future, answering))
        except Refused as refused:
            return types.ErrorData(code=types.INVALID_REQUEST, message=str(refused))
        except LuupError as error:
            logger.warning("the answer to a sampling request of an MCP server failed", exc_info=error)
            reason = f"The client's model failed: {type(error).__name__}"
            return types.ErrorData(code=types.INTERNAL_ERROR, message=reason)
        if caller is not None:
            caller.run.add_usage(turn.usage)
        return types.CreateMessageResult(
            role="assistant",
            content=types.TextContent(text=turn.text),
            model="luup-agent",
            stop_reason="maxTokens" if turn.finish_reason == "length" else "endTurn",
        )

    def _model_for(self, caller: Optional[Caller]) -> Model:
        if caller is not None:
            if caller.context.get(_depth, 0) > 0:
                raise Refused("The request came while another one was being answered")
            caller.texts += 1
            if caller.texts > MOST_REQUESTS:
                raise Refused(f"A call may ask for {MOST_REQUESTS} texts")
        if self._model is not None:
            return self._model
        agent = None if caller is None else caller.run.agent
        if agent is None:
            raise Refused("It is not known which agent's call the request belongs to")
        return agent.model

    async def _answer(self, model: Model, messages: List[Message], params: Any) -> Any:
        from luup_agent._one_turn import TurnRequest, answer_async  # it makes an agent

        _depth.set(_depth.get() + 1)
        options: Any = {"max_tokens": min(max(params.max_tokens, 1), _MOST_TOKENS), "timeout": self._timeout}
        if params.temperature is not None:
            options["temperature"] = params.temperature
        if params.stop_sequences:
            options["stop"] = list(params.stop_sequences)
        return await answer_async(model, TurnRequest(messages, options=options))


def _read(params: Any) -> List[Message]:
    """Return the conversation that a server wants to go on.

    Raises:
        Refused: It has something else than texts.
    """
    if params.tools:
        raise Refused("The client's model answers such requests without tools")
    messages = [] if params.system_prompt is None else [Message(role="system", content=params.system_prompt)]
    for message in params.messages:
        blocks = message.content if isinstance(message.content, list) else [message.content]
        texts: List[str] = [getattr(block, "text", "") for block in blocks if block.type == "text"]
        if len(texts) < len(blocks):
            raise Refused("The client's model reads texts only")
        messages.append(Message(role=message.role, content="\n".join(texts)))
    if not messages or messages[-1].role != "user":
        raise Refused("The conversation must end with a message of the user")
    return messages


def sampler_for(sampling: Union[str, Model, None], timeout: Optional[float], callers: Callers) -> Optional[Sampler]:
    """Return the object that answers for the argument `sampling` of `MCP`; None for no argument.

    Raises:
        InvalidParamError: The argument is wrong.
    """
    if sampling is None:
        return None
    if isinstance(sampling, Model):
        return Sampler(sampling, timeout, callers)
    if sampling == "model":
        return Sampler(None, timeout, callers)
    shown = repr(sampling) if isinstance(sampling, str) else type(sampling).__name__
    raise InvalidParamError(f"sampling must be 'model', a Model or None, not {shown}; a function is for on_sampling")
