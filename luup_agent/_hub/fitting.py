"""Choose the best quantization that fits this machine, from the headers of the files on the hub."""

from __future__ import annotations

import os
import tempfile
from typing import List, NamedTuple, Optional, Sequence

from luup_agent import _native
from luup_agent._hub.client import Client, Location, Repository
from luup_agent._hub.gguf import HeaderError, read_header
from luup_agent._hub.listing import HubFile, HubModelFiles, ambiguous, best_projector, family
from luup_agent._hub.transfer import failures_as_errors, open_range
from luup_agent.errors import LuupError, ModelLoadError, OutOfMemoryError, StorageError
from luup_agent.model_info import MemoryEstimate

__all__ = ["Choice", "choose_fitting", "estimate_remote"]

_FIRST = 4 << 20  # bytes of the first request for a header, doubled for each further one


class Choice(NamedTuple):
    """A model, and the reason why it was chosen.

    Attributes:
        model: The model.
        reason: The end of a sentence that begins with its name.
    """

    model: HubModelFiles
    reason: str


def choose_fitting(
    client: Client, repository: Repository, models: Sequence[HubModelFiles], layout: _native.Layout
) -> Choice:
    """Return the best model that fits the memory that this machine has available.

    The largest quantization of at most 8 bits is the best. Files without quantization are considered only if a
    repository has no others: they are twice as large as Q8_0, half as fast, and hardly better.

    Args:
        client: The hub.
        repository: The repository.
        models: Its models.
        layout: Where the model would be loaded, and with which context.

    Raises:
        InvalidParamError: The repository has several models, as opposed to several quantizations of one.
        OutOfMemoryError: None of them fits.
        HTTPError: A header can't be read.
        ModelLoadError: A header is damaged, or of an architecture that this version does not know.
    """
    if len(models) == 1:
        return Choice(models[0], "is the repository's only model")
    candidates = _candidates(repository.name, models)
    limit: Optional[float] = None  # bytes of weights that may fit
    estimate = None
    for model in candidates:
        if limit is not None and model.size > limit and model is not candidates[-1]:
            continue
        estimate = estimate_remote(client, repository, model, layout)
        if estimate.fits:
            return Choice(model, _why(estimate, candidates, model))
        if estimate.fits is None:
            medium = min(candidates, key=lambda each: abs(each.size - _middle(candidates)))
            return Choice(medium, "is of medium size; the memory of this machine is unknown")
        overhead = estimate.total - estimate.memory_weights
        limit = max(0, estimate.host_available + estimate.devices_free - overhead)
    assert estimate is not None
    raise OutOfMemoryError(
        f"no quantization of hf:{repository.name} fits: the smallest, {candidates[-1].name}, needs "
        f"{_gigabytes(estimate.total)} with a context of {estimate.context_size} tokens, and "
        f"{_gigabytes(estimate.host_available + estimate.devices_free)} are available; use a smaller model or "
        f"context_size, or name the quantization to load it anyway: hf:{repository.name}:{candidates[-1].quantization}"
    )


def _candidates(repository: str, models: Sequence[HubModelFiles]) -> List[HubModelFiles]:
    """Return the quantizations of one model, the largest first."""
    candidates = [each for each in models if each.quantization and not each.is_float] or list(models)
    if len({family(each) for each in candidates}) > 1:
        raise ambiguous(repository, candidates, "of several models")
    return sorted(candidates, key=lambda each: each.size, reverse=True)


def _middle(candidates: Sequence[HubModelFiles]) -> float:
    return sum(each.size for each in candidates) / len(candidates)


def _why(estimate: MemoryEstimate, candidates: Sequence[HubModelFiles], model: HubModelFiles) -> str:
    place = "the best" if model is candidates[0] else "the best that fits"
    where = " on GPUs and in RAM" if estimate.memory_devices else ""
    return (
        f"is {place} of {len(candidates)} quantizations: it needs {_gigabytes(estimate.total)} with a context of "
        f"{estimate.context_size} tokens, and {_gigabytes(estimate.host_available + estimate.devices_free)} are "
        f"available{where}"
    )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def estimate_remote(
    client: Client, repository: Repository, model: HubModelFiles, layout: _native.Layout
) -> MemoryEstimate:
    """Estimate the memory that a model on the hub takes: only the headers of its files are downloaded.

    Raises:
        HTTPError: A header can't be read.
        ModelLoadError: A header is damaged, or of an architecture that this version does not know.
        StorageError: The temporary folder can't be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="luup-header-") as folder:
            paths = [os.path.join(folder, os.path.basename(file.name)) for file in model.files]
            for file, path in zip(model.files, paths):
                _write_header(client.locate(repository, file), file, path)
            projector = best_projector(repository.files) if layout.mmproj is None else None
            if projector is not None:
                path = os.path.join(folder, os.path.basename(projector.name))
                _write_header(client.locate(repository, projector), projector, path)
                layout = layout._replace(mmproj=path)
            try:
                return MemoryEstimate(**_native.estimate(paths[0], layout))
            except ModelLoadError as error:
                raise ModelLoadError(str(error).replace(folder + os.sep, f"hf:{repository.name}/")) from None
    except LuupError:
        raise
    except OSError as error:
        raise StorageError(
            f"the header of {model.name} can't be stored in {tempfile.gettempdir()}: {error.strerror or error}; "
            "set TMPDIR to a writable folder"
        ) from error


def _write_header(location: Location, file: HubFile, path: str) -> None:
    """Write a file of the right size that has only the header of a file on the hub; the rest is a hole."""
    with open(path, "wb") as target:
        ranges = _Ranges(location)

        def read(count: int) -> bytes:
            data = ranges.read(count)
            target.write(data)
            return data

        try:
            read_header(read)
        except HeaderError as error:
            raise ModelLoadError(f"{file.name} on the hub is not a model: {error}") from None
        target.truncate(location.size)


class _Ranges:
    """The bytes of a file on the hub from its beginning, requested in pieces when they are read."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._data = memoryview(b"")
        self._next = 0
        self._size = _FIRST

    def read(self, count: int) -> bytes:
        """Return the next bytes; fewer at the end of the file."""
        parts: List[bytes] = []
        while count > 0:
            if not self._data and not self._request():
                break
            part = self._data[:count]
            self._data = self._data[len(part) :]
            parts.append(bytes(part))
            count -= len(part)
        return b"".join(parts)

    def _request(self) -> bool:
        begin, end = self._next, min(self._next + self._size, self._location.size)
        if begin >= end:
            return False
        self._data = memoryview(_receive(self._location, begin, end))
        self._next, self._size = begin + len(self._data), self._size * 2
        return bool(self._data)


def _receive(location: Location, begin: int, end: int) -> bytes:
    """Return the bytes from `begin` to `end`, also from a server that knows no ranges and sends the whole file."""
    with failures_as_errors(), open_range(location, begin, end) as (blocks, from_zero):
        skip = begin if from_zero else 0
        data = bytearray()
        for block in blocks:
            data += block
            if len(data) >= skip + end - begin:
                break
        return bytes(data[skip : skip + end - begin])
