"""Pictures and sounds as parts of a message: `Image`, `Audio`.

Example:
    >>> from luup_agent import Image
    >>> agent.generate(["What is in this picture?", Image("cat.png")])  # doctest: +SKIP
    'A cat.'
"""

# The package PIL is an extra.
# pyright: reportMissingImports=false
from __future__ import annotations

import base64
import binascii
import errno
import io
import os
from collections import abc
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

from luup_agent._files import read_regular
from luup_agent.errors import InvalidParamError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from luup_agent._native.media import Header

__all__ = ["Audio", "Image"]

MOST_BYTES = 64 << 20  # of a file; the core refuses more

_Part = TypeVar("_Part", bound="_MediaPart")


class _MediaPart:
    """A file in memory that is a part of a message. Unchangeable; equal to another one with the same bytes."""

    __slots__ = ("_data", "_format", "_height", "_url", "_width")

    _data: bytes
    _format: str
    _url: str  # in place of the bytes
    _width: int
    _height: int

    @property
    def data(self) -> bytes:
        """The bytes of the file; ``b""`` if only the address is known."""
        return self._data

    @property
    def format(self) -> str:
        """The format of the file, in lower case; "" if only the address is known."""
        return self._format

    def to_dict(self) -> Dict[str, Any]:
        """Return the part in the form of OpenAI's chat API."""
        raise NotImplementedError

    def _key(self) -> Tuple[bytes, str]:
        return self._data, self._url

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key() if isinstance(other, _MediaPart) else False

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._key()))

    def __reduce__(self) -> Tuple[Any, ...]:
        return _part_of, (self.to_dict(),)

    def __copy__(self: _Part) -> _Part:
        return self

    def __deepcopy__(self: _Part, memo: Any) -> _Part:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic take an instance or its dict, and write the dict."""
        from pydantic_core import core_schema

        def read(value: Any) -> Any:
            part = value if isinstance(value, _MediaPart) else _part_of(value)
            if not isinstance(part, cls):
                raise InvalidParamError(f"expected {cls.__name__}, got {type(part).__name__}")
            return part

        write = core_schema.plain_serializer_function_ser_schema(lambda part: part.to_dict())
        return core_schema.no_info_plain_validator_function(read, serialization=write)


class Image(_MediaPart):
    """A picture in a message: the bytes of a PNG, JPEG or WebP file.

    Its header is read here, so that other files, animations and what is too large (64 megapixels, 64 MiB) are refused
    before they are part of a message. The picture itself is decoded by a local model when it answers.

    A local model needs a projector, `Model.from_local(path, mmproj=…)`. WebP is converted to PNG here, if Pillow is
    there: ``pip install "luup-agent[images]"``; without it only remote models can read WebP.

    Args:
        source: A path (``~`` is the home folder), or the bytes of a file.

    Raises:
        InvalidParamError: It is not such a picture, or not a regular file.
        FileNotFoundError: There is no such file. Other files that can't be read raise the OSError of `open`.

    Example:
        >>> picture = Image("cat.png")  # doctest: +SKIP
        >>> picture.format, picture.width, picture.height  # doctest: +SKIP
        ('png', 640, 480)
    """

    __slots__ = ()

    def __init__(self, source: Union[str, bytes, bytearray, memoryview, os.PathLike[str]]) -> None:
        name, data = _read(source, "Image")
        header = _header(name, data, True)
        if header.format == "webp":
            converted = _convert(name, data)
            if converted is not None:
                data, header = converted, header._replace(format="png")
        self._data, self._url = data, ""
        self._format, self._width, self._height = header

    @property
    def width(self) -> int:
        """The width in pixels; 0 if only the address is known."""
        return self._width

    @property
    def height(self) -> int:
        """The height in pixels; 0 if only the address is known."""
        return self._height

    @property
    def url(self) -> str:
        """The address that a remote model's server fetches; "" for a picture with bytes."""
        return self._url

    @classmethod
    def from_url(
        cls, url: str, *, fetch: bool = True, allow_private: bool = False, timeout: Optional[float] = 30.0
    ) -> Image:
        """Return the picture at an address.

        No run fetches an address that is in a message. Call this to allow one.

        Args:
            url: The address, with http:// or https://, or a data URL.
            fetch: Fetch the picture now. False passes the address on: the server of a remote model fetches it, and
                local models refuse it.
            allow_private: Also fetch from this machine and from private networks, which a user of your program may
                not be meant to reach.
            timeout: Seconds for connecting and for each pause of the server; None for no limit.

        Raises:
            InvalidParamError: `url` is not such an address, is in a private network, or is not of a picture.
            HTTPError: The server can't be reached, or refuses.

        Example:
            >>> picture = Image.from_url("https://example.com/cat.png")  # doctest: +SKIP
        """
        if not isinstance(url, str):
            raise InvalidParamError(f"url must be a str, not {type(url).__name__}")
        if url.startswith("data:"):
            return cls(_decode_data_url("url", url))
        if not url.startswith(("http://", "https://")):
            raise InvalidParamError(f"url must begin with http://, https:// or data:, not {url[:40]!r}")
        if not fetch:
            return cls._of_url(url)
        from luup_agent._fetching import fetch as fetch_url

        return cls(fetch_url(url, allow_private=allow_private, timeout=timeout, most=MOST_BYTES))

    @classmethod
    def _of_url(cls, url: str) -> Image:
        picture = object.__new__(cls)
        picture._data, picture._format, picture._url = b"", "", url
        picture._width = picture._height = 0
        return picture

    def to_dict(self) -> Dict[str, Any]:
        """Return the part in the form of OpenAI's chat API: ``image_url``, with a data URL unless only a URL is known.

        Example:
            >>> Image.from_url("https://example.com/a.png", fetch=False).to_dict()
            {'type': 'image_url', 'image_url': {'url': 'https://example.com/a.png'}}
        """
        url = self._url or f"data:image/{self._format};base64,{base64.b64encode(self._data).decode('ascii')}"
        return {"type": "image_url", "image_url": {"url": url}}

    def __repr__(self) -> str:
        if self._url:
            return f"Image.from_url({self._url[:80]!r}, fetch=False)"
        return f"<Image {self._format} {self._width}x{self._height}, {len(self._data)} bytes>"


class Audio(_MediaPart):
    """A sound in a message: the bytes of a WAV, MP3 or FLAC file, at most 64 MiB and 30 minutes.

    Args:
        source: A path (``~`` is the home folder), or the bytes of a file.

    Raises:
        InvalidParamError: It is not such a sound, or not a regular file.
        FileNotFoundError: There is no such file. Other files that can't be read raise the OSError of `open`.

    Example:
        >>> agent.generate(["What does she say?", Audio("speech.wav")])  # doctest: +SKIP
    """

    __slots__ = ()

    def __init__(self, source: Union[str, bytes, bytearray, memoryview, os.PathLike[str]]) -> None:
        name, self._data = _read(source, "Audio")
        self._url = ""
        self._format, self._width, self._height = _header(name, self._data, False)

    def to_dict(self) -> Dict[str, Any]:
        """Return the part in the form of OpenAI's chat API: ``input_audio``."""
        data = base64.b64encode(self._data).decode("ascii")
        return {"type": "input_audio", "input_audio": {"data": data, "format": self._format}}

    def __repr__(self) -> str:
        return f"<Audio {self._format}, {len(self._data)} bytes>"


Content = Union[str, Sequence[Union[str, Image, Audio]]]  # of a message of the user
Parts = Tuple[Union[str, Image, Audio], ...]


class MessageText(str):
    """The text of a message with pictures or sounds, which are in `parts`, in order, with the text between them."""

    __slots__ = ("parts",)

    parts: Parts

    def __new__(cls, parts: Parts) -> MessageText:
        made = super().__new__(cls, text_of(parts))
        made.parts = parts
        return made

    def __reduce__(self) -> Tuple[Any, ...]:
        return MessageText, (self.parts,)


def text_of(parts: Sequence[Any]) -> str:
    """Return the texts of a content in parts, joined."""
    return "".join(part for part in parts if isinstance(part, str))


def text_of_content(content: Any) -> str:
    """Return the text of a content in the form of OpenAI's chat API: a text, a list of parts, or None."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, abc.Mapping))
    return str(content or "")


def written(message: str) -> Union[str, List[Dict[str, Any]]]:
    """Return a message as JSON values: its text, or its parts if it has pictures or sounds."""
    return write_parts(message.parts) if isinstance(message, MessageText) else message


def files_of(message: str) -> List[Tuple[int, Union[Image, Audio]]]:
    """Return the pictures and sounds of a message, each with its place in the UTF-8 bytes of the text."""
    files: List[Tuple[int, Union[Image, Audio]]] = []
    at = 0
    for part in getattr(message, "parts", ()):
        if isinstance(part, str):
            at += len(part.encode("utf-8", "replace"))
        else:
            files.append((at, part))
    return files


def read_content(name: str, content: Any) -> Any:
    """Return a content as a str, of class `MessageText` if it has pictures or sounds; None and other types unchanged.

    Raises:
        InvalidParamError: A part is neither a text nor a picture nor a sound.
    """
    if isinstance(content, (Image, Audio)):
        return MessageText((content,))
    if not isinstance(content, (list, tuple)):
        return content
    for index, part in enumerate(content):
        if not isinstance(part, (str, Image, Audio)):
            raise InvalidParamError(
                f"{name}[{index}] must be a str, an Image or an Audio, not {type(part).__name__}: "
                "Image(path) makes a picture of a file"
            )
    if not content:
        raise InvalidParamError(f"{name} is an empty list: give a text, a picture or a sound")
    if all(isinstance(part, str) for part in content):
        return "".join(content)
    return MessageText(tuple(content))


def read_parts(name: str, parts: Sequence[Any]) -> Parts:
    """Return the parts of a content in the form of OpenAI's chat API; error messages call it `name`."""
    found: List[Union[str, Image, Audio]] = []
    for index, part in enumerate(parts):
        place = f"{name}[{index}]"
        if isinstance(part, (str, Image, Audio)):
            found.append(part)
        elif isinstance(part, abc.Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
            found.append(part["text"])
        elif isinstance(part, abc.Mapping) and part.get("type") in ("image_url", "input_audio"):
            found.append(_part_of(part, place))
        else:
            raise InvalidParamError(
                f"{place} must be a text, a picture (image_url) or a sound (input_audio); other parts are not supported"
            )
    return tuple(found)


def write_parts(parts: Parts) -> List[Dict[str, Any]]:
    """Return the parts of a content in the form of OpenAI's chat API."""
    return [{"type": "text", "text": part} if isinstance(part, str) else part.to_dict() for part in parts]


def _part_of(part: Mapping[str, Any], name: str = "a part of a content") -> Union[Image, Audio]:
    kind = part.get("type") if isinstance(part, abc.Mapping) else None
    if kind == "image_url":
        value = part.get("image_url")
        url = value.get("url") if isinstance(value, abc.Mapping) else value
        if not isinstance(url, str) or not url.startswith(("data:", "http://", "https://")):
            raise InvalidParamError(f"{name}.image_url.url must be a data URL, or begin with http:// or https://")
        if url.startswith("data:"):
            return _named(Image, f"{name}.image_url.url", _decode_data_url(f"{name}.image_url.url", url))
        return Image._of_url(url)
    value = part.get("input_audio") if kind == "input_audio" else None
    data = value.get("data") if isinstance(value, abc.Mapping) else None
    if not isinstance(data, str):
        raise InvalidParamError(f"{name}.input_audio.data must be a sound in Base64")
    return _named(Audio, f"{name}.input_audio.data", _decode(f"{name}.input_audio.data", data))


def _named(kind: Type[_Part], name: str, data: bytes) -> _Part:
    """Make a part of bytes; an error message calls it `name`."""
    try:
        return kind(data)  # type: ignore[call-arg]
    except InvalidParamError as error:
        raise InvalidParamError(str(error).replace(f"the bytes of {kind.__name__}", name, 1)) from None


def _decode_data_url(name: str, url: str) -> bytes:
    head, comma, text = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InvalidParamError(f'{name} is a data URL without ";base64,": encode the file in Base64')
    return _decode(name, text)


def _decode(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidParamError(f"{name} is not Base64") from None


def _read(source: Any, kind: str) -> Tuple[str, bytes]:
    """Return a name for errors, and the bytes of a file. Of a file that is too long they are one more than allowed."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        try:
            return f"the bytes of {kind}", bytes(source)
        except ValueError as error:  # a memoryview that was released
            raise InvalidParamError(f"the bytes of {kind} can't be read: {error}") from None
    if not isinstance(source, (str, os.PathLike)):
        raise InvalidParamError(f"{kind} takes a path or bytes, not {type(source).__name__}")
    try:
        path = os.path.expanduser(os.fsdecode(source))
        if path.startswith(("http://", "https://", "data:")):
            raise InvalidParamError(f"{kind} takes a path or bytes, not an address: Image.from_url(url) fetches one")
        return path, read_regular(path, MOST_BYTES, whole=False)
    except InvalidParamError:
        raise
    except (TypeError, ValueError) as error:  # no file can have this path
        raise InvalidParamError(f"{kind} takes a path or bytes, but {source!r:.200} is not a path: {error}") from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise InvalidParamError(f"{source!r:.200} can't be used: {error.strerror}; give its bytes") from None
        raise


def _header(name: str, data: bytes, is_picture: bool) -> Header:
    """Read a header with the core, which uses the classes of this module in its turn."""
    from luup_agent import _native

    return _native.read_header(name, data, is_picture)


def _convert(name: str, data: bytes) -> Optional[bytes]:
    """Return a WebP picture as PNG; None without Pillow.

    Raises:
        InvalidParamError: The picture is broken.
    """
    try:
        from PIL import Image as Pillow
    except ImportError:
        return None
    written = io.BytesIO()
    try:
        with Pillow.open(io.BytesIO(data)) as picture:
            picture.convert("RGBA" if "A" in picture.getbands() else "RGB").save(written, "PNG", compress_level=1)
    except Exception as error:  # Pillow raises anything for a broken file
        raise InvalidParamError(f"{name} is a broken webp file: {error}") from None
    return written.getvalue()
