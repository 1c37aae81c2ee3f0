"""The command ``luup-agent bench``: how fast a model is on this machine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any, Dict, List

from luup_agent import Agent, Model, __version__, llama_version
from luup_agent.cli import loading, options, output
from luup_agent.cli.progress import StatusLine, megabytes
from luup_agent.errors import ContextFullError, InvalidParamError
from luup_agent.messages import AgentResponse

DEFAULT_MODEL = "smollm2"

_SENTENCE = "The river runs past the mill, the bridge and the old town, and on to the sea. "
_QUESTION = "Write a long story about the number {}."
_BLOCK, _ASCII_BLOCK = "█", "#"
_BAR = 40
_MOST_AGENTS = 256


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print the results.

    Raises:
        LuupError: An argument is wrong, or the model can't be loaded.
    """
    for name, least, most in (("prompt", 1, 1 << 20), ("tokens", 2, 1 << 16), ("agents", 1, _MOST_AGENTS)):
        value = getattr(arguments, name)
        if not least <= value <= most:
            raise InvalidParamError(f"--{name} must be between {least} and {most}, got {value}")
    with loading.load(arguments.model, {"mmproj": "none", **options.given(arguments, options.MODEL_OPTIONS)}) as model:
        results = measure(model, arguments.prompt, arguments.tokens, arguments.agents)
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        print(to_text(results))
    return output.EXIT_OK


def measure(model: Model, prompt: int, tokens: int, agents: int) -> Dict[str, Any]:
    """Return the speeds of a model.

    Args:
        model: The model, which nothing else uses.
        prompt: The length of the prompt of the single answer and of the system prompt of all agents, in tokens.
        tokens: The length of an answer, in tokens; a model may end one earlier.
        agents: The most agents at a time.

    Raises:
        ContextFullError: The context has no room for the prompt and the answers.
    """
    info = model.get_info()
    need = prompt + agents * (tokens + 64)  # the system prompt is in the context once
    if need > info.context_size:
        raise ContextFullError(
            f"{agents} agents need a context of about {need} tokens, but it has {info.context_size}: lower "
            "--agents, --tokens or --prompt, or raise --context-size"
        )
    with StatusLine() as status:
        status.show("warming up")
        model.warmup()
        status.show("measuring one agent")
        text = _text_of(model, prompt)
        single = Agent(model, temperature=0, max_tokens=tokens).run(text + "\n" + _QUESTION.format(0))
        rows: List[Dict[str, Any]] = []
        for count in _counts(agents):
            status.show(f"measuring {count} agents")
            rows.append(_together(model, text, tokens, count))
    timings = single.timings
    return {
        "luup_agent": __version__,
        "llama_cpp": llama_version(),
        "model": info.description,
        "path": info.path,
        "device": info.device if info.gpu_layers else f"CPU ({info.cpu_variant})",
        "threads": info.threads,
        "memory_bytes": info.memory_weights + info.memory_context + info.memory_compute,
        "load_seconds": round(info.load_seconds, 4),
        "prefill_tokens": timings.prefill_tokens,
        "prefill_tokens_per_second": round(timings.prefill_tokens_per_second, 1),
        "decode_tokens": timings.decode_tokens,
        "decode_tokens_per_second": round(timings.decode_tokens_per_second, 1),
        "agents": rows,
    }


def _text_of(model: Model, count: int) -> str:
    """Return a text of about `count` tokens."""
    per_sentence = max(len(model.tokenize(_SENTENCE)), 1)
    return _SENTENCE * max(count // per_sentence, 1)


def _counts(most: int) -> List[int]:
    """Return 1, 2, 4, … up to `most`, and `most` itself.

    Example:
        >>> _counts(16), _counts(6)
        ([1, 2, 4, 8, 16], [1, 2, 4, 6])
    """
    counts = [1 << power for power in range(most.bit_length()) if 1 << power <= most]
    return counts if counts[-1] == most else [*counts, most]


def _together(model: Model, system: str, tokens: int, count: int) -> Dict[str, Any]:
    """Return the speed of several agents that share a system prompt, each with a question of its own."""
    import asyncio  # which no other command needs

    agents = [Agent(model, f"{count}. {system}", temperature=0, max_tokens=tokens) for _ in range(count)]

    async def ask_all() -> List[AgentResponse[Any]]:
        return await asyncio.gather(*(agent.run_async(_QUESTION.format(n)) for n, agent in enumerate(agents)))

    start = time.perf_counter()
    responses = asyncio.run(ask_all())
    seconds = time.perf_counter() - start
    total = sum(response.usage.completion_tokens for response in responses)
    for agent in agents:
        agent.close()
    first = max(response.timings.time_to_first_token for response in responses)
    return {
        "agents": count,
        "tokens": total,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(total / seconds, 1),
        "slowest_first_token_seconds": round(first, 3),
    }


def to_text(results: Dict[str, Any]) -> str:
    """Return the results as text with a bar chart."""
    block = _BLOCK if output.can_encode(_BLOCK, sys.stdout) else _ASCII_BLOCK
    rows = [
        f"{results['model']} on {results['device']}, {results['threads']} threads, "
        f"{megabytes(results['memory_bytes'])} of memory",
        f"luup-agent {results['luup_agent']}, llama.cpp {results['llama_cpp']}",
        "",
        f"load     {results['load_seconds']:>10.2f} s",
        f"prefill  {results['prefill_tokens_per_second']:>10,.1f} tokens/s  (prompt of {results['prefill_tokens']})",
        f"decode   {results['decode_tokens_per_second']:>10,.1f} tokens/s  (answer of {results['decode_tokens'] + 1})",
        "",
        "agents at a time, with a shared system prompt that is computed once: tokens/s of all, prefill included",
    ]
    fastest = max(row["tokens_per_second"] for row in results["agents"])
    for row in results["agents"]:
        length = max(round(_BAR * row["tokens_per_second"] / max(fastest, 0.1)), 1)
        rows.append(
            f"{row['agents']:>7}  {(block * length).ljust(_BAR)} {row['tokens_per_second']:>8,.1f}  "
            f"first token after {row['slowest_first_token_seconds']:.2f} s"
        )
    return "\n".join(rows)
