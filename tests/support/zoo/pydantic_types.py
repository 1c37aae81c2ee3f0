"""Types that pydantic defines."""

import datetime
import importlib.util
import warnings
from typing import Any, Callable, Dict, List

import pydantic
from pydantic import (
    UUID1,
    UUID3,
    UUID4,
    UUID5,
    AmqpDsn,
    AnyHttpUrl,
    AnyUrl,
    AnyWebsocketUrl,
    Base64Bytes,
    Base64Str,
    Base64UrlBytes,
    Base64UrlStr,
    BaseModel,
    ByteSize,
    ClickHouseDsn,
    CockroachDsn,
    DirectoryPath,
    EncodedBytes,
    EncodedStr,
    EncoderProtocol,
    FilePath,
    FileUrl,
    FtpUrl,
    GetPydanticSchema,
    HttpUrl,
    ImportString,
    InstanceOf,
    IPvAnyAddress,
    IPvAnyInterface,
    IPvAnyNetwork,
    Json,
    JsonValue,
    KafkaDsn,
    MariaDBDsn,
    MongoDsn,
    MySQLDsn,
    NatsDsn,
    NewPath,
    PostgresDsn,
    RedisDsn,
    Secret,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    SkipValidation,
    SnowflakeDsn,
    UrlConstraints,
    WebsocketUrl,
    WithJsonSchema,
)
from pydantic_core import MultiHostUrl, Url, core_schema
from typing_extensions import Annotated, Literal

from support.zoo.entry import Entry, refused, valid


class Point(BaseModel):
    x: int
    y: int = 0


class HexEncoder(EncoderProtocol):
    """Bytes as hexadecimal digits, as in pydantic's documentation."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        return bytes.fromhex(data.decode())

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value.hex().encode()

    @classmethod
    def get_json_format(cls) -> str:
        return "hex"


class Reversed(EncoderProtocol):
    """An encoding of which the format says nothing."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        return data.decode()[::-1].encode()

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return cls.decode(value)

    @classmethod
    def get_json_format(cls) -> str:
        return "reversed"


class Custom:
    """A class with a schema of its own."""

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(max_length=5))


class CustomJson(Custom):
    """A class with a JSON schema of its own."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        return {"type": "string", "enum": ["x", "y"]}


def _email(title: str, name: str) -> Entry:
    has_validator = importlib.util.find_spec("email_validator") is not None
    type_ = getattr(pydantic, name)
    return Entry(title, type_, None if has_validator else "email-validator", "with email-validator, refused without")


def _payment_card() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydantic.types import PaymentCardNumber
    return PaymentCardNumber


TYPES = [
    valid("UUID1", UUID1),
    valid("UUID3", UUID3),
    valid("UUID4", UUID4, combines=True),
    valid("UUID5", UUID5),
    *[valid(name, getattr(pydantic, name, None)) for name in ("UUID6", "UUID7", "UUID8")],
    valid("Base64Bytes", Base64Bytes, combines=True),
    valid("Base64Str", Base64Str),
    valid("Base64UrlBytes", Base64UrlBytes),
    valid("Base64UrlStr", Base64UrlStr),
    valid("EncodedBytes, hexadecimal", Annotated[bytes, EncodedBytes(encoder=HexEncoder)]),
    valid("EncodedStr, reversed", Annotated[str, EncodedStr(encoder=Reversed)]),
    valid("ByteSize", ByteSize, combines=True),
    refused("ImportString", ImportString, "would import what the model names"),
    refused("ImportString[Callable]", ImportString[Callable[[int], int]], "would import what the model names"),
    refused("FilePath", FilePath, "a file that exists"),
    refused("DirectoryPath", DirectoryPath, "a directory that exists"),
    refused("NewPath", NewPath, "a path that does not exist yet"),
    refused("SocketPath", getattr(pydantic, "SocketPath", FilePath), "a socket that exists"),
    valid("SecretStr", SecretStr, combines=True),
    valid("SecretBytes", SecretBytes),
    valid("Secret[int]", Secret[int]),
    valid("Secret[date]", Secret[datetime.date]),
    valid("IPvAnyAddress", IPvAnyAddress, combines=True),
    valid("IPvAnyInterface", IPvAnyInterface),
    valid("IPvAnyNetwork", IPvAnyNetwork),
    valid("Json", Json, combines=True),
    valid("Json[Any]", Json[Any]),
    valid("Json[int]", Json[int]),
    valid("Json[List[int]]", Json[List[int]]),
    valid("Json[Dict[str, bool]]", Json[Dict[str, bool]]),
    valid("Json[Model]", Json[Point]),
    valid("Json[Literal]", Json[Literal["a", "b"]]),
    valid("JsonValue", JsonValue),
    valid("InstanceOf[Model]", InstanceOf[Point]),
    refused("InstanceOf of an arbitrary class", InstanceOf[type("Plain", (), {})], "IsInstance"),
    valid("SerializeAsAny[Model]", SerializeAsAny[Point]),
    valid("SkipValidation[int]", SkipValidation[int]),
    valid("OnErrorOmit in a list", List[pydantic.OnErrorOmit[int]]),
    valid("FailFast", Annotated[List[int], pydantic.FailFast()]),
    _email("EmailStr", "EmailStr"),
    _email("NameEmail", "NameEmail"),
    valid("pydantic_core.Url", Url),
    valid("pydantic_core.MultiHostUrl", MultiHostUrl),
    valid("a class with a core schema", Custom),
    valid("a class with a JSON schema", CustomJson),
    valid("WithJsonSchema", Annotated[int, WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 9})]),
    valid("GetPydanticSchema", Annotated[str, GetPydanticSchema(lambda t, h: core_schema.str_schema(max_length=3))]),
    refused("PaymentCardNumber", _payment_card(), "check digit"),
]

URLS = [
    *[
        valid(each.__name__ if isinstance(each, type) else name, each, combines=name in ("HttpUrl", "PostgresDsn"))
        for name, each in (
            ("AnyUrl", AnyUrl),
            ("AnyHttpUrl", AnyHttpUrl),
            ("HttpUrl", HttpUrl),
            ("AnyWebsocketUrl", AnyWebsocketUrl),
            ("WebsocketUrl", WebsocketUrl),
            ("FileUrl", FileUrl),
            ("FtpUrl", FtpUrl),
            ("PostgresDsn", PostgresDsn),
            ("CockroachDsn", CockroachDsn),
            ("AmqpDsn", AmqpDsn),
            ("RedisDsn", RedisDsn),
            ("MongoDsn", MongoDsn),
            ("KafkaDsn", KafkaDsn),
            ("NatsDsn", NatsDsn),
            ("MySQLDsn", MySQLDsn),
            ("MariaDBDsn", MariaDBDsn),
            ("ClickHouseDsn", ClickHouseDsn),
            ("SnowflakeDsn", SnowflakeDsn),
        )
    ],
    valid("Url with UrlConstraints(max_length=40)", Annotated[Url, UrlConstraints(max_length=40)]),
    valid(
        "Url with UrlConstraints(allowed_schemes)", Annotated[Url, UrlConstraints(allowed_schemes=["http", "myapp"])]
    ),
    valid("Url with UrlConstraints(host_required)", Annotated[Url, UrlConstraints(host_required=True)]),
    valid(
        "Url with UrlConstraints(default_host)",
        Annotated[Url, UrlConstraints(default_host="localhost", default_port=80)],
    ),
]
