"""Read LM Studio's folders of models, ``publisher/model/file.gguf``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator, Sequence

from luup_agent._files import shorten_path
from luup_agent._hub.found import Found, files_of, grouped, paths_of
from luup_agent._hub.listing import choose
from luup_agent.errors import InvalidParamError, LuupError, ModelNotFoundError

__all__ = ["open_name", "scan"]


def scan(folder: Path) -> Iterator[Found]:
    """Yield the models of LM Studio, in folders ``publisher/model``."""
    for model in grouped(str(folder)):
        parts = model.name.split("/")
        if len(parts) >= 3:
            same = grouped(os.path.join(str(folder), *parts[:2]))
            base = "lmstudio:" + "/".join(parts[:2])
            if len(same) == 1:
                name = base
            elif model.quantization and sum(each.quantization == model.quantization for each in same) == 1:
                name = f"{base}:{model.quantization}"
            else:
                name = f"lmstudio:{model.files[0].name}"
        else:
            name = paths_of(str(folder), model)[0]
        yield Found(name, "lmstudio", paths_of(str(folder), model), model.quantization)


def open_name(name: str, folders: Sequence[Path]) -> str:
    """Return the path of the file that a name such as "lmstudio:publisher/model" means.

    Raises:
        InvalidParamError: It is not the name of a model, or several models match.
        ModelNotFoundError: No folder has it.
    """
    rest = name.partition(":")[2]
    parts = rest.partition(":")[0].split("/")
    if len(parts) < 2 or any(part in ("", ".", "..") for part in parts) or "\0" in rest:
        raise InvalidParamError(
            f"model: {shorten_path(name)!r} is not the name of a model of LM Studio; write lmstudio:publisher/model"
        )
    for folder in folders:
        root = os.path.join(str(folder), *parts[:2])
        files = files_of(root)
        if not files:
            continue
        repository, file = "/".join(parts[:2]), "/".join(parts[2:]) or None
        quantization = rest.partition(":")[2] or None
        try:
            models = choose(repository, files, quantization, file)
        except LuupError as error:
            raise type(error)(str(error).replace(f"hf:{repository}", f"lmstudio:{repository}")) from None
        if len(models) > 1:
            listed = ", ".join(each.quantization or each.name for each in models)
            raise InvalidParamError(
                f"{name} has several models: {listed}; add one, as in {name}:{models[0].quantization}"
            )
        return os.path.join(root, *models[0].files[0].name.split("/"))
    known = [each.name for folder in folders for each in scan(folder)]
    where = " and ".join(shorten_path(str(each)) for each in folders)
    listed = ", ".join(known[:12]) or "no models"
    listed = ", ".join(known[:12]) or "no models"
    raise ModelNotFoundError(f"{name}: LM Studio has no such model in {where}, which has {listed}")
