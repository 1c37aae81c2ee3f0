"""Find and download the model that a name on a hub means; `luup_agent.hub.download` documents it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, List, Optional

from luup_agent import _native
from luup_agent._files import shorten_path
from luup_agent._hub import found
from luup_agent._hub.listing import HubFile, HubModelFiles, best_projector, choose
from luup_agent._hub.names import HubName, check_repository, parse_hub_name, prefix_of
from luup_agent._logging import logger as package_logger
from luup_agent.errors import InvalidParamError, LuupError, ModelNotFoundError
from luup_agent.model_info import MemoryEstimate

if TYPE_CHECKING:
    from luup_agent._hub.client import Client, Repository

__all__ = ["cached_projector", "check", "estimate", "fetch_all", "fetch_projector", "from_cache", "select"]

logger = package_logger.getChild("hub")

OnProgress = Callable[[int, int], object]


def check(repository: object, quantization: object, file: object) -> HubName:
    """Return the checked arguments of `download`."""
    if isinstance(repository, str) and prefix_of(repository) == "hf":
        wanted = parse_hub_name(repository)
        if (wanted.quantization or wanted.file) and (quantization is not None or file is not None):
            raise InvalidParamError(f"{wanted} names a file already; leave out quantization and file")
        repository, quantization, file = wanted.repository, wanted.quantization or quantization, wanted.file or file
    checked = check_repository(repository)
    for name, value in (("quantization", quantization), ("file", file)):
        if value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
            raise InvalidParamError(f"{name} must be a text that is not empty, got {value!r}")
    if quantization is not None and file is not None:
        raise InvalidParamError("give a quantization or a file, not both")
    return HubName(
        checked,
        quantization if isinstance(quantization, str) else None,
        file if isinstance(file, str) else None,
    )


def select(client: Client, listed: Repository, wanted: HubName, layout: _native.Layout) -> HubModelFiles:
    """Return the model of a repository, and log why it is this one if the name left it open."""
    models = choose(wanted.repository, listed.files, wanted.quantization, wanted.file)
    if wanted.quantization is not None or wanted.file is not None:
        return models[0]
    from luup_agent._hub.fitting import choose_fitting

    choice = choose_fitting(client, listed, models, layout)
    logger.info("hf:%s: %s %s", wanted.repository, choice.model.quantization or choice.model.name, choice.reason)
    return choice.model


def estimate(name: str, layout: _native.Layout) -> MemoryEstimate:
    """Estimate the memory that a model on a hub takes, from the cache or else from the headers on the hub."""
    from luup_agent._hub.client import Client, Unreachable
    from luup_agent._hub.fitting import estimate_remote

    client, wanted = Client(), check(name, None, None)
    try:
        listed = client.list_files(wanted.repository, None)
    except Unreachable as error:
        path: Optional[str] = from_cache(client, wanted, None, error)
        projector = cached_projector(str(path))
    else:
        model = select(client, listed, wanted, layout)
        beside = best_projector(listed.files) if layout.mmproj is None else None
        files = model.files if beside is None else (*model.files, beside)
        paths = [_cached_file(client, listed, file) for file in files]
        path = paths[0]
        if path is None or None in paths:
            return estimate_remote(client, listed, model, layout)
        projector = None if beside is None else paths[-1]
    if layout.mmproj is None and projector is not None:
        layout = layout._replace(mmproj=projector)
    return MemoryEstimate(**_native.estimate(path, layout))


def fetch_all(
    client: Client,
    listed: Repository,
    model: HubModelFiles,
    revision: Optional[str],
    on_progress: Optional[OnProgress],
) -> str:
    """Download the files of a model; return the path of the first."""
    from luup_agent._hub import transfer

    done = 0
    paths: List[str] = []
    for file in model.files:

        def report(count: int, before: int = done) -> None:
            if on_progress is not None:
                on_progress(before + count, model.size)

        cached = _cached_file(client, listed, file)
        paths.append(cached or transfer.fetch(client, listed, file, report))
        done += file.size or 0
    transfer.remember(client, listed, revision or "main")
    return paths[0]


def fetch_projector(
    client: Client, listed: Repository, revision: Optional[str], on_progress: Optional[OnProgress]
) -> Optional[str]:
    """Download the projector of a repository; return its path, None if it has none."""
    file = best_projector(listed.files)
    if file is None:
        return None
    logger.info("hf:%s: %s is the projector", listed.name, file.name)
    return fetch_all(client, listed, HubModelFiles(file.name, "", (file,)), revision, on_progress)


def cached_projector(path: str) -> Optional[str]:
    """Return the path of the projector beside a model of the cache; None if there is none."""
    folder = os.path.dirname(path)
    try:
        file = best_projector(HubFile(name) for name in os.listdir(folder))
    except OSError:
        return None
    return None if file is None else os.path.join(folder, file.name)


def _cached_file(client: Client, listed: Repository, file: HubFile) -> Optional[str]:
    """Return the path of a file in the cache, if the cache has this commit."""
    path = os.path.join(client.folder(listed.name), "snapshots", listed.commit, *file.name.split("/"))
    try:
        complete = os.stat(path).st_size == file.size
    except OSError:
        return None
    return path if complete else None


def from_cache(client: Client, wanted: HubName, revision: Optional[str], error: LuupError) -> str:
    """Return the path of a model in the cache, because the hub can't be reached."""
    snapshot = found.cached_repository(client.cache, wanted.repository, revision)
    files = found.files_of(snapshot) if snapshot else []
    advice = "HF_HUB_OFFLINE is set: unset it, or copy the model into the cache" if client.offline else str(error)
    if snapshot is None or not files:
        message = f"{wanted} is not in the cache {shorten_path(str(client.cache))}, and {advice}"
        if client.offline:
            raise ModelNotFoundError(message) from None
        raise error
    models = choose(wanted.repository, files, wanted.quantization, wanted.file)
    if wanted.quantization is None and wanted.file is None:
        models = sorted(models, key=lambda each: each.size, reverse=True)
    path = os.path.join(snapshot, *models[0].files[0].name.split("/"))
    log = logger.info if client.offline else logger.warning
    log("%s: %s from the cache is used, because %s", wanted, models[0].name, error)
    return path
