"""luup_agent.testing: what users test their agents with."""

import asyncio
import dataclasses
import datetime
import doctest
import signal
import threading
import time
import uuid
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Dict, List, Set, Tuple, Union

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    RootModel,
    SecretStr,
    computed_field,
)
from pydantic.alias_generators import to_camel

import luup_agent
from luup_agent import Agent, HTTPError, InvalidParamError, testing
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

pytest_plugins = ["luup_agent.pytest_plugin"]


def test_a_script_that_is_too_short_fails_the_test(api):
    model = ScriptedModel(["one"])
    agent = Agent(model, enable_history=False)
    assert api.text(agent, "Hi") == "one"
    with pytest.raises(AssertionError, match="1 replies, and this is request 2"):
        api.text(agent, "Hi")


def test_a_script_that_is_too_long_fails_the_test():
    model = ScriptedModel(["one", "two"])
    Agent(model).generate("Hi")
    with pytest.raises(AssertionError, match="only 1 of 2 replies were used; the next one: 'two'"):
        model.assert_complete()


def test_what_a_function_raises_comes_out_as_it_is(api):
    class MyError(Exception):
        pass

    def fail(_request):
        raise MyError("mine")

    with pytest.raises(MyError, match="mine"):
        api.text(Agent(FunctionModel(fail)), "Hi")
    error = HTTPError("busy")
    with pytest.raises(HTTPError) as caught:
        api.text(Agent(ScriptedModel([error])), "Hi")
    assert caught.value is error
    with pytest.raises(TimeoutError):
        api.text(Agent(ScriptedModel([TimeoutError])), "Hi")


def test_a_function_may_stream_and_be_asynchronous(api):
    async def later(request):
        await asyncio.sleep(0)
        return request.prompt[::-1]

    async def stream(request):
        for letter in request.prompt:
            yield letter

    assert api.text(Agent(FunctionModel(later)), "abc") == "cba"
    assert api.pieces(Agent(FunctionModel(lambda request: iter(["a", "b"]))), "Hi")[-1].endswith("b")
    assert "".join(api.pieces(Agent(FunctionModel(stream)), "xyz")) == "xyz"


def test_a_function_answers_in_the_thread_of_a_run_that_has_nothing_else_to_do():
    threads = []

    def answer(_request):
        threads.append(threading.get_ident())
        return "Hi"

    agent = Agent(FunctionModel(answer), enable_history=False)
    here = threading.get_ident()
    agent.generate("Hello")
    assert threads.pop() == here
    agent.generate("Hello", timeout=60)  # the clock has to be watched
    assert threads.pop() != here
    assert list(agent.generate_stream("Hello")) == ["Hi"]  # each chunk is passed on
    assert threads.pop() != here

    async def within_a_loop():
        return agent.generate("Hello")

    assert asyncio.run(within_a_loop()) == "Hi"
    assert threads.pop() != here


def test_ctrl_c_in_a_function_ends_the_run():
    def interrupted(_request):
        signal.raise_signal(signal.SIGINT)
        time.sleep(10)

    agent = Agent(FunctionModel(interrupted))
    with pytest.raises(KeyboardInterrupt):
        agent.generate("Hello")
    assert agent.get_history() == []


def test_a_delay_gives_way_to_a_timeout(api):
    agent = Agent(ScriptedModel([Reply("late", delay=30)]))
    with pytest.raises(luup_agent.RunTimeoutError):
        api.text(agent, "Hi", timeout=0.2)


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(alias="Name")
    born: datetime.date = Field(validation_alias="Born", serialization_alias="birthday")
    key: SecretStr = Field(validation_alias=AliasChoices(AliasPath("a", 1), "Key"))
    hidden: int = Field(exclude=True)
    data: Json[List[int]]
    raw: bytes = b"x"

    @computed_field
    @property
    def initial(self) -> str:
        return self.name[:1]


class Encoded(BaseModel):
    model_config = ConfigDict(val_json_bytes="base64", alias_generator=to_camel)
    raw_bytes: bytes
    some_people: Dict[str, Person]


@dataclasses.dataclass
class Team:
    people: List[Person]
    cost: float
    when: datetime.timedelta
    double: float = dataclasses.field(init=False, default=2.0)


class People(RootModel[Tuple[Person, ...]]):
    pass


class Measured(BaseModel):
    model_config = ConfigDict(ser_json_timedelta="float")
    share: Decimal = Field(ge=0, le=1)  # which a schema has as a number
    prices: List[Decimal]
    by_name: Dict[str, Decimal]
    path: PurePosixPath
    spans: List[datetime.timedelta]


ADA = Person(Name="Ada", Born="1815-12-10", Key="secret", hidden=3, data="[1, 2]")
PREPARED = [
    (Person, ADA),
    (Encoded, Encoded.model_construct(raw_bytes=b"\xff\x00", some_people={"a": ADA})),
    (Team, Team([ADA], 1.1, datetime.timedelta(hours=1))),
    (People, People((ADA, ADA))),
    (
        Measured,
        Measured(
            share="0.12345678901234567890123",
            prices=["1e5", "-0.10", "12345678901234567890.5"],
            by_name={"a": "3.10"},
            path="/a/b",
            spans=[datetime.timedelta(days=1.5), datetime.timedelta(microseconds=1)],
        ),
    ),
    (PurePosixPath, PurePosixPath("a")),
    (List[Person], [ADA]),
    (Dict[str, Union[Team, Person]], {"a": ADA, "b": Team([], 0.0, datetime.timedelta(0))}),
    (Tuple[datetime.date, uuid.UUID, Set[int]], (datetime.date(2024, 1, 2), uuid.UUID(int=5), {1, 2})),
]


@pytest.mark.parametrize(("type_", "value"), PREPARED, ids=lambda part: type(part).__name__)
def test_a_prepared_value_comes_back(api, type_, value):
    for model in (ScriptedModel([value]), FunctionModel(lambda request: value)):
        assert api.text(Agent(model), "Go", output_type=type_) == value


def test_the_fixture_makes_scripts(scripted_model):
    assert Agent(scripted_model(["one"])).generate("Hi") == "one"


def test_a_request_can_be_looked_at():
    seen = []

    def answer(request):
        seen.append((request.prompt, request.tools, request.tool_choice, request.output_schema, repr(request)))
        return {"n": 1} if request.output_schema else "ok"

    agent = Agent(FunctionModel(answer), tools=[testing_tool])
    agent.generate("Hi", tool_choice="none")
    agent.generate("Hi")
    assert seen[0][:4] == ("Hi", ["testing_tool"], "none", None)
    assert seen[1][2] == "auto"
    assert "tools ['testing_tool']" in seen[1][4]


def testing_tool() -> str:
    """A tool."""
    return ""


testing_tool.__test__ = False


@pytest.mark.parametrize("replies", ["text", 5, [object()], [[tool_call("a"), 5]]])
def test_a_script_that_is_none_is_refused(replies):
    with pytest.raises(InvalidParamError, match="replies"):
        ScriptedModel(replies)
    with pytest.raises(InvalidParamError, match="function must be callable"):
        FunctionModel(5)


@pytest.mark.parametrize("name", ["", *testing.__all__])
def test_the_examples_run(name, model_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.gguf").symlink_to(model_path)
    given = {each: getattr(luup_agent, each) for each in luup_agent.__all__}
    given.update((each, getattr(testing, each)) for each in testing.__all__)
    documented = getattr(testing, name) if name else testing
    test = doctest.DocTestParser().get_doctest(documented.__doc__ or "", given, name or "testing", None, None)
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert results.failed == 0
