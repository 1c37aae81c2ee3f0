"""Spans and metrics of embedders and of the scores of labels."""

# pyright: reportMissingImports=false
from __future__ import annotations

import time
from typing import Any, Dict, Optional

from opentelemetry import context, trace

from luup_agent._run.operations import Operation
from luup_agent._telemetry.attributes import IN_PROCESS, name_of
from luup_agent._telemetry.spans import Instruments


class OperationSpan(Operation):
    """The span of one operation, a child of the span that is current where it was asked for."""

    def __init__(self, instruments: Instruments, name: str, path: str) -> None:
        """Keep the context of the caller: the work may be done in another thread."""
        self._with = instruments
        self._model = name_of(path)
        self._name = name
        self._parent = context.get_current()
        self._span: Optional[trace.Span] = None
        self._began = 0.0

    def start(self) -> None:
        """Begin the span."""
        self._began = time.perf_counter()
        self._span = self._with.tracer.start_span(
            f"{self._name} {self._model}", self._parent, attributes=self._attributes()
        )

    def _attributes(self) -> Dict[str, Any]:
        return {
            "gen_ai.operation.name": self._name,
            "gen_ai.request.model": self._model,
            "gen_ai.provider.name": IN_PROCESS,
        }

    def end(self, error: Optional[str], input_tokens: int = 0, dimensions: int = 0) -> None:
        """End the span, and count the operation."""
        span = self._span
        if span is None:
            return
        attributes = self._attributes()
        if error is not None:
            attributes["error.type"] = error
            span.set_attribute("error.type", error)
            span.set_status(trace.StatusCode.ERROR)
        else:
            span.set_attribute("gen_ai.usage.input_tokens", input_tokens)
        if dimensions:
            span.set_attribute("gen_ai.embeddings.dimension.count", dimensions)
        where = trace.set_span_in_context(span, self._parent)
        span.end()
        self._with.duration.record(time.perf_counter() - self._began, attributes, where)
        if input_tokens:
            self._with.tokens.record(input_tokens, {**attributes, "gen_ai.token.type": "input"}, where)
