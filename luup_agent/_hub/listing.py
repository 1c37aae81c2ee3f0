"""The models in the list of a repository's files: names of quantizations, parts of split files, projectors."""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from luup_agent.errors import InvalidParamError, ModelNotFoundError

__all__ = ["HubFile", "HubModelFiles", "best_projector", "choose", "group", "projectors"]

_SPLIT = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
# The quantization at the end of a file's name, with the prefix "UD" of Unsloth's dynamic ones.
_QUANTIZATION = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_\d(?:_\d){0,2}|_K(?:_(?:XXS|XS|XXL|XL|S|M|L|P))?|_(?:XXS|XS|NL|XL|S|M|L))?"
    r"|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32|FP32|F64))$",
    re.IGNORECASE,
)
_FLOATS = ("BF16", "F16", "FP16", "F32", "FP32", "F64")
_PROJECTOR = re.compile(r"(^|[-._/])mmproj([-._]|$)", re.IGNORECASE)
_NOT_MODELS = re.compile(r"(^|[-._/])(imatrix|mmproj|lora|control-vector)([-._]|$)", re.IGNORECASE)
_SHOWN = 12


class HubFile(NamedTuple):
    """A file of a repository.

    Attributes:
        name: Its path in the repository.
        size: Its size in bytes; None if the hub does not say.
        sha256: The SHA-256 of its content; None if the hub does not say.
        blob: The id of git's object, a SHA-1; None if the hub does not say.
    """

    name: str
    size: Optional[int] = None
    sha256: Optional[str] = None
    blob: Optional[str] = None


class HubModelFiles(NamedTuple):
    """A model of a repository: one file, or the parts of a split one.

    Attributes:
        name: The path of the file or, without the numbers of the parts, of the split file.
        quantization: As its name says it, in upper case; "" if it does not.
        files: The files in order.
    """

    name: str
    quantization: str
    files: Tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """The size of all files in bytes, as far as it is known."""
        return sum(each.size or 0 for each in self.files)

    @property
    def is_float(self) -> bool:
        """Whether it isn't quantized at all."""
        return self.quantization in _FLOATS


def quantization_of(name: str) -> str:
    """Return the quantization that the name of a file ends with, in upper case; "" if it has none.

    Example:
        >>> quantization_of("a/Model-4B-UD-Q4_K_XL.gguf"), quantization_of("model.gguf")
        ('UD-Q4_K_XL', '')
    """
    stem = re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)
    match = _QUANTIZATION.search(stem)
    if match is None and "/" in stem:  # a folder for each quantization
        match = _QUANTIZATION.search(stem.rpartition("/")[0])
    return match.group(1).upper() if match else ""


def projectors(files: Iterable[HubFile]) -> List[HubFile]:
    """Return the projectors of pictures and sound, which are not models themselves."""
    return [each for each in files if _is_gguf(each) and _PROJECTOR.search(each.name)]


def best_projector(files: Iterable[HubFile]) -> Optional[HubFile]:
    """Return the projector to take of several: F16, else the least precise one above it, else the most precise one."""
    order = ("F16", "FP16", "BF16", "F32", "FP32", "Q8_0")

    def rank(file: HubFile) -> Tuple[int, str]:
        kind = quantization_of(file.name)
        return (order.index(kind) if kind in order else len(order), file.name)

    return min(projectors(files), key=rank, default=None)


def _is_gguf(file: HubFile) -> bool:
    return file.name.lower().endswith(".gguf")


def group(files: Iterable[HubFile]) -> List[HubModelFiles]:
    """Return the models among files, in alphabetical order. A split model that lacks a part is left out."""
    singles: List[HubModelFiles] = []
    parts: Dict[Tuple[str, int], Dict[int, HubFile]] = {}
    for file in files:
        if not _is_gguf(file) or _NOT_MODELS.search(file.name):
            continue
        split = _SPLIT.fullmatch(file.name)
        if split is None:
            singles.append(HubModelFiles(file.name, quantization_of(file.name), (file,)))
        else:
            parts.setdefault((split.group(1), int(split.group(3))), {})[int(split.group(2))] = file
    for (stem, count), numbered in parts.items():
        if sorted(numbered) == list(range(1, count + 1)):
            name = stem + ".gguf"
            singles.append(HubModelFiles(name, quantization_of(name), tuple(numbered[n] for n in sorted(numbered))))
    return sorted(singles)


def choose(
    repository: str, files: Sequence[HubFile], quantization: Optional[str] = None, file: Optional[str] = None
) -> List[HubModelFiles]:
    """Return the models that a quantization or the name of a file selects: one, or with neither all of them.

    Args:
        repository: The repository, for messages.
        files: Its files.
        quantization: The quantization, in upper or lower case.
        file: The path of a file; of any part, for a split one.

    Raises:
        ModelNotFoundError: There is no such model.
        InvalidParamError: There are several.
    """
    models = group(files)
    if file is not None:
        named = [each for each in models if file == each.name or any(file == part.name for part in each.files)]
        exact = [each for each in files if each.name == file and _is_gguf(each)]
        if not named and exact and not _SPLIT.fullmatch(file):  # any GGUF file, if it is named exactly
            named = [HubModelFiles(file, quantization_of(file), (exact[0],))]
        if not named:
            raise ModelNotFoundError(f"hf:{repository} has no file {file!r}; {_describe(files, models)}")
        return named
    if not models:
        raise ModelNotFoundError(f"hf:{repository} has no model; {_describe(files, models)}")
    if quantization is None:
        return models
    wanted = quantization.upper()
    found = [each for each in models if each.quantization == wanted]
    # UD-Q4_K_XL is also meant by Q4_K_XL, if there is no other.
    found = found or [each for each in models if each.quantization == f"UD-{wanted}"]
    if not found:
        raise ModelNotFoundError(
            f"hf:{repository} has no file of quantization {quantization}; {_describe(files, models)}"
        )
    if len(found) > 1:
        raise ambiguous(repository, found, f"of quantization {quantization}")
    return found


def ambiguous(repository: str, models: Sequence[HubModelFiles], what: str) -> InvalidParamError:
    """Return the error for several models that a name could mean."""
    return InvalidParamError(
        f"hf:{repository} has {len(models)} files {what}: {_join([each.name for each in models])}; "
        f"name one: file={models[0].name!r}, or hf:{repository}/{models[0].name}"
    )


def family(model: HubModelFiles) -> str:
    """Return the name of a model without folders and quantization, which all its quantizations have in common.

    Example:
        >>> family(HubModelFiles("Q4_0/model-4b-Q4_0.gguf", "Q4_0", ()))
        'model-4b'
    """
    stem = model.name.rpartition("/")[2][: -len(".gguf")]
    if model.quantization and stem.upper().endswith(model.quantization):
        stem = stem[: -len(model.quantization)]
    return stem.rstrip("-._").lower()


def _describe(files: Sequence[HubFile], models: Sequence[HubModelFiles]) -> str:
    """Return a part of a message that names the contents of a repository."""
    if models:
        names = [f"{each.quantization} ({each.name})" if each.quantization else each.name for each in models]
        return f"it has {_join(names)}"
    others = _join([each.name for each in files]) if files else "no files"
    return f"it has no GGUF file of a model, only {others}; look for a repository whose name ends with -GGUF"


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
