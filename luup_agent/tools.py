"""`Tool`: a function that a model may call, with the JSON schema of its arguments."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import json
import re
import sys
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Generic,
    Iterator,
    Mapping,
    Optional,
    TypeVar,
    Union,
    cast,
    overload,
)

from typing_extensions import Literal, ParamSpec

from luup_agent import _native
from luup_agent._json import write_json
from luup_agent._tools.results import MAX_RESULT_CHARS
from luup_agent._tools.schema import (
    Arguments,
    Signature,
    describe_parameters,
    parameter_of,
    read_docstring,
    read_schema,
    read_signature,
)
from luup_agent.errors import InvalidParamError, InvalidSchemaError, LuupError

P = ParamSpec("P")
R = TypeVar("R")
OnError = Literal["model", "tell", "raise"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_CHOICES = ("auto", "none", "required")  # the values of `tool_choice` that do not name a tool
_MAX_LAYERS = 1000  # partials and decorators around a function; an object may claim to wrap itself


class Tool(Generic[P, R]):
    """A function that a model may call.

    Still callable itself: it has the function's signature, name and docstring, and calling it calls the function,
    without an approval or a time limit.

    The name, the description and the arguments are read from the function: its signature and its docstring (Google,
    NumPy or Sphinx style). Types may be any that pydantic knows; the function gets the validated values. A first
    parameter annotated `RunContext` gets the context of the call; the model does not see it.

    The return value becomes text: a str as it is, None ``null``, anything else JSON; a `ToolResult` may be an error. If
    the function raises `ModelRetry`, or the arguments fail in a validator that the schema can't express, the model gets
    the message and may call again, `retries` times in a run; then the run fails with `ToolRetryError`. Of any other
    `Exception` the model gets the name of the class, because its text may be a secret; ``on_error="tell"`` gives it the
    text too. Both are logged as a warning, with the traceback. With ``on_error="raise"`` the exception ends the run
    instead, which raises it.

    Attributes:
        function: The function.
        name: The name for the model.
        description: The description for the model.
        parameters: The JSON schema of the arguments.
        timeout: Seconds for a call; after them the model gets an error as the result. None for no limit.
        retries: In how many turns a run may ask for a better call; None for the `retries` of the run.
        requires_approval: Whether a call waits for `approve`, or for `Agent.resume`.
        on_error: "model", "tell" or "raise".
        max_result_chars: The model gets the beginning and the end of a longer result.
        takes_context: Whether the function's first parameter gets the `RunContext`.

    Example:
        >>> def add(a: int, b: int = 1) -> int:
        ...     '''Adds two numbers.'''
        ...     return a + b
        >>> Tool(add).definition["function"]["name"], Tool(add).parameters["required"]
        ('add', ['a'])
    """

    function: Callable[P, R]
    name: str
    description: str
    parameters: Dict[str, Any]
    timeout: Optional[float]
    retries: Optional[int]
    requires_approval: bool
    on_error: OnError
    max_result_chars: int
    takes_context: bool
    _waits: bool = False  # for `resume`, also if there is an `approve`
    _given: Optional[Mapping[str, Any]]  # the schema that was given instead of the signature

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        parameters: Optional[Mapping[str, Any]] = None,
        timeout: Optional[float] = None,
        retries: Optional[int] = None,
        requires_approval: bool = False,
        on_error: OnError = "model",
        max_result_chars: int = MAX_RESULT_CHARS,
    ) -> None:
        """Make a tool.

        Args:
            function: A function, a method of an object, a `functools.partial` (the model does not fill in the arguments
                that it fixes), another callable, or an ``async def``. Of another `Tool`, also one inside a partial or
                a decorated function, the new one takes over all that is not given here; an approval stays required.
            name: 1 to 64 letters, digits, "_" or "-"; by default the function's.
            description: By default the function's docstring, without the part about the parameters.
            parameters: A JSON schema of an object, instead of the signature: the function gets the parsed JSON as
                keywords.
            timeout: Seconds for a call.
            retries: In how many turns a run may ask for a better call.
            requires_approval: Have calls wait for an approval.
            on_error: What an exception of the function does: with "model" the model gets the name of its class, with
                "tell" its message too, with "raise" it ends the run.
            max_result_chars: The most characters of a result that the model gets.

        Raises:
            InvalidParamError: The function can't be a tool, or an argument is wrong; the message names the parameter.
            InvalidSchemaError: A parameter's type has no JSON schema, or one that can't be enforced.
        """
        if not callable(function):
            raise InvalidParamError(f"a tool must be callable, not {type(function).__name__}")
        with _examined(function):
            origin = _tool_in(function)
            function = _without_tool(function) if origin is not None else function
        if origin is not None:
            name = origin.name if name is None else name
            description = origin.description if description is None else description
            timeout = origin.timeout if timeout is None else timeout
            retries = origin.retries if retries is None else retries
            requires_approval = requires_approval or origin.requires_approval
            on_error = origin.on_error if on_error == "model" else on_error
            max_result_chars = origin.max_result_chars if max_result_chars == MAX_RESULT_CHARS else max_result_chars
            parameters = origin._given if parameters is None else parameters
        self.function = function
        with _examined(function):
            self.name = _tool_name(function, name)
            text, descriptions = read_docstring(function)
        where = f"tool {self.name!r}"
        self.description = text if description is None else description
        _native.encode_text(f"{where}: description", self.description)
        if _native.encode_timeout(timeout) == 0:
            raise InvalidParamError(f"{where}: timeout must be more than 0 seconds")
        self.timeout = timeout
        self.retries = None if retries is None else _native.encode_int("retries", retries, 0, 100)
        self.requires_approval = _native.encode_bool("requires_approval", requires_approval)
        if on_error not in ("model", "tell", "raise"):
            raise InvalidParamError(f"{where}: on_error must be 'model', 'tell' or 'raise', not {on_error!r}")
        self.on_error = on_error
        self.max_result_chars = _native.encode_int("max_result_chars", max_result_chars, 1)
        self._given = parameters
        try:
            with _examined(function):
                self.is_async = _is_async(where, function)
                signature = self._read(parameters, descriptions)
        except RecursionError:
            raise InvalidSchemaError(f"{where}: its JSON schema is nested too deeply, or contains itself") from None
        self.parameters, self.takes_context, self._parse = signature
        self._check()
        self._definition = json.dumps(self.definition)
        self.__name__ = self.__qualname__ = self.name  # of a callable that has no name itself
        with _examined(function):
            functools.update_wrapper(self, function, updated=())
        if self.is_async and sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(self)

    def _read(self, parameters: Optional[Mapping[str, Any]], descriptions: Dict[str, str]) -> Signature:
        scope = _scope_of_caller(self.function)
        if parameters is None:
            signature = read_signature(self.name, self.function, scope)
            describe_parameters(signature.schema, descriptions)
            return signature
        if not isinstance(parameters, Mapping):
            raise InvalidParamError(
                f"tool {self.name!r}: parameters must be a JSON schema as a dict, not {type(parameters).__name__}"
            )
        schema = json.loads(write_json(f"tool {self.name!r}: its JSON schema", dict(parameters), InvalidSchemaError))
        return Signature(schema, read_schema(self.name, self.function, scope), _parse_keywords)

    def _check(self) -> None:
        """Have the core check the schema."""
        try:
            _native.check_schema(write_json("its JSON schema", self.parameters, InvalidSchemaError))
        except InvalidSchemaError as error:
            parameter = parameter_of(self.parameters, str(error))
            where = f"tool {self.name!r}" + ("" if parameter is None else f", parameter {parameter!r}")
            raise InvalidSchemaError(f"{where}: {error}") from None

    @classmethod
    def from_langchain(cls, tool: Any, **options: Any) -> AnyTool:
        """Make a tool of a tool of LangChain, such as ``Tool.from_langchain(DuckDuckGoSearchRun(), timeout=30)``.

        The model gets the text of a `ToolException`, and may call again.

        Args:
            tool: A `langchain_core.tools.BaseTool`.
            **options: Keywords of `Tool`, which replace those of the tool.

        Raises:
            InvalidParamError: It is something else, or its agent has to fill in some of its arguments.
            InvalidSchemaError: Its JSON schema can't be enforced.
            UnsupportedError: The package langchain-core is missing.
        """
        from luup_agent.integrations._tools import from_langchain

        return from_langchain(tool, options)

    @classmethod
    def from_pydantic_ai(cls, tool: Any, **options: Any) -> AnyTool:
        """Make a tool of a tool of pydantic-ai, with its time limit, retries and approval.

        Args:
            tool: A `pydantic_ai.Tool` that takes no `RunContext`.
            **options: Keywords of `Tool`, which replace those of the tool.

        Raises:
            InvalidParamError: It is something else, or takes a `RunContext`, which only a run of pydantic-ai has.
            InvalidSchemaError: Its JSON schema can't be enforced.
            UnsupportedError: The package pydantic-ai is missing.
        """
        from luup_agent.integrations._tools import from_pydantic_ai

        return from_pydantic_ai(tool, options)

    def _renamed(self, name: str) -> AnyTool:
        """Return the tool with another name; the signature isn't read again."""
        renamed = copy.copy(self)
        renamed.name = renamed.__name__ = renamed.__qualname__ = _tool_name(self.function, name)
        renamed._definition = json.dumps(renamed.definition)
        return renamed

    @property
    def definition(self) -> Dict[str, Any]:
        """The definition of the tool for OpenAI's chat API.

        Example:
            >>> Tool(len, name="measure", parameters={"type": "object"}).definition["type"]
            'function'
        """
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        """Return, for example, ``<Tool add(a, b)>``."""
        return f"<Tool {self.name}({', '.join(self.parameters.get('properties', {}))})>"


if TYPE_CHECKING:
    AnyTool = Tool[..., Any]
else:
    AnyTool = Tool  # Python 3.8 can't put "..." there
ToolLike = Union[AnyTool, Callable[..., Any]]


@overload
def tool(function: Callable[P, R]) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: Optional[str] = None,
    description: Optional[str] = None,
    parameters: Optional[Mapping[str, Any]] = None,
    timeout: Optional[float] = None,
    retries: Optional[int] = None,
    requires_approval: bool = False,
    on_error: OnError = "model",
    max_result_chars: int = MAX_RESULT_CHARS,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Optional[Callable[..., Any]] = None, **options: Any) -> Any:
    """Make a `Tool` of a function; a decorator, bare or with the keywords of `Tool`.

    Example:
        >>> @tool(timeout=5)
        ... def add(a: int, b: int) -> int:
        ...     '''Adds two numbers.'''
        ...     return a + b
        >>> add(2, 3), add.name
        (5, 'add')
    """
    if function is None:
        return functools.partial(Tool, **options)
    return Tool(function, **options)


def as_tool(value: ToolLike) -> AnyTool:
    """Return `value` itself if it is a `Tool`, else a tool made of it."""
    return value if isinstance(value, Tool) else Tool(value)


@contextlib.contextmanager
def _examined(function: Callable[..., Any]) -> Iterator[None]:
    """Turn what the function's own attributes raise, such as a property `__doc__`, into an error that names it."""
    try:
        yield
    except (LuupError, RecursionError, Warning):  # a warning that a filter made an error
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidParamError(
            f"a {type(function).__name__} can't be a tool: one of its attributes, such as __doc__ or __signature__, "
            f"raised {reason}; wrap it in a function"
        ) from error


def _tool_in(function: Callable[..., Any]) -> Optional[AnyTool]:
    """Return the tool that `function` is, or that it was made of with `functools.partial` or `functools.wraps`."""
    inner: Any = function
    for _ in range(_MAX_LAYERS):
        if inner is None or isinstance(inner, Tool):
            return inner
        inner = inner.func if isinstance(inner, functools.partial) else getattr(inner, "__wrapped__", None)
    raise InvalidParamError(f"a tool must not be decorated more than {_MAX_LAYERS} times")


def _without_tool(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with a tool's function in place of the tool that it is, or that it is a partial of."""
    if isinstance(function, Tool):
        inner: Callable[..., Any] = function.function
        return inner
    if isinstance(function, functools.partial):
        return functools.partial(_without_tool(function.func), *function.args, **function.keywords)
    return function


def _tool_name(function: Callable[..., Any], name: Optional[str]) -> str:
    if name is None:
        inner: Any = function
        while isinstance(inner, functools.partial):
            inner = inner.func
        name = cast(str, getattr(inner, "__name__", type(inner).__name__))
        hint = "; give a name"
    else:
        hint = ""
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidParamError(f"the name of a tool must be 1 to 64 letters, digits, '_' or '-', not {name!r}{hint}")
    if name in _CHOICES:
        raise InvalidParamError(f"a tool can't be named {name!r}, which has another meaning as tool_choice{hint}")
    return name


def _is_async(where: str, function: Callable[..., Any]) -> bool:
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    for candidate in (inner, inspect.getattr_static(type(inner), "__call__")):
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise InvalidParamError(f"{where} is a generator function; return a list instead")
        if inspect.iscoroutinefunction(candidate):
            return True
    return False


def _scope_of_caller(function: Callable[..., Any]) -> Dict[str, Any]:
    """Return the local names where the tool is declared: annotations in quotes may use them."""
    package = __name__.partition(".")[0]
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
        frame = frame.f_back
    scope = dict(frame.f_locals)
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    for name, cell in zip(code.co_freevars if code is not None else (), getattr(inner, "__closure__", None) or ()):
        try:
            scope[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return scope


def _parse_keywords(arguments_json: str) -> Arguments:
    return [], json.loads(arguments_json)
