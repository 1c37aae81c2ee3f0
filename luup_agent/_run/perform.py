"""Calling the function of a tool, and making the result for the model.

`call_tool` is the one place where a tool is called. A function is called in the thread that calls `perform`; a
coroutine runs in the event loop of `perform_async`, which `perform` makes one for.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, TypeVar, Union

from pydantic import ValidationError

from luup_agent._logging import logger
from luup_agent._run.tally import Tally, current
from luup_agent._run.typed_output import explain
from luup_agent._tools import person
from luup_agent._tools.context import ModelRetry, RunContext
from luup_agent._tools.results import clean, shorten, to_text
from luup_agent.messages import ToolCall, ToolResult
from luup_agent.tools import AnyTool

if TYPE_CHECKING:
    from luup_agent._run.watch import CallWatch

T = TypeVar("T")


class Outcome(NamedTuple):
    """The result of a call.

    Attributes:
        content: The text for the model.
        is_error: Whether the text is an error message.
        retry: The error for which the model has to call again; counts against the tool's `retries`.
        error: The error that ends the run.
        kind: The class of the exception behind an error message, for telemetry; "" if there is none.
    """

    content: str
    is_error: bool = False
    retry: Optional[Exception] = None
    error: Optional[BaseException] = None
    kind: str = ""


class Job(NamedTuple):
    """A call of the model with the tool that answers it.

    Attributes:
        call: The call.
        tool: The tool.
        context: For the tool's function.
        deadline: When the tool's `timeout` passes, on the monotonic clock.
        watch: Watches the call; None for none.
        tally: Where the runs of the tool count; None without limits.
    """

    call: ToolCall
    tool: AnyTool
    context: RunContext[Any]
    deadline: float
    watch: Optional[CallWatch] = None
    tally: Optional[Tally] = None

    def arguments(self) -> Tuple[List[Any], Dict[str, Any]]:
        """Return the positional and the keyword arguments of the function.

        Raises:
            pydantic.ValidationError: The model's arguments are not valid.
            ValueError: Likewise, for a tool whose schema was given.
        """
        positional, keywords = self.tool._parse(self.call.arguments_json)
        return ([self.context, *positional] if self.tool.takes_context else positional), keywords


async def call_tool(job: Job) -> Outcome:
    """Call the tool's function, with the run's tally and its person for the runs that it makes."""
    ask = person.of(job.context.agent)
    if job.tally is None and ask is None:
        return await _call_tool(job)
    with _held(current, job.tally), _held(person.current, ask):
        return await _call_tool(job)


@contextlib.contextmanager
def _held(variable: contextvars.ContextVar[Optional[T]], value: Optional[T]) -> Iterator[None]:
    """Set a context variable inside a ``with`` block; None leaves the value of the run above."""
    if value is None:
        yield
        return
    token = variable.set(value)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # closed by the garbage collector, in another context
            variable.reset(token)


async def _call_tool(job: Job) -> Outcome:
    """Call the tool's function. Only a coroutine function suspends this coroutine.

    Raises:
        BaseException: The task was cancelled that runs a coroutine function.
    """
    if job.watch is None:
        return await _call(job)
    with job.watch:
        outcome = await _call(job)
        job.watch.end(outcome)
    return outcome


async def _call(job: Job) -> Outcome:
    tool = job.tool
    try:
        positional, keywords = job.arguments()
    except (ValidationError, ValueError) as error:
        return refused(tool, error)
    except BaseException as error:
        return failed(tool, error)
    try:
        value = tool.function(*positional, **keywords)
        if inspect.isawaitable(value):
            value = await value if tool.is_async else _wait_for(value)
        if isinstance(value, ToolResult):
            return Outcome(to_text(value.content, tool.max_result_chars), value.is_error)
        return Outcome(to_text(value, tool.max_result_chars))
    except BaseException as error:
        if tool.is_async and (isinstance(error, GeneratorExit) or _is_cancellation(error)):
            raise
        return failed(tool, error)


def perform(job: Job) -> Outcome:
    """Call the tool in this thread; a coroutine function in an event loop of its own. Raises nothing."""
    try:
        return _perform(job)
    except BaseException as error:  # a thread waits for the outcome
        return Outcome("Error: the tool failed", True, error=error, kind=type(error).__name__)


def _perform(job: Job) -> Outcome:
    if not job.tool.is_async:
        try:
            call_tool(job).send(None)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        raise AssertionError("only a coroutine function may suspend call_tool")
    import asyncio

    try:
        return asyncio.run(perform_async(job))
    except BaseException as error:
        return failed(job.tool, error)


async def perform_async(job: Job) -> Outcome:
    """Call a tool that is a coroutine function in this task, for at most its `timeout`."""
    if job.tool.timeout is None:
        return await call_tool(job)
    import asyncio

    try:
        return await asyncio.wait_for(call_tool(job), job.tool.timeout)
    except asyncio.TimeoutError:  # never the tool's own, which is an outcome
        return late(job.tool)


def _wait_for(awaitable: Any) -> Any:
    """Return the value of an awaitable that came from a function which is not a coroutine function."""
    import asyncio

    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())


def refused(tool: AnyTool, error: Union[ValidationError, ValueError]) -> Outcome:
    """Return the outcome of a call with invalid arguments."""
    try:
        reason = explain(error) if isinstance(error, ValidationError) else str(error)
    except BaseException as problem:  # raised by code of the user: the text of an exception in a validator
        return failed(tool, problem)
    return Outcome(clean(f"Error: the arguments are not valid:\n{reason}"), True, error, kind=type(error).__name__)


def failed(tool: AnyTool, error: BaseException) -> Outcome:
    """Return the outcome of a call that raised `error`. Raises nothing, whatever the exception or the logging does."""
    kind = type(error).__name__
    if isinstance(error, ModelRetry):
        return Outcome(text_of(error) or kind, True, error, kind=kind)
    summary = f"Error: {kind}"
    if tool.on_error == "raise" or not (isinstance(error, Exception) or _is_cancellation(error)):
        return Outcome(summary, True, error=error, kind=kind)
    try:
        logger.warning("the tool %r failed", tool.name, exc_info=error)
    except Exception:  # a handler or a filter of the program; the model gets the result nevertheless
        pass
    except BaseException as problem:
        return Outcome(summary, True, error=problem, kind=kind)
    if tool.on_error == "tell":
        summary += f": {text_of(error)}"
    return Outcome(clean(shorten(summary, tool.max_result_chars)), True, kind=kind)


def text_of(error: BaseException) -> str:
    """Return the text of an exception; "" if its class has no working one."""
    try:
        return clean(str(error))
    except BaseException:  # code of the user, which may raise anything, even SystemExit
        return ""


def late(tool: AnyTool) -> Outcome:
    """Return the outcome of a call that took longer than the tool's `timeout`."""
    return Outcome(f"Error: the tool did not answer within {tool.timeout:g} seconds", True, kind="timeout")


def _is_cancellation(error: BaseException) -> bool:
    """Tell whether something that a tool waited for was cancelled."""
    if isinstance(error, Exception):
        return False
    import asyncio

    return isinstance(error, asyncio.CancelledError)
