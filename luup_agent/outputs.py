"""Forms of an answer that no Python type describes: `Choice`, `Regex`, `Grammar` and `JSONSchema`.

Each is an `output_type`. A local model can write nothing else than what the form allows. The answer of a remote model
is checked, and requested again if it is wrong, as often as `retries` says.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Dict, Generic, Iterable, Mapping, Tuple, Type

from typing_extensions import TypeVar

from luup_agent._json import write_json
from luup_agent.errors import InvalidParamError, InvalidSchemaError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
OutputT = TypeVar("OutputT", default=str)  # the type of an agent's answers


class Output(Generic[T_co]):
    """The base of the forms; `T_co` is the type of the answer.

    Two forms are equal if they are of one class and have the same text.

    Attributes:
        kind: "choices", "pattern", "grammar" or "schema".
        text: The form as text: of a `Choice` and a `JSONSchema` as JSON.
    """

    __module__ = "luup_agent"
    __slots__ = ("text",)

    kind: ClassVar[str] = ""

    def __init__(self, text: str) -> None:
        """Keep the text."""
        if type(self) is Output:
            raise TypeError("Output has no form of its own: use Choice, Regex, Grammar or JSONSchema")
        self.text = text

    def __eq__(self, other: object) -> bool:
        """Return whether `other` is the same form."""
        return type(other) is type(self) and isinstance(other, Output) and other.text == self.text

    def __hash__(self) -> int:
        """Return the hash of the form."""
        return hash((self.kind, self.text))

    def __repr__(self) -> str:
        """Return, for example, ``Regex('[0-9]+')``."""
        return f"{type(self).__name__}({self.text!r})"


class Choice(Output[str]):
    """One of several texts: the answer is one of them, to the letter.

    Unlike a ``Literal`` it may be made while the program runs, and the model writes plain text instead of JSON. The
    response's `confidence` has the probability of the chosen text, as that of the path "".

    Attributes:
        choices: The texts.

    Example:
        >>> agent.generate("Is the sky blue or green?", output_type=Choice(["blue", "green"]))
        'blue'
    """

    __module__ = "luup_agent"
    __slots__ = ("choices",)

    kind: ClassVar[str] = "choices"

    def __init__(self, choices: Iterable[str]) -> None:
        """Make a form of 1 to 1,024 different texts.

        Raises:
            InvalidParamError: The list is empty or too long, or a text is empty, not a str or repeated.
        """
        if isinstance(choices, (str, bytes)) or not isinstance(choices, Iterable):
            raise InvalidParamError(f"choices must be a list of str, not {type(choices).__name__}")
        texts = tuple(choices)
        if not 1 <= len(texts) <= 1024:
            raise InvalidParamError(f"choices must be 1 to 1,024 texts, not {len(texts)}")
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise InvalidParamError(f"choices[{index}] must be a str, not {type(text).__name__}")
            if not text or "\0" in text:
                raise InvalidParamError(f"choices[{index}] {'has a zero character' if text else 'is empty'}")
            if text in texts[:index]:
                raise InvalidParamError(f"choices[{index}] repeats an earlier text: {text!r}")
        self.choices: Tuple[str, ...] = texts
        super().__init__(write_json("choices", list(texts)))

    def __repr__(self) -> str:
        """Return, for example, ``Choice(['yes', 'no'])``."""
        return f"Choice({list(self.choices)!r})"


class Regex(Output[str]):
    """Text that a regular expression matches from its beginning to its end.

    The syntax is that of ``pattern`` in a JSON schema (docs/JSON_SCHEMA.md): ECMA-262 without back references, with
    look-ahead at the beginning only.

    Example:
        >>> year = agent.generate("In which year did people land on the Moon?", output_type=Regex("19[0-9]{2}"))
        >>> int(year) // 100
        19
    """

    __module__ = "luup_agent"
    __slots__ = ()

    kind: ClassVar[str] = "pattern"

    def __init__(self, pattern: str) -> None:
        """Make a form of a regular expression, which is checked when it is used.

        Raises:
            InvalidParamError: `pattern` is not a str.
        """
        if not isinstance(pattern, str):
            raise InvalidParamError(f"pattern must be a str, not {type(pattern).__name__}")
        super().__init__(pattern)


class Grammar(Output[str]):
    """Text of a grammar in llama.cpp's notation (GBNF), with a rule ``root``.

    Example:
        >>> sum_of_two = Grammar('''
        ... root   ::= number " + " number
        ... number ::= [1-9] [0-9]?
        ... ''')
        >>> " + " in agent.generate("Write a sum of two numbers.", output_type=sum_of_two)
        True
    """

    __module__ = "luup_agent"
    __slots__ = ()

    kind: ClassVar[str] = "grammar"

    def __init__(self, grammar: str) -> None:
        """Make a form of a grammar, which is checked when it is used.

        Raises:
            InvalidParamError: `grammar` is not a str.
        """
        if not isinstance(grammar, str):
            raise InvalidParamError(f"grammar must be a str, not {type(grammar).__name__}")
        super().__init__(grammar)


class JSONSchema(Output[Any]):
    """JSON of a schema that is not made from a Python type; the answer is the parsed value: dicts, lists, str, ...

    A bare dict as `output_type` means the same.

    Example:
        >>> city = JSONSchema({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
        >>> agent.generate("What is the capital of France?", output_type=city)
        {'name': 'Paris'}
    """

    __module__ = "luup_agent"
    __slots__ = ()

    kind: ClassVar[str] = "schema"

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Make a form of a schema, which is checked when it is used.

        Raises:
            InvalidParamError: `schema` is not a dict.
            InvalidSchemaError: It has parts that are not JSON.
        """
        if not isinstance(schema, Mapping):
            raise InvalidParamError(f"schema must be a dict, not {type(schema).__name__}")
        super().__init__(write_json("output_type", dict(schema), InvalidSchemaError))

    def __repr__(self) -> str:
        """Return, for example, ``JSONSchema({"type": "object"})``."""
        return f"JSONSchema({self.text})"


_BY_KIND: Dict[str, Type[Output[Any]]] = {each.kind: each for each in (Choice, Regex, Grammar, JSONSchema)}


def output_of(kind: str, text: str) -> Output[Any]:
    """Return the form of this kind and text.

    Raises:
        KeyError: There is no such kind.
        LuupError: The text is wrong for this kind.
    """
    form: Any = _BY_KIND[kind]
    found: Output[Any] = form(json.loads(text) if kind in ("choices", "schema") else text)
    return found
