"""The attributes of spans and metrics, by OpenTelemetry's semantic conventions for generative AI."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

from luup_agent._telemetry.content import finish_reason
from luup_agent.model import Model
from luup_agent.outputs import Output
from luup_agent.settings import Settings
from luup_agent.turns import Turn

IN_PROCESS = "luup_agent"  # the provider of a model in this process
_PROVIDERS = {  # by the end of the server's name; any other server speaks OpenAI's protocol
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "x.ai": "x_ai",
    "perplexity.ai": "perplexity",
    "openai.azure.com": "azure.ai.openai",
}
_REQUEST = ("temperature", "top_p", "max_tokens", "seed", "presence_penalty", "frequency_penalty")


def name_of(path_or_name: str) -> str:
    """Return the name of a model: of a file, its own without folders and the ending."""
    return os.path.splitext(os.path.basename(path_or_name))[0] if path_or_name.endswith(".gguf") else path_or_name


def model_name(model: Model) -> str:
    """Return the name of a model: that of its file, or the one that its server knows."""
    info = model._native_model.info()
    return name_of(info["path"] or info["description"])


def provider_of(model: Model) -> Dict[str, Any]:
    """Return the provider of a model, and the address of its server."""
    remote = model._remote
    if remote is None:
        return {"gen_ai.provider.name": IN_PROCESS}
    parts = urlsplit(remote.base_url)
    host = parts.hostname or ""
    ending = next((end for end in _PROVIDERS if host == end or host.endswith("." + end)), None)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    provider = "openai" if ending is None else _PROVIDERS[ending]
    return {"gen_ai.provider.name": provider, "server.address": host, "server.port": port}


def request_attributes(settings: Settings, output: Any) -> Dict[str, Any]:
    """Return the attributes of a request that come from the settings. `output` is the type of the answer."""
    found: Dict[str, Any] = {}
    for name in _REQUEST:
        value = getattr(settings, name)
        if value is not None:
            found[f"gen_ai.request.{name}"] = value
    if settings.top_k:
        found["gen_ai.request.top_k"] = settings.top_k
    if settings.stop:
        found["gen_ai.request.stop_sequences"] = [settings.stop] if isinstance(settings.stop, str) else settings.stop
    plain = output is None or (isinstance(output, Output) and output.kind != "schema")
    found["gen_ai.output.type"] = "text" if plain else "json"
    return found


def response_attributes(turn: Turn) -> Dict[str, Any]:
    """Return the attributes of a request that come from its answer."""
    usage = turn.usage
    found: Dict[str, Any] = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    if turn.finish_reason is not None:
        found["gen_ai.response.finish_reasons"] = [finish_reason(turn)]
        found["gen_ai.response.model"] = name_of(turn.model)
    if turn.timings.time_to_first_token > 0:
        found["gen_ai.response.time_to_first_chunk"] = turn.timings.time_to_first_token
    return found


def error_type(error: Optional[BaseException]) -> Dict[str, Any]:
    """Return the attribute for an exception."""
    return {} if error is None else {"error.type": type(error).__qualname__}
