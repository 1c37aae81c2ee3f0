"""The settings of a server, and the models that it serves."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from luup_agent.agent import Agent
from luup_agent.embeddings import Embedder
from luup_agent.errors import InvalidParamError
from luup_agent.model import Model

Servable = Union[Model, "Agent[Any, Any]", Embedder]

_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}\Z")
_ORIGIN = re.compile(r"https?://[^\s/?#]+\Z")
_KINDS = ((Model, "model"), (Agent, "agent"), (Embedder, "embedder"))


class Config(NamedTuple):
    """The settings of a server; `luup_agent.server.create_app` documents them."""

    keys: Tuple[bytes, ...]
    origins: Tuple[str, ...]
    hosts: Tuple[str, ...]
    max_tokens: Optional[int]
    max_runs: int
    max_body: int
    body_timeout: float
    image_urls: bool = False

    def __repr__(self) -> str:
        """Return a text without the keys."""
        return f"<Config with {len(self.keys)} keys>"


class Served(NamedTuple):
    """A model, an agent or an embedder with the name that clients use.

    Attributes:
        name: The name.
        kind: "model", "agent" or "embedder".
        value: The object.
        created: When the server began to offer it, in seconds since 1970.
    """

    name: str
    kind: str
    value: Any
    created: int

    @property
    def closed(self) -> bool:
        """Whether it can't answer any more."""
        return bool(self.value.model.closed if self.kind == "agent" else self.value.closed)


def read_models(models: object) -> Dict[str, Served]:
    """Return what `models` names: a mapping of names to models, agents and embedders, or one of these by itself.

    Raises:
        InvalidParamError: There is nothing to serve, or something else.
    """
    if isinstance(models, Model):
        models = {_name_of(models): models}
    elif isinstance(models, Embedder):
        models = {_stem(models.get_info().path): models}
    elif isinstance(models, Agent):
        models = {"agent": models}
    if not isinstance(models, Mapping):
        raise InvalidParamError(
            f"models must be a dict of names and models, agents or embedders, or one of them, "
            f"not {type(models).__name__}"
        )
    if not models:
        raise InvalidParamError("models must have at least one model, agent or embedder")
    created = int(time.time())
    found: Dict[str, Served] = {}
    for name, value in models.items():
        if not isinstance(name, str) or not _NAME.match(name):
            raise InvalidParamError(f"the name of a model must be 1 to 200 characters without spaces, got {name!r}")
        kind = next((kind for cls, kind in _KINDS if isinstance(value, cls)), None)
        if kind is None:
            raise InvalidParamError(
                f"models[{name!r}] must be a Model, an Agent or an Embedder, not {type(value).__name__}"
            )
        found[name] = Served(name, kind, value, created)
    return found


def _name_of(model: Model) -> str:
    info = model.get_info()
    return info.description or "model" if info.backend == "remote" else _stem(info.path)


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0] or "model"


def read_config(
    api_key: Union[str, Sequence[str], None],
    allow_origins: Sequence[str],
    allow_hosts: Sequence[str],
    max_tokens: Optional[int],
    max_runs: int,
    max_body: int,
    body_timeout: float,
    image_urls: bool = False,
) -> Config:
    """Check the settings of a server.

    Raises:
        InvalidParamError: A setting is wrong; the message names it.
    """
    keys = [] if api_key is None else [api_key] if isinstance(api_key, str) else list(api_key)
    for key in keys:
        if not isinstance(key, str) or not key or not key.isascii() or not key.isprintable() or key != key.strip():
            raise InvalidParamError("api_key must be a text of printable ASCII characters that is not empty")
    for name, value, least in (("max_runs", max_runs, 1), ("max_body", max_body, 1), ("max_tokens", max_tokens, 1)):
        if value is None and name == "max_tokens":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidParamError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if isinstance(body_timeout, bool) or not isinstance(body_timeout, (int, float)) or not 0 < body_timeout < 1e7:
        raise InvalidParamError(f"body_timeout must be a number of seconds above 0, got {body_timeout!r}")
    origins = _texts("allow_origins", allow_origins)
    for origin in origins:
        if origin != "*" and not _ORIGIN.match(origin):
            raise InvalidParamError(
                f'allow_origins must have origins such as "https://example.org", or "*", got {origin!r}'
            )
    hosts = tuple(host.lower() for host in _texts("allow_hosts", allow_hosts))
    if not isinstance(image_urls, bool):
        raise InvalidParamError(f"allow_image_urls must be True or False, got {image_urls!r}")
    encoded = tuple(key.encode() for key in keys)
    return Config(encoded, origins, hosts, max_tokens, max_runs, max_body, float(body_timeout), image_urls)


def _texts(name: str, values: object) -> Tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidParamError(f"{name} must be a list of texts, not {type(values).__name__}")
    found: List[str] = []
    for value in values:
        if not isinstance(value, str) or not value:
            raise InvalidParamError(f"{name} must be a list of texts that are not empty, got {value!r}")
        found.append(value)
    return tuple(found)
