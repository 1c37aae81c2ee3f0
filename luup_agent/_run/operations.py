"""The requests to a model outside of runs, for telemetry: vectors, ranks, scores of labels.

`luup_agent.telemetry` sets `begin`. Without it an operation pays for one comparison.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional, TypeVar

T = TypeVar("T")


class Operation:
    """An operation with a watch. `start` comes once, then `end`."""

    def start(self) -> None:
        """Begin to count the time."""

    def end(self, error: Optional[str], input_tokens: int = 0, dimensions: int = 0) -> None:
        """Take the end.

        Args:
            error: The class of the exception that ended it; None if none did.
            input_tokens: The tokens that the model has read.
            dimensions: The dimensions of the vectors; 0 without vectors.
        """


# Gets the name of the operation and the path of the model, in the context of the caller.
begin: Optional[Callable[[str, str], Operation]] = None


def watched(name: str, path: str, work: Callable[[], T], counts: Callable[[T], List[int]]) -> Callable[[], T]:
    """Return `work`, watched as an operation of the caller.

    Args:
        name: The name of the operation.
        path: The path of the model.
        work: Does it, in any thread.
        counts: Returns the tokens that were read and the dimensions, of what `work` has returned.
    """
    if begin is None:
        return work
    operation = begin(name, path)

    def run() -> Any:
        operation.start()
        try:
            result = work()
        except BaseException as error:
            operation.end(type(error).__qualname__)
            raise
        operation.end(None, *counts(result))
        return result

    return run
