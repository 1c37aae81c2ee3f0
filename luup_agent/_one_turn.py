"""One answer of a model to a given conversation; no tool is run, and nothing is remembered.

Other frameworks and servers hold the conversation and run the tools themselves. They need one turn: text, thoughts and
tool calls. `answer`, `answer_async`, `stream` and `stream_async` make an agent for it, which costs little: the engine
finds the part of the conversation that it has computed before.

The calls are those that the model wrote, also calls of unknown tools and with arguments that the schema refuses: the
caller reports such errors to the model in its own way. The ids are unique in the conversation.
"""

from __future__ import annotations

import contextlib
import functools
import json
from typing import (
    Any,
    AsyncIterator,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from luup_agent._json import write_json
from luup_agent._run.async_run import AsyncEventStream
from luup_agent._run.record import no_usage
from luup_agent._run.sync_run import Stream
from luup_agent.agent import Agent
from luup_agent.errors import (
    InvalidOutputError,
    InvalidParamError,
    InvalidSchemaError,
    LuupError,
    MaxTurnsError,
    ToolRetryError,
)
from luup_agent.messages import (
    AgentResponse,
    Event,
    FinishReason,
    Message,
    ProgressEvent,
    ReasoningEvent,
    TextEvent,
    TokenLogprob,
    ToolCall,
    Usage,
)
from luup_agent.model import Model
from luup_agent.outputs import Output
from luup_agent.settings import RunOptions
from luup_agent.tools import AnyTool, Tool

__all__ = [
    "AsyncTurnStream",
    "Piece",
    "ToolDefinition",
    "Turn",
    "TurnRequest",
    "TurnStream",
    "answer",
    "answer_async",
    "count_tokens",
    "stream",
    "stream_async",
]


class ToolDefinition(NamedTuple):
    """A tool that the caller runs.

    Attributes:
        name: 1 to 64 letters, digits, "_" or "-".
        description: The description for the model.
        parameters: The JSON schema of the arguments.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]


class TurnRequest(NamedTuple):
    """The question of one turn.

    Attributes:
        messages: The conversation. System messages may be anywhere. It ends with a message of the user or with the
            results of tools; an empty message of the user is added to one that has instructions alone, or ends with an
            answer. The text of a result that is an error begins with "Error: ".
        tools: The tools that the model may call.
        tool_choice: "auto", "required", "none", or the name of a tool.
        output: The form of the answer; None for text.
        options: The settings of the turn; `Agent` has their defaults.
    """

    messages: Sequence[Message]
    tools: Sequence[ToolDefinition] = ()
    tool_choice: str = "auto"
    output: Optional[Output[Any]] = None
    options: RunOptions = RunOptions()


class Turn(NamedTuple):
    """The answer.

    Attributes:
        message: The answer as a message of the conversation, with the fields that only its server knows.
        finish_reason: "stop", "length" or "tool_calls".
        usage: The token counts.
        logprobs: The tokens of the text with their probabilities, if the options ask for them.
    """

    message: Message
    finish_reason: FinishReason
    usage: Usage
    logprobs: List[TokenLogprob]

    @property
    def text(self) -> str:
        """The text, which may precede calls."""
        return self.message.content

    @property
    def reasoning(self) -> Optional[str]:
        """The thoughts; None if there are none."""
        return self.message.reasoning

    @property
    def tool_calls(self) -> Tuple[ToolCall, ...]:
        """The calls."""
        return self.message.tool_calls


Piece = Union[TextEvent, ReasoningEvent, ProgressEvent, Turn]
_PIECES = (TextEvent, ReasoningEvent, ProgressEvent)


def answer(model: Model, request: TurnRequest) -> Turn:
    """Return the answer of `model`.

    Raises:
        InvalidParamError: A message, a tool or an option is wrong.
        InvalidSchemaError: The schema of a tool or of the answer can't be enforced.
        LuupError: The run failed, see `Agent.run`. A typed answer that is cut off or wrong is returned as it is.
    """
    try:
        return _of_response(_agent(model, _asking(request)).run(None))
    except LuupError as error:
        return _of_error(error)


async def answer_async(model: Model, request: TurnRequest) -> Turn:
    """Do the same as `answer`, under asyncio. Cancelling the task ends the computation."""
    try:
        return _of_response(await _agent(model, _asking(request)).run_async(None))
    except LuupError as error:
        return _of_error(error)


class TurnStream(Iterator[Piece]):
    """The pieces of an answer; the last one is the `Turn`.

    The computation has begun. `close`, from any thread, and garbage collection end it.
    """

    def __init__(self, events: Stream[Event[Any]]) -> None:
        """Read the events of a run."""
        self._events = events
        self._ended = False

    def __next__(self) -> Piece:
        """Return the next piece."""
        while not self._ended:
            try:
                event = next(self._events)
            except StopIteration:
                break
            except LuupError as error:
                self._ended = True
                return _of_error(error)
            if isinstance(event, _PIECES):
                return event
            if event.type == "done":
                self.close()
                return _of_response(event.response)
        raise StopIteration

    def close(self) -> None:
        """End the computation."""
        self._ended = True
        self._events.close()


class AsyncTurnStream(AsyncIterator[Piece]):
    """The pieces of an answer; the last one is the `Turn`.

    The computation begins when the first piece is awaited. `close`, the cancellation of the task that waits, and
    garbage collection end it.
    """

    def __init__(self, events: AsyncEventStream[Any]) -> None:
        """Read the events of a run."""
        self._events = events
        self._ended = False

    def __aiter__(self) -> AsyncTurnStream:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Piece:
        """Return the next piece."""
        while not self._ended:
            try:
                event = await self._events.__anext__()
            except StopAsyncIteration:
                break
            except LuupError as error:
                if self._ended:
                    break  # `close` was called
                self._ended = True
                return _of_error(error)
            if isinstance(event, _PIECES):
                return event
            if event.type == "done":
                self.close()
                return _of_response(event.response)
        raise StopAsyncIteration

    def close(self) -> None:
        """End the computation, from any task or thread. A task that waits for a piece sees the end of the stream."""
        self._ended = True
        self._events._close()


def stream(model: Model, request: TurnRequest) -> TurnStream:
    """Return the answer of `model` piece by piece.

    Raises:
        LuupError: As `answer`; errors after the start are raised by the iteration.
    """
    return TurnStream(_agent(model, _asking(request)).stream_events(None))


def stream_async(model: Model, request: TurnRequest) -> AsyncTurnStream:
    """Do the same as `stream`, under asyncio."""
    return AsyncTurnStream(_agent(model, _asking(request)).stream_events_async(None))


def count_tokens(model: Model, request: TurnRequest) -> int:
    """Return the number of tokens of the prompt, without the schema of a typed answer.

    Raises:
        UnsupportedError: The model is remote.
        LuupError: As `answer`.
    """
    request = _asking(request)
    *earlier, last = request.messages or [Message(role="user", content="")]
    if last.role == "user" and last.content:
        return len(_agent(model, request._replace(messages=earlier))._prompt_tokens(last.content))
    # The prompt of a history lacks the template's opening of the answer.
    question = Message(role="user", content="?")
    opening = len(_agent(model, TurnRequest([]))._prompt_tokens("?"))
    opening -= len(_agent(model, TurnRequest([question]))._prompt_tokens(None))
    return len(_agent(model, request)._prompt_tokens(None)) + opening


# ---------------------------------------------------------------------------------------------------------------------


def _agent(model: Model, request: TurnRequest) -> Agent[Any, Any]:
    """Return an agent with the conversation, whose run ends with the first answer."""
    messages = list(request.messages)
    system = messages[0].content if messages and messages[0].role == "system" else None
    options: Dict[str, Any] = {
        **request.options,
        "tools": [_tool(each) for each in request.tools],
        "tool_choice": request.tool_choice,
        "max_turns": 1,
        "retries": 0,  # the caller asks for a better answer itself
    }
    agent: Agent[Any, Any] = Agent(model, system, output_type=request.output, enable_builtin_tools=False, **options)
    agent.set_history(messages[1:] if system == "" else messages)
    return agent


def _asking(request: TurnRequest) -> TurnRequest:
    """Return a request whose conversation ends with something to answer: most chat templates answer users only."""
    spoken = [message for message in request.messages if message.role != "system"]
    if not request.messages or (spoken and (spoken[-1].role != "assistant" or spoken[-1].tool_calls)):
        return request
    return request._replace(messages=[*request.messages, Message(role="user", content="")])


def _tool(definition: ToolDefinition) -> AnyTool:
    where = f"tool {definition.name!r}"
    parameters = write_json(f"{where}: its JSON schema", dict(definition.parameters), InvalidSchemaError)
    return _tool_of(definition.name, definition.description, parameters)


@functools.lru_cache(maxsize=256)
def _tool_of(name: str, description: str, parameters: str) -> AnyTool:
    """Return a tool whose calls wait for ever: so the run ends with them. Making one compiles its schema."""
    return Tool(
        _never_called, name=name, description=description, parameters=json.loads(parameters), requires_approval=True
    )


def _never_called(**arguments: Any) -> NoReturn:
    raise AssertionError("the caller of the turn runs the tools")


def _of_response(response: AgentResponse[Any]) -> Turn:
    return Turn(_answer_in(response.messages), response.finish_reason, response.usage, response.logprobs)


def _of_error(error: LuupError) -> Turn:
    """Return the turn of a run that failed only because its answer is not corrected here.

    Raises:
        LuupError: It failed for another reason.
    """
    usage = error.usage or no_usage()
    if isinstance(error, (MaxTurnsError, ToolRetryError)) and error.messages:  # all or some calls were refused
        return Turn(_answer_in(error.messages), "tool_calls", usage, [])
    if isinstance(error, InvalidOutputError):
        cut_off = error.finish_reason == "length"
        with contextlib.suppress(InvalidParamError):
            return Turn(_answer_in(error.messages), "length" if cut_off else "stop", usage, [])
        if cut_off:
            return Turn(Message(role="assistant", content=error.partial_text), "length", usage, [])
    raise error


def _answer_in(messages: Sequence[Message]) -> Message:
    for message in reversed(messages):
        if message.role == "assistant":
            return message
    raise InvalidParamError("the run has no answer")
