"""The plan of a map and its state: which items come next, which have finished, and in which order they are returned."""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import Any, AsyncIterable, Deque, Dict, Iterable, NamedTuple, Optional, Sized, Union

from typing_extensions import Literal

from luup_agent._bulk.journal import Journal
from luup_agent._bulk.progress import Progress, ProgressFunction, check_progress, make_progress
from luup_agent._bulk.results import MapResult
from luup_agent._bulk.template import Template
from luup_agent._bulk.work import Answer, Work
from luup_agent.errors import ClosedError, ForkedError, InvalidParamError, LuupError
from luup_agent.messages import Usage
from luup_agent.model import Model

OnItemError = Literal["return", "raise"]
Items = Union[Iterable[Any], AsyncIterable[Any]]

_MOST = 1024  # items at once
_LOCAL, _REMOTE = 16, 8  # items at once if the user does not say
_WINDOW = 4  # items between the first one that is not returned yet and the last one that was read, for each worker
_FATAL = (ClosedError, ForkedError)  # no other item will succeed


class MapSettings(NamedTuple):
    """The keywords of `Agent.map` that are not those of a run."""

    concurrency: Optional[int] = None
    on_error: OnItemError = "return"
    in_order: bool = True
    progress: Union[bool, ProgressFunction] = False
    path: Union[str, os.PathLike[str], None] = None

    def check(self) -> MapSettings:
        """Return these settings.

        Raises:
            InvalidParamError: A value is wrong; the message names it.
        """
        n = self.concurrency
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= _MOST):
            raise InvalidParamError(f"concurrency must be 1 to 1,024 items at once or None, got {n!r}")
        if self.on_error not in ("return", "raise"):
            raise InvalidParamError(f'on_error must be "return" or "raise", got {self.on_error!r}')
        if not isinstance(self.in_order, bool):
            raise InvalidParamError(f"in_order must be True or False, got {self.in_order!r}")
        check_progress(self.progress)
        return self


class Job(NamedTuple):
    """An item to work on: its place, from 0, the item itself, and its prompt."""

    number: int
    item: Any
    prompt: str


class Outcome(NamedTuple):
    """The end of a job: an answer, or an error."""

    job: Job
    answer: Optional[Answer]
    error: Optional[BaseException]
    seconds: float


class Plan:
    """A map: the items, and what to do with each. Its driver calls it from one thread or task at a time.

    Attributes:
        work: What each item is for.
        concurrency: Number of items at once.
        exhausted: Whether all items were read.
    """

    def __init__(self, model: Model, items: Items, template: Template, work: Work, settings: MapSettings) -> None:
        """Prepare a map.

        Raises:
            LuupError: A setting is wrong, or the file of results is of another map.
        """
        self.work = work
        self.exhausted = False
        self._template = template
        self._settings = settings
        self.concurrency = settings.concurrency or (_REMOTE if is_remote(model) else _LOCAL)
        self._total = len(items) if isinstance(items, Sized) else None
        self._journal: Optional[Journal] = None
        if settings.path is not None:
            described = {"model": model.get_info().description, "prompt": template.text}
            self._journal = Journal(settings.path, {**described, **work.asked})
            try:
                if self._total is not None:
                    self._journal.check_count(self._total)
            except LuupError:
                self._journal.close()
                raise
        self._progress: Optional[Progress] = None
        self._read = 0  # items that were read
        self._returned = 0
        self._working = 0
        self._ready: Dict[int, MapResult[Any]] = {}
        self._order: Deque[int] = deque()  # the indexes in `_ready`, in order of arrival; unless results are in order

    # -- items ---------------------------------------------------------------------------------------------------------

    def wants_item(self, ahead: int = 1) -> bool:
        """Tell whether to read another item now: at most `ahead` for each worker, with the items in progress."""
        if self.exhausted or self._working >= ahead * self.concurrency:
            return False
        return self._read - self._returned < _WINDOW * self.concurrency

    def next_job(self, item: Any) -> Optional[Job]:
        """Return the job of the next item; None if the file has its result.

        Raises:
            LuupError: The file has another item at this place; or the item is wrong, with ``on_error="raise"``.
        """
        index = self._read
        self._read += 1
        try:
            prompt = self._template.render(index, item)
        except InvalidParamError as error:
            self._add(MapResult(index, item, error=error))
            return None
        kept = None if self._journal is None else self._journal.find(index, prompt)
        if kept is not None:
            value = self.work.restore(kept.text)
            usage = None if kept.usage is None else Usage(**kept.usage)
            reason: Any = kept.finish_reason
            self._add(MapResult(index, item, value, None, usage, kept.seconds, reason))
            return None
        self._working += 1
        return Job(index, item, prompt)

    def end_items(self) -> None:
        """Record that there are no more items.

        Raises:
            InvalidParamError: The file of results has more of them.
        """
        self.exhausted = True
        if self._journal is not None:
            self._journal.check_count(self._read)

    # -- results -------------------------------------------------------------------------------------------------------

    def write(self, outcome: Outcome) -> None:
        """Write an outcome to the file of results, if there is one; from any thread.

        Raises:
            StorageError: It can't be written.
        """
        journal, job, answer = self._journal, outcome.job, outcome.answer
        if journal is None:
            return
        if answer is not None:
            journal.add(job.number, job.prompt, answer.text, outcome.seconds, answer.usage, answer.finish_reason)
        elif isinstance(outcome.error, Exception):
            journal.add_error(job.number, outcome.error)

    def finish(self, outcome: Outcome) -> None:
        """Take the outcome of a job.

        Raises:
            BaseException: That of the job, if it ends the map.
        """
        self._working -= 1
        job, answer, error = outcome.job, outcome.answer, outcome.error
        if error is None:
            assert answer is not None
            values = answer.value, None, answer.usage, outcome.seconds, answer.finish_reason
            self._add(MapResult(job.number, job.item, *values))
        elif not isinstance(error, Exception) or isinstance(error, _FATAL):
            raise error
        else:
            usage = getattr(error, "usage", None)
            usage = usage if isinstance(usage, Usage) else None
            self._add(MapResult(job.number, job.item, None, error, usage, outcome.seconds))

    def _add(self, result: MapResult[Any]) -> None:
        if self._progress is None:
            self._progress = make_progress(self._settings.progress, self._total)
        self._progress.add()
        if result.error is not None and self._settings.on_error == "raise":
            if sys.version_info >= (3, 11):
                result.error.add_note(f"raised for items[{result.index}]")
            raise result.error
        self._ready[result.index] = result
        if not self._settings.in_order:
            self._order.append(result.index)

    def take_ready(self) -> Optional[MapResult[Any]]:
        """Return the next result, if it has come."""
        index = self._returned if self._settings.in_order else self._order[0] if self._order else -1
        result = self._ready.pop(index, None)
        if result is not None:
            self._returned += 1
            if not self._settings.in_order:
                self._order.popleft()
        return result

    @property
    def idle(self) -> bool:
        """Whether no item is being worked on."""
        return self._working == 0

    def close(self) -> None:
        """Close the file and end the report of the progress."""
        if self._journal is not None:
            self._journal.close()
        if self._progress is not None:
            self._progress.close()


def is_remote(model: Model) -> bool:
    """Return whether a model, or one of a fallback's, is on a server."""
    return bool(model._native_model.responders)


def check_items(items: object, caller: str, may_be_async: bool) -> None:
    """Check that `items` can be iterated.

    Raises:
        InvalidParamError: They can't; or they are a single str or dict, or need `map_async`.
    """
    wrong = f"items must be a list or another iterable of items, not a {type(items).__name__}"
    if isinstance(items, (str, bytes, dict)):
        raise InvalidParamError(wrong)
    if isinstance(items, AsyncIterable):
        if not may_be_async:
            raise InvalidParamError(f"{caller} takes no asynchronous items; use map_async")
    elif not isinstance(items, Iterable):
        raise InvalidParamError(wrong)
