"""Spans that tools and HTTP clients make are children of the run's, in every thread and task."""

import asyncio
import threading

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import baggage, context, trace
from support.http_server import Server, replying

from luup_agent import Agent, Model, RunContext
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

CALLS = Reply(tool_calls=[tool_call("work", n=n) for n in range(3)])


def tools_of(collected, is_async):
    """Return a tool that makes a span, and whose calls are in it at the same time."""
    barrier = threading.Barrier(3)
    together = []

    def work(n: int) -> str:
        """Works."""
        with collected.tracer.start_as_current_span(f"inner {n}"):
            barrier.wait(30)
            return baggage.get_baggage("user") or "nobody"

    async def work_async(n: int) -> str:
        """Works."""
        with collected.tracer.start_as_current_span(f"inner {n}"):
            together.append(n)
            while len(together) < 3:  # noqa: ASYNC110  # each may run in a loop of its own
                await asyncio.sleep(0.001)
            return baggage.get_baggage("user") or "nobody"

    work_async.__name__ = "work"
    return work_async if is_async else work


@pytest.mark.parametrize("driver", ["sync", "async"])
@pytest.mark.parametrize("is_async", [False, True])
def test_parallel_calls(collected, driver, is_async):
    agent = Agent(ScriptedModel([CALLS, "Done."]), tools=[tools_of(collected, is_async)])
    token = context.attach(baggage.set_baggage("user", "ada"))
    try:
        with collected.tracer.start_as_current_span("outer"):
            response = agent.run("Go.") if driver == "sync" else asyncio.run(agent.run_async("Go."))
    finally:
        context.detach(token)
    assert [call.result.content for call in response.tool_calls] == ["ada"] * 3
    calls = collected.spans("execute_tool")
    assert sorted(collected.children(call)[0] for call in calls) == ["inner 0", "inner 1", "inner 2"]
    run = collected.span("invoke_agent")
    assert {call.parent.span_id for call in calls} == {run.context.span_id}
    assert collected.children(collected.span("outer")) == ["invoke_agent"]
    assert len({span.context.trace_id for span in collected.spans()}) == 1


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_a_call_leaves_no_span_behind(collected, driver):
    seen = []

    def work(n: int) -> str:
        """Works."""
        seen.append(trace.get_current_span().name)
        return "done"

    agent = Agent(ScriptedModel([tool_call("work", n=1), "Done."]), tools=[work])
    with collected.tracer.start_as_current_span("outer"):
        if driver == "sync":
            agent.run("Go.")
        else:
            asyncio.run(agent.run_async("Go."))
        assert trace.get_current_span().name == "outer"
    assert seen == ["execute_tool work"]


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_a_sub_agent_is_a_child_of_its_call(collected, driver):
    expert = Agent(ScriptedModel(["42"]))
    expert.name = "expert"
    lead = Agent(ScriptedModel([tool_call("ask", message="6 * 7?"), "42."]), tools=[expert.as_tool("ask", "Asks.")])
    lead.name = "lead"
    if driver == "sync":
        lead.generate("6 * 7?")
    else:
        asyncio.run(lead.run_async("6 * 7?"))
    assert collected.children(collected.span("execute_tool ask")) == ["invoke_agent expert"]
    assert collected.span("invoke_agent lead").parent is None


def test_a_run_that_a_tool_makes_itself(collected):
    expert = Agent(ScriptedModel(["42"]))

    def ask(ctx: RunContext, question: str) -> str:
        """Asks."""
        return expert.generate(question)

    Agent(ScriptedModel([tool_call("ask", question="6 * 7?"), "42."]), tools=[ask]).generate("6 * 7?")
    assert collected.children(collected.span("execute_tool ask")) == ["invoke_agent"]


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_the_request_of_a_model_in_python_is_in_its_chat(collected, driver):
    def answer(request):
        with collected.tracer.start_as_current_span("inside"):
            return "Hello"

    agent = Agent(FunctionModel(answer))
    if driver == "sync":
        agent.generate("Hi")
    else:
        asyncio.run(agent.run_async("Hi"))
    assert collected.children(collected.span("chat")) == ["inside"]


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_the_http_client_is_in_the_chat(collected, driver):
    httpx = pytest.importorskip("httpx")

    class Traced(httpx.HTTPTransport):
        def handle_request(self, request):
            with collected.tracer.start_as_current_span("POST"):
                return super().handle_request(request)

    class AsyncTraced(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            with collected.tracer.start_as_current_span("POST"):
                return await super().handle_async_request(request)

    server = Server(*replying("Hello"))

    async def run():
        async with httpx.AsyncClient(transport=AsyncTraced()) as client:
            remote = Model.from_remote(server.url, "qwen3", async_http_client=client)
            await Agent(remote).run_async("Hi")

    if driver == "sync":
        with httpx.Client(transport=Traced()) as client:
            Agent(Model.from_remote(server.url, "qwen3", http_client=client)).generate("Hi")
    else:
        asyncio.run(run())
    server.close()
    assert collected.children(collected.span("chat qwen3")) == ["POST"]


def test_concurrent_runs_do_not_mix(collected):
    def work(n: int) -> str:
        """Works."""
        with collected.tracer.start_as_current_span(f"inner {n}"):
            return "done"

    async def main():
        await asyncio.gather(*(one(n) for n in range(8)))

    async def one(n):
        with collected.tracer.start_as_current_span(f"outer {n}"):
            await Agent(ScriptedModel([tool_call("work", n=n), "Done."]), tools=[work]).run_async("Go.")

    asyncio.run(main())
    spans = {span.context.span_id: span for span in collected.spans()}
    for n in range(8):
        span, names = collected.span(f"inner {n}"), []
        while span is not None:
            names.append(span.name)
            span = None if span.parent is None else spans[span.parent.span_id]
        assert names == [f"inner {n}", "execute_tool work", "invoke_agent", f"outer {n}"]
