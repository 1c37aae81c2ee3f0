"""Download the content of a file into the hub's cache: continued where it broke off, hashed, in ranges if necessary.

The unfinished file is ``blobs/<etag>.incomplete``, as in huggingface_hub 0.36. Later versions drop the received part
when a download fails.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from typing import Any, Callable, Iterator, Optional

import httpx

from luup_agent._completions.proxies import find_proxy
from luup_agent._files import shorten_path
from luup_agent._hub.client import Client, Location, Repository, Unreachable, retry_after
from luup_agent._hub.listing import HubFile
from luup_agent._logging import logger as package_logger
from luup_agent.errors import HTTPError, LuupError, StorageError

__all__ = ["OnBytes", "failures_as_errors", "fetch", "open_range", "remember"]

logger = package_logger.getChild("hub")

_BLOCK = 1 << 20
_TRIES = 5  # without a new byte
_RESTARTS = 2  # from the beginning of a file
_PAUSE = 0.5  # seconds before the first of these, doubled for each further one
_MAX_PAUSE = 30.0
_TIMEOUT = httpx.Timeout(30.0, connect=15.0)
_RETRIED = (408, 425, 429, 500, 502, 503, 504)

OnBytes = Callable[[int], object]


class _Restart(Exception):
    """The unfinished part can't be continued."""


class _Failed(Exception):
    """A try that failed, and may be repeated."""

    def __init__(self, error: HTTPError) -> None:
        super().__init__(str(error))
        self.error = error


def fetch(client: Client, repository: Repository, file: HubFile, on_bytes: OnBytes) -> str:
    """Put the content of a file into the cache, if it is missing; return the path of the file in the cache.

    Args:
        client: The hub.
        repository: The repository, at a commit.
        file: The file.
        on_bytes: Called with the number of bytes that the file has so far. An exception that it raises stops the
            download, which the next one continues.

    Raises:
        HTTPError: The hub refused, can't be reached, or the content has another hash.
        StorageError: The cache can't be written, or the disk is full.
    """
    location = client.locate(repository, file)
    blob = os.path.join(client.folder(repository.name), "blobs", location.etag)
    part = blob + ".incomplete"
    with _storing(client, file, part):
        os.makedirs(os.path.dirname(blob), exist_ok=True)
        with client.lock(repository.name, location.etag):
            if not os.path.exists(blob):
                _check_space(client, file, part, location.size)
                _fill(client, repository, file, location, part, on_bytes)
                _put(part, blob)
    on_bytes(location.size)
    return client.link(repository, file)


def _put(part: str, blob: str) -> None:
    """Move a complete file into place, readable as the user's other files are."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(part, 0o666 & ~mask)
    os.replace(part, blob)


def remember(client: Client, repository: Repository, revision: str) -> None:
    """Write which commit a branch is, so that it is found without the network, as huggingface_hub writes it."""
    if revision == repository.commit or os.path.isabs(revision) or ".." in revision.split("/"):
        return
    path = os.path.join(client.folder(repository.name), "refs", *revision.split("/"))
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(repository.commit)


def _fill(
    client: Client, repository: Repository, file: HubFile, location: Location, part: str, on_bytes: OnBytes
) -> None:
    """Download what `part` lacks, and check its hash."""
    with open(part, "ab") as target:
        digest = _Digest(file, location.size)
        digest.read(part)
        failures = restarts = 0
        while True:
            done = target.tell()
            if done == location.size:
                break
            on_bytes(done)
            try:
                if done > location.size:
                    raise _Restart
                _receive(location, done, target, digest, on_bytes)
                if target.tell() < location.size:
                    raise _Failed(Unreachable(f"the connection ended after {target.tell()} of {location.size} bytes"))
            except _Restart:
                restarts += 1
                if restarts > _RESTARTS:
                    raise HTTPError(
                        f"the server's {file.name} of hf:{repository.name} does not have the {location.size} bytes "
                        "that the list says; it may have changed, so try again"
                    ) from None
                logger.info("%s: the unfinished file can't be continued; it is downloaded again", file.name)
                target.seek(0)
                target.truncate()
                digest = _Digest(file, location.size)
            except _Failed as failure:
                target.flush()
                failures = 0 if target.tell() > done else failures + 1
                if failures >= _TRIES:
                    raise failure.error from None
                pause = min(failure.error.retry_after or _PAUSE * 2**failures, _MAX_PAUSE)
                logger.info("%s: %s; trying again in %.1f s", file.name, failure, pause)
                time.sleep(pause)
                fresh = client.locate(repository, file)  # a signed address expires
                if (fresh.etag, fresh.size) != (location.etag, location.size):
                    raise HTTPError(
                        f"{file.name} of hf:{repository.name} changed during its download; start it again"
                    ) from None
                location = fresh
        target.flush()
        os.fsync(target.fileno())
    wrong = digest.mismatch()
    if wrong:
        os.unlink(part)
        raise HTTPError(f"{file.name} of hf:{repository.name} was refused: {wrong}; the file was deleted, try again")


class _Digest:
    """The hash of a file's content: the SHA-256 that the list names, or else git's SHA-1 with its header."""

    def __init__(self, file: HubFile, size: int) -> None:
        self._expected = file.sha256 or file.blob
        self._kind = "SHA-256" if file.sha256 else "SHA-1 of git"
        self._hash: Any = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {size}\0".encode())

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    def read(self, path: str) -> None:
        """Add the content of a file."""
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                self._hash.update(block)

    def mismatch(self) -> Optional[str]:
        """Return a text with both hashes if they differ, else None."""
        found = self._hash.hexdigest()
        if self._expected is None or found == self._expected:
            return None
        return f"its {self._kind} is {found}, not {self._expected}"


def _receive(location: Location, begin: int, target: Any, digest: _Digest, on_bytes: OnBytes) -> None:
    """Append the bytes from `begin` on to `target`, until the end or a failure."""
    with open_range(location, begin) as (blocks, restarted):
        if restarted:
            target.seek(0)
            target.truncate()
            raise _Restart
        for block in blocks:
            if target.tell() + len(block) > location.size:
                raise _Restart
            target.write(block)
            digest.update(block)
            on_bytes(target.tell())


@contextlib.contextmanager
def open_range(location: Location, begin: int, end: Optional[int] = None) -> Iterator[Any]:
    """Request the bytes of a file from `begin` on; yield an iterator of blocks, and whether it begins at 0 instead.

    Args:
        location: The place of the file.
        begin: The first byte.
        end: The byte after the last one; None for all.
    """
    headers = dict(location.headers)
    if begin or end is not None:
        headers["range"] = f"bytes={begin}-" + ("" if end is None else str(end - 1))
    proxy = find_proxy(location.url)
    transport = httpx.HTTPTransport(proxy=httpx.Proxy(proxy.url)) if proxy else httpx.HTTPTransport()
    try:
        with httpx.Client(transport=transport, timeout=_TIMEOUT, follow_redirects=True) as http, http.stream(
            "GET", location.url, headers=headers
        ) as response:
            if response.status_code == 416:
                raise _Restart
            if response.status_code not in (200, 206):
                raise _status_error(response)
            if response.status_code == 206:
                _check_range(response, begin, location.size)
            yield response.iter_raw(), response.status_code == 200 and begin > 0
    except httpx.HTTPError as error:
        reason = shorten_path(str(error)) or type(error).__name__
        raise _Failed(Unreachable(f"the download from {httpx.URL(location.url).host} broke off: {reason}")) from None


@contextlib.contextmanager
def failures_as_errors() -> Iterator[None]:
    """Raise the typed error of a request that is not repeated."""
    try:
        yield
    except _Failed as failure:
        raise failure.error from None
    except _Restart:
        raise HTTPError("the server refused a range of the file; it may have changed, so try again") from None


def _check_range(response: httpx.Response, begin: int, size: int) -> None:
    given = response.headers.get("content-range", "")
    first, _, total = given.rpartition("/")
    if not first.startswith(f"bytes {begin}-") or total not in (str(size), "*"):
        if begin:
            raise _Restart
        raise HTTPError(f"{response.url.host} sent the range {shorten_path(given)!r} of a file of {size} bytes")


def _status_error(response: httpx.Response) -> Exception:
    error = HTTPError(f"{response.url.host} answered {response.status_code} for the file's bytes; try again later")
    error.status = response.status_code
    error.retry_after = retry_after(response.headers)
    return _Failed(error) if error.status in (*_RETRIED, 403) else error  # 403: a signed address has expired


def _check_space(client: Client, file: HubFile, part: str, size: int) -> None:
    """Raise a StorageError if the disk lacks the space for the rest of a file."""
    have = os.path.getsize(part) if os.path.exists(part) else 0
    free = shutil.disk_usage(os.path.dirname(part)).free
    if size - have > free:
        raise StorageError(
            f"{file.name} needs {(size - have) / 1e6:,.0f} MB, but {shorten_path(str(client.cache))} has "
            f"{free / 1e6:,.0f} MB free; free some, or set HF_HOME to a folder on another disk"
        )


@contextlib.contextmanager
def _storing(client: Client, file: HubFile, part: str) -> Iterator[None]:
    """Raise a StorageError in place of an OSError, and delete the unfinished file if it fills the disk."""
    try:
        with failures_as_errors():
            yield
    except LuupError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
        if full:
            with contextlib.suppress(OSError):
                os.unlink(part)
        note = " (the unfinished file was deleted)" if full else ""
        raise StorageError(
            f"{file.name} can't be stored in {shorten_path(str(client.cache))}: {error.strerror or error}{note}; "
            "free some space, or set HF_HOME to another folder"
        ) from error
