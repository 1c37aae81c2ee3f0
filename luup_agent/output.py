"""Typed results: the schema that an answer is held to, and the value made of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from luup_agent import _native
from luup_agent.errors import InvalidParamError, InvalidSchemaError
from luup_agent.tool_context import ModelRetry

if TYPE_CHECKING:
    from luup_agent.partial import PartialReader, PartialTypes

_MAX_PROBLEMS = 8  # told to the model at once
_KEPT = 128  # types whose adapters are kept


class OutputSpec:
    """What `output_type` asks for.

    Attributes:
        type: The type, a sequence of types made a union.
        schema: The text of its JSON schema.
    """

    def __init__(self, output_type: Any) -> None:
        """Prepares a type.

        Raises:
            InvalidSchemaError: It has no JSON schema, or one that can't be enforced; the message has the JSON pointer.
        """
        from luup_agent.json_schema import QuietSchema, drop_titles

        self.type = _union(output_type)
        self._partials: Optional[PartialTypes] = None
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(self.type)
            schema = self._adapter.json_schema(mode="validation", schema_generator=QuietSchema)
        except (PydanticUserError, PydanticSchemaGenerationError, PydanticUndefinedAnnotation, TypeError) as error:
            raise InvalidSchemaError(f"output_type: {str(error).partition(chr(10))[0]}") from error
        self.schema = json.dumps(drop_titles(schema))
        try:
            _native.check_schema(self.schema)
        except InvalidSchemaError as error:
            raise InvalidSchemaError(f"output_type: {error}") from None

    def partial_reader(self) -> PartialReader:
        """Makes values of the beginnings of a text."""
        if self._partials is None:
            from luup_agent.partial import PartialTypes

            self._partials = PartialTypes(self.type)
        return self._partials.reader()

    def validate(self, text: str) -> Any:
        """The value that the JSON text stands for.

        Raises:
            pydantic.ValidationError: A validator does not like it.
            ModelRetry: Likewise.
        """
        return self._adapter.validate_json(text)


def explain(error: Union[ValidationError, ModelRetry]) -> str:
    """What a model has to know to do better: where, what was wrong, a problem a line."""
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
    """A JSON pointer as a path: "items.0.kind" for "/items/0/kind"."""
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _union(output_type: Any) -> Any:
    if not isinstance(output_type, (list, tuple)):
        return output_type
    if not output_type:
        raise InvalidParamError("output_type must not be an empty sequence")
    return Union[tuple(output_type)]


_specs: Dict[Tuple[int, ...], Tuple[Any, OutputSpec]] = {}  # by identity: Literal[0] == Literal[False] for Python 3.8


def output_spec(output_type: Any) -> Optional[OutputSpec]:
    """The specification for `output_type`, kept for the next time; None for None and str, which is plain text."""
    if output_type is None or output_type is str:
        return None
    parts: List[Any] = list(output_type) if isinstance(output_type, (list, tuple)) else [output_type]
    key = (isinstance(output_type, (list, tuple)), *(id(part) for part in parts))
    kept = _specs.get(key)
    if kept is None:
        kept = (parts, OutputSpec(output_type))  # the parts stay alive, so that no other type gets their identity
        while len(_specs) >= _KEPT:
            _specs.pop(next(iter(_specs)), None)
        _specs[key] = kept
    return kept[1]
