"""Read the header of a GGUF file: its metadata, and where its tensors begin. The weights are not read.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, Callable, Dict, Mapping, NamedTuple, Optional, Union

__all__ = ["Header", "HeaderError", "read_header", "read_header_of"]

MAGIC = b"GGUF"
_MAX_HEADER = 256 << 20  # bytes; the vocabularies of today take up to 16 MiB
_MAX_STRING = 64 << 20
_MAX_KEPT = 1 << 20  # characters of a text that is kept; the longest chat templates have some 30,000
_MAX_ITEMS = 1 << 24
_MAX_TENSORS = 1 << 20
_MAX_NESTING = 4

_STRING, _ARRAY = 8, 9
_SCALARS: Mapping[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip

# llama.cpp's enum llama_ftype.
_FILE_TYPES: Mapping[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip


class HeaderError(ValueError):
    """The bytes are not the header of a GGUF file."""


class Header(NamedTuple):
    """The header of a GGUF file.

    Attributes:
        size: Its size in bytes, without the padding before the tensors.
        values: The numbers and texts of the metadata by name; no arrays.
    """

    size: int
    values: Dict[str, Any]

    @property
    def architecture(self) -> str:
        """The architecture, such as "llama"; "" if the file names none."""
        return self._text("general.architecture")

    @property
    def is_model(self) -> bool:
        """Whether it is a language model, as opposed to a projector of pictures, an adapter or other data."""
        kind = self._text("general.type") or "model"
        return kind == "model" and self.architecture not in ("", "clip", "imatrix")

    @property
    def quantization(self) -> str:
        """The quantization, such as "Q4_K_M"; "" if the file names none that is known."""
        number = self.values.get("general.file_type")
        return _FILE_TYPES.get(number & ~1024, "") if isinstance(number, int) else ""

    @property
    def context_size(self) -> Optional[int]:
        """The size of the context that the model was trained with, in tokens; None if the file lacks it."""
        value = self.values.get(f"{self.architecture}.context_length")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def tools(self) -> bool:
        """Whether the chat template mentions tools."""
        return "tools" in self._text("tokenizer.chat_template") or bool(self._text("tokenizer.chat_template.tool_use"))

    def _text(self, name: str) -> str:
        value = self.values.get(name)
        return value if isinstance(value, str) else ""


class _Reader:
    """Reads little-endian values; `read(n)` of the source returns fewer bytes only at its end."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.position = 0

    def bytes(self, count: int) -> bytes:
        if self.position + count > _MAX_HEADER:
            raise HeaderError(f"the header has more than {_MAX_HEADER} bytes")
        data = self._read(count)
        if len(data) < count:
            raise HeaderError(f"it ends within the header, after {self.position + len(data)} bytes")
        self.position += count
        return data

    def scalar(self, code: str) -> Any:
        return struct.unpack("<" + code, self.bytes(struct.calcsize("<" + code)))[0]

    def count(self, limit: int, what: str) -> int:
        value: int = self.scalar("Q")
        if value > limit:
            raise HeaderError(f"it has {value} {what}, more than {limit}")
        return value

    def string(self) -> str:
        data = self.bytes(self.count(_MAX_STRING, "bytes in a text"))
        return data[:_MAX_KEPT].decode("utf-8", "replace")

    def value(self, kind: int, nesting: int = 0) -> Union[int, float, str, None]:
        """Return a number or a text; None for an array, which is skipped."""
        if kind in _SCALARS:
            number: Union[int, float] = self.scalar(_SCALARS[kind])
            return number
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or nesting >= _MAX_NESTING:
            unknown = f"a value has the unknown type {kind}"
            raise HeaderError("arrays are nested too deeply" if kind == _ARRAY else unknown)
        inner, length = self.scalar("I"), self.count(_MAX_ITEMS, "items in an array")
        if inner in _SCALARS:
            self.bytes(length * struct.calcsize("<" + _SCALARS[inner]))
        elif inner == _STRING:
            for _ in range(length):
                self.bytes(self.count(_MAX_STRING, "bytes in a text"))
        else:
            for _ in range(length):
                self.value(inner, nesting + 1)
        return None


def read_header(read: Callable[[int], bytes]) -> Header:
    """Read a header from the beginning of a file.

    Args:
        read: Returns the next bytes, as `file.read` does.

    Raises:
        HeaderError: The bytes are not a GGUF file's header.
    """
    reader = _Reader(read)
    magic = reader.bytes(4)
    if magic != MAGIC:
        raise HeaderError(f"it begins with {magic!r}, not with {MAGIC!r}")
    version = reader.scalar("I")
    if version not in (2, 3):
        raise HeaderError(f"it has version {version} of GGUF; 2 and 3 are supported")
    tensors, entries = reader.count(_MAX_TENSORS, "tensors"), reader.count(_MAX_TENSORS, "entries of metadata")
    values: Dict[str, Any] = {}
    for _ in range(entries):
        name = reader.string()
        value = reader.value(reader.scalar("I"))
        if value is not None:
            values[name] = value
    for _ in range(tensors):
        reader.string()
        dimensions = reader.scalar("I")
        if dimensions > 8:
            raise HeaderError(f"a tensor has {dimensions} dimensions")
        reader.bytes(8 * dimensions + 4 + 8)  # sizes, type, offset
    return Header(reader.position, values)


def read_header_of(path: str) -> Header:
    """Read the header of a file.

    Raises:
        HeaderError: It is not a GGUF file.
        OSError: It can't be read.
    """
    with open(path, "rb", buffering=1 << 18) as file:
        source: BinaryIO = file
        return read_header(source.read)
