"""The base of the public classes that are pydantic models."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

from pydantic import BaseModel

__all__ = ["Data"]

if TYPE_CHECKING:
    Data = BaseModel
else:
    USED = {"model_copy", "model_dump", "model_dump_json", "model_json_schema", "model_validate", "model_validate_json"}
    HIDDEN = {name for name in dir(BaseModel) if name not in USED and not hasattr(object, name)}

    class Listed(type(BaseModel)):
        """Lists fewer names of pydantic in `dir` of a class, and so in `help`: each would repeat 20,000 characters."""

        def __dir__(cls) -> List[str]:
            own = {name for base in cls.__mro__ if base not in BaseModel.__mro__ for name in vars(base)}
            return [name for name in super().__dir__() if name in own or name not in HIDDEN]

    class Data(BaseModel, metaclass=Listed):
        """A pydantic model whose `help` is about its own fields and methods."""
