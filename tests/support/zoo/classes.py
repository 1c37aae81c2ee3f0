"""Unions, models with their fields and validators, and generic and recursive types."""

import datetime
import decimal
import uuid
from typing import Any, Callable, ClassVar, Dict, Generic, List, Optional, TypeVar, Union

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    RootModel,
    Tag,
    WrapValidator,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import Annotated, Literal, Self, TypedDict

from support.zoo.entry import refused, valid

T = TypeVar("T")
K = TypeVar("K")


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    good: bool


class Puppy(BaseModel):
    kind: Literal["puppy", "whelp"] = "puppy"
    weeks: int = 0


class Pug(BaseModel):
    kind: Literal["dog"] = "dog"
    breed: Literal["pug"] = "pug"


class Lab(BaseModel):
    kind: Literal["dog"] = "dog"
    breed: Literal["lab"] = "lab"
    color: Literal["black", "brown"]


class One(BaseModel):
    number: Literal[1] = 1


class Two(BaseModel):
    number: Literal[2] = 2


class Named(BaseModel):
    kind: Literal["named"] = Field(default="named", alias="Kind")
    name: str


class Numbered(BaseModel):
    kind: Literal["numbered"] = Field(default="numbered", alias="Kind")
    number: int


class CatDict(TypedDict):
    kind: Literal["cat"]
    lives: int


class DogDict(TypedDict, total=False):
    kind: Literal["dog"]
    good: bool


def kind_of(value: Any) -> str:
    """Return the tag of a value of the union of `Cat` and `int`."""
    return "number" if isinstance(value, int) else "cat"


def length_of(value: Any) -> Optional[str]:
    """Return the tag of a value of a union with a member for each key."""
    keys = value if isinstance(value, dict) else vars(value)
    return "cat" if "lives" in keys else "dog" if "good" in keys else None


Breed = Annotated[Union[Pug, Lab], Field(discriminator="breed")]

UNIONS = [
    valid("Union[Model, Model]", Union[Cat, Dog]),
    valid("Union[Model, None, int]", Union[Cat, None, int]),
    valid("Union[int, float, str, bool, None]", Union[int, float, str, bool, None]),
    valid("Union[date, int]", Union[datetime.date, int]),
    valid("Union[UUID, str]", Union[uuid.UUID, str]),
    valid("Union left to right", Annotated[Union[int, str], Field(union_mode="left_to_right")]),
    valid("Union with a callable", Union[int, Callable[[int], int]], "the callable is left out"),
    refused("Union of callables", Union[Callable[[int], int], Callable[[str], str]], "any type of a union"),
    refused("Optional with a callable", Optional[Callable[[int], int]], "a callable"),
    valid("discriminated union", Annotated[Union[Cat, Dog], Field(discriminator="kind")]),
    valid("discriminated union of three", Annotated[Union[Cat, Dog, Puppy], Field(discriminator="kind")]),
    valid("discriminated union with numbers", Annotated[Union[One, Two], Field(discriminator="number")]),
    valid("discriminated union with an alias", Annotated[Union[Named, Numbered], Field(discriminator="kind")]),
    valid("discriminated union of typed dicts", Annotated[Union[CatDict, DogDict], Field(discriminator="kind")]),
    valid("nested discriminated union", Annotated[Union[Cat, Breed], Field(discriminator="kind")]),
    valid("list of a discriminated union", List[Annotated[Union[Cat, Dog], Field(discriminator="kind")]]),
    valid("optional discriminated union", Optional[Annotated[Union[Cat, Dog], Field(discriminator="kind")]]),
    valid(
        "callable Discriminator with Tag",
        Annotated[Union[Annotated[Cat, Tag("cat")], Annotated[int, Tag("number")]], Discriminator(kind_of)],
    ),
    valid(
        "callable Discriminator by keys",
        Annotated[Union[Annotated[Cat, Tag("cat")], Annotated[Dog, Tag("dog")]], Discriminator(length_of)],
    ),
    valid(
        "field with a discriminated union", create_model("Owner", pet=(Union[Cat, Dog], Field(discriminator="kind")))
    ),
]


class Empty(BaseModel):
    pass


class Movie(BaseModel):
    """A film.

    With a docstring of more than one line.
    """

    title: str
    year: int = Field(ge=1880, le=2100, description="When it came out")
    tags: List[str] = []
    rating: Optional[float] = None


class Parent(BaseModel):
    child: Movie
    other: Optional[Movie] = None


class Derived(Movie):
    director: str


class Computed(BaseModel):
    width: int
    height: int

    @computed_field
    @property
    def area(self) -> int:
        return self.width * self.height


class Private(BaseModel):
    shown: int
    also: str = "x"
    _count: int = PrivateAttr(default=3)
    _made: List[int] = PrivateAttr(default_factory=list)
    _later: int


class Hooked(BaseModel):
    a: int
    b: int
    _sum: int = 0

    def model_post_init(self, context: Any) -> None:
        self._sum = self.a + self.b


class ClassVariables(BaseModel):
    limit: ClassVar[int] = 5
    a: int


class WithInit(BaseModel):
    a: int
    b: bool

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Serialized(BaseModel):
    when: datetime.date

    @field_serializer("when")
    def write(self, when: datetime.date) -> str:
        return when.strftime("%d/%m/%Y")


class Whole(BaseModel):
    a: int
    b: int

    @model_serializer
    def write(self) -> str:
        return f"{self.a}/{self.b}"


class Excluded(BaseModel):
    a: int
    secret: str = Field(exclude=True)


class Ints(RootModel[List[int]]):
    pass


class Text(RootModel[str]):
    pass


class Pets(RootModel[Dict[str, Union[Cat, Dog]]]):
    pass


MODELS = [
    valid("model without fields", Empty),
    valid("model", Movie),
    valid("model in a model", Parent),
    valid("derived model", Derived),
    valid("model of create_model", create_model("Made", a=(int, ...), b=(str, "x"))),
    valid("model with a computed field", Computed),
    valid("model with private attributes", Private),
    valid("model with model_post_init", Hooked),
    valid("model with class variables", ClassVariables),
    valid("model with __init__", WithInit),
    valid("model with a field serializer", Serialized),
    valid("model with a model serializer", Whole),
    valid("model with an excluded field", Excluded),
    valid("RootModel[List[int]]", Ints),
    valid("RootModel[str]", Text),
    valid("RootModel of a dict of models", Pets),
    valid("list of models", List[Movie]),
    valid("dict of models", Dict[str, Movie]),
    valid("model with many fields", create_model("Many", **{f"field_{n}": (int, n) for n in range(60)})),
    valid(
        "model with one field of each kind",
        create_model(
            "Kinds",
            i=(int, ...),
            f=(float, ...),
            s=(str, ...),
            b=(bool, ...),
            d=(datetime.date, ...),
            n=(decimal.Decimal, ...),
            l=(List[int], ...),
            m=(Dict[str, int], ...),
        ),
    ),
    refused(
        "model with a field of an arbitrary class",
        create_model("Odd", __config__={"arbitrary_types_allowed": True}, a=(type("Plain", (), {}), ...)),
        "Plain",
    ),
    refused(
        "model with a field that is a callable", create_model("Calls", a=(Callable[[int], int], ...)), "a callable"
    ),
    refused(
        "model with a callable that has a default",
        create_model("Default", a=(Callable[[int], int], len), b=(int, ...)),
        "a callable",
    ),
]


def _field(*arguments: Any, type_: Any = int, config: Any = None, **options: Any) -> Any:
    return create_model("Fields", __config__=config, value=(type_, Field(*arguments, **options)), last=(bool, ...))


FIELDS = [
    valid("Field(default)", _field(default=5)),
    valid("Field(default_factory)", _field(default_factory=lambda: 5)),
    valid("Field(alias)", _field(alias="theValue")),
    valid("Field(alias) with odd characters", _field(alias='a "b" / ~c \u00e9')),
    valid("Field(validation_alias)", _field(validation_alias="input")),
    valid("Field(serialization_alias)", _field(serialization_alias="output")),
    valid("Field(alias, serialization_alias)", _field(alias="in", serialization_alias="out")),
    valid("AliasChoices of names", _field(validation_alias=AliasChoices("first", "second"))),
    valid("AliasChoices of a path and a name", _field(validation_alias=AliasChoices(AliasPath("a", 0), "second"))),
    refused("AliasPath of one name", _field(validation_alias=AliasPath("only")), "AliasPath"),
    refused("AliasPath", _field(validation_alias=AliasPath("names", 0)), "AliasPath"),
    refused("AliasPath of names", _field(validation_alias=AliasPath("a", "b")), "AliasPath"),
    refused(
        "AliasChoices of paths",
        _field(validation_alias=AliasChoices(AliasPath("a", 0), AliasPath("b", 1))),
        "AliasPath",
    ),
    valid("AliasPath with a default", _field(default=1, validation_alias=AliasPath("names", 0)), "always the default"),
    valid("Field(title, description, examples)", _field(title="Title", description="A number", examples=[1, 2])),
    valid("Field(deprecated)", _field(deprecated="use another")),
    valid("Field(frozen)", _field(frozen=True)),
    valid("Field(exclude)", _field(exclude=True)),
    valid("Field(repr=False)", _field(repr=False)),
    valid("Field(strict)", _field(strict=True)),
    valid("Field(validate_default)", _field(default=3, validate_default=True)),
    valid("Field(json_schema_extra)", _field(json_schema_extra={"x-order": 1})),
    valid("Field(json_schema_extra) with a stricter bound", _field(json_schema_extra={"maximum": 9})),
    valid("Field(allow_inf_nan=False)", _field(type_=float, allow_inf_nan=False)),
    valid("Field(coerce_numbers_to_str)", _field(type_=str, coerce_numbers_to_str=True)),
    valid("Field(discriminator)", _field(type_=Union[Cat, Dog], discriminator="kind")),
    valid("Field(union_mode)", _field(type_=Union[int, str], union_mode="left_to_right")),
    valid("Field(init=False)", _field(default=1, init=False)),
    valid("Optional without a default", _field(type_=Optional[int])),
    valid("Optional with a default", _field(default=None, type_=Optional[int])),
    refused(
        "Field(pattern) with a look-behind",
        _field(type_=str, pattern="(?<=a)b", config={"regex_engine": "python-re"}),
        "look-behind",
    ),
]


def same(value: Any) -> Any:
    """Return a value as it is."""
    return value


def wrap(value: Any, handler: Any) -> Any:
    """Validate a value as the field would without it."""
    return handler(value)


class Checked(BaseModel):
    a: int
    b: List[int]

    @field_validator("a")
    @classmethod
    def after(cls, value: int) -> int:
        return value

    @field_validator("b", mode="before")
    @classmethod
    def before(cls, value: Any) -> Any:
        return value

    @field_validator("a", mode="wrap")
    @classmethod
    def wrapped(cls, value: Any, handler: Any) -> Any:
        return handler(value)


class Ordered(BaseModel):
    a: int
    b: int

    @field_validator("b")
    @classmethod
    def needs_a(cls, value: int, info: Any) -> int:
        return value + 0 * info.data.get("a", 0)


class Modelled(BaseModel):
    a: int
    b: List[int]

    @model_validator(mode="before")
    @classmethod
    def before(cls, values: Any) -> Any:
        return values

    @model_validator(mode="after")
    def after(self) -> Self:
        assert self.a is not None
        assert self.b is not None
        return self

    @model_validator(mode="wrap")
    @classmethod
    def wrapped(cls, values: Any, handler: Any) -> Any:
        return handler(values)


VALIDATORS = [
    valid("AfterValidator", Annotated[int, AfterValidator(same)]),
    valid("AfterValidator that changes the type", Annotated[List[int], AfterValidator(len)]),
    valid("BeforeValidator", Annotated[int, BeforeValidator(same)]),
    valid("WrapValidator", Annotated[int, WrapValidator(wrap)]),
    valid("WrapValidator of a list", Annotated[List[int], WrapValidator(wrap)]),
    valid("PlainValidator", Annotated[object, PlainValidator(same)]),
    valid(
        "PlainValidator with json_schema_input_type", Annotated[int, PlainValidator(same, json_schema_input_type=int)]
    ),
    valid(
        "BeforeValidator with json_schema_input_type", Annotated[int, BeforeValidator(len, json_schema_input_type=str)]
    ),
    valid("PlainSerializer", Annotated[int, PlainSerializer(str)]),
    valid("field validators: after, before, wrap", Checked),
    valid("field validator that reads other fields", Ordered),
    valid("model validators: before, after, wrap", Modelled),
    valid("list of models with validators", List[Modelled]),
]


class Node(BaseModel):
    name: str
    children: List["Node"] = []


class Chain(BaseModel):
    value: int
    following: Optional[Self] = None


class Left(BaseModel):
    right: Optional["Right"] = None


class Right(BaseModel):
    left: Optional[Left] = None
    n: int = 0


class Pair(BaseModel, Generic[T, K]):
    first: T
    second: K


class Linked(BaseModel, Generic[T]):
    value: T
    following: Optional["Linked[T]"] = None


class Response(BaseModel, Generic[T]):
    data: Optional[T] = None
    error: Optional[str] = None


class Sub(Pair[int, T], Generic[T]):
    third: T


class TypedBox(TypedDict, Generic[T]):
    item: T


class Numbers(RootModel[List[T]], Generic[T]):
    pass


class Endless(BaseModel):
    again: "Endless"


class Tree(RootModel[Dict[str, "Tree"]]):
    pass


Left.model_rebuild()
GENERICS = [
    valid("recursive model", Node),
    valid("recursive model with Self", Chain),
    valid("mutually recursive models", Left),
    valid("recursive RootModel", Tree),
    refused("endless model", Endless, "no value can be valid"),
    valid("Generic[int, str]", Pair[int, str]),
    valid("Generic[List[int], Model]", Pair[List[int], Cat]),
    valid("generic model without parameters", Pair),
    valid("recursive generic model", Linked[int]),
    valid("recursive generic model of models", Linked[Cat]),
    valid("generic response", Response[Movie]),
    valid("derived generic model", Sub[str]),
    valid("generic typed dict", TypedBox[int]),
    valid("generic RootModel", Numbers[bool]),
    valid("nested generic models", Pair[Pair[int, bool], Response[Cat]]),
]
