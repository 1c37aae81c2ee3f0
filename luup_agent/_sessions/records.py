"""The values that a database of conversations takes and returns."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

from luup_agent._json import write_json
from luup_agent._native import encode_text
from luup_agent.errors import InvalidParamError
from luup_agent.messages import Message, Usage

NO_USAGE = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0, total_tokens=0, turns=0)
_ID_CHARACTERS = 200

AnyMessage = Union[Message, Mapping[str, Any]]


class SessionInfo(NamedTuple):
    """A stored conversation, without its messages.

    Attributes:
        id: Its id.
        title: Its title; None if it has none.
        created: When its first messages were stored, in UTC.
        updated: When it last changed, in UTC.
        messages: The number of its messages, those that a summary has replaced included.
        usage: The tokens of all its runs.
        version: Counts its changes; see `Sessions.append`.
        parent: The id of the conversation that it is a branch of; None if it is not a branch.
        branched_at: How many messages of `parent` it began with; None if it is not a branch.
    """

    id: str
    title: Optional[str]
    created: datetime
    updated: datetime
    messages: int
    usage: Usage
    version: int
    parent: Optional[str] = None
    branched_at: Optional[int] = None


class SessionMatch(NamedTuple):
    """A message that `Sessions.search` has found.

    Attributes:
        session: Its conversation.
        position: Its place in `Sessions.messages`, from 0.
        message: The message.
    """

    session: SessionInfo
    position: int
    message: Message


class Head(NamedTuple):
    """The state of a conversation that a run continues.

    Attributes:
        version: Counts its changes; 0 for one that does not exist.
        created: When it was created, which tells it from a later one with the same id; None for any.
    """

    version: int
    created: Optional[float] = None


class Stored(NamedTuple):
    """The conversation that the next run continues.

    Attributes:
        head: Its state.
        history: Its messages as OpenAI chat messages; None if the caller has this version.
    """

    head: Head
    history: Optional[List[Dict[str, Any]]]


class Addition(NamedTuple):
    """The messages and tokens that one run adds to a conversation.

    Attributes:
        messages: OpenAI chat messages.
        usage: The tokens of the run.
        base: If a summary has replaced the oldest messages: the history before `messages`, the summary first.
        kept: The number of messages at the end of `base` that the summary did not replace.
    """

    messages: Sequence[Mapping[str, Any]]
    usage: Usage = NO_USAGE
    base: Optional[Sequence[Mapping[str, Any]]] = None
    kept: int = 0


def check_id(name: str, value: object) -> str:
    """Return the id of a conversation.

    Raises:
        InvalidParamError: It is not a text of 1 to 200 characters.
    """
    if not isinstance(value, str):
        raise InvalidParamError(f"{name} must be a str, not {type(value).__name__}")
    encode_text(name, value)
    if not 1 <= len(value) <= _ID_CHARACTERS:
        raise InvalidParamError(f"{name} must have 1 to {_ID_CHARACTERS} characters, got {len(value)}")
    return value


def check_title(title: object) -> Optional[str]:
    """Return a title.

    Raises:
        InvalidParamError: It is neither a text nor None.
    """
    if title is None:
        return None
    if not isinstance(title, str):
        raise InvalidParamError(f"title must be a str or None, not {type(title).__name__}")
    encode_text("title", title)
    return title


def check_count(name: str, value: object, least: int = 0) -> int:
    """Return a number of messages or conversations.

    Raises:
        InvalidParamError: It is not an int of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidParamError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value < 2**31:
        raise InvalidParamError(f"{name} must be at least {least} and less than 2,147,483,648, got {value}")
    return value


def read_messages(messages: object) -> List[Dict[str, Any]]:
    """Return messages of the user as OpenAI chat messages.

    Raises:
        InvalidParamError: One is not a message, is a system message, or has a text that is not valid Unicode.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, (str, bytes)):
        raise InvalidParamError(f"messages must be a list of messages, not {type(messages).__name__}")
    found: List[Dict[str, Any]] = []
    for index, item in enumerate(messages):
        name = f"messages[{index}]"
        if not isinstance(item, (Message, Mapping)):
            raise InvalidParamError(f"{name} must be a Message or a dict, not {type(item).__name__}")
        message = item if isinstance(item, Message) else Message.from_dict(name, item)
        if message.role == "system":
            raise InvalidParamError(f"{name} is a system message: the agent has the system prompt, not the session")
        encode_text(f"{name}.content", message.content)
        found.append(message.to_dict())
    write_json("messages", found)
    return found
