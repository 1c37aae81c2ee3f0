"""Typed results: the constraint on an answer, and the value made from the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from pydantic import TypeAdapter, ValidationError

from luup_agent import _native
from luup_agent._json import quote_long_numbers, read_json, write_json
from luup_agent._threads import first_use
from luup_agent._tools.context import ModelRetry
from luup_agent.errors import InvalidParamError, InvalidSchemaError
from luup_agent.outputs import Grammar, JSONSchema, Output, Regex

if TYPE_CHECKING:
    from luup_agent._run.json_prefix import JsonReader
    from luup_agent._run.partial_output import PartialReader, PartialTypes

_MAX_PROBLEMS = 8  # that the model gets at once
_SHOWN = 300  # characters of a reason
_KEPT = 128  # types whose specifications are kept


class OutputSpec:
    """The type of an answer.

    Attributes:
        type: The type; a union for a sequence of types.
        schema: The text of its JSON schema.
    """

    def __init__(self, output_type: Any) -> None:
        """Prepare a type.

        Raises:
            InvalidSchemaError: It has no JSON schema, or one that can't be enforced; the message has the JSON pointer.
        """
        with first_use:
            from luup_agent._tools.json_schema import QuietSchema, for_models
            from luup_agent._tools.scalar_schema import has_decimals

        self.type = _union(output_type)
        self._partials: Optional[PartialTypes] = None
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(self.type)
            schema = self._adapter.json_schema(mode="validation", schema_generator=QuietSchema)
            self._exact = has_decimals(self._adapter.core_schema)
        except Exception as error:  # of any class: a type's own methods make its schema
            reason = str(getattr(error, "message", error))  # pydantic's own adds an address
            raise InvalidSchemaError(f"output_type: {' '.join(reason.split())[:_SHOWN]}") from error
        try:
            self.schema = write_json("output_type", for_models(schema), InvalidSchemaError)
        except RecursionError:
            raise InvalidSchemaError("output_type: its JSON schema is nested too deeply, or contains itself") from None
        _check_schema(self.schema)

    @property
    def request(self) -> _native.OutputRequest:
        """The form of the answer for the core."""
        return _native.OutputRequest("schema", self.schema)

    def partial_reader(self) -> PartialReader:
        """Return a reader that makes values of an incomplete text."""
        if self._partials is None:
            with first_use:
                from luup_agent._run.partial_output import PartialTypes

            self._partials = PartialTypes(self.type, self._adapter)
        return self._partials.reader()

    def validate(self, text: str) -> Any:
        """Return the value of a JSON text.

        Raises:
            pydantic.ValidationError: A validator rejects it.
            ModelRetry: A validator raised it.
        """
        return self._adapter.validate_json(quote_long_numbers(text) if self._exact else text)


class FormSpec:
    """The form of an answer that is an `Output`, not a type.

    Attributes:
        type: The form.
        request: The same for the core.
    """

    def __init__(self, form: Output[Any], model: Optional[_native.NativeModel] = None) -> None:
        """Prepare a form, for a `model` if there is one.

        Raises:
            InvalidSchemaError: It is wrong, or can't be enforced.
        """
        self.type = form
        self.request = _native.OutputRequest(form.kind, form.text)
        try:
            if isinstance(form, Regex):
                _native.check_pattern(form.text)
            elif isinstance(form, Grammar) and model is not None:  # only the model knows the tokens in it
                _native.check_grammar(model, form.text)
        except InvalidSchemaError as error:
            raise InvalidSchemaError(f"output_type: {error}") from None
        if isinstance(form, JSONSchema):
            _check_schema(form.text)

    def partial_reader(self) -> Optional[JsonReader]:
        """Return a reader that makes values of an incomplete text; None for plain text."""
        from luup_agent._run.json_prefix import JsonReader

        return JsonReader() if isinstance(self.type, JSONSchema) else None

    def validate(self, text: str) -> Any:
        """Return the value of a text that the core has checked."""
        return read_json("the output", text) if isinstance(self.type, JSONSchema) else text


AnySpec = Union[OutputSpec, FormSpec]


def _check_schema(schema: str) -> None:
    try:
        _native.check_schema(schema)
    except InvalidSchemaError as error:
        raise InvalidSchemaError(f"output_type: {error}") from None


def explain(error: Union[ValidationError, ModelRetry]) -> str:
    """Return the problems for the model, one a line, each with its place."""
    if isinstance(error, ModelRetry):
        return str(error)
    problems = error.errors(include_url=False)
    lines = ["{}{}".format(_place(problem["loc"]), problem["msg"]) for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        lines.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return "\n".join(lines)


def _place(location: Sequence[Union[int, str]]) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""


def dotted(pointer: str) -> str:
    """Return a JSON pointer as a path: "items.0.kind" for "/items/0/kind"."""
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _union(output_type: Any) -> Any:
    if not isinstance(output_type, (list, tuple)):
        return output_type
    if not output_type:
        raise InvalidParamError("output_type must not be an empty sequence")
    for part in output_type:
        if isinstance(part, (Output, Mapping)):
            shown = repr(part)
            raise InvalidParamError(
                f"output_type must not have a form or a schema among several types: "
                f"{shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}; give it alone"
            )
    return Union[tuple(output_type)]


_Key = Union[Tuple[int, ...], Output[Any]]
_specs: Dict[_Key, Tuple[Any, AnySpec]] = {}  # types by identity: Literal[0] == Literal[False] for Python 3.8


def output_spec(output_type: Any) -> Optional[AnySpec]:
    """Return the specification of `output_type`, which is kept for later calls; None for plain text, None or str."""
    if output_type is None or output_type is str:
        return None
    if isinstance(output_type, Mapping):
        output_type = JSONSchema(output_type)
    parts: List[Any] = list(output_type) if isinstance(output_type, (list, tuple)) else [output_type]
    key: _Key = output_type if isinstance(output_type, Output) else _identity(output_type, parts)
    kept = _specs.get(key)
    if kept is None:
        # `parts` are kept alive, so that no other type gets their id.
        kept = (parts, FormSpec(output_type) if isinstance(output_type, Output) else OutputSpec(output_type))
        while len(_specs) >= _KEPT:
            _specs.pop(next(iter(_specs)), None)
        _specs[key] = kept
    return kept[1]


def _identity(output_type: Any, parts: List[Any]) -> Tuple[int, ...]:
    return (isinstance(output_type, (list, tuple)), *(id(part) for part in parts))


def check_for_model(spec: Optional[AnySpec], model: _native.NativeModel) -> None:
    """Check what only the model knows about a specification: the tokens in a grammar.

    Raises:
        InvalidSchemaError: The model has no such token.
    """
    if isinstance(spec, FormSpec) and isinstance(spec.type, Grammar):
        FormSpec(spec.type, model)
