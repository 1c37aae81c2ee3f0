"""Instruments the runs of a test, and collects their spans and metrics in memory."""

import pytest

from luup_agent import telemetry


@pytest.fixture
def collected():
    pytest.importorskip("opentelemetry.sdk")
    from support.spans import Collected

    made = Collected()
    made.instrument()
    yield made
    telemetry.uninstrument()
    made.tracers.shutdown()
    made.meters.shutdown()
