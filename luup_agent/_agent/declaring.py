"""The types of ``@agent.tool``: what an agent with dependencies of one type accepts as a tool.

`agent.tool` takes plain functions, and functions whose first parameter is a `RunContext`. A checker shall refuse a
`RunContext` of other dependencies than the agent's, and the type of the function shall stay as it is, names included.
No type says "anything but a RunContext", so two facts are combined: a function fits a protocol with overloads only if
it fits each of them, and `RunContext` has, for checkers, a ``__reduce__`` that no other object has.

For checkers, a plain function with keyword parameters only looks like one that takes a wrong context: make a `Tool` of
it, as ``@agent.tool`` over ``@tool`` does, or add it by `Agent.add_tool`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Generic, Iterable, TypeVar, Union, overload

from typing_extensions import ParamSpec, Protocol

from luup_agent._tools.context import RunContext
from luup_agent.settings import DepsT
from luup_agent.tools import Tool

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
First = TypeVar("First", contravariant=True)

if TYPE_CHECKING:
    from typing import Container, Sized

    class _Reducible(Protocol):
        """Any object but a `RunContext`."""

        def __reduce__(self) -> Any: ...

    # For mypy, protocols do not have the methods of `object`: those of arguments are here by themselves.
    Plain = TypeVar("Plain", bound=Union[_Reducible, Iterable[Any], Sized, Container[Any], Callable[..., Any], None])

    class Taking(Protocol[First, P, R_co]):  # pyright: ignore[reportInvalidTypeVarUse]  # mypy wants contravariance
        """A function of `P` whose first parameter takes a `First`."""

        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
        @overload
        def __call__(self, first: First, /, *args: Any, **kwargs: Any) -> Any: ...


class ToolDecorator(Generic[DepsT]):
    """Makes tools of functions, and adds them to an agent: what `Agent.tool` with keywords returns."""

    def __init__(self, declare: Callable[[Callable[..., Any]], Any]) -> None:
        """Keep the function that does it."""
        self._declare = declare

    @overload
    def __call__(self, function: Tool[P, R]) -> Tool[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Taking[RunContext[DepsT], P, R]) -> Tool[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Taking[Plain, P, R]) -> Tool[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[[], R]) -> Tool[[], R]: ...
    def __call__(self, function: Callable[..., Any]) -> Any:
        """Make a tool of a function and add it."""
        return self._declare(function)
