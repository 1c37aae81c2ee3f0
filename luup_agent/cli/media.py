"""Pictures and sounds that the command line and the commands of a conversation name."""

from __future__ import annotations

from typing import Iterable, Iterator, List, Sequence, Type, Union

from luup_agent._files import shorten_path
from luup_agent.errors import StorageError
from luup_agent.media import Audio, Image, MessageText

File = Union[Image, Audio]


def read_files(images: Sequence[str], sounds: Sequence[str]) -> List[File]:
    """Return the files at these paths.

    Raises:
        StorageError: One can't be read.
        InvalidParamError: One is not a picture or sound.
    """
    return [*(read_file(Image, path) for path in images), *(read_file(Audio, path) for path in sounds)]


def read_file(kind: Type[File], path: str) -> File:
    """Return the picture or sound at a path. Raises as `read_files`."""
    try:
        return kind(path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise StorageError(f"{shorten_path(path)} can't be read: {error.strerror or error}") from None
        raise


def with_files(messages: Iterable[str], files: Sequence[File]) -> Iterator[str]:
    """Yield messages; the files are a part of the first one."""
    for message in messages:
        yield MessageText((*files, message)) if files else message
        files = ()
