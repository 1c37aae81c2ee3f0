"""The folders in which other programs keep models, read from the environment each time that they are needed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import List

__all__ = ["hub_cache", "hub_endpoint", "hub_is_offline", "llama_cpp_caches", "lm_studio_folders", "ollama_stores"]

_TRUE = ("1", "true", "yes", "on")


def _expand(value: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(os.path.expandvars(value))))


def _home() -> Path:
    return _expand("~")


def _cache_home() -> Path:
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches"
    if sys.platform == "win32":
        return _expand(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    return _expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


def hub_cache() -> Path:
    """Return the folder of huggingface_hub's cache: ``HF_HUB_CACHE``, or ``hub`` in ``HF_HOME``."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return _expand(os.environ[name])
    home = os.environ.get("HF_HOME")
    if home:
        return _expand(home) / "hub"
    return _expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"  # on every platform


def hub_endpoint() -> str:
    """Return the address of the hub, without a slash at the end: ``HF_ENDPOINT``, or that of Hugging Face."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def hub_is_offline() -> bool:
    """Return whether ``HF_HUB_OFFLINE`` or ``TRANSFORMERS_OFFLINE`` forbids requests to the hub."""
    return any(os.environ.get(name, "").lower() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def llama_cpp_caches() -> List[Path]:
    """Return the folder of llama.cpp's downloads: ``LLAMA_CACHE``, or its default."""
    named = os.environ.get("LLAMA_CACHE")
    return [_expand(named) if named else _cache_home() / "llama.cpp"]


def ollama_stores() -> List[Path]:
    """Return the folders of Ollama's models: ``OLLAMA_MODELS``, or the user's and that of the system's service."""
    named = os.environ.get("OLLAMA_MODELS")
    if named:
        return [_expand(named)]
    return [_home() / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]


def lm_studio_folders() -> List[Path]:
    """Return LM Studio's folders of models: where its pointer file leads, and the default ones."""
    folders = [_home() / ".lmstudio" / "models", _home() / ".cache" / "lm-studio" / "models"]
    try:
        with open(str(_home() / ".lmstudio-home-pointer"), encoding="utf-8") as file:
            pointer = file.read(4096).strip()
    except (OSError, ValueError):
        return folders
    if pointer and "\0" not in pointer:
        named = _expand(pointer) / "models"
        folders = [named, *(each for each in folders if each != named)]
    return folders
