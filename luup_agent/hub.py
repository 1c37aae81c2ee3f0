"""Models of a hub, such as Hugging Face, and those that other programs have stored on this machine.

The names of such models are accepted wherever a model is named: by `luup_agent.catalog.resolve`, `Model.from_local` and
the command line.

===============================  =====================================================================================
``hf:owner/repo``                the best quantization in a repository that fits this machine
``hf:owner/repo:Q4_K_M``         the file of this quantization, in upper or lower case
``hf:owner/repo/file.gguf``      exactly this file
``ollama:qwen3:4b``              a model in Ollama's store
``lmstudio:publisher/model``     a model in LM Studio's folder; ``…:Q4_K_M`` or the path of its file if it has several
===============================  =====================================================================================

Downloads need the package huggingface_hub: ``pip install "luup-agent[hub]"``. They are stored in its cache, which other
programs share; ``HF_HOME``, ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` mean the same as there.

The logger ``luup_agent.hub`` reports which quantization was chosen and why, and interrupted downloads, at level INFO.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, List, NamedTuple, Optional, Tuple, Union

from luup_agent import _native, catalog
from luup_agent._files import shorten_path
from luup_agent._hub import found, lm_studio, names, obtain, ollama, places
from luup_agent._hub.found import LocalModel, Skipped
from luup_agent._hub.listing import HubFile, HubModelFiles, group, projectors
from luup_agent.errors import InvalidParamError, LuupError, ModelNotFoundError, StorageError
from luup_agent.model_info import MemoryEstimate

if TYPE_CHECKING:
    from luup_agent._hub.client import Client

__all__ = [
    "Contents",
    "HubFile",
    "HubModelFiles",
    "LocalModel",
    "LocalModels",
    "Skipped",
    "contents",
    "download",
    "download_with_projector",
    "find",
    "local_models",
    "remove",
]

OnProgress = Callable[[int, int], object]

# The defaults of `Model.from_local`.
DEFAULT_LAYOUT = _native.Layout(-1, None, 512, 64, None, "layer", 0, None, None, mmproj=False)


class Contents(NamedTuple):
    """The models of a repository.

    Attributes:
        repository: The repository, such as "owner/repo".
        commit: The hash of the commit.
        models: The models, one for each quantization.
        projectors: The files that turn pictures or sound into input of a model.
    """

    repository: str
    commit: str
    models: List[HubModelFiles]
    projectors: List[HubFile]


class LocalModels(NamedTuple):
    """The models on this machine.

    Attributes:
        models: The models.
        skipped: The files that can't be used, with the reasons.
    """

    models: List[LocalModel]
    skipped: List[Skipped]


def contents(repository: str, *, revision: Optional[str] = None, token: Optional[str] = None) -> Contents:
    """Return the models that a repository has.

    Args:
        repository: The repository, such as "owner/repo".
        revision: A branch, a tag or a commit; None for the main branch.
        token: An access token; None for the one of ``HF_TOKEN`` or ``hf auth login``.

    Raises:
        ModelNotFoundError: The repository or the revision does not exist.
        HTTPError: The hub refused, or can't be reached.
        UnsupportedError: The package huggingface_hub is not installed.

    Example:
        >>> [model.quantization for model in contents("owner/repo").models]  # doctest: +SKIP
        ['Q4_K_M', 'Q8_0']
    """
    listed = _client(token).list_files(names.check_repository(repository), revision)
    return Contents(repository, listed.commit, group(listed.files), projectors(listed.files))


def download(
    repository: str,
    quantization: Optional[str] = None,
    *,
    file: Optional[str] = None,
    revision: Optional[str] = None,
    token: Optional[str] = None,
    on_progress: Optional[OnProgress] = None,
    layout: Optional[_native.Layout] = None,
) -> Path:
    """Download a model from a hub, unless its newest version is in the cache.

    A download that broke off is continued. The hash of each file is checked before it gets its place in the cache. If
    the hub can't be reached, the version in the cache is used, and a warning in the log says so.

    Args:
        repository: The repository, such as "owner/repo", or a name that begins with ``hf:``.
        quantization: The quantization, in upper or lower case. None for the best that fits the memory which this
            machine has available now: only the headers of the files are downloaded to find it.
        file: The path of a file in the repository, instead of a quantization.
        revision: A branch, a tag or a commit; None for the main branch.
        token: An access token; None for the one of ``HF_TOKEN`` or ``hf auth login``. It is sent to the hub only, not
            to the hosts of the files.
        on_progress: Called with the bytes so far and the bytes in total, of all parts of a split model. An
            exception that it raises stops the download.
        layout: Where the model will be loaded; None for the defaults of `Model.from_local`.

    Returns:
        The path of the file; of the first one of a split model.

    Raises:
        InvalidParamError: An argument is invalid, or several files match.
        ModelNotFoundError: The repository, the revision or the file does not exist.
        OutOfMemoryError: No quantization fits, and none is named.
        HTTPError: The hub refused, can't be reached, or a file has a wrong hash.
        StorageError: The cache can't be written, or the disk is full.
        UnsupportedError: The package huggingface_hub is not installed.

    Example:
        >>> download("owner/repo", "Q4_K_M")  # doctest: +SKIP
        PosixPath('/home/me/.cache/huggingface/hub/models--owner--repo/snapshots/1f3c…/model-Q4_K_M.gguf')
    """
    return _download(repository, quantization, file, revision, token, on_progress, layout, False)[0]


def download_with_projector(
    repository: str,
    quantization: Optional[str] = None,
    *,
    file: Optional[str] = None,
    revision: Optional[str] = None,
    token: Optional[str] = None,
    on_progress: Optional[OnProgress] = None,
    layout: Optional[_native.Layout] = None,
) -> Tuple[Path, Optional[Path]]:
    """Do the same as `download`, and download the projector of the repository (``mmproj``) if it has one.

    Of several projectors F16 is taken, else BF16, F32 or Q8_0, in this order.

    Returns:
        The path of the model's file, and of the projector; None if there is none.

    Raises:
        LuupError: As `download`.

    Example:
        >>> path, projector = download_with_projector("owner/repo", "Q4_K_M")  # doctest: +SKIP
        >>> model = Model.from_local(path, mmproj=projector)  # doctest: +SKIP
    """
    return _download(repository, quantization, file, revision, token, on_progress, layout, True)


def _download(
    repository: str,
    quantization: Optional[str],
    file: Optional[str],
    revision: Optional[str],
    token: Optional[str],
    on_progress: Optional[OnProgress],
    layout: Optional[_native.Layout],
    with_projector: bool,
) -> Tuple[Path, Optional[Path]]:
    wanted = obtain.check(repository, quantization, file)
    if revision is not None and (not isinstance(revision, str) or not revision or "\0" in revision):
        raise InvalidParamError(f"revision must be a branch, a tag or a commit, got {revision!r}")
    if on_progress is not None and not callable(on_progress):
        raise InvalidParamError(f"on_progress must be callable, not {type(on_progress).__name__}")
    from luup_agent._hub.client import Unreachable

    client = _client(token)
    try:
        listed = client.list_files(wanted.repository, revision)
    except Unreachable as error:
        path = obtain.from_cache(client, wanted, revision, error)
        projector = obtain.cached_projector(path) if with_projector else None
    else:
        layout = layout or DEFAULT_LAYOUT
        layout = layout._replace(mmproj=None if with_projector else layout.mmproj or False)
        model = obtain.select(client, listed, wanted, layout)
        path = obtain.fetch_all(client, listed, model, revision, on_progress)
        projector = obtain.fetch_projector(client, listed, revision, on_progress) if with_projector else None
    return Path(path), None if projector is None else Path(projector)


def _client(token: Optional[str]) -> Client:
    from luup_agent._hub.client import Client  # brings httpx

    return Client(token)


def find(name: str, on_progress: Optional[OnProgress] = None, layout: Optional[_native.Layout] = None) -> Path:
    """Return the path of the model that a name with a prefix means; download it from a hub if it begins with ``hf:``.

    Args:
        name: A name such as "hf:owner/repo:Q4_K_M", "ollama:qwen3:4b" or "lmstudio:publisher/model".
        on_progress: Called during a download, see `download`.
        layout: Where the model will be loaded, see `download`.

    Raises:
        InvalidParamError: It is not such a name, or several files match.
        ModelNotFoundError: There is no such model.
        LuupError: The download failed, see `download`.

    Example:
        >>> find("ollama:qwen3:4b")  # doctest: +SKIP
        PosixPath('/home/me/.ollama/models/blobs/sha256-163553aea1b1…')
    """
    prefix = names.prefix_of(name)
    if prefix == "hf":
        return download(name, on_progress=on_progress, layout=layout)
    if prefix == "ollama":
        return Path(ollama.open_name(name, places.ollama_stores()))
    if prefix == "lmstudio":
        return Path(lm_studio.open_name(name, places.lm_studio_folders()))
    raise InvalidParamError(f"model: {shorten_path(str(name))!r} must begin with hf:, ollama: or lmstudio:")


def local_models(*, estimate: bool = True) -> LocalModels:
    """Return the models that this package and other programs have stored on this machine, without the network.

    They are read from the hub's cache, llama.cpp's (``LLAMA_CACHE``), Ollama's store (``OLLAMA_MODELS``), LM Studio's
    folders, and the folder of `luup_agent.catalog`. Damaged files and manifests are skipped, with the reason.

    Args:
        estimate: Estimate whether each model fits into memory, which takes a few tenths of a second for each.

    Example:
        >>> [(model.name, model.fits) for model in local_models().models]  # doctest: +SKIP
        [('hf:owner/repo:Q4_K_M', True), ('ollama:qwen3:4b', True)]
    """
    models: List[LocalModel] = []
    skipped: List[Skipped] = []
    seen = set()
    for each in _scan():
        described = found.describe(each) if isinstance(each, found.Found) else each
        if isinstance(described, Skipped):
            skipped.append(described)
        elif described is not None and os.path.realpath(described.path) not in seen:
            seen.add(os.path.realpath(described.path))
            models.append(described._replace(fits=_fits(described.path)) if estimate else described)
    return LocalModels(models, skipped)


def _scan() -> Iterator[Union[found.Found, Skipped]]:
    known = {model.file_name: model.name for model in catalog.available()}
    with contextlib.suppress(LuupError):  # there is no home folder
        yield from found.scan_folder(catalog.cache_folder(), "luup-agent", known)
    yield from found.scan_hub(places.hub_cache())
    for cache in places.llama_cpp_caches():
        yield from found.scan_folder(cache, "llama.cpp")
    for store in places.ollama_stores():
        yield from ollama.scan(store)
    for place in places.lm_studio_folders():
        yield from lm_studio.scan(place)


def _fits(path: str) -> Optional[bool]:
    try:
        return MemoryEstimate(**_native.estimate(path, DEFAULT_LAYOUT)).fits
    except LuupError:  # such as an architecture that llama.cpp does not know
        return None


def remove(name: str) -> List[Path]:
    """Delete a model that this package downloaded into its own cache, see `luup_agent.catalog.cache_folder`.

    Models of other programs are not deleted.

    Args:
        name: A name of the catalog, or the name or the path of a file in the cache.

    Returns:
        The deleted files.

    Raises:
        InvalidParamError: The model is in another program's folder; the message says how to delete it there.
        ModelNotFoundError: There is no such model in the cache.
        StorageError: A file can't be deleted.

    Example:
        >>> remove("smollm2")  # doctest: +SKIP
        [PosixPath('/home/me/.cache/luup-agent/models/SmolLM2-135M-Instruct.Q4_1.gguf')]
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise InvalidParamError(f"name must be the name of a model, got {name!r}")
    folder = catalog.cache_folder()
    known = {model.file_name: model.name for model in catalog.available()}
    own = list(found.scan_folder(folder, "luup-agent", known))
    for mine in own:
        if name in (mine.name, os.path.basename(mine.paths[0])) or os.path.abspath(name) == mine.paths[0]:
            return [_delete(path) for path in mine.paths]
    prefix = names.prefix_of(name)
    owner = _OWNERS.get(prefix) if prefix else None
    for each in _scan() if owner is None else ():
        if isinstance(each, found.Found) and name in (each.name, *each.paths):
            owner = _OWNERS.get(each.source.replace("hub", "hf"), each.source)
    if owner is not None:
        raise InvalidParamError(f"{name} was not deleted: it belongs to {owner}")
    if name in known.values() and catalog.find(name):
        raise InvalidParamError(
            f"{name} was not deleted: it is in an installed package, {catalog.find(name)}; uninstall that"
        )
    listed = ", ".join(mine.name for mine in own) or "no models"
    raise ModelNotFoundError(f"{shorten_path(name)} is not in {shorten_path(str(folder))}, which has {listed}")


_OWNERS = {
    "hf": "the hub's cache, which other programs share; delete it with the command `hf cache`",
    "ollama": "Ollama; run `ollama rm`",
    "lmstudio": "LM Studio; delete it there",
    "llama.cpp": "llama.cpp's cache; delete the file itself",
}


def _delete(path: str) -> Path:
    try:
        os.unlink(path)
    except OSError as error:
        raise StorageError(f"{shorten_path(path)} can't be deleted: {error.strerror or error}") from error
    return Path(path)
