"""The JSON schema of a function's arguments, from its signature, and the arguments from JSON text."""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, NoReturn, Optional, Tuple

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo
from typing_extensions import Annotated, get_args, get_origin, get_type_hints

from luup_agent._json import quote_long_numbers
from luup_agent._threads import first_use
from luup_agent._tools.context import RunContext
from luup_agent.errors import InvalidParamError, InvalidSchemaError

Schema = Dict[str, Any]
Arguments = Tuple[List[Any], Dict[str, Any]]  # positional, keywords


class Signature(NamedTuple):
    """How a function is called by a model.

    Attributes:
        schema: The JSON schema of the arguments.
        takes_context: Whether the first parameter gets the `RunContext`.
        parse: Returns the arguments in the JSON text of an object. Raises `pydantic.ValidationError`.
    """

    schema: Schema
    takes_context: bool
    parse: Callable[[str], Arguments]


def read_signature(name: str, function: Callable[..., Any], scope: Mapping[str, Any]) -> Signature:
    """Return how a model calls `function`.

    Args:
        name: The name of the tool, for errors.
        function: Any callable that has a signature.
        scope: Names that annotations in quotes may use, beside those of the function's module.

    Raises:
        InvalidParamError: A model can't fill in a parameter; the message names it.
        InvalidSchemaError: The type of a parameter has no JSON schema; the message names it.
    """
    hints = _Hints(name, function, scope)
    parameters, takes_context = _parameters(name, function, hints)
    fields: Dict[str, Any] = {}
    for index, parameter in enumerate(parameters):
        key = f"p{index}"  # fields may not have some names of parameters: _x, json, model_y
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        annotation = hints.of(parameter)
        try:
            fields[key] = (_named(annotation, parameter), default)
        except (AttributeError, TypeError) as error:
            raise InvalidParamError(
                f"tool {name!r}, parameter {parameter.name!r}: its annotation {annotation!r} is not a type"
            ) from error
    with first_use:
        from luup_agent._tools.json_schema import QuietSchema, for_models
        from luup_agent._tools.scalar_schema import has_decimals

    try:
        model = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)
        schema = model.model_json_schema(schema_generator=QuietSchema)
    except Exception as error:  # of any class: a type's own methods make its schema
        _refuse(name, parameters, fields, error)
    schema = for_models(schema)
    schema.setdefault("properties", {})
    return Signature(schema, takes_context, _parser(model, parameters, has_decimals(model.__pydantic_core_schema__)))


def read_schema(name: str, function: Callable[..., Any], scope: Mapping[str, Any]) -> bool:
    """Tell whether `function`, whose schema the user wrote, takes the `RunContext` first."""
    try:
        parameters = _signature(function).parameters.values()
    except ValueError:  # a builtin without a signature
        return False
    hints = _Hints(name, function, scope)
    return any(hints.is_context(parameter) for parameter in list(parameters)[:1])


# ---------------------------------------------------------------------------------------------------------------------
# Parameters and their types
# ---------------------------------------------------------------------------------------------------------------------


class _Hints:
    """The annotations of a function, evaluated one by one, so that an error names the wrong one."""

    def __init__(self, name: str, function: Callable[..., Any], scope: Mapping[str, Any]) -> None:
        self._name = name
        code = inspect.unwrap(_callable(function))
        code = getattr(code, "__func__", code)
        module = sys.modules.get(getattr(code, "__module__", None) or "")
        self._globals: Dict[str, Any] = dict(getattr(code, "__globals__", None) or vars(module or sys))
        self._scope = dict(scope)

    def of(self, parameter: inspect.Parameter) -> Any:
        """Return the type of a parameter; Any if it has no annotation."""
        annotation = parameter.annotation
        if annotation is inspect.Parameter.empty:
            return Any
        try:
            return self._evaluate(annotation)
        except Exception as error:
            raise InvalidParamError(
                f"tool {self._name!r}, parameter {parameter.name!r}: "
                f"its annotation {annotation!r} can't be evaluated: {error}"
            ) from error

    def is_context(self, parameter: inspect.Parameter) -> bool:
        """Tell whether a parameter gets the `RunContext`."""
        annotation = parameter.annotation
        try:
            annotation = self._evaluate(annotation)
        except Exception:  # for example RunContext[Deps] with Deps imported for type checkers only
            text = getattr(annotation, "__forward_arg__", annotation)
            return isinstance(text, str) and text.partition("[")[0].rpartition(".")[2] == RunContext.__name__
        return annotation is RunContext or get_origin(annotation) is RunContext

    def _evaluate(self, annotation: Any) -> Any:
        def carrier() -> None: ...

        carrier.__annotations__ = {"value": annotation}
        return get_type_hints(carrier, self._globals, self._scope, include_extras=True)["value"]


def _named(annotation: Any, parameter: inspect.Parameter) -> Any:
    """Return the type of a parameter with its name for the model: the user's alias, or the parameter's name."""
    infos = [parameter.default, *(get_args(annotation)[1:] if get_origin(annotation) is Annotated else ())]
    if any(isinstance(info, FieldInfo) and info.alias is not None for info in infos):
        return annotation
    return Annotated[annotation, Field(alias=parameter.name)]


def _callable(function: Any) -> Any:
    """Return the function itself, the function in a partial, or the `__call__` of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return function.__call__


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # annotations are evaluated lazily
        import annotationlib

        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def _bound_names(function: Callable[..., Any]) -> FrozenSet[str]:
    """Return the keywords that partials have fixed, which the model does not fill in."""
    names: List[str] = []
    while isinstance(function, functools.partial):
        names += function.keywords
        function = function.func
    return frozenset(names)


def _parameters(name: str, function: Callable[..., Any], hints: _Hints) -> Tuple[List[inspect.Parameter], bool]:
    """Return the parameters that the model fills in, and whether a `RunContext` comes before them."""
    try:
        parameters = list(_signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise InvalidParamError(
            f"tool {name!r} has no signature to read; give `parameters`, a JSON schema: {error}"
        ) from None
    takes_context = bool(parameters) and hints.is_context(parameters[0])
    bound = _bound_names(function)
    kept = [parameter for parameter in parameters[takes_context:] if parameter.name not in bound]
    for index, parameter in enumerate(kept):
        where = f"tool {name!r}, parameter {parameter.name!r}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InvalidParamError(f"{where}: a model can't fill in {str(parameter).partition(':')[0]}")
        if hints.is_context(parameter):
            raise InvalidParamError(f"{where}: only the first parameter may be a RunContext")
        unbound = index == 0 and parameter.name in ("self", "cls") and parameter.annotation is parameter.empty
        if unbound:
            raise InvalidParamError(f"{where}: give the bound method, such as agent.add_tool(instance.method)")
    return kept, takes_context


def _refuse(name: str, parameters: List[inspect.Parameter], fields: Dict[str, Any], error: Exception) -> NoReturn:
    """Raise an error that names the parameter whose type has no JSON schema."""
    from luup_agent._tools.json_schema import QuietSchema

    for parameter, (key, field) in zip(parameters, fields.items()):
        try:
            create_model("Argument", **{key: field}).model_json_schema(schema_generator=QuietSchema)
        except Exception as problem:
            reason = str(problem).partition("\n")[0]
            raise InvalidSchemaError(f"tool {name!r}, parameter {parameter.name!r}: {reason}") from problem
    raise InvalidSchemaError(f"tool {name!r}: {error}") from error


# ---------------------------------------------------------------------------------------------------------------------
# Arguments
# ---------------------------------------------------------------------------------------------------------------------


def _parser(model: Any, parameters: List[inspect.Parameter], exact: bool) -> Callable[[str], Arguments]:
    """Return a function that reads arguments from JSON text; `exact`: some are decimals, which keep all digits.

    Arguments that the model left out are left to the function's own defaults, except for defaults written as
    ``Field(…)``, which the function does not understand.
    """
    always = {f"p{i}" for i, p in enumerate(parameters) if isinstance(p.default, FieldInfo)}
    keyword = [(f"p{i}", p.name) for i, p in enumerate(parameters) if p.kind is not p.POSITIONAL_ONLY]
    positional = [(f"p{i}", p.default) for i, p in enumerate(parameters) if p.kind is p.POSITIONAL_ONLY]

    def parse(arguments_json: str) -> Arguments:
        values: BaseModel = model.model_validate_json(quote_long_numbers(arguments_json) if exact else arguments_json)
        given = values.__dict__
        there = values.model_fields_set | always
        return (
            [given[key] if key in there else default for key, default in positional],
            {name: given[key] for key, name in keyword if key in there},
        )

    return parse


# ---------------------------------------------------------------------------------------------------------------------
# Descriptions
# ---------------------------------------------------------------------------------------------------------------------


def read_docstring(function: Callable[..., Any]) -> Tuple[str, Dict[str, str]]:
    """Return the description of a function and of its parameters, from a Google, NumPy or Sphinx docstring."""
    owner: Any = function
    while isinstance(owner, functools.partial):
        owner = owner.func
    if inspect.isroutine(owner) or inspect.isclass(owner):
        text = inspect.getdoc(owner) or ""
    else:
        text = inspect.getdoc(type(owner)) or inspect.getdoc(owner.__call__) or ""
    if "\n" not in text:
        return text.strip(), {}
    import docstring_parser

    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return text, {}
    parts = (parsed.short_description, parsed.long_description)
    parameters = {param.arg_name.lstrip("*"): " ".join((param.description or "").split()) for param in parsed.params}
    return "\n\n".join(part.strip() for part in parts if part), parameters


def describe_parameters(schema: Schema, descriptions: Mapping[str, str]) -> None:
    """Add the docstring's descriptions to the schema where the annotations have none."""
    for name, part in schema["properties"].items():
        text = descriptions.get(name)
        if text and isinstance(part, dict):
            part.setdefault("description", text)


def parameter_of(schema: Schema, message: str) -> Optional[str]:
    """Return the parameter that an error of the core is about, from the JSON pointer in its message."""
    properties = schema.get("properties")
    for name in properties if isinstance(properties, dict) else ():
        escaped = name.replace("~", "~0").replace("/", "~1")
        if f"/properties/{escaped}/" in message + "/" or f"/properties/{escaped}:" in message:
            return str(name)
    return None
