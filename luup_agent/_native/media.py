"""The headers of pictures and sounds, which the core reads."""

from __future__ import annotations

from typing import NamedTuple

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check
from luup_agent._native.values import new_output, to_text
from luup_agent.errors import InvalidParamError


class Header(NamedTuple):
    """The header of a file.

    Attributes:
        format: "png", "jpeg", "webp", "wav", "mp3" or "flac".
        width: Of a picture, in pixels; else 0.
        height: Of a picture, in pixels; else 0.
    """

    format: str
    width: int
    height: int


def read_header(name: str, data: bytes, is_picture: bool) -> Header:
    """Return the header of a picture or sound; error messages call it `name`.

    Raises:
        InvalidParamError: It is empty, broken, too large, an animation, or of another format.
    """
    media = ffi.new("luup_media *")
    media.type = lib.LUUP_MEDIA_IMAGE if is_picture else lib.LUUP_MEDIA_AUDIO
    content = ffi.from_buffer(data)
    media.data, media.data_size = content, len(data)
    info = new_output("luup_media_info")
    try:
        check(lib.luup_media_check(media, info))
    except InvalidParamError as error:
        mine = "the picture" if is_picture else "the sound"
        raise InvalidParamError(str(error).replace(mine, name, 1)) from None
    return Header(to_text(info.format), info.width, info.height)
