"""`map` with models of Python functions: order, look-ahead, errors, cancelling, rows. Both APIs."""

import asyncio
import dataclasses
import enum
import gc
import threading
import time

import pytest
from pydantic import BaseModel

from luup_agent import (
    Agent,
    ClosedError,
    InvalidParamError,
    LuupError,
    MapResults,
    RunCancelledError,
    RunContext,
    Usage,
)
from luup_agent.testing import FunctionModel, ScriptedModel


def echo(request):
    """Answer with the last message."""
    return request.messages[-1].content


class Sync:
    @staticmethod
    def all(agent, *arguments, **options):
        return agent.map(*arguments, **options).all()


class Async:
    @staticmethod
    def all(agent, *arguments, **options):
        async def wait():
            return await agent.map_async(*arguments, **options)

        return asyncio.run(wait())


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def driver(request):
    return request.param


def test_each_item_is_answered_by_itself(driver):
    seen = []

    def answer(request):
        seen.append([message.content for message in request.messages])
        return request.messages[-1].content.upper()

    agent = Agent(FunctionModel(answer), "Be loud.")
    agent.add_message("user", "earlier")
    results = driver.all(agent, [f"text {n}" for n in range(40)], "say {item}", concurrency=5)
    assert isinstance(results, MapResults)
    assert results.values == [f"SAY TEXT {n}" for n in range(40)]
    assert [result.index for result in results] == list(range(40))
    assert sorted(seen) == sorted(["Be loud.", f"say text {n}"] for n in range(40))
    assert [message.content for message in agent.messages] == ["Be loud.", "earlier"]


def test_a_typed_map(driver):
    class City(BaseModel):
        name: str
        people: int

    agent = Agent(FunctionModel(lambda request: City(name=request.prompt.split()[1], people=3)))
    results = driver.all(agent, [{"c": "Paris"}, {"c": "Tokyo"}], "city: {c} .", output_type=City)
    assert [result.unwrap() for result in results] == [City(name="Paris", people=3), City(name="Tokyo", people=3)]
    assert [row["value.name"] for row in results.rows()] == ["Paris", "Tokyo"]


@pytest.mark.parametrize("in_order", [True, False])
def test_results_come_in_order_or_as_they_finish(driver, in_order):
    def answer(request):
        if request.prompt == "0":
            late.wait(60)
        return request.prompt

    async def answer_async(request):
        while request.prompt == "0" and not late.is_set():  # noqa: ASYNC110  # set by the report
            await asyncio.sleep(0.01)
        return request.prompt

    late = threading.Event()
    agent = Agent(FunctionModel(answer if driver is Sync else answer_async))
    seen = []

    def report(done, total):
        seen.append((done, total))
        if done == 7:
            late.set()

    results = driver.all(agent, [str(n) for n in range(8)], concurrency=4, in_order=in_order, progress=report)
    assert sorted(results.values) == [str(n) for n in range(8)]
    assert (results.values[0] == "0") is in_order
    assert in_order or results.values[-1] == "0"
    assert seen == [(n, 8) for n in range(1, 9)]


def test_the_items_are_read_as_they_are_needed(driver):
    read = []

    def items():
        for n in range(10**9):
            read.append(n)
            yield str(n)

    agent = Agent(FunctionModel(echo))
    if driver is Sync:
        with agent.map(items(), concurrency=2) as stream:
            assert [next(stream).value for _ in range(5)] == ["0", "1", "2", "3", "4"]
    else:

        async def some():
            async with agent.map_async(items(), concurrency=2) as stream:
                return [(await stream.__anext__()).value for _ in range(5)]

        assert asyncio.run(some()) == ["0", "1", "2", "3", "4"]
    assert len(read) <= 5 + 8
    gc.collect()


def test_asynchronous_items_come_while_others_are_answered():
    async def items():
        for n in range(6):
            await asyncio.sleep(0.01)
            yield str(n)

    async def wait():
        found = []
        async for result in Agent(FunctionModel(echo)).map_async(items(), concurrency=2, in_order=False):
            found.append(result.value)
        return found

    assert sorted(asyncio.run(wait())) == [str(n) for n in range(6)]
    with pytest.raises(InvalidParamError, match="use map_async"):
        Agent(FunctionModel(echo)).map(items())


def fail_on(word):
    def answer(request):
        if word in request.messages[-1].content:
            raise ConnectionError(f"no {word}")
        return request.messages[-1].content

    return answer


def test_an_item_that_fails_has_its_error(driver):
    agent = Agent(FunctionModel(fail_on("b")))
    results = driver.all(agent, ["a", "b", 5, "c"], "{item}")
    assert [result.ok for result in results] == [True, False, False, True]
    assert isinstance(results[1].error, ConnectionError)
    assert isinstance(results[2].error, InvalidParamError)
    assert results.values == ["a", None, None, "c"]
    assert [result.index for result in results.errors] == [1, 2]
    with pytest.raises(ConnectionError, match="no b"):
        results[1].unwrap()


def test_the_first_error_is_raised_and_the_others_are_cancelled(driver):
    started = []

    def answer(request):
        started.append(request.messages[-1].content)
        if request.messages[-1].content == "3":
            raise ConnectionError("no 3")
        return "x"

    with pytest.raises(ConnectionError, match="no 3"):
        driver.all(Agent(FunctionModel(answer)), [str(n) for n in range(1000)], on_error="raise", concurrency=2)
    assert len(started) < 50


def test_a_closed_agent_ends_the_map(driver):
    agent = Agent(FunctionModel(echo))
    agent.close()
    with pytest.raises(ClosedError):
        driver.all(agent, ["a"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "concurrency must be 1 to 1,024"),
        ({"concurrency": True}, "concurrency"),
        ({"on_error": "skip"}, "on_error must be"),
        ({"in_order": 1}, "in_order must be"),
        ({"progress": "yes"}, "progress must be"),
        ({"prompt": "no field"}, "prompt has no field"),
        ({"path": 5}, "path must be a path"),
    ],
)
def test_wrong_settings_are_named(driver, options, words):
    with pytest.raises(InvalidParamError, match=words):
        driver.all(Agent(FunctionModel(echo)), ["a"], **options)


@pytest.mark.parametrize("items", ["text", b"x", {"a": 1}, 5, None])
def test_one_item_is_not_a_list_of_items(driver, items):
    with pytest.raises(InvalidParamError, match="items must be a list"):
        driver.all(Agent(FunctionModel(echo)), items)


def test_an_unknown_option_is_a_type_error(driver):
    with pytest.raises(TypeError, match=r"map(_async)?\(\) got an unexpected keyword argument 'temprature'"):
        driver.all(Agent(FunctionModel(echo)), ["a"], temprature=1)


def test_an_error_of_the_items_ends_the_map(driver):
    def items():
        yield "a"
        raise KeyError("broken source")

    with pytest.raises(KeyError, match="broken source"):
        driver.all(Agent(FunctionModel(echo)), items())


def test_tools_get_the_deps_and_run_side_by_side(driver):
    together = threading.Barrier(2, timeout=20)
    found = []

    def meet(ctx: RunContext[str]) -> str:
        """Meets another call."""
        together.wait()
        found.append(ctx.deps)
        return "met"

    def answer(request):
        from luup_agent.testing import tool_call

        return request.messages[-1].content if request.messages[-1].role == "tool" else tool_call("meet")

    agent = Agent(FunctionModel(answer), tools=[meet], deps="shared")
    results = driver.all(agent, ["a", "b"], concurrency=2)
    assert results.values == ["met", "met"]
    assert found == ["shared", "shared"]


def test_a_scripted_model_answers_in_turn(driver):
    model = ScriptedModel(["one", "two"])
    assert driver.all(Agent(model), ["a", "b"], concurrency=1).values == ["one", "two"]
    model.assert_complete()


def test_a_dropped_stream_ends_its_threads():
    agent = Agent(FunctionModel(echo))
    stream = agent.map(str(n) for n in range(10**9))
    next(stream)
    del stream
    gc.collect()
    deadline = time.monotonic() + 20
    while any(thread.name == "luup-map" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(thread.name == "luup-map" for thread in threading.enumerate())


def test_closing_cancels_the_runs():
    began, count = threading.Event(), []

    def wait(request):
        count.append(1)
        began.set()
        time.sleep(0.05)
        return "x"

    stream = Agent(FunctionModel(wait)).map(["a"] * 1000, concurrency=4)
    closer = threading.Thread(target=lambda: (began.wait(20), stream.close()))
    closer.start()
    with pytest.raises(RunCancelledError, match="closed before all results"):
        list(stream)
    closer.join()
    assert len(count) < 1000
    assert next(stream, None) is None


def test_a_cancelled_task_ends_the_map():
    answered = []

    async def slow(request):
        await asyncio.sleep(0.05 if len(answered) < 3 else 60)
        answered.append(1)
        return "x"

    async def main():
        task = asyncio.ensure_future(Agent(FunctionModel(slow)).map_async(["a"] * 50, concurrency=3).all())
        while len(answered) < 3:  # noqa: ASYNC110  # the model's function counts
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len([each for each in asyncio.all_tasks() if each is not asyncio.current_task()])

    assert asyncio.run(main()) == 0


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    color: Color


def test_rows_are_flat_and_have_the_same_keys():
    from luup_agent import MapResult

    usage = Usage(prompt_tokens=5, cached_tokens=1, completion_tokens=2, total_tokens=7)
    results = MapResults(
        [
            MapResult(0, {"title": "a", "year": 1}, Point(5, Color.RED), None, usage, 0.5, "stop"),
            MapResult(1, {"title": "b"}, None, LuupError("broken"), None, 0.1),
        ]
    )
    first, second = results.rows()
    assert list(first) == list(second)
    assert first["item.title"] == "a"
    assert (first["item.year"], second["item.year"]) == (1, None)
    assert (first["value.x"], first["value.color"], first["error"]) == (5, "red", None)
    assert (second["value"], second["value.x"], second["error"]) == (None, None, "LuupError: broken")
    assert (first["prompt_tokens"], first["completion_tokens"], second["prompt_tokens"]) == (5, 2, None)
    assert results.usage.total_tokens == 7
    assert repr(results) == "<MapResults: 2 items, 1 failed, 7 tokens>"
    assert repr(results[1]) == "MapResult(1, LuupError: broken, 0.10 s)"


def test_tables():
    results = Agent(FunctionModel(echo)).map(["a", "b"]).all()
    pandas = pytest.importorskip("pandas")
    frame = results.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["value"]) == ["a", "b"]


def test_tables_of_polars():
    polars = pytest.importorskip("polars")
    frame = Agent(FunctionModel(fail_on("b"))).map(["a", "b"]).all().to_polars()
    assert isinstance(frame, polars.DataFrame)
    assert frame["value"].to_list() == ["a", None]


@pytest.mark.parametrize("missing", [[], ["tqdm.auto"], ["tqdm.auto", "rich.progress"]], ids=["tqdm", "rich", "plain"])
def test_the_progress_is_shown(monkeypatch, capsys, missing):
    import sys

    for name in {"tqdm.auto", "rich.progress"} - set(missing):
        if name == ("rich.progress" if missing else "tqdm.auto"):
            pytest.importorskip(name.split(".")[0])
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    Agent(FunctionModel(echo)).map(["a"] * 30, progress=True).all()
    shown = capsys.readouterr()
    assert "30" in shown.err + shown.out
