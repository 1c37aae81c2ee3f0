"""The headers of pictures and sounds: format and size, read before anything is decoded."""

from __future__ import annotations

import struct
from typing import NamedTuple, Optional, Tuple

from luup_agent.errors import InvalidParamError

MOST_BYTES = 64 << 20
MOST_PIXELS = 64_000_000

_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"OggS": "Ogg",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"\x1aE\xdf\xa3": "WebM",
}
_SIZES_OF_JPEG = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of segments that have the size


class Header(NamedTuple):
    """The header of a file.

    Attributes:
        format: "png", "jpeg", "webp", "wav", "mp3" or "flac".
        width: Of a picture, in pixels; else 0.
        height: Of a picture, in pixels; else 0.
    """

    format: str
    width: int = 0
    height: int = 0


def read_picture(name: str, data: bytes) -> Header:
    """Return the header of a picture; messages call it `name`.

    Raises:
        InvalidParamError: It is empty, broken, too large, an animation, or of another format.
    """
    _check_length(name, data, "a PNG, JPEG or WebP picture")
    size: Optional[Tuple[int, int]] = None
    moves = False
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        kind, size, moves = "png", _size_of_png(data), _moves(data)
    elif data.startswith(b"\xff\xd8\xff"):
        kind, size = "jpeg", _size_of_jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind, size = "webp", _size_of_webp(data)
        moves = data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 2)
    else:
        raise InvalidParamError(f"{name} is not a PNG, JPEG or WebP picture{_other_format(data)}")
    if size is None or min(size) < 1:
        raise InvalidParamError(f"{name} is a broken {kind} file: its header can't be read, or it ends too early")
    if moves:
        raise InvalidParamError(f"{name} is an animation; give one of its frames as a picture")
    if size[0] * size[1] > MOST_PIXELS:
        raise InvalidParamError(
            f"{name} has {size[0]} x {size[1]} pixels; at most {MOST_PIXELS // 1_000_000} million are allowed: make it "
            "smaller"
        )
    return Header(kind, *size)


def read_sound(name: str, data: bytes) -> Header:
    """Return the header of a sound; messages call it `name`.

    Raises:
        InvalidParamError: It is empty, too large, or of another format.
    """
    _check_length(name, data, "a WAV, MP3 or FLAC sound")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return Header("wav")
    if data[:4] == b"fLaC":
        return Header("flac")
    if data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2):
        return Header("mp3")
    raise InvalidParamError(f"{name} is not a WAV, MP3 or FLAC sound{_other_format(data)}")


def _check_length(name: str, data: bytes, wanted: str) -> None:
    if not data:
        raise InvalidParamError(f"{name} has no bytes; {wanted} is needed")
    if len(data) > MOST_BYTES:
        raise InvalidParamError(f"{name} has {len(data)} bytes; at most {MOST_BYTES} are allowed")


def _other_format(data: bytes) -> str:
    for begin, name in _OTHER_FORMATS.items():
        if data.startswith(begin):
            return f", but of the format {name}"
    if data[4:8] == b"ftyp":
        brand = data[8:12].decode("ascii", "replace").strip()
        return f", but of the format {'AVIF' if brand == 'avif' else 'HEIC' if brand.startswith('hei') else 'MP4'}"
    return ""


def _size_of_png(data: bytes) -> Optional[Tuple[int, int]]:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _moves(png: bytes) -> bool:
    at = 8
    while at + 12 <= len(png):
        kind = png[at + 4 : at + 8]
        if kind == b"acTL":
            return True
        if kind == b"IDAT":
            return False
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return False


def _size_of_jpeg(data: bytes) -> Optional[Tuple[int, int]]:
    at = 2
    size: Optional[Tuple[int, int]] = None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # a byte to fill
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
        elif marker in _SIZES_OF_JPEG:
            if at + 9 > len(data):
                return None
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            size = width, height
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        elif marker == 0xDA:  # the picture begins; a decoder would make what is missing grey
            return size if data.find(b"\xff\xd9", at) > 0 else None
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _size_of_webp(data: bytes) -> Optional[Tuple[int, int]]:
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None
