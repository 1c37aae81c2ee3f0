"""Requests to a hub's API, made by the package huggingface_hub, with this package's errors.

Parts that all supported versions have are used: 0.36 (Python 3.8), 1.x (3.9), and 2.x.
"""

from __future__ import annotations

import contextlib
import os
import re
from importlib import import_module
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import quote, urlsplit

from luup_agent._completions.secrets import hide
from luup_agent._files import shorten_path
from luup_agent._hub import places
from luup_agent._hub.listing import HubFile
from luup_agent.errors import (
    HTTPError,
    InvalidParamError,
    LuupError,
    ModelNotFoundError,
    StorageError,
    UnsupportedError,
)

__all__ = ["Client", "Location", "Repository", "Unreachable"]

_TIMEOUT = 30.0  # seconds for one answer of the API
_COMMIT = re.compile(r"[0-9a-zA-Z]{7,64}")
_ETAG = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z._-]{0,127}")  # becomes the name of a file
_LIBRARIES = ("requests", "urllib3", "httpx", "httpx2", "httpcore", "httpcore2")  # of HTTP, in these versions


class Unreachable(HTTPError):
    """There was no answer from the hub: no connection, a timeout, or offline mode."""


class Repository(NamedTuple):
    """The files of a repository at one commit.

    Attributes:
        name: The repository, such as "owner/repo".
        commit: The hash of the commit.
        files: The files.
    """

    name: str
    commit: str
    files: List[HubFile]


class Location(NamedTuple):
    """The place of a file's bytes, which may be another host that needs no token.

    Attributes:
        url: The address, usually with a signature that expires.
        etag: The name of the file's content in the cache.
        size: Its size in bytes.
        headers: The headers to send to that address.
    """

    url: str
    etag: str
    size: int
    headers: Tuple[Tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"<Location on {_origin(self.url)[1]}>"  # addresses are signed, and headers have the token


def _library() -> Any:
    """Import huggingface_hub."""
    try:
        library = import_module("huggingface_hub")
        for name in ("constants", "errors", "file_download", "utils"):
            import_module(f"huggingface_hub.{name}")
    except ImportError as error:
        raise UnsupportedError(
            f'models on a hub need the package huggingface_hub ({error}); run `pip install "luup-agent[hub]"`'
        ) from None
    return library


class Client:
    """A hub at ``HF_ENDPOINT``, with a token from the argument, from ``HF_TOKEN`` or from ``hf auth login``."""

    def __init__(self, token: Optional[str] = None) -> None:
        text = token if isinstance(token, str) and token.isascii() and token.isprintable() else ""
        if token is not None and not text.strip():
            raise InvalidParamError("token must be a text of ASCII characters that is not empty")
        self._library = _library()
        self._secret = hide(token)
        self.endpoint = places.hub_endpoint()
        self.cache = places.hub_cache()
        constants = self._library.constants
        self.offline = places.hub_is_offline() or bool(constants.HF_HUB_OFFLINE)

    @property
    def _token(self) -> Optional[str]:
        return None if self._secret is None else self._secret.reveal()

    def __repr__(self) -> str:
        return f"<Client of {self.endpoint}>"

    def list_files(self, repository: str, revision: Optional[str]) -> Repository:
        """Return the files of a repository and their hashes, with one request.

        Raises:
            ModelNotFoundError: The repository or the revision does not exist.
            HTTPError: The hub refused, or can't be reached.
        """
        if self.offline:
            raise Unreachable("HF_HUB_OFFLINE is set")
        api = self._library.HfApi(endpoint=self.endpoint, token=self._token)
        with self._mapped(repository, revision):
            info = api.model_info(repository, revision=revision, files_metadata=True, timeout=_TIMEOUT)
        files = [_file_of(each) for each in info.siblings or () if _is_safe(each.rfilename)]
        if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
            raise HTTPError(f"{self.endpoint} did not name the commit of hf:{repository}; HF_ENDPOINT must name a hub")
        return Repository(repository, info.sha, files)

    def locate(self, repository: Repository, file: HubFile) -> Location:
        """Return the place of a file's bytes at the repository's commit.

        Raises:
            HTTPError: The hub refused, or can't be reached.
        """
        library = self._library
        url = library.hf_hub_url(repository.name, file.name, revision=repository.commit, endpoint=self.endpoint)
        with self._mapped(repository.name, repository.commit, file.name):
            metadata = library.get_hf_file_metadata(url, token=self._token, timeout=_TIMEOUT, endpoint=self.endpoint)
        size = file.size if metadata.size is None else metadata.size
        if size is None or not _ETAG.fullmatch(metadata.etag or ""):
            raise HTTPError(f"{self.endpoint} did not name the hash and the size of {file.name}; it may not be a hub")
        headers = dict(library.utils.build_hf_headers(token=self._token))
        if _origin(metadata.location) != _origin(url):
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        headers["accept-encoding"] = "identity"  # ranges count the bytes of the file
        return Location(metadata.location, metadata.etag, size, tuple(headers.items()))

    def link(self, repository: Repository, file: HubFile) -> str:
        """Return the path of a file in the cache's folder of this commit; its content is in the cache already.

        Raises:
            HTTPError: The hub refused, or can't be reached.
            StorageError: The cache can't be written.
        """
        with self._mapped(repository.name, repository.commit, file.name):
            path = self._library.hf_hub_download(
                repository.name,
                file.name,
                revision=repository.commit,
                cache_dir=str(self.cache),
                endpoint=self.endpoint,
                token=self._token,
            )
        return str(path)

    def folder(self, repository: str) -> str:
        """Return the folder of a repository in the cache."""
        return os.path.join(
            str(self.cache), self._library.file_download.repo_folder_name(repo_id=repository, repo_type="model")
        )

    def lock(self, repository: str, etag: str) -> Any:
        """Return a context manager with the lock that huggingface_hub holds while it downloads this content."""
        folder = os.path.join(str(self.cache), ".locks", os.path.basename(self.folder(repository)))
        os.makedirs(folder, exist_ok=True)
        return self._library.utils.WeakFileLock(os.path.join(folder, f"{etag}.lock"))

    @contextlib.contextmanager
    def _mapped(self, repository: str, revision: Optional[str], file: Optional[str] = None) -> Iterator[None]:
        """Raise this package's errors for those of huggingface_hub and of its HTTP library."""
        try:
            yield
        except LuupError:
            raise
        except Exception as error:
            mapped = self._error(error, repository, revision, file)
            if mapped is None:
                raise
            raise mapped from None  # the request in its traceback has the token

    def _error(
        self, error: Exception, repository: str, revision: Optional[str], file: Optional[str]
    ) -> Optional[LuupError]:
        kinds = self._library.errors
        page = f"{self.endpoint}/{quote(repository)}"
        if isinstance(error, kinds.GatedRepoError):
            return _with_status(
                f"hf:{repository} is gated: accept its licence on {page}, create a token on "
                f"{self.endpoint}/settings/tokens, and set HF_TOKEN to it, or pass token=",
                error,
            )
        if isinstance(error, kinds.RevisionNotFoundError):
            return ModelNotFoundError(
                f"hf:{repository} has no revision {shorten_path(str(revision))!r}; see {page}/tree/main"
            )
        if isinstance(error, kinds.EntryNotFoundError) and not isinstance(error, kinds.LocalEntryNotFoundError):
            return ModelNotFoundError(f"hf:{repository} has no file {file!r} at {revision}; see {page}/tree/main")
        if isinstance(error, kinds.RepositoryNotFoundError):
            return ModelNotFoundError(
                f"{self.endpoint} has no repository {repository!r}, or it is private; check the name on {page}, "
                "and set HF_TOKEN for a private one"
            )
        if isinstance(error, kinds.HfHubHTTPError):
            return _refusal(self.endpoint, repository, error)
        if isinstance(error, kinds.HFValidationError):
            return InvalidParamError(f"the hub does not allow this name: {shorten_path(str(error))}")
        if isinstance(error, kinds.FileMetadataError):
            return HTTPError(
                f"{self.endpoint} did not name the commit and the hash of {file}; HF_ENDPOINT must name a hub"
            )
        if isinstance(error, (ValueError, LookupError, TypeError, AttributeError)):  # of the library, which reads JSON
            return HTTPError(f"{self.endpoint} did not answer like a hub: {_reason(error)}; check HF_ENDPOINT")
        module = type(error).__module__.partition(".")[0]
        if isinstance(error, (kinds.OfflineModeIsEnabled, ConnectionError, TimeoutError)) or module in _LIBRARIES:
            return Unreachable(f"{self.endpoint} can't be reached: {_reason(error)}; check the network and HF_ENDPOINT")
        if isinstance(error, kinds.LocalEntryNotFoundError):
            cause = error.__cause__
            if isinstance(cause, Exception) and cause is not error:
                return self._error(cause, repository, revision, file)
            return Unreachable(f"{self.endpoint} can't be reached; check the network and HF_ENDPOINT")
        if isinstance(error, OSError):
            return StorageError(
                f"hf:{repository} can't be stored in {shorten_path(str(self.cache))}: {error.strerror or error}; "
                "set HF_HOME to a writable folder"
            )
        return None


def _is_safe(name: str) -> bool:
    """Return whether the path of a file can't lead out of its folder in the cache."""
    return not re.search(r"[\\\0]|^/|^[A-Za-z]:", name) and not {"", ".", ".."} & set(name.split("/"))


def _origin(url: str) -> Tuple[str, str]:
    """Return the scheme and the server of an address; of a wrong one, the address as the server's name."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme, parts.netloc


def _file_of(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    if lfs is None:
        return HubFile(sibling.rfilename, sibling.size, None, sibling.blob_id)
    sha256 = lfs["sha256"] if isinstance(lfs, dict) else lfs.sha256
    size = lfs["size"] if isinstance(lfs, dict) else lfs.size
    return HubFile(sibling.rfilename, size if size is not None else sibling.size, sha256, sibling.blob_id)


def _with_status(message: str, error: Any) -> HTTPError:
    """Return an HTTPError with the status of a response, and its pause."""
    made = HTTPError(message)
    response = getattr(error, "response", None)
    made.status = getattr(response, "status_code", None)
    made.retry_after = retry_after(dict(getattr(response, "headers", None) or {}))
    return made


def _refusal(endpoint: str, repository: str, error: Any) -> HTTPError:
    made = _with_status("", error)
    advice = {
        401: "the token is not valid: set HF_TOKEN to one from your settings there, or unset it",
        403: "the token does not allow it: accept the licence on the repository's page, and check the token's rights",
        429: "there were too many requests: wait, or set HF_TOKEN to raise the limit",
    }.get(made.status or 0, "try again later" if (made.status or 0) >= 500 else "check the name and HF_ENDPOINT")
    if made.status == 429 and made.retry_after is not None:
        advice = f"there were too many requests: wait {made.retry_after:g} s, or set HF_TOKEN to raise the limit"
    made.args = (f"{endpoint} answered {made.status} for hf:{repository}; {advice}",)
    return made


def retry_after(headers: Any) -> Optional[float]:
    """Return the seconds of a Retry-After header; None without one."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), None)
    try:
        seconds = float(value) if value is not None else None
    except ValueError:  # a date
        return None
    return seconds if seconds is not None and 0 <= seconds < 1e6 else None


def _reason(error: Exception) -> str:
    """Return the innermost reason of a failed connection, in a few words."""
    inner: BaseException = error
    for _ in range(10):
        following = inner.__cause__ or inner.__context__
        if following is None:
            break
        inner = following
    text = str(inner).strip() or type(inner).__name__
    return shorten_path(" ".join(text.split()))
