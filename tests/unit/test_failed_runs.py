"""The error of a failed run reports: its messages, its calls with their results, and what it cost."""

import asyncio
import threading
import time

import pytest
from pydantic import AfterValidator
from typing_extensions import Annotated

from luup_agent import (
    Agent,
    ApprovalRequiredError,
    ContextFullError,
    HTTPError,
    InvalidOutputError,
    LuupError,
    MaxTurnsError,
    ModelRetry,
    RunCancelledError,
    RunTimeoutError,
    Tool,
    ToolRetryError,
    Usage,
)
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

DRIVERS = ["text", "pieces", "response", "events"]
OPEN = "Error: the run ended before this call was answered"


@pytest.fixture(params=DRIVERS)
def drive(api, request):
    """Answers a message in one of the ways to do so."""
    return getattr(api, request.param)


def mailer(sent):
    def send(to: str) -> str:
        """Sends a mail."""
        sent.append(to)
        return f"sent to {to}"

    return send


def roles(messages):
    return [message.role for message in messages]


def told(error):
    return [(call.name, call.result and call.result.content) for call in error.tool_calls]


def check(error, agent, message="Go."):
    """Check that all that an error tells fits together, and that the history could go on with it."""
    assert error.messages[0].content == message
    made = [call for m in error.messages for call in m.tool_calls]
    assert [call.id for call in made] == [call.id for call in error.tool_calls]
    answers = {m.tool_call_id: m.content for m in error.messages if m.role == "tool"}
    for call in error.tool_calls:
        assert answers[call.id] == (call.result.content if call.result is not None else OPEN)
    assert isinstance(error.usage, Usage)
    assert error.usage.total_tokens == error.usage.prompt_tokens + error.usage.completion_tokens
    other = Agent(ScriptedModel(["Fine."]), agent.system_prompt)
    other.set_history([*agent.get_history(), *error.messages])
    assert other.generate("Go on.") == "Fine."


def failing(drive, agent, error, message="Go.", **options):
    with pytest.raises(error) as caught:
        drive(agent, message, **options)
    check(caught.value, agent, message)
    return caught.value


# ---------------------------------------------------------------------------------------------------------------------
# The ends of a run
# ---------------------------------------------------------------------------------------------------------------------


def test_three_mails_and_too_many_turns(drive):
    sent = []
    agent = Agent(ScriptedModel([tool_call("send", to=name) for name in "abc"]), tools=[mailer(sent)], max_turns=3)
    error = failing(drive, agent, MaxTurnsError)
    assert sent == ["a", "b", "c"]
    assert told(error) == [("send", f"sent to {name}") for name in sent]
    assert roles(error.messages) == ["user", *["assistant", "tool"] * 3]
    assert error.usage.turns == 3
    assert error.usage.completion_tokens > 0
    assert agent.get_history() == []


def test_a_tool_that_raises_ends_the_run(drive):
    sent = []

    def fail(n: int) -> int:
        raise ZeroDivisionError("secret")

    tools = [mailer(sent), Tool(fail, on_error="raise")]
    script = [tool_call("send", to="a"), [tool_call("send", to="b"), tool_call("fail", n=1)]]
    error = failing(drive, Agent(ScriptedModel(script), tools=tools), ZeroDivisionError)
    assert told(error)[0] == ("send", "sent to a")
    assert told(error)[1] in [("send", "sent to b"), ("send", None)]
    assert told(error)[2] == ("fail", "Error: ZeroDivisionError")
    assert error.tool_calls[2].result.is_error
    assert error.usage.turns == 2


def test_results_that_have_come_are_kept_when_another_tool_raises(drive):
    done = threading.Event()

    def quick() -> str:
        done.set()
        return "quick"

    def slow() -> str:
        done.wait(30)
        time.sleep(0.2)  # the result of the other has been handed over
        raise KeyError("slow")

    script = [[tool_call("slow"), tool_call("quick")]]
    error = failing(drive, Agent(ScriptedModel(script), tools=[Tool(slow, on_error="raise"), quick]), KeyError)
    assert told(error) == [("slow", "Error: KeyError"), ("quick", "quick")]


def test_a_call_that_was_interrupted_has_no_result(drive):
    release = threading.Event()

    def endless() -> str:
        release.wait(30)
        return "late"

    def fail() -> str:
        time.sleep(0.1)
        raise KeyError("x")

    tools = [endless, Tool(fail, on_error="raise")]
    agent = Agent(ScriptedModel([[tool_call("endless"), tool_call("fail")]]), tools=tools)
    error = failing(drive, agent, KeyError)
    release.set()
    assert told(error) == [("endless", None), ("fail", "Error: KeyError")]


def test_too_many_retries_of_a_tool(drive):
    def pick(n: int) -> int:
        raise ModelRetry("Another one.")

    agent = Agent(ScriptedModel([tool_call("pick", n=1), tool_call("pick", n=2)]), tools=[pick], retries=1)
    error = failing(drive, agent, ToolRetryError)
    assert told(error) == [("pick", "Error: Another one.")] * 2
    assert error.call.arguments == {"n": 2}


def test_a_time_limit_in_a_tool(drive):
    release = threading.Event()

    def sleep() -> str:
        release.wait(30)
        return "late"

    agent = Agent(ScriptedModel([tool_call("sleep")]), tools=[sleep], timeout=0.3)
    error = failing(drive, agent, RunTimeoutError)
    release.set()
    assert told(error) == [("sleep", None)]


@pytest.fixture
def unfinished(api):
    """Makes a model that begins its second answer and does not end it; the first calls a tool."""
    release = threading.Event()

    def block(pieces):
        yield from pieces
        release.wait(30)

    async def block_async(pieces):
        for piece in pieces:
            yield piece
        await asyncio.sleep(30)

    def make(*pieces):
        script = [lambda: tool_call("send", to="a"), lambda: (block_async if hasattr(api, "do") else block)(pieces)]
        return FunctionModel(lambda request: script.pop(0)())

    yield make
    release.set()


def test_a_time_limit_in_an_answer(drive, unfinished):
    agent = Agent(unfinished("Half ", "an answer"), tools=[mailer([])], timeout=0.5)
    error = failing(drive, agent, RunTimeoutError)
    assert told(error) == [("send", "sent to a")]
    assert error.partial_text == error.messages[-1].content == "Half an answer"


def test_an_error_of_the_server(drive):
    sent = []
    agent = Agent(ScriptedModel([tool_call("send", to="a"), HTTPError("busy")]), tools=[mailer(sent)])
    error = failing(drive, agent, HTTPError)
    assert told(error) == [("send", "sent to a")]
    assert roles(error.messages) == ["user", "assistant", "tool"]
    assert error.usage.turns == 2


def test_a_foreign_error_of_a_model(drive):
    agent = Agent(ScriptedModel([tool_call("send", to="a"), ConnectionResetError("gone")]), tools=[mailer([])])
    assert told(failing(drive, agent, ConnectionResetError)) == [("send", "sent to a")]


def test_an_answer_that_was_cut_off(drive):
    agent = Agent(ScriptedModel([Reply('{"n": 1', finish_reason="length")]))
    error = failing(drive, agent, InvalidOutputError, output_type=dict)
    assert error.partial_text == '{"n": 1'
    assert error.messages[-1].content == '{"n": 1'


def test_an_answer_that_stays_invalid(drive):
    def refuse(n: int) -> int:
        raise ValueError("no")

    agent = Agent(ScriptedModel([tool_call("send", to="a"), 1, 2]), tools=[mailer([])])
    error = failing(drive, agent, InvalidOutputError, output_type=Annotated[int, AfterValidator(refuse)])
    assert told(error) == [("send", "sent to a")]
    assert [m.content for m in error.messages if m.role == "assistant"] == ["", "2"]
    assert error.usage.turns == 3


def test_an_approval_that_is_missing(api):
    sent = []
    tools = [Tool(mailer(sent), requires_approval=True), Tool(mailer(sent), name="post")]
    agent = Agent(ScriptedModel([[tool_call("send", to="a"), tool_call("post", to="b")]]), tools=tools)
    for drive in (api.text, api.pieces):
        with pytest.raises(ApprovalRequiredError) as caught:
            drive(agent, "Go.")
        error = caught.value
        assert told(error) == [("send", None), ("post", "sent to b")]
        assert list(error.messages) == agent.messages
        assert [call.id for call in error.pending] == [error.tool_calls[0].id]
        assert error.usage.turns == 1
        agent = Agent(ScriptedModel([[tool_call("send", to="a"), tool_call("post", to="b")]]), tools=tools)


def test_an_error_in_approve(drive):
    def approve(call):
        raise PermissionError(call.name)

    tools = [Tool(mailer([]), requires_approval=True)]
    agent = Agent(ScriptedModel([tool_call("send", to="a")]), tools=tools, approve=approve)
    assert told(failing(drive, agent, PermissionError)) == [("send", None)]


def test_a_run_that_goes_on_with_pending_calls(api):
    def fail() -> None:
        raise KeyError("x")

    tools = [Tool(fail, on_error="raise", requires_approval=True), Tool(mailer([]), requires_approval=True)]
    agent = Agent(ScriptedModel([[tool_call("send", to="a"), tool_call("fail")]]), tools=tools)
    api.response(agent, "Go.")
    with pytest.raises(KeyError) as caught:
        api.resume(agent, {agent.pending[1].id: True})
    assert told(caught.value) == [("send", None), ("fail", "Error: KeyError")]
    assert [m.content for m in caught.value.messages] == [OPEN, "Error: KeyError"]
    assert len(agent.pending) == 2  # they still wait


@pytest.mark.slow
def test_the_whole_context_is_too_small(api, tiny_model):
    agent = Agent(tiny_model)
    long = "many words " * 20_000
    for drive in (api.text, api.pieces, api.response, api.events):
        with pytest.raises(ContextFullError) as caught:
            drive(agent, long)
        assert [m.content for m in caught.value.messages] == [long]
        assert caught.value.usage.total_tokens == 0


@pytest.mark.parametrize("message", ["", 5])
def test_what_was_no_run_has_nothing_to_tell(drive, message):
    with pytest.raises(ValueError, match="message") as caught:
        drive(Agent(ScriptedModel([])), message)
    assert (caught.value.messages, caught.value.tool_calls, caught.value.usage) == ((), (), None)


# ---------------------------------------------------------------------------------------------------------------------
# Cancellation
# ---------------------------------------------------------------------------------------------------------------------


def test_a_closed_stream_tells_it_when_it_is_awaited():
    async def use():
        agent = Agent(ScriptedModel([tool_call("send", to="a"), "One two three."]), tools=[mailer([])])
        stream = agent.generate_async("Go.")
        piece = await stream.__anext__()
        await stream.aclose()
        with pytest.raises(RunCancelledError) as caught:
            await stream
        check(caught.value, agent)
        assert told(caught.value) == [("send", "sent to a")]
        assert caught.value.messages[-1].content == caught.value.partial_text
        assert caught.value.partial_text.startswith(piece)

    asyncio.run(use())


@pytest.mark.parametrize("method", ["generate_async", "run_async", "stream_events_async"])
def test_a_cancelled_task_tells_it(method):
    async def use():
        started = asyncio.Event()

        async def wait() -> str:
            started.set()
            await asyncio.sleep(60)
            return "never"

        agent = Agent(ScriptedModel([tool_call("send", to="a"), tool_call("wait")]), tools=[mailer([]), wait])

        async def answer():
            made = getattr(agent, method)("Go.")
            if method == "stream_events_async":
                return [event async for event in made]
            return await made

        seen = []

        async def outer():
            try:
                await answer()
            except asyncio.CancelledError as error:
                seen.append(error)
                raise

        task = asyncio.ensure_future(outer())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        check(seen[0], agent)
        assert told(seen[0]) == [("send", "sent to a"), ("wait", None)]

    asyncio.run(use())


@pytest.mark.parametrize("method", ["generate", "generate_stream", "run", "stream_events"])
def test_a_keyboard_interrupt_tells_it(method):
    def interrupt() -> None:
        raise KeyboardInterrupt

    agent = Agent(ScriptedModel([tool_call("send", to="a"), tool_call("interrupt")]), tools=[mailer([]), interrupt])
    with pytest.raises(KeyboardInterrupt) as caught:
        list(getattr(agent, method)("Go."))
    check(caught.value, agent)
    assert told(caught.value) == [("send", "sent to a"), ("interrupt", "Error: KeyboardInterrupt")]


# ---------------------------------------------------------------------------------------------------------------------
# Foreign exceptions
# ---------------------------------------------------------------------------------------------------------------------


class Own(Exception):
    def __init__(self):
        super().__init__("own")
        self.messages = "mine"


class Slots(Exception):
    __slots__ = ()

    def __setattr__(self, name, value):
        raise AttributeError(name)


@pytest.mark.parametrize("cls", [Own, Slots])
def test_attributes_of_a_foreign_exception_stay(api, cls):
    raised = cls()

    def fail() -> None:
        raise raised

    for _ in range(2):
        agent = Agent(ScriptedModel([tool_call("fail")]), tools=[Tool(fail, on_error="raise")])
        with pytest.raises(cls) as caught:
            api.response(agent, "Go.")
        assert caught.value is raised
        assert getattr(raised, "messages", "mine") == "mine"
        if cls is Own:
            assert raised.usage.turns == 1


def test_an_exception_that_is_raised_again_tells_of_the_last_run(api):
    raised = KeyError("again")

    def fail() -> None:
        raise raised

    for message in ("One.", "Two."):
        agent = Agent(ScriptedModel([tool_call("fail")]), tools=[Tool(fail, on_error="raise")])
        with pytest.raises(KeyError):
            api.response(agent, message)
        assert raised.messages[0].content == message


# ---------------------------------------------------------------------------------------------------------------------
# The history
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["agent", "run"])
def test_a_failed_run_is_kept_if_it_is_to_be(drive, place):
    of_agent, of_run = ({"keep_history": "on_error"}, {}) if place == "agent" else ({}, {"keep_history": "on_error"})
    script = [tool_call("send", to="a"), HTTPError("busy"), "Sent."]
    agent = Agent(ScriptedModel(script), "Be brief.", tools=[mailer([])], **of_agent)
    with pytest.raises(HTTPError) as caught:
        drive(agent, "Go.", **of_run)
    assert agent.messages[1:] == caught.value.messages
    assert agent.generate("And now?") == "Sent."
    assert roles(agent.messages) == ["system", "user", "assistant", "tool", "user", "assistant"]


def test_calls_without_a_result_are_answered_in_the_history(drive):
    def fail() -> None:
        raise KeyError("x")

    def wait() -> None:
        time.sleep(0.3)

    script = [[tool_call("wait"), tool_call("fail")], "Fine."]
    agent = Agent(ScriptedModel(script), tools=[Tool(fail, on_error="raise"), wait], keep_history="on_error")
    with pytest.raises(KeyError) as caught:
        drive(agent, "Go.")
    assert agent.messages == caught.value.messages
    assert agent.pending == []
    assert agent.generate("Go on.") == "Fine."


@pytest.mark.parametrize("keep", ["on_success", "on_error"])
def test_a_stream_that_is_closed(api, keep, unfinished):
    agent = Agent(unfinished("One ", "two "), tools=[mailer([])], keep_history=keep)
    piece = api.first_piece(agent, "Go.")
    kept = agent.messages
    if keep == "on_success":
        assert kept == []
    else:
        assert roles(kept) == ["user", "assistant", "tool", "assistant"]
        assert kept[-1].content.startswith(piece)


def test_without_a_history_nothing_is_kept(drive):
    agent = Agent(ScriptedModel([HTTPError("busy")]), enable_history=False, keep_history="on_error")
    with pytest.raises(HTTPError):
        drive(agent, "Go.")
    assert agent.get_history() == []


def test_keep_history_is_one_of_two_texts():
    for value in ("always", True, None, 1):
        with pytest.raises(ValueError, match="keep_history must be 'on_success' or 'on_error'"):
            Agent(ScriptedModel([]), keep_history=value)


def test_errors_of_other_calls_have_nothing_to_tell():
    error = LuupError("x")
    assert (error.messages, error.tool_calls, error.usage) == ((), (), None)
