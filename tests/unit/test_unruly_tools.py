"""Tools whose exceptions, logging and threads misbehave: a run always goes on or ends, and the failure is logged."""

import asyncio
import logging
import threading

import pytest
from pydantic import AfterValidator
from typing_extensions import Annotated

from luup_agent import Agent, ModelRetry, Tool
from luup_agent.testing import ScriptedModel, tool_call

SECRET = "the password is hunter2"
SECONDS = 60  # in which every run here has ended


def fail() -> None:
    raise LookupError(SECRET)


async def fail_later() -> None:
    await asyncio.sleep(0)
    raise LookupError(SECRET)


def agent_with(tool, *others, calls=1, **options):
    script = [[tool_call(made.name) for made in (tool, *others)] * calls, "Done."]
    return Agent(ScriptedModel(script), tools=[tool, *others], **options)


def in_time(function):
    """Return what `function` returns or raises; fail if it does not end."""
    seen = []

    def work():
        try:
            seen.append((function(), None))
        except BaseException as error:
            seen.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert seen, "the run waits forever"
    value, error = seen[0]
    if error is not None:
        raise error
    return value


def contents(response):
    return [call.result.content for call in response.tool_calls]


# ---------------------------------------------------------------------------------------------------------------------
# The texts for the model and for the log
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [fail, fail_later])
def test_the_text_of_an_exception_is_told_only_where_it_is_to_be(api, function):
    assert contents(api.response(agent_with(Tool(function)), "Go.")) == ["Error: LookupError"]
    told = contents(api.response(agent_with(Tool(function, on_error="tell")), "Go."))
    assert told == [f"Error: LookupError: {SECRET}"]
    with pytest.raises(LookupError, match=SECRET):
        api.response(agent_with(Tool(function, on_error="raise")), "Go.")


def test_it_is_logged_with_a_traceback(api, caplog):
    api.response(agent_with(Tool(fail)), "Go.")
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "the tool 'fail' failed")
    assert SECRET in str(record.exc_info[1])


@pytest.mark.processes
def test_a_program_without_logging_sees_it_on_stderr(child):
    seen = child(
        """
        from luup_agent import Agent
        from luup_agent.testing import ScriptedModel, tool_call

        def divide(a: int) -> float:
            return a / 0

        print(Agent(ScriptedModel([tool_call("divide", a=1), "Done."]), tools=[divide]).generate("Go."))
        """
    )
    assert seen.stdout == "Done.\n"
    assert "the tool 'divide' failed" in seen.stderr
    assert "Traceback (most recent call last):" in seen.stderr
    assert "in divide" in seen.stderr
    assert "ZeroDivisionError: division by zero" in seen.stderr


@pytest.mark.processes
def test_a_program_with_logging_decides_itself(child):
    seen = child(
        """
        import logging
        from luup_agent import Agent
        from luup_agent.testing import ScriptedModel, tool_call

        logging.getLogger("luup_agent").addHandler(logging.NullHandler())

        def divide(a: int) -> float:
            return a / 0

        print(Agent(ScriptedModel([tool_call("divide", a=1), "Done."]), tools=[divide]).generate("Go."))
        """
    )
    assert (seen.stdout, seen.stderr) == ("Done.\n", "")


# ---------------------------------------------------------------------------------------------------------------------
# Effects of the user's code on a run
# ---------------------------------------------------------------------------------------------------------------------


def exception_whose_text(raises):
    class Strange(Exception):
        def __str__(self):
            raise raises

        __repr__ = __str__

    return Strange


RAISED = [RuntimeError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), RecursionError()]
MODES = ["model", "tell"]


@pytest.mark.parametrize("raises", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("on_error", MODES)
@pytest.mark.parametrize("calls", [1, 3])
@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_an_exception_without_a_text(api, raises, on_error, calls, kind, caplog):
    cls = exception_whose_text(raises)

    def plain() -> None:
        raise cls

    async def later() -> None:
        raise cls

    caplog.set_level(logging.CRITICAL, "luup_agent")  # its traceback can't be written
    made = Tool(plain if kind == "function" else later, name="strange", on_error=on_error)
    response = in_time(lambda: api.response(agent_with(made, calls=calls), "Go."))
    assert [content.rstrip(": ") for content in contents(response)] == ["Error: Strange"] * calls
    assert response.text == "Done."


@pytest.mark.parametrize("raises", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("calls", [1, 3])
def test_a_hint_without_a_text(api, raises, calls):
    class Hint(ModelRetry):
        def __str__(self):
            raise raises

    def strange() -> None:
        raise Hint

    response = in_time(lambda: api.response(agent_with(Tool(strange), calls=calls), "Go."))
    assert contents(response) == ["Error: Hint"] * calls


@pytest.mark.parametrize("raises", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("calls", [1, 3])
def test_a_validator_that_raises_anything(api, raises, calls):
    def check(n: int) -> int:
        raise raises

    def strange(n: Annotated[int, AfterValidator(check)] = 1) -> None: ...

    script = [[tool_call("strange", n=1)] * calls, "Done."]
    agent = Agent(ScriptedModel(script), tools=[strange])
    if isinstance(raises, Exception):
        response = in_time(lambda: api.response(agent, "Go."))
        assert all(content.startswith("Error: ") for content in contents(response))
    else:
        with pytest.raises(type(raises)):
            in_time(lambda: api.response(agent, "Go."))


class Breaking(logging.Handler):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def handle(self, record):
        raise self.error


@pytest.fixture
def broken_logging():
    """Lets the package's logger raise an exception."""
    logger = logging.getLogger("luup_agent")
    handlers = []

    def break_with(error):
        handlers.append(Breaking(error))
        logger.addHandler(handlers[-1])

    yield break_with
    for handler in handlers:
        logger.removeHandler(handler)


@pytest.mark.parametrize("function", [fail, fail_later])
@pytest.mark.parametrize("calls", [1, 3])
def test_logging_that_raises_changes_nothing(api, function, calls, broken_logging):
    broken_logging(OSError("the disk is full"))
    response = in_time(lambda: api.response(agent_with(Tool(function), calls=calls), "Go."))
    assert contents(response) == ["Error: LookupError"] * calls


@pytest.mark.parametrize("function", [fail, fail_later])
@pytest.mark.parametrize("calls", [1, 3])
def test_logging_that_exits_ends_the_run(api, function, calls, broken_logging):
    broken_logging(SystemExit(3))
    with pytest.raises(SystemExit):
        in_time(lambda: api.response(agent_with(Tool(function), calls=calls), "Go."))


@pytest.mark.parametrize("on_error", ["model", "tell", "raise"])
@pytest.mark.parametrize("options", [{}, {"timeout": 60}], ids=["parallel", "with a time limit"])
def test_threads_that_can_not_start(api, on_error, options, monkeypatch):
    def quick() -> str:
        return "quick"

    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith("luup-tool"):
            raise RuntimeError("can't start new thread")
        start(thread)

    agent = agent_with(Tool(quick, on_error=on_error, **options), calls=1 if options else 3)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    if on_error == "raise":
        with pytest.raises(RuntimeError, match="can't start"):
            in_time(lambda: api.response(agent, "Go."))
        return
    response = in_time(lambda: api.response(agent, "Go."))
    expected = "Error: RuntimeError" + (": can't start new thread" if on_error == "tell" else "")
    assert set(contents(response)) == {expected}
    assert response.text == "Done."


def test_some_threads_that_can_not_start(api, monkeypatch):
    count = []

    def quick() -> str:
        return "quick"

    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith("luup-tool"):
            count.append(thread)
            if len(count) % 2:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    response = in_time(lambda: api.response(agent_with(Tool(quick), calls=4), "Go."))
    assert sorted(contents(response)) == ["Error: RuntimeError"] * 2 + ["quick"] * 2
