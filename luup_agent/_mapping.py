"""The methods of `Model` that answer many items, each by itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, AsyncIterable, Iterable, Optional, TypeVar, Union, cast, overload

from typing_extensions import Unpack

from luup_agent.outputs import Output
from luup_agent.settings import RunOptions

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from luup_agent._bulk.async_map import AsyncMapStream
    from luup_agent._bulk.plan import OnItemError
    from luup_agent._bulk.progress import ProgressFunction
    from luup_agent._bulk.sync_map import MapStream
    from luup_agent.model import Model

T = TypeVar("T")
Path = Union[str, "os.PathLike[str]", None]
AnyItems = Union[Iterable[Any], AsyncIterable[Any]]
Report = Union[bool, "ProgressFunction"]


class MapsItems:
    """Methods of `Model` that answer many items."""

    @overload
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: None = None,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> MapStream[str]: ...
    @overload
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: TypeForm[T],
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> MapStream[T]: ...
    @overload
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: Output[T],
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> MapStream[T]: ...
    @overload
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: Any,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> MapStream[Any]: ...
    def map(
        self,
        items: Iterable[Any],
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: Any = None,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> MapStream[Any]:
        """Answer many items with an agent without a history; see `Agent.map`.

        Args:
            items: As for `Agent.map`.
            prompt: As for `Agent.map`.
            system_prompt: Instructions for the model before each item.
            output_type: As for `Agent.generate`.
            concurrency: As for `Agent.map`.
            on_error: As for `Agent.map`.
            in_order: As for `Agent.map`.
            progress: As for `Agent.map`.
            path: As for `Agent.map`.
            **options: Settings for each run, see `RunOptions`.

        Returns:
            An iterator of results.

        Raises:
            LuupError: As `Agent.map`.

        Example:
            >>> results = model.map(["France", "Italy"], "What is the capital of {item}?", temperature=0).all()
            >>> [result.ok for result in results]
            [True, True]
        """
        from luup_agent.agent import Agent

        agent = Agent(cast("Model", self), system_prompt, enable_history=False)
        return agent.map(
            items,
            prompt,
            output_type=output_type,
            concurrency=concurrency,
            on_error=on_error,
            in_order=in_order,
            progress=progress,
            path=path,
            **options,
        )

    @overload
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: None = None,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> AsyncMapStream[str]: ...
    @overload
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: TypeForm[T],
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> AsyncMapStream[T]: ...
    @overload
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: Output[T],
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> AsyncMapStream[T]: ...
    @overload
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: Any,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> AsyncMapStream[Any]: ...
    def map_async(
        self,
        items: AnyItems,
        prompt: Optional[str] = None,
        *,
        system_prompt: Optional[str] = None,
        output_type: Any = None,
        concurrency: Optional[int] = None,
        on_error: OnItemError = "return",
        in_order: bool = True,
        progress: Report = False,
        path: Path = None,
        **options: Unpack[RunOptions],
    ) -> AsyncMapStream[Any]:
        """Do the same as `map`, under asyncio; see `Agent.map_async`.

        Args:
            items: As for `Agent.map_async`.
            prompt: As for `Agent.map`.
            system_prompt: Instructions for the model before each item.
            output_type: As for `Agent.generate`.
            concurrency: As for `Agent.map`.
            on_error: As for `Agent.map`.
            in_order: As for `Agent.map`.
            progress: As for `Agent.map`.
            path: As for `Agent.map`.
            **options: Settings for each run, see `RunOptions`.

        Returns:
            An asynchronous iterator of results, which can be awaited for all of them.

        Raises:
            LuupError: As `Agent.map`.

        Example:
            >>> results = await model.map_async(["France", "Italy"], "What is the capital of {item}?")
        """
        from luup_agent.agent import Agent

        agent = Agent(cast("Model", self), system_prompt, enable_history=False)
        return agent.map_async(
            items,
            prompt,
            output_type=output_type,
            concurrency=concurrency,
            on_error=on_error,
            in_order=in_order,
            progress=progress,
            path=path,
            **options,
        )
