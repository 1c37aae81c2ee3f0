"""Spans and metrics in memory, for tests. Needs OpenTelemetry's SDK."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from luup_agent import telemetry


class Collected:
    """The spans and metrics of a test."""

    def __init__(self):
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader])
        self.tracer = self.tracers.get_tracer("test")

    def instrument(self, **options):
        telemetry.instrument(tracer_provider=self.tracers, meter_provider=self.meters, **options)

    def spans(self, beginning=""):
        """Return the spans that have ended, in the order of their starts."""
        found = [span for span in self._spans.get_finished_spans() if span.name.startswith(beginning)]
        return sorted(found, key=lambda span: span.start_time)

    def span(self, beginning):
        (found,) = self.spans(beginning)
        return found

    def children(self, parent):
        """Return the names of the children of a span, in the order of their starts."""
        mine = parent.context.span_id
        return [span.name for span in self.spans() if span.parent is not None and span.parent.span_id == mine]

    def points(self, name):
        """Return the data points of a metric, with their attributes."""
        data = self._reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == name]
        return [(dict(point.attributes), point) for metric in metrics for point in metric.data.data_points]

    def clear(self):
        self._spans.clear()
