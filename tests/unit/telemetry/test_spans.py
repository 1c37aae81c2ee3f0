"""The spans and metrics of runs, collected in memory."""

import asyncio
import gc
import json
import sys
import threading

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.http_server import Server, replying
from support.scripted import Scripted

from luup_agent import (
    Agent,
    HTTPError,
    InvalidParamError,
    MaxTurnsError,
    Model,
    RunTimeoutError,
    Tool,
    UnsupportedError,
    telemetry,
)
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

SECRETS = ("Be kind to Ada", "5 + 3", "Eight", '"a"', "the sum")


def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"the sum is {a + b}"


def fail(a: int) -> str:
    """Fails."""
    raise KeyError("a secret")


@pytest.fixture(params=["scripted", "function", "server"])
def scripted(request):
    made = Scripted(request.param)
    yield made
    made.close()


REPLIES = (
    Reply(tool_calls=[tool_call("add", a=5, b=3)], prompt_tokens=20, completion_tokens=4),
    Reply("Eight.", prompt_tokens=30, completion_tokens=2),
)


@pytest.mark.parametrize("drive", ["text", "pieces", "response", "events"])
def test_a_run_with_a_call(collected, scripted, api, drive):
    agent = scripted.agent(*REPLIES, system_prompt="Be kind to Ada.", tools=[add], temperature=0, seed=3)
    agent.name = "adder"
    getattr(api, drive)(agent, "What is 5 + 3?")
    run = collected.span("invoke_agent")
    assert run.name == "invoke_agent adder"
    assert run.parent is None
    chats = collected.spans("chat")
    assert collected.children(run) == [chats[0].name, "execute_tool add", chats[1].name]
    assert run.status.status_code is StatusCode.UNSET
    assert run.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert run.attributes["gen_ai.agent.name"] == "adder"
    assert run.attributes["gen_ai.usage.input_tokens"] == 50
    assert run.attributes["gen_ai.usage.output_tokens"] == 6
    tool = collected.span("execute_tool")
    assert {**tool.attributes} == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.call.id": tool.attributes["gen_ai.tool.call.id"],
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Adds two numbers.",
    }
    assert tool.kind is SpanKind.INTERNAL
    first, second = chats
    assert first.attributes["gen_ai.operation.name"] == "chat"
    assert first.attributes["gen_ai.request.temperature"] == 0
    assert first.attributes["gen_ai.request.seed"] == 3
    assert first.attributes["gen_ai.request.max_tokens"] == 512
    assert first.attributes["gen_ai.response.finish_reasons"] == ("tool_call",)
    assert second.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert second.attributes["gen_ai.usage.input_tokens"] == 30
    assert second.attributes["gen_ai.usage.output_tokens"] == 2
    assert run.start_time <= first.start_time <= first.end_time <= tool.end_time
    assert first.end_time <= second.start_time <= second.end_time <= run.end_time
    is_server = scripted.kind == "server"
    assert {chat.kind for chat in chats} == {SpanKind.CLIENT if is_server else SpanKind.INTERNAL}
    provider = {"gen_ai.provider.name": "openai" if is_server else "luup_agent"}
    assert provider.items() <= first.attributes.items()
    assert ("server.port" in first.attributes) == is_server
    everything = "".join(span.to_json() for span in collected.spans())
    assert [text for text in SECRETS if text in everything] == []


def test_metrics(collected, scripted):
    scripted.agent(*REPLIES, tools=[add]).generate("What is 5 + 3?")
    tokens = {
        attributes["gen_ai.token.type"]: point for attributes, point in collected.points("gen_ai.client.token.usage")
    }
    assert {kind: (point.sum, point.count) for kind, point in tokens.items()} == {"input": (50, 2), "output": (6, 2)}
    assert tokens["input"].explicit_bounds[:3] == (1, 4, 16)
    ((attributes, point),) = collected.points("gen_ai.client.operation.duration")
    assert (point.count, attributes["gen_ai.operation.name"]) == (2, "chat")
    assert 0 <= point.sum < 60
    assert point.explicit_bounds[0] == 0.01
    assert attributes["gen_ai.request.model"]


def test_contents_on_request(collected, scripted):
    collected.instrument(include_content=True)
    agent = scripted.agent(*REPLIES, system_prompt="Be kind to Ada.", tools=[add])
    agent.add_message("user", "I am Ada.")
    agent.add_message("assistant", "Hello Ada.")
    agent.generate("What is 5 + 3?")
    run, tool, (first, second) = collected.span("invoke"), collected.span("execute"), collected.spans("chat")
    read = {
        name: json.loads(value)
        for name, value in second.attributes.items()
        if name.endswith(("s", "ns")) and str(value).startswith("[")
    }
    assert read["gen_ai.system_instructions"] == [{"type": "text", "content": "Be kind to Ada."}]
    assert [message["role"] for message in read["gen_ai.input.messages"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
    ]
    call = read["gen_ai.input.messages"][3]["parts"][0]
    assert (call["type"], call["name"], call["arguments"]) == ("tool_call", "add", {"a": 5, "b": 3})
    assert read["gen_ai.input.messages"][4]["parts"][0]["response"] == "the sum is 8"
    assert read["gen_ai.output.messages"] == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Eight."}], "finish_reason": "stop"}
    ]
    assert read["gen_ai.tool.definitions"][0]["name"] == "add"
    before = json.loads(first.attributes["gen_ai.input.messages"])
    assert [message["role"] for message in before] == ["user", "assistant", "user"]
    assert json.loads(first.attributes["gen_ai.output.messages"])[0]["parts"][0]["name"] == "add"
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"a": 5, "b": 3}
    assert tool.attributes["gen_ai.tool.call.result"] == "the sum is 8"
    assert json.loads(run.attributes["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "Eight."}]


def test_a_tool_that_fails(collected, scripted):
    scripted.agent(tool_call("fail", a=1), "Done.", tools=[fail]).generate("Go.")
    tool = collected.span("execute_tool fail")
    assert (tool.status.status_code, tool.attributes["error.type"]) == (StatusCode.ERROR, "KeyError")
    assert "secret" not in tool.to_json()
    assert collected.span("invoke_agent").status.status_code is StatusCode.UNSET


def test_a_tool_that_ends_the_run(collected):
    tool = Tool(fail, on_error="raise")
    with pytest.raises(KeyError):
        Agent(ScriptedModel([tool_call("fail", a=1)]), tools=[tool]).generate("Go.")
    for name in ("execute_tool", "invoke_agent"):
        span = collected.span(name)
        assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "KeyError")


def test_a_call_that_is_refused(collected):
    agent = Agent(ScriptedModel([tool_call("nothing", a=1), "Sorry."]), tools=[add])
    agent.generate("Go.")
    span = collected.span("execute_tool nothing")
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "tool_error")


def test_an_error_of_the_server(collected):
    server = Server(*replying(Reply("x")))
    server.close()
    remote = Model.from_remote(server.url, "qwen3", max_retries=0)
    with pytest.raises(HTTPError):
        Agent(remote).generate("Go.")
    chat, run = collected.span("chat qwen3"), collected.span("invoke_agent")
    assert (chat.status.status_code, chat.attributes["error.type"]) == (StatusCode.ERROR, "HTTPError")
    assert (run.status.status_code, run.attributes["error.type"]) == (StatusCode.ERROR, "HTTPError")
    assert (chat.attributes["server.address"], chat.attributes["server.port"]) == ("127.0.0.1", server.port)
    ((attributes, _),) = collected.points("gen_ai.client.operation.duration")
    assert attributes["error.type"] == "HTTPError"


def test_too_many_turns(collected):
    with pytest.raises(MaxTurnsError):
        Agent(ScriptedModel([tool_call("add", a=1, b=2)]), tools=[add], max_turns=1).generate("Go.")
    assert collected.span("invoke_agent").attributes["error.type"] == "MaxTurnsError"


def test_a_run_that_is_refused(collected):
    with pytest.raises(InvalidParamError):
        Agent(ScriptedModel(["x"])).generate("Go.", max_turns=0)
    assert collected.span("invoke_agent").attributes["error.type"] == "InvalidParamError"
    assert collected.spans("chat") == []


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_is_closed(collected, is_async):
    agent = Agent(FunctionModel(lambda request: iter(["a", "b", "c"])))

    async def read_one():
        stream = agent.generate_async("Go.")
        await stream.__anext__()
        await stream.aclose()

    if is_async:
        asyncio.run(read_one())
    else:
        stream = agent.generate_stream("Go.")
        next(stream)
        stream.close()
    run = collected.span("invoke_agent")
    assert (run.status.status_code, run.attributes["error.type"]) == (StatusCode.ERROR, "RunCancelledError")


def test_a_stream_that_is_dropped(collected):
    async def drop():
        stream = Agent(FunctionModel(lambda request: iter(["a", "b", "c"]))).generate_async("Go.")
        await stream.__anext__()
        del stream
        gc.collect()

    asyncio.run(drop())
    assert collected.span("invoke_agent").attributes["error.type"] == "RunCancelledError"


def test_a_task_that_is_cancelled(collected):
    async def main():
        entered = asyncio.Event()

        async def wait(a: int) -> str:
            """Waits."""
            entered.set()
            await asyncio.sleep(60)
            return "never"

        agent = Agent(ScriptedModel([tool_call("wait", a=1)]), tools=[wait])
        task = asyncio.create_task(agent.run_async("Go."))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    run, tool = collected.span("invoke_agent"), collected.span("execute_tool wait")
    assert (run.status.status_code, run.attributes["error.type"]) == (StatusCode.ERROR, "CancelledError")
    assert (tool.status.status_code, tool.attributes["error.type"]) == (StatusCode.ERROR, "cancelled")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_tool_that_takes_too_long(collected, is_async):
    done = threading.Event()

    def wait(a: int) -> str:
        """Waits."""
        done.wait(60)
        return "late"

    async def wait_async(a: int) -> str:
        """Waits."""
        await asyncio.sleep(60)
        return "late"

    tool = Tool(wait_async if is_async else wait, name="wait", timeout=0.05)
    agent = Agent(ScriptedModel([tool_call("wait", a=1), "Done."]), tools=[tool])
    if is_async:
        asyncio.run(agent.run_async("Go."))
    else:
        agent.generate("Go.")
    done.set()
    assert collected.span("execute_tool wait").attributes["error.type"] == "timeout"


def test_a_run_that_takes_too_long_ends_its_tools(collected):
    done = threading.Event()

    def wait(a: int) -> str:
        """Waits."""
        done.wait(60)
        return "late"

    agent = Agent(ScriptedModel([tool_call("wait", a=1)]), tools=[wait], timeout=0.1)
    with pytest.raises(RunTimeoutError):
        agent.generate("Go.")
    done.set()
    assert collected.span("execute_tool wait").attributes["error.type"] == "cancelled"
    assert collected.span("invoke_agent").attributes["error.type"] == "RunTimeoutError"


def test_only_some_agents(collected):
    collected.instrument(only=lambda agent: agent.name == "watched")
    for name in ("watched", "other", None):
        agent = Agent(ScriptedModel(["Hello"]))
        agent.name = name
        agent.generate("Hi")
    assert [span.name for span in collected.spans("invoke")] == ["invoke_agent watched"]


def test_a_watch_that_fails_does_not_fail_the_run(collected, caplog):
    def broken(agent):
        raise ValueError("broken")

    collected.instrument(only=broken)
    assert Agent(ScriptedModel(["Hello"])).generate("Hi") == "Hello"
    assert "a watch of the run failed" in caplog.text


def test_it_ends(collected):
    assert telemetry.is_instrumented()
    telemetry.uninstrument()
    telemetry.uninstrument()
    assert not telemetry.is_instrumented()
    Agent(ScriptedModel(["Hello"])).generate("Hi")
    assert collected.spans() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include_content": 1}, "include_content must be a bool, not int"),
        ({"tracer_provider": 1}, "tracer_provider must be a provider of OpenTelemetry, which has get_tracer"),
        ({"meter_provider": "x"}, "meter_provider must be a provider of OpenTelemetry"),
        ({"only": "x"}, "only must be a function of an agent, not str"),
    ],
)
def test_wrong_arguments(collected, options, message):
    with pytest.raises(InvalidParamError, match=message):
        telemetry.instrument(**options)


def test_a_missing_package_is_named(collected, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(UnsupportedError, match=r'pip install "luup-agent\[otel\]"'):
        telemetry.instrument()


def test_the_current_span_is_the_parent(collected):
    with collected.tracer.start_as_current_span("mine"):
        Agent(ScriptedModel(["Hello"])).generate("Hi")
        assert trace.get_current_span().name == "mine"
    assert collected.children(collected.span("mine")) == ["invoke_agent"]
