"""The base of the public classes that are pydantic models."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

from pydantic import BaseModel

__all__ = ["Data"]

if TYPE_CHECKING:
    Data = BaseModel
else:
    PYDANTIC = {*dir(BaseModel), *vars(BaseModel)} - set(dir(object))

    class Listed(type(BaseModel)):
        """Lists no names of pydantic in `dir` of a class, and so in `help`: each would repeat 27,000 characters."""

        def __dir__(cls) -> List[str]:
            bases = [vars(base) for base in cls.__mro__ if base not in BaseModel.__mro__]
            own = {name for base in bases for name, value in base.items() if callable(value)}
            names = [name for name in super().__dir__() if not name.startswith("__pydantic")]
            return [name for name in names if name in own or name not in PYDANTIC]

    class Data(BaseModel, metaclass=Listed):
        """A pydantic model whose `help` is about its own fields and methods; objects list all names."""
