"""Models for tests of your own agents: what they answer is yours to say, and nothing else is replaced.

Requests and answers take the way of a remote model's, without the network: history, tools, approvals, typed results,
retries, streaming and errors are the real ones.

Example:
    >>> model = ScriptedModel([tool_call("add", a=5, b=3), "It is 8."])
    >>> agent = Agent(model, tools=[Tool(lambda a, b: a + b, name="add", parameters={"type": "object"})])
    >>> agent.generate("What is 5 + 3?")
    'It is 8.'
    >>> model.requests[1].messages[-1].content
    '8'
    >>> model.assert_complete()
"""

from __future__ import annotations

import inspect
import json
import re
import threading
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from pydantic import BaseModel, TypeAdapter

from luup_agent import _native
from luup_agent.cassette import CassetteError, RecordedModel
from luup_agent.errors import InvalidParamError
from luup_agent.exchange import Responder, Sink
from luup_agent.local_responder import chunk as _chunk
from luup_agent.messages import Message
from luup_agent.model import Model

__all__ = [
    "CassetteError",
    "FunctionModel",
    "RecordedModel",
    "Reply",
    "Request",
    "ScriptedCall",
    "ScriptedModel",
    "tool_call",
]


class ScriptedCall(NamedTuple):
    """A call of a tool that a model shall make; see `tool_call`.

    Attributes:
        name: The tool.
        arguments_json: Its arguments, as the model writes them.
    """

    name: str
    arguments_json: str


def tool_call(name: str, arguments: Union[str, Mapping[str, Any], None] = None, **keywords: Any) -> ScriptedCall:
    """A call that a model shall make.

    Args:
        name: The tool.
        arguments: A dict, or the text that the model writes: it may be wrong JSON, too.
        **keywords: More arguments.

    Example:
        >>> tool_call("add", a=5, b=3)
        ScriptedCall(name='add', arguments_json='{"a": 5, "b": 3}')
    """
    text = arguments if isinstance(arguments, str) else json.dumps({**(arguments or {}), **keywords})
    return ScriptedCall(name, text)


class Reply(NamedTuple):
    """One answer of a model.

    Attributes:
        text: What it says.
        reasoning: What it thinks before.
        tool_calls: The tools that it calls.
        finish_reason: "stop", "length", …; by default "tool_calls" with calls and else "stop".
        delay: Seconds until the answer begins.
        prompt_tokens: Counted for the request; by default its words.
        completion_tokens: Counted for the answer; by default its words.

    Example:
        >>> Reply("Paris.", reasoning="An easy one.").text
        'Paris.'
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: Tuple[ScriptedCall, ...] = ()
    finish_reason: Optional[str] = None
    delay: float = 0.0
    prompt_tokens: Optional[int] = None
    completion_tokens: Optional[int] = None


class Request:
    """What a model was asked.

    Attributes:
        body: The whole request, as it would be posted to a server.
    """

    def __init__(self, body: str) -> None:
        self.body: Dict[str, Any] = json.loads(body)

    @property
    def messages(self) -> List[Message]:
        """The conversation, the system prompt first if there is one."""
        return [Message.from_dict("messages", message) for message in self.body["messages"]]

    @property
    def prompt(self) -> str:
        """The last message of the user."""
        return next((each.content for each in reversed(self.messages) if each.role == "user"), "")

    @property
    def tools(self) -> List[str]:
        """The names of the tools that may be called."""
        return [tool["function"]["name"] for tool in self.body.get("tools", ())]

    @property
    def tool_choice(self) -> str:
        """Whether tools are to be called: "auto", "required", "none", or the name of the only one that may be."""
        choice = str(self.body.get("tool_choice", "none"))
        return self.tools[0] if choice == "required" and len(self.tools) == 1 else choice

    @property
    def output_schema(self) -> Optional[Dict[str, Any]]:
        """The JSON schema of a typed result; None for text."""
        wanted = self.body.get("response_format", {}).get("json_schema")
        return None if wanted is None else dict(wanted["schema"])

    def __repr__(self) -> str:
        return f"<Request {self.prompt[:60]!r}, {len(self.body['messages'])} messages, tools {self.tools}>"


def _reply_of(value: Any) -> Reply:
    """The reply that a value of a script stands for."""
    if isinstance(value, Reply):
        return value
    if isinstance(value, str):
        return Reply(value)
    if isinstance(value, ScriptedCall):
        return Reply(tool_calls=(value,))
    if isinstance(value, (list, tuple)) and any(isinstance(part, ScriptedCall) for part in value):
        texts = [part for part in value if isinstance(part, str)]
        calls = [part for part in value if isinstance(part, ScriptedCall)]
        if len(texts) + len(calls) == len(value):
            return Reply("".join(texts), tool_calls=tuple(calls))
        raise InvalidParamError("a reply with tool calls may have texts beside them, and nothing else")
    if isinstance(value, BaseModel):
        return Reply(value.model_dump_json())
    try:
        return Reply(TypeAdapter(Any).dump_json(value).decode("utf-8"))
    except Exception as error:
        raise InvalidParamError(f"a reply must be a text, a tool call or a value with a JSON form: {error}") from None


def _chunks(reply: Reply, request: Request) -> Iterator[str]:
    """The stream that a server would send: words, and calls in two fragments each."""
    for piece in re.findall(r"\s*\S+\s*|\s+", reply.reasoning):
        yield _chunk({"reasoning_content": piece})
    for piece in re.findall(r"\S+\s*|\s+", reply.text):
        yield _chunk({"content": piece})
    for index, call in enumerate(reply.tool_calls):
        function = {"name": call.name, "arguments": ""}
        yield _chunk({"tool_calls": [{"index": index, "id": f"call_{index}", "function": function}]})
        yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": call.arguments_json}}]})
    yield _chunk({}, reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop"))
    prompt, answer = reply.prompt_tokens, reply.completion_tokens
    if prompt is None:
        prompt = sum(len((message.get("content") or "").split()) for message in request.body["messages"])
    if answer is None:
        answer = len(f"{reply.reasoning} {reply.text}".split()) + len(reply.tool_calls)
    yield json.dumps({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": answer}})
    yield "[DONE]"


class _FunctionResponder(Responder):
    """Answers requests with what a function gives."""

    is_python = True

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self._function = function

    def respond(self, body: str, sink: Sink) -> None:
        """Pushes the chunks of the function's reply."""
        request = Request(body)
        value = self._function(request)
        if inspect.isasyncgen(value) or inspect.isawaitable(value):
            import asyncio

            value = asyncio.run(_settle(value))
        if isinstance(value, Iterator):
            for piece in value:
                if not sink.push(_chunk({"content": str(piece)})):
                    return
            _push_all(_chunks(Reply(), request), sink)
            return
        reply = _reply_of(value)
        if reply.delay > 0 and sink.cancelled.wait(reply.delay):
            return
        _push_all(_chunks(reply, request), sink)

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Does what `respond` does, under asyncio."""
        import asyncio

        request = Request(body)
        value = self._function(request)
        if inspect.isawaitable(value):
            value = await value
        if inspect.isasyncgen(value):
            async for piece in value:
                if not sink.push(_chunk({"content": str(piece)})):
                    return
            _push_all(_chunks(Reply(), request), sink)
            return
        if isinstance(value, Iterator):
            for piece in value:
                if not sink.push(_chunk({"content": str(piece)})):
                    return
                await asyncio.sleep(0)  # the loop's other tasks, and who cancels this one
            _push_all(_chunks(Reply(), request), sink)
            return
        reply = _reply_of(value)
        if reply.delay > 0:
            await asyncio.sleep(reply.delay)
        _push_all(_chunks(reply, request), sink)


async def _settle(value: Any) -> Any:
    """What an awaitable gives; of an asynchronous generator an iterator of its pieces."""
    if inspect.isasyncgen(value):
        return iter([piece async for piece in value])
    return await value


def _push_all(chunks: Iterator[str], sink: Sink) -> None:
    for chunk in chunks:
        if not sink.push(chunk):
            return


class FunctionModel(Model):
    """A model whose answers a function gives.

    The function gets a `Request` and gives a text, a `tool_call`, a list of these, a `Reply`, a value of the type that
    a typed run asks for, or an iterator of texts to be streamed; what it raises comes out of the run. In asynchronous
    runs it may be asynchronous.

    Example:
        >>> model = FunctionModel(lambda request: request.prompt.upper())
        >>> Agent(model).generate("hello")
        'HELLO'
    """

    __module__ = "luup_agent.testing"

    def __init__(self, function: Callable[[Request], Any]) -> None:
        if not callable(function):
            raise InvalidParamError(f"function must be callable, not {type(function).__name__}")
        name = getattr(function, "__name__", type(function).__name__)
        self._set_up(f"FunctionModel({name})", _FunctionResponder(function))

    def _set_up(self, name: str, responder: Responder) -> None:
        self._native_model = _native.NativeModel.remote(_native.RemoteSettings(name), responder)
        self._closed = False
        self._label = repr(name)


class ScriptedModel(FunctionModel):
    """A model that gives prepared answers, one for each request.

    Example:
        >>> model = ScriptedModel(["Hello!", HTTPError("the server is busy"), {"name": "Ada", "age": 36}])
        >>> Agent(model).generate("Hi")
        'Hello!'
        >>> Agent(model).generate("Hi")
        Traceback (most recent call last):
        luup_agent.HTTPError: the server is busy
        >>> Agent(model).generate("Who?", output_type=dict)
        {'name': 'Ada', 'age': 36}
        >>> model.assert_complete()
    """

    __module__ = "luup_agent.testing"

    def __init__(self, replies: Sequence[Any]) -> None:
        """Prepares the answers.

        Args:
            replies: For each request a text, a `tool_call`, a list of these, a `Reply`, a value of the type that a
                typed run asks for, or an exception, which is raised.

        Raises:
            InvalidParamError: `replies` is no list, or one of them is none of these.
        """
        if isinstance(replies, (str, bytes)) or not isinstance(replies, Sequence):
            raise InvalidParamError(f"replies must be a list, not {type(replies).__name__}")
        for index, reply in enumerate(replies):
            if not _is_exception(reply):
                try:
                    _reply_of(reply)
                except InvalidParamError as error:
                    raise InvalidParamError(f"replies[{index}]: {error}") from None
        self._replies = list(replies)
        self._requests: List[Request] = []
        self._lock = threading.Lock()
        self._set_up("ScriptedModel", _FunctionResponder(self._answer))

    def _answer(self, request: Request) -> Any:
        with self._lock:
            self._requests.append(request)
            number = len(self._requests)
        if number > len(self._replies):
            raise AssertionError(
                f"the script has {len(self._replies)} replies, and this is request {number}: {request}"
            )
        reply = self._replies[number - 1]
        if _is_exception(reply):
            raise reply
        return _reply_of(reply)

    @property
    def requests(self) -> List[Request]:
        """What the model was asked so far."""
        with self._lock:
            return list(self._requests)

    def assert_complete(self) -> None:
        """Raises AssertionError unless all prepared answers were asked for."""
        asked = len(self.requests)
        if asked < len(self._replies):
            raise AssertionError(
                f"{asked} of {len(self._replies)} replies were asked for; the next: {self._replies[asked]!r}"
            )


def _is_exception(value: Any) -> bool:
    return isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException))
