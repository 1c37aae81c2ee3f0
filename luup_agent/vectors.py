"""The results of an `Embedder`: vectors, ranked documents, and the description of its model."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union, overload

from typing_extensions import Literal

__all__ = ["EmbedderInfo", "Ranked", "Vectors"]


class EmbedderInfo(NamedTuple):
    """The description of an embedder.

    Attributes:
        path: The file.
        description: A short description, such as "bert 22M F16".
        architecture: The architecture, such as "bert".
        file_type: The type of the weights, such as "F16".
        backend: Where the layers run, such as "CPU".
        device: The description of that device.
        cpu_variant: The CPU variant in use.
        parameters: The number of weights.
        memory_weights: Bytes of the weights.
        memory_context: Bytes of KV cache; 0 for most models.
        memory_compute: Bytes of scratch buffers.
        pooling: How a vector is made of those of the tokens: "mean", "cls" (the first one) or "last". "rank" for a
            model that reranks.
        dimensions: The numbers of a vector.
        context_size: The tokens of the longest text.
        training_context_size: The tokens of the longest text in the model's training.
        vocabulary_size: The number of tokens that the model knows.
        layers: The layers.
        gpu_layers: The layers on GPUs.
        threads: The threads that compute.
        batch_size: The tokens of short texts that are computed together.
        load_seconds: The time that the load took.
    """

    path: str
    description: str
    architecture: str
    file_type: str
    backend: str
    device: str
    cpu_variant: str
    parameters: int
    memory_weights: int
    memory_context: int
    memory_compute: int
    pooling: Literal["mean", "cls", "last", "rank"]
    dimensions: int
    context_size: int
    training_context_size: int
    vocabulary_size: int
    layers: int
    gpu_layers: int
    threads: int
    batch_size: int
    load_seconds: float


@dataclass(frozen=True)
class Ranked:
    """A document and how well it answers the query.

    Attributes:
        index: The index of the document in the list that was ranked.
        score: The score; larger is better.
        document: The document.
    """

    index: int
    score: float
    document: str


class Vectors(Sequence["array[float]"]):
    """The vectors of some texts: a sequence of arrays of floats, in one block of memory.

    ``vectors[0]`` is an ``array("f")``, a copy, whose `tobytes` a database can store. ``vectors.tolist()`` is a list of
    lists. ``numpy.asarray(vectors)`` is a matrix with a row for each text; nothing is copied.

    Example:
        >>> vectors = embedder.embed(["A cat sleeps.", "Interest rates rise again."])
        >>> len(vectors), len(vectors[0]), vectors.tokens
        (2, 384, [6, 7])
    """

    __slots__ = ("_numbers", "dimensions", "tokens")

    def __init__(self, numbers: array[float], dimensions: int, tokens: List[int]) -> None:
        """Wrap the numbers of all vectors, one vector after the other.

        Args:
            numbers: The numbers.
            dimensions: How many belong to a vector.
            tokens: The tokens that the model read of each text.
        """
        self._numbers = numbers
        self.dimensions = dimensions
        self.tokens = tokens

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.tokens)

    @overload
    def __getitem__(self, index: int) -> array[float]: ...
    @overload
    def __getitem__(self, index: slice) -> Vectors: ...
    def __getitem__(self, index: Union[int, slice]) -> Union[array[float], Vectors]:
        """Return a vector, or some of them as `Vectors`; each is a copy."""
        if isinstance(index, slice):
            numbers = array("f")
            for each in range(*index.indices(len(self))):
                numbers.extend(self[each])
            return Vectors(numbers, self.dimensions, self.tokens[index])
        row = range(len(self))[index]
        return self._numbers[row * self.dimensions : (row + 1) * self.dimensions]

    def tolist(self) -> List[List[float]]:
        """Return the vectors as lists of floats."""
        return [vector.tolist() for vector in self]

    @property
    def usage(self) -> int:
        """The tokens that the model read in all."""
        return sum(self.tokens)

    @property
    def __array_interface__(self) -> Dict[str, Any]:
        """The memory, as numpy and other libraries read it."""
        return {
            "version": 3,
            "shape": (len(self), self.dimensions),
            "typestr": "<f4" if sys.byteorder == "little" else ">f4",
            "data": memoryview(self._numbers),
        }

    def __eq__(self, other: object) -> bool:
        """Return whether `other` has the same vectors."""
        if not isinstance(other, Vectors):
            return NotImplemented
        return self.dimensions == other.dimensions and self._numbers == other._numbers

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Tuple[Any, ...]:
        """Return what pickle needs."""
        return Vectors, (self._numbers, self.dimensions, self.tokens)

    def __repr__(self) -> str:
        """Return text such as ``<Vectors 2 of 384 numbers>``."""
        return f"<Vectors {len(self)} of {self.dimensions} numbers>"
