"""Finding and loading the model that a command line names, with progress on stderr."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar
from urllib.parse import urlsplit

from luup_agent import Model, catalog
from luup_agent._files import shorten_path
from luup_agent._hub.names import looks_like_repository, prefix_of
from luup_agent.cli import output, progress
from luup_agent.errors import InvalidParamError

T = TypeVar("T")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SCALED = re.compile(r"(?P<file>.+)=(?P<scale>[+-]?(?:\d+\.?\d*|\.\d+))\Z", re.ASCII | re.DOTALL)
_FILE_PATH = re.compile(r"(?:blob|resolve|raw)/[^/]+/(?P<file>.+\.gguf)\Z")


def load(name: str, options: Dict[str, Any]) -> Model:
    """Load a model by its name or path, and show the progress.

    A repository on a hub brings its projector along, unless `options` have an `mmproj`; "none" is for no projector.
    Likewise "none" as `draft` is for no guesses, also of the model's own heads.

    Raises:
        LuupError: It can't be found or loaded.
    """
    if options.get("mmproj") is None:
        path, projector = obtain(name, _with_projector)
        options = options if projector is None else {**options, "mmproj": projector}
    else:
        path = obtain(name, catalog.resolve)
        options = {**options, "mmproj": False} if options["mmproj"] == "none" else options
    options = {**options, "draft": False} if options.get("draft") == "none" else options
    size = os.path.getsize(path) if os.path.isfile(path) else 0
    with progress.StatusLine() as status:
        shown: Dict[str, Any] = {"on_progress": progress.LoadProgress(path.name, size, status)}
        return Model.from_local(path, **shown, **options)


def adapters_of(values: Sequence[str]) -> Tuple[Dict[str, str], Dict[str, float]]:
    """Return the files of the LoRA adapters that a command line gives, and their scales, both by their names.

    A value is a file, or ``FILE=SCALE``; the file is the name, too.

    Raises:
        InvalidParamError: A file is given twice.
    """
    files: Dict[str, str] = {}
    scales: Dict[str, float] = {}
    for value in values:
        file, scale = value, 1.0
        found = _SCALED.match(value)
        if found is not None and not os.path.exists(value):
            file, scale = found["file"], float(found["scale"])
        if file in files:
            raise InvalidParamError(f"--adapter {file!r} is given twice; give each file once, with its scale")
        files[file], scales[file] = file, scale
    return files, scales


def _with_projector(name: str, on_progress: catalog.OnProgress) -> Tuple[Path, Optional[Path]]:
    """Return the path of a model, and that of the projector if a repository on a hub has one."""
    wanted = next((model.hub_name for model in catalog.hub_models() if model.name == name), name)
    if prefix_of(wanted) != "hf" or os.path.exists(name):
        return catalog.resolve(name, on_progress), None
    from luup_agent import hub

    return hub.download_with_projector(wanted, on_progress=on_progress)


def obtain(name: str, function: Callable[[str, catalog.OnProgress], T]) -> T:
    """Return what `function` finds for the name of a model; show the progress of a download, and the hub's messages.

    Raises:
        LuupError: It can't be found or downloaded.
    """
    check_name(name)
    with progress.StatusLine() as status:
        handler = _HubMessages(status)
        logger = logging.getLogger("luup_agent.hub")
        level, propagate = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            return function(name, progress.DownloadProgress(name, status))
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


def check_name(name: str) -> None:
    """Refuse an address in place of a model, and say what to write instead.

    Raises:
        InvalidParamError: It is a URL.
    """
    if not _URL.match(name) or os.path.exists(name):
        return
    shown = shorten_path(name)
    parts: List[str] = []
    with contextlib.suppress(ValueError):  # not even an address
        parts = [part for part in urlsplit(name).path.split("/") if part]
    if len(parts) >= 2 and looks_like_repository("/".join(parts[:2])) and "huggingface" in name.lower():
        file = _FILE_PATH.match("/".join(parts[2:]))
        suggested = f"hf:{'/'.join(parts[:2])}" + (f"/{file['file']}" if file else "")
        raise InvalidParamError(f"model: {shown!r} is a URL; write {suggested}")
    raise InvalidParamError(
        f"model: {shown!r} is a URL; write hf:owner/repo for a repository on a hub, download another file and give its "
        "path, or name an OpenAI-compatible server with `luup-agent chat MODEL --base-url URL`"
    )


class _HubMessages(logging.Handler):
    """Writes the messages about a download to stderr, above the line with its progress."""

    def __init__(self, status: progress.StatusLine) -> None:
        super().__init__(logging.INFO)
        self._status = status

    def emit(self, record: logging.LogRecord) -> None:
        self._status.clear()
        output.note(f"luup-agent: {record.getMessage()}")
