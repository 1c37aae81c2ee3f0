"""The methods of `Agent` that take many items, each by itself."""

from __future__ import annotations

import os
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterable,
    Generic,
    Iterable,
    Iterator,
    Mapping,
    Optional,
    Sequence,
    TypeVar,
    Union,
    cast,
    overload,
)

from typing_extensions import Unpack

from luup_agent._agent.classify import QUESTION, read_labels
from luup_agent._agent.state import AgentState
from luup_agent._run.typed_output import check_for_model, output_spec
from luup_agent.outputs import Output, OutputT
from luup_agent.settings import DepsT, RunOptions

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from luup_agent._agent.classify import Classification
    from luup_agent._bulk.async_map import AsyncMapStream
    from luup_agent._bulk.plan import MapSettings, OnItemError, Plan
    from luup_agent._bulk.progress import ProgressFunction
    from luup_agent._bulk.sync_map import MapStream
    from luup_agent.agent import Agent

T = TypeVar("T")
L = TypeVar("L")
Path = Union[str, "os.PathLike[str]", None]
AnyItems = Union[Iterable[Any], AsyncIterable[Any]]
Report = Union[bool, "ProgressFunction"]


class InBulk(AgentState, Generic[DepsT, OutputT]):
    """Methods of `Agent` that answer many items."""

    @overload
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        output_type: None = None,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[OutputT]: ...
    @overload
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        output_type: TypeForm[T],
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[T]: ...
    @overload
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        output_type: Output[T],
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[T]: ...
    @overload
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        output_type: Any,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[Any]: ...
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        output_type: Any = None,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[Any]:
        """Answer many items, each by itself: the agent's history is neither read nor written.

        The items are read as they are needed, so a generator may be endless. Results that are not taken stop the
        reading. Tools run in several threads at once.

        Args:
            items: Texts, or dicts with the fields of `prompt`: a list, a generator or another iterable.
            prompt: The message for an item, with fields in braces: ``{item}`` for a text, ``{name}`` for the value of
                a dict. ``{{`` and ``}}`` are braces of the text; those of an item need no care. None for the text
                itself.
            output_type: As for `generate`.
            concurrency: How many items are answered at once; None for 16 with a local model, 8 with a server.
            on_error: "return" goes on after an item that failed, whose result has the error; "raise" raises the first
                error, and cancels the other items.
            in_order: Whether results come in the order of the items; False returns each as it finishes.
            progress: True shows a bar, of tqdm or rich if one is installed. A function is called with the number of
                items that have finished and that of all, None if it is unknown.
            path: A file, as JSON lines, for the results. If it exists, the items that it has are not answered again;
                failed ones are. It has to be of the same prompt, output type, system prompt, model and items.
            **options: Settings for each run, see `RunOptions`.

        Returns:
            An iterator of results; its `all` returns those that are left as a list.

        Raises:
            InvalidParamError: An argument is wrong, or the file is of another map.
            InvalidSchemaError: `output_type` has no JSON schema, or one that can't be enforced.
            StorageError: The file can't be read or written; raised by the iteration, too.
            ClosedError: The model or the agent was closed; raised by the iteration, too.

        Example:
            >>> for result in agent.map(["France", "Japan"], "What is the capital of {item}?"):
            ...     print(result.item, "-", result.value)
            France - The capital of France is Paris.
            Japan - The capital of Japan is Tokyo.
        """
        from luup_agent._bulk.plan import MapSettings
        from luup_agent._bulk.sync_map import MapStream

        settings = MapSettings(concurrency, on_error, in_order, progress, path)
        return MapStream(self._map_plan("map", items, prompt, output_type, settings, options), iter(items))

    @overload
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        output_type: None = None,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> AsyncMapStream[OutputT]: ...
    @overload
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        output_type: TypeForm[T],
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> AsyncMapStream[T]: ...
    @overload
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        output_type: Output[T],
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> AsyncMapStream[T]: ...
    @overload
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        output_type: Any,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> AsyncMapStream[Any]: ...
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        output_type: Any = None,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> AsyncMapStream[Any]:
        """Do the same as `map`, under asyncio: ``async for`` yields results, ``await`` returns all.

        Args:
            items: As for `map`, or an asynchronous generator.
            prompt: As for `map`.
            output_type: As for `generate`.
            concurrency: As for `map`.
            on_error: As for `map`.
            in_order: As for `map`.
            progress: As for `map`.
            path: As for `map`.
            **options: As for `map`.

        Returns:
            An asynchronous iterator of results, which can be awaited for all of them.

        Raises:
            LuupError: As `map`.

        Example:
            >>> results = await agent.map_async(["France", "Italy"], "What is the capital of {item}?")
        """
        from luup_agent._bulk.async_map import AsyncMapStream
        from luup_agent._bulk.plan import MapSettings

        settings = MapSettings(concurrency, on_error, in_order, progress, path)
        plan = self._map_plan("map_async", items, prompt, output_type, settings, options)
        return AsyncMapStream(plan, _iterator(items))

    def _map_plan(
        self,
        caller: str,
        items: AnyItems,
        prompt: Optional[str],
        output_type: Any,
        settings: MapSettings,
        options: Mapping[str, Any],
    ) -> Plan:
        from luup_agent._bulk.plan import Plan, check_items
        from luup_agent._bulk.template import Template
        from luup_agent._bulk.work import Generating

        check_items(items, "map", caller == "map_async")
        parts = self._parts
        parts.handle.native  # noqa: B018  # raises if the agent was closed
        parts.settings.override(caller, options)  # raises if an option is unknown
        output = parts.output if output_type is None else output_spec(output_type)
        check_for_model(output, parts.model._native_model)
        work = Generating(cast("Agent[Any, Any]", self), output, output_type, options)
        return Plan(parts.model, items, Template(prompt), work, settings.check())

    @overload
    def classify_many(
        self,
        texts: Iterable[str],
        labels: TypeForm[L],
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[Classification[L]]: ...
    @overload
    def classify_many(
        self,
        texts: Iterable[str],
        labels: Sequence[str],
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[Classification[str]]: ...
    @overload
    def classify_many(
        self,
        texts: Iterable[str],
        labels: Any,
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[Classification[Any]]: ...
    def classify_many(
        self,
        texts: Iterable[str],
        labels: Any,
        *,
        instructions: Optional[str] = None,
        calibrate: bool = True,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions[DepsT]],
    ) -> MapStream[Classification[Any]]:
        """Find the labels of many texts; the fastest way to do so.

        Nothing is generated: the instructions and labels are computed once, and each text costs its own tokens.

        Args:
            texts: The texts: a list, a generator or another iterable.
            labels: As for `classify`.
            instructions: As for `classify`.
            calibrate: As for `classify`.
            concurrency: As for `map`.
            on_error: As for `map`.
            in_order: As for `map`.
            progress: As for `map`.
            path: As for `map`.
            **options: As for `classify`.

        Returns:
            An iterator of results, whose values are `Classification` objects.

        Raises:
            InvalidParamError: An argument is wrong, or the file is of another map.
            LuupError: As `map`.

        Example:
            >>> results = agent.classify_many(["I love it!", "I hate it!"], ["very happy", "very unhappy"]).all()
            >>> [result.value.label for result in results]
            ['very happy', 'very unhappy']
        """
        from luup_agent._bulk.plan import MapSettings, Plan, check_items
        from luup_agent._bulk.sync_map import MapStream
        from luup_agent._bulk.template import Template
        from luup_agent._bulk.work import Labelling

        check_items(texts, "classify_many", False)
        read = read_labels(labels)
        self._parts.handle.native  # noqa: B018  # raises if the agent was closed
        scoring = self._parts.settings.override("classify_many", options)
        settings = MapSettings(concurrency, on_error, in_order, progress, path).check()
        work = Labelling(cast("Agent[Any, Any]", self), read, instructions or QUESTION, calibrate, scoring)
        return MapStream(Plan(self._parts.model, texts, Template(None), work, settings), iter(texts))


def _iterator(items: AnyItems) -> Any:
    if isinstance(items, AsyncIterable):
        return items.__aiter__()
    iterator: Iterator[Any] = iter(items)
    return iterator
