"""Spans and metrics of the real model's runs, sent to an OTLP receiver in another process."""

import asyncio
from typing import Literal

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from support.otlp_receiver import Receiver

from luup_agent import Agent, telemetry


def test_a_receiver_gets_the_spans_and_metrics(model):
    receiver = Receiver()
    resource = Resource.create({"service.name": "tests"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{receiver.url}/v1/traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{receiver.url}/v1/metrics"), 3_600_000)
    meters = MeterProvider([reader], resource=resource)
    telemetry.instrument(tracer_provider=tracers, meter_provider=meters)
    tracer = tracers.get_tracer("tests")

    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        with tracer.start_as_current_span("in the tool"):
            return a + b

    try:
        agent = Agent(model, "You are terse.", temperature=0, max_tokens=48, tools=[add])
        agent.name = "adder"
        response = agent.run("What is 5 + 3?", tool_choice="add")
        asyncio.run(Agent(model, temperature=0).run_async("Red or blue?", output_type=Literal["red", "blue"]))
    finally:
        telemetry.uninstrument()
        tracers.shutdown()
        meters.shutdown()
        received = receiver.close()

    spans = [record for record in received if record["kind"] == "span"]
    assert {span["service"] for span in spans} == {"tests"}
    assert {span["scope"] for span in spans} == {"luup_agent", "tests"}
    run, typed = sorted((span for span in spans if span["name"].startswith("invoke_agent")), key=lambda s: s["start"])
    assert (run["name"], typed["name"]) == ("invoke_agent adder", "invoke_agent")
    assert run["trace"] != typed["trace"]
    children = sorted((span for span in spans if span["parent"] == run["id"]), key=lambda span: span["start"])
    first, tool, second = children
    name = first["attributes"]["gen_ai.request.model"]
    assert "SmolLM2" in name
    assert "/" not in name
    assert [span["name"] for span in children] == [f"chat {name}", "execute_tool add", f"chat {name}"]
    assert [span["name"] for span in spans if span["parent"] == tool["id"]] == ["in the tool"]
    for span, turn in zip((first, second), response.turns):
        assert span["attributes"]["gen_ai.usage.input_tokens"] == turn.usage.prompt_tokens
        assert span["attributes"]["gen_ai.usage.output_tokens"] == turn.usage.completion_tokens
        assert span["attributes"]["gen_ai.provider.name"] == "luup_agent"
        assert span["seconds"] == pytest.approx(turn.timings.total_seconds, abs=0.001)
        assert span["status"] == 0
    assert first["attributes"]["gen_ai.response.finish_reasons"] == ["tool_call"]
    assert second["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert run["attributes"]["gen_ai.usage.input_tokens"] == response.usage.prompt_tokens
    assert run["seconds"] >= first["seconds"] + second["seconds"]
    assert typed["attributes"]["gen_ai.output.type"] == "json"
    assert "5 + 3" not in str(received)

    metrics = [record for record in received if record["kind"] == "metric"]
    (duration,) = [metric for metric in metrics if metric["name"] == "gen_ai.client.operation.duration"]
    assert (duration["count"], duration["unit"]) == (3, "s")
    tokens = {m["attributes"]["gen_ai.token.type"]: m for m in metrics if m["name"] == "gen_ai.client.token.usage"}
    chats = [span for span in spans if span["name"].startswith("chat")]
    for kind in ("input", "output"):
        assert tokens[kind]["sum"] == sum(span["attributes"][f"gen_ai.usage.{kind}_tokens"] for span in chats)
