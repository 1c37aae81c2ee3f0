"""Find the models that programs have stored on this machine: in the hub's cache, in llama.cpp's and in our own.

A file that can't be used is reported with the reason, and never raises an exception. `ollama.py` reads Ollama's store,
`lm_studio.py` LM Studio's folders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from luup_agent._hub.gguf import HeaderError, read_header_of
from luup_agent._hub.listing import HubFile, HubModelFiles, group

__all__ = [
    "Found",
    "LocalModel",
    "Skipped",
    "cached_repository",
    "describe",
    "files_of",
    "grouped",
    "paths_of",
    "scan_folder",
    "scan_hub",
]

_MAX_FILES = 20_000  # of a folder; more are not looked at
_REPOSITORY_PREFIX = "models--"


class Found(NamedTuple):
    """The files of a model, whose headers were not read yet.

    Attributes:
        name: The name to type.
        source: Whose folder it is in: "hub", "llama.cpp", "ollama", "lmstudio" or "luup-agent".
        paths: The file, or the parts of a split one in order.
        quantization: As far as the file's name says it.
    """

    name: str
    source: str
    paths: Tuple[str, ...]
    quantization: str = ""


class Skipped(NamedTuple):
    """A file that can't be used as a model.

    Attributes:
        path: The file.
        source: Whose folder it is in.
        reason: Why it can't be used.
    """

    path: str
    source: str
    reason: str


class LocalModel(NamedTuple):
    """A model on this machine.

    Attributes:
        name: The name for `Model.from_local` and the command line; the path, if it has no other name.
        source: Whose folder it is in: "hub", "llama.cpp", "ollama", "lmstudio" or "luup-agent".
        path: The file; the first one of a split model.
        size: The size of all its files in bytes.
        quantization: The quantization, such as "Q4_K_M", as the file's name says it, or else its header; "" if unknown.
        context_size: The context that it was trained with, in tokens; None if unknown.
        tools: Whether its chat template mentions tools.
        architecture: The architecture, such as "llama".
        fits: Whether it fits into the memory that is available now; None if unknown.
    """

    name: str
    source: str
    path: str
    size: int
    quantization: str
    context_size: Optional[int]
    tools: bool
    architecture: str
    fits: Optional[bool] = None


def describe(found: Found) -> Union[LocalModel, Skipped, None]:
    """Return the model with the facts of its header; None for a file of another kind, such as a projector."""
    path = found.paths[0]
    try:
        size = sum(os.stat(each).st_size for each in found.paths)
        header = read_header_of(path)
    except HeaderError as error:
        return Skipped(path, found.source, str(error))
    except FileNotFoundError:
        broken = os.path.islink(path)
        return Skipped(path, found.source, "the file that it links to is missing" if broken else "it is missing")
    except (OSError, ValueError) as error:
        return Skipped(path, found.source, f"it can't be read: {getattr(error, 'strerror', None) or error}")
    if not header.is_model:
        return None
    return LocalModel(
        found.name,
        found.source,
        path,
        size,
        found.quantization or header.quantization,
        header.context_size,
        header.tools,
        header.architecture,
    )


def _files_below(folder: str, follow: bool) -> List[str]:
    """Return the paths of the GGUF files below a folder, relative to it and with slashes, sorted."""
    names: List[str] = []
    seen = 0
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        if not follow:
            folders[:] = []
        for name in files:
            seen += 1
            if name.lower().endswith(".gguf") and not name.startswith("."):
                names.append(os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, "/"))
        if seen > _MAX_FILES:
            break
    return sorted(names)


def grouped(folder: str, deep: bool = True) -> List[HubModelFiles]:
    """Return the models in a folder, by default also below it."""
    return group(HubFile(name) for name in _files_below(folder, deep))


def paths_of(folder: str, model: HubModelFiles) -> Tuple[str, ...]:
    """Return the paths of a model's files in a folder."""
    return tuple(os.path.join(folder, *file.name.split("/")) for file in model.files)


def scan_folder(folder: Path, source: str, names: Optional[Dict[str, str]] = None) -> Iterator[Found]:
    """Yield the models in a folder without subfolders.

    Args:
        folder: The folder, which may be missing.
        source: The program that the folder belongs to.
        names: Names to type by the names of files; other files are named by their paths.
    """
    for model in grouped(str(folder), deep=False):
        paths = paths_of(str(folder), model)
        yield Found((names or {}).get(model.name, paths[0]), source, paths, model.quantization)


def cached_repository(cache: Path, repository: str, revision: Optional[str]) -> Optional[str]:
    """Return the folder of a repository's files in the hub's cache at a revision, by default "main"; or None."""
    folder = os.path.join(str(cache), _REPOSITORY_PREFIX + repository.replace("/", "--"))
    revision = "main" if revision is None else revision
    if os.path.isabs(revision) or ".." in revision.split("/") or "\0" in revision:
        return None
    commit = revision
    try:
        with open(os.path.join(folder, "refs", *revision.split("/")), encoding="ascii") as file:
            commit = file.read(200).strip()
    except (OSError, ValueError):
        pass
    snapshot = os.path.join(folder, "snapshots", commit)
    return snapshot if commit and os.sep not in commit and os.path.isdir(snapshot) else None


def scan_hub(cache: Path) -> Iterator[Found]:
    """Yield the models in the hub's cache, the newest version of each file."""
    try:
        folders = sorted(os.listdir(str(cache)))
    except OSError:
        return
    for name in folders:
        if not name.startswith(_REPOSITORY_PREFIX):
            continue
        repository = name[len(_REPOSITORY_PREFIX) :].replace("--", "/", 1)
        seen = set()
        for snapshot in _snapshots(os.path.join(str(cache), name)):
            current = snapshot == cached_repository(cache, repository, None)
            models = grouped(snapshot)
            for model in models:
                if model.name in seen:
                    continue
                seen.add(model.name)
                paths = paths_of(snapshot, model)
                same = [each for each in models if each.quantization == model.quantization]
                typed = f"hf:{repository}/{model.files[0].name}"
                if model.quantization and len(same) == 1:
                    typed = f"hf:{repository}:{model.quantization}"
                yield Found(typed if current else paths[0], "hub", paths, model.quantization)


def _snapshots(folder: str) -> List[str]:
    """Return the folders of a repository's versions: the current one, then the others, the newest first."""
    root = os.path.join(folder, "snapshots")
    try:
        snapshots = [os.path.join(root, each) for each in os.listdir(root)]
        snapshots.sort(key=os.path.getmtime, reverse=True)
    except OSError:
        return []
    try:
        with open(os.path.join(folder, "refs", "main"), encoding="ascii") as file:
            main = os.path.join(root, file.read(200).strip())
    except (OSError, ValueError):
        return snapshots
    return sorted(snapshots, key=lambda each: each != main)


def files_of(folder: str) -> List[HubFile]:
    """Return the GGUF files below a folder whose content exists, with their sizes."""
    files: List[HubFile] = []
    for name in _files_below(folder, True):
        try:
            files.append(HubFile(name, os.stat(os.path.join(folder, *name.split("/"))).st_size))
        except OSError:
            continue
    return files
