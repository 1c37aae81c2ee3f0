"""The progress of many items: a bar of tqdm or rich where one is installed, in a notebook too, else plain lines."""

from __future__ import annotations

import sys
import time
import warnings
from importlib import import_module
from typing import Any, Callable, Optional, Union

from luup_agent.errors import InvalidParamError

ProgressFunction = Callable[[int, Optional[int]], object]
_PAUSE = 10.0  # seconds between two lines where stderr is a file


class Progress:
    """Reports how many items have finished. The base class reports nothing."""

    def __init__(self, total: Optional[int]) -> None:
        self.total = total
        self.done = 0

    def add(self, n: int = 1) -> None:
        """Count `n` more items."""
        self.done += n

    def close(self) -> None:
        """End the report."""


class _Tqdm(Progress):
    def __init__(self, total: Optional[int], tqdm: Any) -> None:
        super().__init__(total)
        with warnings.catch_warnings():  # in a notebook without ipywidgets it is a bar of text
            warnings.simplefilter("ignore")
            self._bar = tqdm(total=total, unit="item")

    def add(self, n: int = 1) -> None:
        super().add(n)
        self._bar.update(n)

    def close(self) -> None:
        self._bar.close()


class _Rich(Progress):
    def __init__(self, total: Optional[int], rich: Any) -> None:
        super().__init__(total)
        columns = rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn()
        self._bar = rich.Progress(*columns)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def add(self, n: int = 1) -> None:
        super().add(n)
        self._bar.advance(self._task, n)

    def close(self) -> None:
        self._bar.stop()


class _Lines(Progress):
    def __init__(self, total: Optional[int]) -> None:
        super().__init__(total)
        self._last = time.monotonic()
        self._written = -1

    def add(self, n: int = 1) -> None:
        super().add(n)
        now = time.monotonic()
        if now - self._last >= (0.2 if _is_terminal() else _PAUSE):
            self._last = now
            self._write("\r" if _is_terminal() else "\n")

    def close(self) -> None:
        if self._written != self.done:
            self._write("\n")

    def _write(self, end: str) -> None:
        self._written = self.done
        if sys.stderr is not None:
            of = "" if self.total is None else f" of {self.total:,}"
            sys.stderr.write(f"{self.done:,}{of} items{end}")
            sys.stderr.flush()


class _Function(Progress):
    def __init__(self, total: Optional[int], function: ProgressFunction) -> None:
        super().__init__(total)
        self._function = function

    def add(self, n: int = 1) -> None:
        super().add(n)
        self._function(self.done, self.total)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def make_progress(progress: Union[bool, ProgressFunction], total: Optional[int]) -> Progress:
    """Return the report of `total` items; None is an unknown number."""
    if progress is False or progress is None:
        return Progress(total)
    if progress is not True:
        return _Function(total, progress)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Tqdm(total, import_module("tqdm.auto").tqdm)
    except ImportError:
        pass
    try:
        return _Rich(total, import_module("rich.progress"))
    except ImportError:
        return _Lines(total)


def check_progress(progress: object) -> None:
    """Check that `progress` is a bool or a function.

    Raises:
        InvalidParamError: It is something else.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise InvalidParamError(f"progress must be True, False or a function, not {type(progress).__name__}")
