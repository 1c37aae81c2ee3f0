"""A receiver of OTLP over HTTP in a process of its own: it parses the protobuf, and prints the requests as JSON lines.

``python otlp_receiver.py`` prints its port first, and ends when its input is closed.
"""

import gzip
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def value_of(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    return getattr(value, kind)


def attributes_of(pairs):
    return {pair.key: value_of(pair.value) for pair in pairs}


def read_spans(body):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "kind": "span",
                    "service": attributes_of(resource.resource.attributes).get("service.name"),
                    "scope": scope.scope.name,
                    "schema": scope.schema_url,
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    "start": span.start_time_unix_nano,
                    "status": span.status.code,
                    "attributes": attributes_of(span.attributes),
                }


def read_metrics(body):
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.histogram.data_points:
                    yield {
                        "kind": "metric",
                        "name": metric.name,
                        "unit": metric.unit,
                        "count": point.count,
                        "sum": point.sum,
                        "attributes": attributes_of(point.attributes),
                    }


READERS = {"/v1/traces": read_spans, "/v1/metrics": read_metrics}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for record in READERS[self.path](body):
            print(json.dumps(record), flush=True)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        """Say nothing."""


class Receiver:
    """The process, for a test."""

    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, __file__], **pipes)
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    def close(self):
        """End the process, and return what it has received."""
        output, _ = self._process.communicate(timeout=60)
        return [json.loads(line) for line in output.splitlines()]


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
