"""The options of the commands that set something of an agent or of a model."""

from __future__ import annotations

import argparse
import inspect
from typing import Any, Callable, Dict, List, Tuple, Type, Union

from luup_agent import catalog
from luup_agent._server import command

Option = Tuple[Union[Type[int], Type[float], Type[str]], str, str]

# Small models answer better with this plain prompt than with the persona in their chat template.
SYSTEM_PROMPT = "You are a helpful assistant."

OTHER_NAMES = "hf:owner/repo:Q4_K_M, ollama:qwen3:4b or lmstudio:publisher/model"

# Options of `chat` that are passed on under the same names if given: type, metavar and help.
AGENT_OPTIONS: Dict[str, Option] = {
    "temperature": (float, "X", "randomness; 0 for the likeliest tokens only"),
    "top_p": (float, "X", "sample from the likeliest tokens whose probabilities sum up to X; 1 for all"),
    "top_k": (int, "N", "sample from the N likeliest tokens; 0 for all"),
    "min_p": (float, "X", "drop tokens less likely than X times the likeliest; 0 for none"),
    "repeat_penalty": (float, "X", "penalize repeated tokens; 1 for no penalty"),
    "seed": (int, "N", "seed of the sampler, for reproducible answers"),
    "max_tokens": (int, "N", "length limit of an answer; -1 for none"),
    "stop": (str, "TEXT", "end the answer before TEXT; repeatable"),
}
MODEL_OPTIONS: Dict[str, Option] = {
    "context_size": (int, "N", "tokens for prompt, history and answer (default: as trained, at most 8192)"),
    "gpu_layers": (int, "N", "layers to put on the GPU; -1 for all if there is one"),
    "threads": (int, "N", "CPU threads; 0 for as many as the process may use"),
    "cache_type": (str, "TYPE", "type of the KV cache, such as q8_0 for about half of the memory"),
    "mmproj": (
        str,
        "FILE",
        "projector of a model that reads pictures or sounds; hf:… brings its own, none is for none",
    ),
    "draft": (
        str,
        "MODEL",
        "a smaller model with the same vocabulary that guesses the next tokens, for speed; none is for no guesses",
    ),
    "keep_alive": (float, "SECONDS", "free the memory after so long without a message; the next one loads the model"),
}
SERVED_OPTIONS = {**MODEL_OPTIONS, **command.MODEL_OPTIONS}


def add_options(group: argparse._ArgumentGroup, options: Dict[str, Option], function: Callable[..., object]) -> None:
    """Add options to a group; `function` has the parameters that they are passed to, whose defaults the help shows."""
    parameters = inspect.signature(function).parameters
    for name, (kind, metavar, text) in options.items():
        default = parameters[name].default
        group.add_argument(
            "--" + name.replace("_", "-"),
            action="append" if name == "stop" else "store",
            type=kind,
            metavar=metavar,
            help=text if default is None else f"{text} (default: {default})",
        )


def given(arguments: argparse.Namespace, options: Dict[str, Option]) -> Dict[str, Any]:
    """Return those of `options` that the command line sets; -1 for `max_tokens` is None, no limit."""
    found = {name: getattr(arguments, name) for name in options if getattr(arguments, name, None) is not None}
    if found.get("max_tokens") == -1:
        found["max_tokens"] = None
    return found


def known_names() -> List[str]:
    """Return the names of the catalog."""
    return [*(model.name for model in catalog.available()), *(model.name for model in catalog.hub_models())]
