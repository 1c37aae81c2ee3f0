"""Functions of the user that a run calls: for its events, its history and its system prompt."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

from luup_agent import _native
from luup_agent._logging import logger
from luup_agent._run.following import Follower
from luup_agent.errors import InvalidParamError
from luup_agent.messages import Event, Message, ToolCall
from luup_agent.settings import Settings

if TYPE_CHECKING:
    from luup_agent._agent.parts import Parts
    from luup_agent._run.run import Run
    from luup_agent._tools.context import RunContext

T = TypeVar("T")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_hooks(settings: Settings) -> None:
    """Check the hooks in the settings of an agent or a run.

    Raises:
        InvalidParamError: One can't be called.
    """
    if settings.on_event is not None and not callable(settings.on_event):
        raise InvalidParamError(f"on_event must be a function or None, not {type(settings.on_event).__name__}")
    for place, processor in _processors(settings):
        if not callable(processor):
            raise InvalidParamError(f"{place} must be a function, not {type(processor).__name__}")


def _processors(settings: Settings) -> List[Tuple[str, Any]]:
    """Return the functions that process the history, with their names for errors."""
    given: Any = settings.process_history
    if given is None:
        return []
    if isinstance(given, (list, tuple)):
        return [(f"process_history[{index}]", each) for index, each in enumerate(given)]
    return [("process_history", given)]


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Tell whether a function needs at least `count` positional arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtin functions have no signature
        return False
    needed = [each for each in parameters if each.kind in _POSITIONAL and each.default is inspect.Parameter.empty]
    return len(needed) >= count


async def _call(place: str, waits: bool, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a hook; only an asynchronous one suspends this coroutine."""
    value = function(*arguments)
    if inspect.isawaitable(value):
        if not waits:
            if isinstance(value, Coroutine):
                value.close()
            raise InvalidParamError(f"{place} must not be asynchronous in a synchronous run")
        value = await value
    return value


def _drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that does not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("only an asynchronous function may suspend it")


class EventHook(Follower):
    """Calls `on_event`. An exception in it is logged, and the run goes on."""

    wants_events = True

    def __init__(self, function: Callable[[Event[Any]], Any]) -> None:
        self._function = function

    def begin(self, run: Run) -> None:
        if inspect.iscoroutinefunction(self._function):
            raise InvalidParamError("on_event must not be asynchronous in a synchronous run")

    async def begin_async(self, run: Run) -> None:
        pass

    def take(self, event: Event[Any]) -> None:
        _drive(self._take(event, False))

    async def take_async(self, event: Event[Any]) -> None:
        await self._take(event, True)

    async def _take(self, event: Event[Any], waits: bool) -> None:
        try:
            await _call("on_event", waits, self._function, event)
        except InvalidParamError:
            if not waits:
                raise
            logger.warning("on_event failed for an event of type %r", event.type, exc_info=True)
        except Exception:
            logger.warning("on_event failed for an event of type %r", event.type, exc_info=True)


class Preparation(Follower):
    """Makes the system prompt of a run, and the history that its model sees."""

    def __init__(self, parts: Parts, context: RunContext[Any], remembers: bool) -> None:
        """Prepare for a run.

        Args:
            parts: The parts of the agent.
            context: The context for the functions.
            remembers: Whether the agent has a history, and so only one run at a time.
        """
        self._parts = parts
        self._context = context
        self._remembers = remembers

    def begin(self, run: Run) -> None:
        _drive(self._prepare(run, False))

    async def begin_async(self, run: Run) -> None:
        await self._prepare(run, True)

    async def _prepare(self, run: Run, waits: bool) -> None:
        if self._parts.prompt_function is not None:
            text = await make_prompt(self._parts.prompt_function, self._context, waits)
            if self._remembers:
                self._parts.set_prompt(text)
            else:
                run.system_prompt = text or ""
        processors = _processors(run.settings)
        if not processors:
            return
        history = [Message.from_dict("history", each) for each in self._parts.handle.native.get_history()]
        seen = history
        for place, function in processors:
            arguments = [list(seen)]
            if _takes(function, 2):
                arguments.insert(0, self._context)  # type: ignore[arg-type]
            seen = _read(place, await _call(place, waits, function, *arguments))
            if _problem(history, _open(history)) is None:  # else it was not the processor's
                problem = _problem(seen, _open(history))
                if problem is not None:
                    raise InvalidParamError(f"{place} returned messages that are not a valid conversation: {problem}")
        run.history = seen


def followers_of(parts: Parts, settings: Settings, context: RunContext[Any], remembers: bool) -> List[Follower]:
    """Return the hooks of a run.

    Args:
        parts: The parts of the agent.
        settings: The settings of the run.
        context: The context for the functions that take one.
        remembers: Whether the agent has a history.

    Raises:
        InvalidParamError: A hook can't be called.
    """
    if parts.prompt_function is None and settings.on_event is None and settings.process_history is None:
        return []
    check_hooks(settings)
    followers: List[Follower] = [Preparation(parts, context, remembers)]
    if settings.on_event is not None:
        followers.append(EventHook(settings.on_event))
    return followers


async def make_prompt(function: Callable[..., Any], context: RunContext[Any], waits: bool) -> Optional[str]:
    """Return the system prompt that a function makes.

    Raises:
        InvalidParamError: It is not a text, or the function is asynchronous and the run is not (`waits`).
    """
    arguments = (context,) if _takes(function, 1) else ()
    text = await _call("the function system_prompt", waits, function, *arguments)
    if text is not None and not isinstance(text, str):
        raise InvalidParamError(f"the function system_prompt must return a str or None, not {type(text).__name__}")
    if text:
        _native.encode_text("the text of the function system_prompt", text)
    return text or None


def prompt_now(parts: Parts, context: RunContext[Any]) -> Optional[str]:
    """Return the system prompt that a synchronous run would have now."""
    function = parts.prompt_function
    return parts.system_prompt if function is None else _drive(make_prompt(function, context, False))


async def prompt_now_async(parts: Parts, context: RunContext[Any]) -> Optional[str]:
    """Return the system prompt that an asynchronous run would have now."""
    function = parts.prompt_function
    return parts.system_prompt if function is None else await make_prompt(function, context, True)


def _read(place: str, messages: Any) -> List[Message]:
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        raise InvalidParamError(f"{place} must return a list of messages, not {type(messages).__name__}")
    found: List[Message] = []
    for index, item in enumerate(messages):
        name = f"the result of {place}, messages[{index}]"
        if not isinstance(item, (Message, Mapping)):
            raise InvalidParamError(f"{name} must be a Message or a dict, not {type(item).__name__}")
        message = item if isinstance(item, Message) else Message.from_dict(name, item)
        _native.encode_text(f"{name}.content", message.content)
        found.append(message)
    return found


def _open(messages: Sequence[Message]) -> Dict[str, ToolCall]:
    """Return the calls at the end of a conversation that have no result."""
    waiting: Dict[str, ToolCall] = {}
    for message in messages:
        if message.role == "tool":
            waiting.pop(message.tool_call_id or "", None)
        else:
            waiting = {call.id: call for call in message.tool_calls}
    return waiting


def _problem(messages: Sequence[Message], pending: Mapping[str, ToolCall]) -> Optional[str]:
    """Return the reason why calls and results do not belong together; None if they do.

    Args:
        messages: The conversation.
        pending: The calls that wait for their results.
    """
    waiting: Dict[str, ToolCall] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                return (
                    f"messages[{index}] is the result of the call {message.tool_call_id!r}, which is missing before "
                    "it; keep or drop a call and its results together"
                )
            del waiting[message.tool_call_id]
            continue
        if waiting:
            return (
                f"the call {next(iter(waiting))!r} has no result before messages[{index}]; keep or drop a call and its "
                "results together"
            )
        waiting = {call.id: call for call in message.tool_calls}
    if waiting.keys() != pending.keys():
        lacking = [*(pending.keys() - waiting.keys()), *(waiting.keys() - pending.keys())]
        return f"the calls that wait for their results must stay as they are, but {lacking[0]!r} does not"
    return None
