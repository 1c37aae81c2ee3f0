"""Read Ollama's store: manifests name the blobs of a model, as registries of container images do."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

from luup_agent._files import read_regular, shorten_path
from luup_agent._hub.found import Found, Skipped
from luup_agent._json import read_json
from luup_agent.errors import InvalidParamError, ModelNotFoundError

__all__ = ["open_name", "scan"]

_HOST, _NAMESPACE, _TAG = "registry.ollama.ai", "library", "latest"
_MODEL_LAYER = "application/vnd.ollama.image.model"
_MAX_MANIFEST = 1 << 20  # bytes
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_WORD = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_NAME = re.compile(rf"(?:[A-Za-z0-9_][A-Za-z0-9._:-]{{0,127}}/)?(?:{_WORD}/)?{_WORD}(?::{_WORD})?")


def scan(store: Path) -> Iterator[Union[Found, Skipped]]:
    """Yield the models of a store, and the manifests that can't be used."""
    root = os.path.join(str(store), "manifests")
    for parent, folders, files in os.walk(root):
        folders.sort()
        for file in sorted(files):
            path = os.path.join(parent, file)
            parts = os.path.relpath(path, root).split(os.sep)
            if len(parts) != 4 or file.startswith("."):
                continue
            result = _read(store, path)
            yield Found(_name(parts), "ollama", (result,)) if isinstance(result, str) else result


def _name(parts: Sequence[str]) -> str:
    """Return the name of a model as Ollama shows it: without the default host and owner."""
    host, owner, model, tag = parts
    shown = model if (host, owner) == (_HOST, _NAMESPACE) else f"{owner}/{model}"
    return f"ollama:{shown}:{tag}" if host == _HOST else f"ollama:{host}/{owner}/{model}:{tag}"


def _read(store: Path, manifest: str) -> Union[str, Skipped]:
    """Return the path of the blob that a manifest names as its model."""

    def skip(reason: str) -> Skipped:
        return Skipped(manifest, "ollama", reason)

    try:
        value: Any = read_json("it", read_regular(manifest, _MAX_MANIFEST))
    except OSError as error:
        return skip(f"the manifest can't be read: {error.strerror or error}")
    except ValueError as error:
        return skip(f"the manifest is damaged: {shorten_path(str(error))}")
    layers = value.get("layers") if isinstance(value, dict) else None
    if not isinstance(layers, list):
        return skip("the manifest is damaged: it lists no layers")
    models = [each for each in layers if isinstance(each, dict) and each.get("mediaType") == _MODEL_LAYER]
    if not models:
        return skip("it has no layer with a GGUF file: a model of another format, or one in Ollama's cloud")
    digest = models[0].get("digest")
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if match is None:
        return skip(f"the manifest is damaged: {shorten_path(repr(digest))} is not a digest")
    blob = os.path.join(str(store), "blobs", f"sha256-{match.group(1)}")
    try:
        size = os.stat(blob).st_size
    except OSError:
        return skip(f"its blob sha256-{match.group(1)[:12]}… is missing")
    wanted = models[0].get("size")
    if isinstance(wanted, int) and wanted != size:
        return skip(f"its blob has {size} bytes, but the manifest says {wanted}")
    return blob


def open_name(name: str, stores: Sequence[Path]) -> str:
    """Return the path of the file that a name such as "ollama:qwen3:4b" means.

    Raises:
        InvalidParamError: It is not the name of a model.
        ModelNotFoundError: No store has it, or its manifest is damaged.
    """
    rest = name.partition(":")[2]
    if not _NAME.fullmatch(rest) or ".." in rest:
        raise InvalidParamError(
            f"model: {shorten_path(name)!r} is not the name of a model of Ollama; write ollama:model:tag, "
            "as `ollama list` shows it"
        )
    path = _manifest_path(rest)
    for store in stores:
        manifest = os.path.join(str(store), "manifests", *path)
        if not os.path.isfile(manifest):
            continue
        result = _read(store, manifest)
        if isinstance(result, Skipped):
            raise ModelNotFoundError(f"{name} can't be used: {result.reason}; run `ollama pull {rest}`")
        return result
    known = [each.name for store in stores for each in scan(store) if isinstance(each, Found)]
    raise ModelNotFoundError(_unknown(name, rest, stores, known))


def _unknown(name: str, rest: str, stores: Sequence[Path], known: List[str]) -> str:
    where, known = " and ".join(shorten_path(str(each)) for each in stores), sorted(known)[:12]
    if not known:
        return f"{name}: Ollama has no models in {where}; run `ollama pull {rest}`, or set OLLAMA_MODELS to its folder"
    return f"{name}: Ollama has no such model in {where}, only {', '.join(known)}; run `ollama pull {rest}`"


def _manifest_path(rest: str) -> Tuple[str, str, str, str]:
    parts = rest.split("/")
    model, colon, tag = parts[-1].partition(":")
    owner: Optional[str] = parts[-2] if len(parts) > 1 else None
    host: Optional[str] = parts[0] if len(parts) > 2 else None
    return host or _HOST, owner or _NAMESPACE, model, tag if colon else _TAG
