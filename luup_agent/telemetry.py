"""OpenTelemetry for agents: `instrument` makes spans and metrics of every run, `uninstrument` ends that.

The names are those of OpenTelemetry's semantic conventions for generative AI. Needs the package opentelemetry-api, the
extra ``otel``; where spans go is up to the program, which sets up the SDK. See docs/OBSERVABILITY.md.

Example:
    >>> from luup_agent import telemetry
    >>> telemetry.instrument()
    >>> agent.generate("What is the capital of France?")
    'The capital of France is Paris.'
    >>> telemetry.uninstrument()
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Optional

from luup_agent._run import operations, watch
from luup_agent.errors import InvalidParamError, UnsupportedError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from luup_agent.agent import Agent

__all__ = ["instrument", "is_instrumented", "uninstrument"]

_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
# The bounds that the semantic conventions ask for.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)

_maker: Optional[watch.Maker] = None


def instrument(
    *,
    tracer_provider: Optional[TracerProvider] = None,
    meter_provider: Optional[MeterProvider] = None,
    include_content: bool = False,
    only: Optional[Callable[[Agent[Any, Any]], bool]] = None,
) -> None:
    """Make spans and metrics of the runs that begin from now on, of `Agent.classify` and of embedders.

    A second call replaces the settings of the first.

    Args:
        tracer_provider: Where the spans go; None for the program's global provider.
        meter_provider: Where the metrics go; None for the program's global provider.
        include_content: Add the contents: system prompt, messages, answers, arguments and results of tools, and the
            texts of errors. They may be personal or secret. Without it spans have names, numbers and classes of errors.
        only: Returns whether the runs of an agent are to be instrumented; None for all. With it there are neither spans
            of embedders nor of `Agent.classify`.

    Raises:
        UnsupportedError: The package opentelemetry-api is not installed.
        InvalidParamError: An argument is of the wrong type.

    Example:
        >>> telemetry.instrument(include_content=True, only=lambda agent: agent.name == "support")
        >>> telemetry.uninstrument()
    """
    global _maker
    try:
        from opentelemetry import metrics, trace

        from luup_agent._telemetry.operations import OperationSpan
        from luup_agent._telemetry.spans import Instruments, RunSpans
    except ImportError as error:
        raise UnsupportedError(
            f"telemetry needs the package opentelemetry-api, which can't be imported ({error}); "
            'run `pip install "luup-agent[otel]"`'
        ) from None
    if not isinstance(include_content, bool):
        raise InvalidParamError(f"include_content must be a bool, not {type(include_content).__name__}")
    for name, value, method in (("tracer", tracer_provider, "get_tracer"), ("meter", meter_provider, "get_meter")):
        if value is not None and not callable(getattr(value, method, None)):
            raise InvalidParamError(
                f"{name}_provider must be a provider of OpenTelemetry, which has {method}(), not {type(value).__name__}"
            )
    if only is not None and not callable(only):
        raise InvalidParamError(f"only must be a function of an agent, not {type(only).__name__}")
    import luup_agent

    version = luup_agent.__version__
    tracer = trace.get_tracer("luup_agent", version, tracer_provider, _SCHEMA)
    meter = metrics.get_meter("luup_agent", version, meter_provider, _SCHEMA)
    instruments = Instruments(
        tracer,
        meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        ),
        meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        ),
        include_content,
    )

    def make(facts: watch.Facts) -> Optional[watch.Watch]:
        return RunSpans(instruments, facts) if only is None or only(facts.agent) else None

    uninstrument()
    _maker = make
    watch.makers += (make,)
    if only is None:
        operations.begin = functools.partial(OperationSpan, instruments)


def uninstrument() -> None:
    """Make no more spans and metrics; runs under way keep theirs. Does nothing if `instrument` was not called."""
    global _maker
    watch.makers = tuple(make for make in watch.makers if make is not _maker)
    operations.begin = _maker = None


def is_instrumented() -> bool:
    """Return whether runs that begin now get spans and metrics."""
    return _maker is not None
