"""The counters of a server in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from typing import Dict, Iterable, List, Mapping, Tuple

from luup_agent._server.config import Served
from luup_agent.errors import LuupError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_GAUGES = {
    "runs_active": "Runs being prefilled or decoded.",
    "runs_waiting": "Runs that wait for a sequence or for room in the context.",
    "sequences_active": "Sequences of active runs.",
    "sequences_parked": "Sequences kept in the KV cache.",
    "context_used": "Tokens in the KV cache.",
    "sequences_in_ram": "Evicted sequences that are in RAM.",
    "ram_used": "Bytes of these.",
    "largest_batch": "Tokens of the largest step.",
    "threads": "Threads that computed the last step.",
    "checkpoints": "States of recurrent models kept in RAM.",
    "checkpoint_bytes": "Bytes of these.",
}
_COUNTERS = {
    "tokens_prefilled": "Prompt tokens computed.",
    "tokens_cached": "Prompt tokens found in the KV cache.",
    "tokens_decoded": "Tokens decoded.",
    "batches": "Steps of the decoding thread.",
    "batch_tokens": "Tokens computed in all steps.",
    "tokens_drafted": "Draft tokens proposed.",
    "drafts_accepted": "Draft tokens that proved right.",
    "evictions": "Parked sequences evicted from the KV cache.",
    "restored": "Evicted sequences restored from RAM.",
    "preemptions": "Runs put back into the queue.",
    "rewound": "Sequences that went back to a checkpoint.",
}


class Counts:
    """The requests of a server.

    Attributes:
        active: Requests being answered.
        requests: The number of requests by path and status.
    """

    def __init__(self) -> None:
        self.active = 0
        self.requests: Counter[Tuple[str, int]] = Counter()


def write_metrics(counts: Counts, models: Mapping[str, Served]) -> str:
    """Return the text of the counters of the server and of its models."""
    lines: List[str] = []
    _add(lines, "luup_requests_active", "gauge", "Requests being answered.", [("", counts.active)])
    answered = [(_labels({"path": path, "status": str(status)}), n) for (path, status), n in counts.requests.items()]
    _add(lines, "luup_requests_total", "counter", "Requests answered.", sorted(answered))
    stats = {name: values for name, values in ((name, _stats(each)) for name, each in models.items()) if values}
    for kind, table in (("gauge", _GAUGES), ("counter", _COUNTERS)):
        for field, text in table.items():
            name = f"luup_{field}_total" if kind == "counter" else f"luup_{field}"
            _add(lines, name, kind, text, [(_labels({"model": each}), stats[each][field]) for each in stats])
    return "\n".join(lines) + "\n"


def _stats(served: Served) -> Dict[str, int]:
    """Return the statistics of a local model; nothing for other ones. An agent's are those of its model."""
    if served.kind == "embedder":
        return {}
    model = served.value.model if served.kind == "agent" else served.value
    try:
        values: Dict[str, int] = model.stats().model_dump()
    except LuupError:  # a remote model, or one that was closed
        return {}
    return values


def _add(lines: List[str], name: str, kind: str, text: str, values: Iterable[Tuple[str, float]]) -> None:
    rows = list(values)
    if rows:
        lines += [
            f"# HELP {name} {text}",
            f"# TYPE {name} {kind}",
            *(f"{name}{labels} {value}" for labels, value in rows),
        ]


def _labels(values: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in values.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
