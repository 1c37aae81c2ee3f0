"""The names of models that are not paths: ``hf:owner/repo:Q4_K_M``, ``ollama:qwen3:4b``, ``lmstudio:publisher/model``.

A prefix ends with the first colon. Windows' drives have one letter, so that no path is such a name there.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple, Optional

from luup_agent.errors import InvalidParamError

__all__ = [
    "PREFIXES",
    "HubName",
    "check_repository",
    "is_model_name",
    "looks_like_repository",
    "parse_hub_name",
    "prefix_of",
]

PREFIXES = ("hf", "ollama", "lmstudio")
HUB_SYNTAX = "hf:owner/repo, hf:owner/repo:QUANTIZATION, or hf:owner/repo/file.gguf"

_PART = (
    r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"  # as the hub restricts the names of owners and repositories
)
_REPOSITORY = rf"({_PART})/({_PART})"  # compiled when a name needs it
_QUANTIZATION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


class HubName(NamedTuple):
    """A model on a hub.

    Attributes:
        repository: The repository, such as "owner/repo".
        quantization: The quantization; None to choose one.
        file: The path of the file in the repository; None to choose one.
    """

    repository: str
    quantization: Optional[str] = None
    file: Optional[str] = None

    def __str__(self) -> str:
        """Return the name as it is typed."""
        if self.file is not None:
            return f"hf:{self.repository}/{self.file}"
        return f"hf:{self.repository}" + (f":{self.quantization}" if self.quantization is not None else "")


def prefix_of(name: str) -> Optional[str]:
    """Return the prefix of a name that is not a path; None for a path or a name of the catalog.

    Example:
        >>> prefix_of("ollama:qwen3:4b"), prefix_of("model.gguf")
        ('ollama', None)
    """
    prefix, colon, _ = name.partition(":")
    return prefix.lower() if colon and prefix.lower() in PREFIXES else None


def is_model_name(path: object) -> bool:
    """Return whether a path is such a name, and no file has that name.

    Example:
        >>> is_model_name("ollama:qwen3:4b"), is_model_name("model.gguf")
        (True, False)
    """
    return isinstance(path, str) and prefix_of(path) is not None and "\0" not in path and not os.path.exists(path)


def parse_hub_name(name: str) -> HubName:
    """Return the parts of a name that begins with ``hf:``.

    Raises:
        InvalidParamError: It has another form.

    Example:
        >>> parse_hub_name("hf:owner/repo:Q4_K_M").quantization
        'Q4_K_M'
    """
    rest = name.partition(":")[2]
    path, colon, quantization = rest.partition(":")
    parts = path.split("/", 2)
    file = parts[2] if len(parts) == 3 else None
    if file is not None and file.lower().endswith(".gguf") and not colon:
        return HubName(check_repository("/".join(parts[:2])), None, file)
    if file is None and re.fullmatch(_REPOSITORY, path) and (not colon or re.fullmatch(_QUANTIZATION, quantization)):
        return HubName(check_repository(path), quantization if colon else None)
    from luup_agent._files import shorten_path

    raise InvalidParamError(f"model: {shorten_path(name)!r} is not the name of a model on a hub; write {HUB_SYNTAX}")


def check_repository(repository: object) -> str:
    """Return the name of a repository.

    Raises:
        InvalidParamError: It is not of the form "owner/repo".
    """
    if not isinstance(repository, str) or not looks_like_repository(repository):
        from luup_agent._files import shorten_path

        shown = shorten_path(repository) if isinstance(repository, str) else repository
        raise InvalidParamError(
            f'repository must have the form "owner/repo", of letters, digits, ".", "_" and "-", got {shown!r}'
        )
    return repository


def looks_like_repository(text: str) -> bool:
    """Return whether a text has the form ``owner/repo``.

    Example:
        >>> looks_like_repository("owner/repo"), looks_like_repository("a/b/c"), looks_like_repository("../b")
        (True, False, False)
    """
    match = re.fullmatch(_REPOSITORY, text)
    # The hub refuses these, which have a meaning in the names of the cache's folders.
    return bool(match) and "--" not in text and ".." not in text and not text.endswith(".git")
