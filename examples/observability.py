"""Shows what happens in a run: the prompt, the turns, and the spans of OpenTelemetry.

python examples/observability.py [MODEL]    (pip install "luup-agent[otel]" opentelemetry-sdk)
"""

import sys

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from luup_agent import Agent, LuupError, Model, telemetry


def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is sunny in {city}."


def main() -> None:
    with Model.from_local(sys.argv[1] if len(sys.argv) > 1 else "smollm2") as model:
        agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=48, tools=[weather])
        agent.name = "forecaster"
        question = "What is the weather in Paris?"

        prompt = agent.prompt(question, tool_choice="weather")
        print(f"the prompt has {len(prompt)} tokens and ends with {prompt.text[-22:]!r}")

        exporter = InMemorySpanExporter()  # in a real program: an exporter that sends the spans to a collector
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        telemetry.instrument(tracer_provider=provider)
        response = agent.run(question, tool_choice="weather", record_prompts=True)
        telemetry.uninstrument()

        assert response.turns[0].prompt == prompt
        for number, turn in enumerate(response.turns, 1):
            usage = turn.usage
            print(f"turn {number}: {usage.prompt_tokens} prompt tokens, {usage.cached_tokens} of them cached")
            print(f"  the model wrote: {turn.raw!r}")
            for decision in turn.decisions:
                print(f"  {decision.splitlines()[0]}")

        for span in sorted(exporter.get_finished_spans(), key=lambda span: span.start_time):
            indent = "" if span.parent is None else "  "
            print(f"{indent}{span.name}: {(span.end_time - span.start_time) / 1e6:.0f} ms")


if __name__ == "__main__":
    try:
        main()
    except LuupError as error:
        sys.exit(f"{type(error).__name__}: {error}")
