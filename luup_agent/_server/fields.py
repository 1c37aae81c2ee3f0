"""The fields of a request's body, read one by one with their types."""

from __future__ import annotations

import math
from typing import Any, Collection, Dict, List, Mapping, Optional, Tuple, Type, Union

from luup_agent._json import read_json
from luup_agent._server.failures import RequestError
from luup_agent.errors import JSONParseError


class Fields:
    """A JSON object of a request. None counts as missing, because OpenAI's client writes it."""

    def __init__(self, values: object, place: str = "", size: int = 0) -> None:
        """Take the object.

        Args:
            values: The object.
            place: Its name in error messages, such as "stream_options"; "" for the body itself.
            size: The bytes of the body.

        Raises:
            RequestError: It is not an object.
        """
        if not isinstance(values, Mapping):
            named = place or "the body"
            raise RequestError(
                400, f"{named} must be a JSON object, not {kind_of(values)}", "invalid_type", place or None
            )
        self._values = {name: value for name, value in values.items() if value is not None}
        self.size = size
        self._place = place
        self._read: List[str] = []

    def name_of(self, field: str) -> str:
        """Return the whole name of a field."""
        return f"{self._place}.{field}" if self._place else field

    @property
    def values(self) -> Mapping[str, Any]:
        """The fields, without those that are None."""
        return self._values

    def has(self, field: str) -> bool:
        """Return whether the object has the field."""
        return field in self._values

    def value(self, field: str) -> Any:
        """Return a field of any type; None if it is missing."""
        self._read.append(field)
        return self._values.get(field)

    def flag(self, field: str, default: bool = False) -> bool:
        """Return a field that is true or false."""
        value = self._typed(field, bool, "true or false")
        return default if value is None else bool(value)

    def whole(self, field: str, least: Optional[int] = None, most: Optional[int] = None) -> Optional[int]:
        """Return a field that is a whole number."""
        value = self.value(field)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            if value is not None and ((least is not None and value < least) or (most is not None and value > most)):
                bounds = f"at least {least}" if most is None else f"between {least} and {most}"
                raise self.wrong(field, f"must be {bounds}, got {value}", "invalid_value")
            return value
        raise self.wrong(field, f"must be a whole number, not {kind_of(value)}")

    def number(self, field: str) -> Optional[float]:
        """Return a field that is a number."""
        value = self.value(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.wrong(field, f"must be a number, not {kind_of(value)}")
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if not math.isfinite(found):
            raise self.wrong(field, "must be a finite number", "invalid_value")
        return found

    def text(self, field: str) -> Optional[str]:
        """Return a field that is a text."""
        value: Optional[str] = self._typed(field, str, "a text")
        return value

    def items(self, field: str) -> Optional[List[Any]]:
        """Return a field that is a list."""
        value: Optional[List[Any]] = self._typed(field, list, "a list")
        return value

    def texts(self, field: str, most: int) -> List[str]:
        """Return a field that must be there: a text, or a list of 1 to `most` texts."""
        given = self.value(field)
        if given is None:
            raise self.missing(field)
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list):
            raise self.wrong(field, f"must be a text or a list of texts, not {kind_of(given)}")
        if not 1 <= len(texts) <= most:
            raise self.wrong(field, f"must have 1 to {most} texts, got {len(texts)}", "invalid_value")
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                problem = f"{field}[{index}] must be a text, not {kind_of(text)}; tokens are not supported"
                raise RequestError(400, problem, "invalid_type", field)
        return texts

    def mapping(self, field: str) -> Optional[Dict[str, Any]]:
        """Return a field that is an object."""
        value: Optional[Dict[str, Any]] = self._typed(field, dict, "a JSON object")
        return value

    def fields(self, field: str) -> Optional[Fields]:
        """Return a field that is an object, to be read in its turn."""
        value = self.mapping(field)
        return None if value is None else Fields(value, self.name_of(field))

    def _typed(self, field: str, cls: Union[Type[Any], Tuple[Type[Any], ...]], wanted: str) -> Any:
        value = self.value(field)
        if value is not None and not isinstance(value, cls):
            raise self.wrong(field, f"must be {wanted}, not {kind_of(value)}")
        return value

    def wrong(self, field: str, problem: str, code: str = "invalid_type") -> RequestError:
        """Return the error of a field."""
        name = self.name_of(field)
        return RequestError(400, f"{name} {problem}", code, name)

    def missing(self, field: str) -> RequestError:
        """Return the error of a field that is missing."""
        return self.wrong(field, "is missing", "missing_required_parameter")

    def finish(self, harmless: Collection[str] = (), refused: Optional[Mapping[str, str]] = None) -> None:
        """Check that no field was left unread.

        Args:
            harmless: Fields that do not change the answer, and are ignored.
            refused: Reasons why fields are not supported.

        Raises:
            RequestError: There is another field.
        """
        for field in self._values:
            if field not in self._read and field not in harmless:
                reason = (refused or {}).get(field, "is not supported by this server; leave it out")
                raise self.wrong(field, reason, "unsupported_parameter")


def read_body(text: bytes) -> Fields:
    """Return the fields of a request's body.

    Raises:
        RequestError: It is not a JSON object, or is nested too deeply.
    """
    try:
        return Fields(read_json("the body", text), size=len(text))
    except JSONParseError as error:
        raise RequestError(400, str(error), "invalid_json") from None


def kind_of(value: object) -> str:
    """Return the JSON type of a value, for an error message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = ((str, "a text"), ((int, float), "a number"), ((list, tuple), "a list"), (Mapping, "an object"))
    return next((name for cls, name in names if isinstance(value, cls)), type(value).__name__)
