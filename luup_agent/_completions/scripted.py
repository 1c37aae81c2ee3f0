"""A responder that answers requests with what a Python function returns."""

from __future__ import annotations

import inspect
import json
import re
from collections import abc
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple, Union

from luup_agent._completions.exchange import Responder, Sink
from luup_agent._completions.local import chunk
from luup_agent._completions.prepared import input_json
from luup_agent._json import write_json
from luup_agent.errors import InvalidParamError
from luup_agent.media import text_of_content
from luup_agent.messages import Message


class ScriptedCall(NamedTuple):
    """A tool call for a scripted model to make; see `tool_call`.

    Attributes:
        name: The tool.
        arguments_json: The arguments as the model writes them.
    """

    name: str
    arguments_json: str


def tool_call(name: str, arguments: Union[str, Mapping[str, Any], None] = None, **keywords: Any) -> ScriptedCall:
    """Return a tool call for a scripted model to make.

    Args:
        name: The tool.
        arguments: A dict, or the text that the model writes, which may be invalid JSON.
        **keywords: More arguments.

    Raises:
        InvalidParamError: The name is not a str, or the arguments are not JSON values or are nested too deeply.

    Example:
        >>> tool_call("add", a=5, b=3)
        ScriptedCall(name='add', arguments_json='{"a": 5, "b": 3}')
    """
    if not isinstance(name, str):
        raise InvalidParamError(f"the name of a tool must be a str, not {type(name).__name__}")
    if isinstance(arguments, str):
        return ScriptedCall(name, arguments)
    if arguments is not None and not isinstance(arguments, Mapping):
        raise InvalidParamError(f"arguments must be a dict or a str, not {type(arguments).__name__}")
    return ScriptedCall(name, write_json(f"the argument object of {name!r}", {**(arguments or {}), **keywords}))


class Reply(NamedTuple):
    """One answer of a scripted model.

    Attributes:
        text: The text of the answer.
        reasoning: The reasoning before it.
        tool_calls: The tools that it calls.
        finish_reason: "stop", "length", …; by default "tool_calls" for an answer with calls, else "stop".
        delay: Seconds until the answer begins.
        prompt_tokens: The token count of the request; by default its number of words.
        completion_tokens: The token count of the answer; by default its number of words.

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
    """A request to a scripted model.

    Attributes:
        body: The whole request, as it would be posted to a server.
    """

    def __init__(self, body: str) -> None:
        self.body: Dict[str, Any] = json.loads(body)

    @property
    def messages(self) -> List[Message]:
        """The conversation, which begins with the system prompt if there is one."""
        return [Message.from_dict("messages", message) for message in self.body["messages"]]

    @property
    def prompt(self) -> str:
        """The last message of the user."""
        return next((each.content for each in reversed(self.messages) if each.role == "user"), "")

    @property
    def tools(self) -> List[str]:
        """The names of the tools that the model may call."""
        return [tool["function"]["name"] for tool in self.body.get("tools", ())]

    @property
    def tool_choice(self) -> str:
        """Whether the model calls tools: "auto", "required", "none", or the name of the tool that it must call."""
        choice = str(self.body.get("tool_choice", "none"))
        return self.tools[0] if choice == "required" and len(self.tools) == 1 else choice

    @property
    def output_schema(self) -> Optional[Dict[str, Any]]:
        """The JSON schema of a typed result; None for text."""
        wanted = self.body.get("response_format", {}).get("json_schema")
        return None if wanted is None else dict(wanted["schema"])

    def __repr__(self) -> str:
        return f"<Request {self.prompt[:60]!r}, {len(self.body['messages'])} messages, tools {self.tools}>"


def reply_of(value: Any) -> Reply:
    """Convert a value of a script to a reply.

    Raises:
        InvalidParamError: The value is not a text, a tool call, a list of these, or a value with a JSON form.
    """
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
        raise InvalidParamError("a reply with tool calls may contain only tool calls and texts")
    try:
        return Reply(input_json(value))
    except Exception as error:
        raise InvalidParamError(f"a reply must be a text, a tool call or a value with a JSON form: {error}") from None


def chunks_of(reply: Reply, request: Request) -> Iterator[str]:
    """Yield the chunks that a server would stream: words, then all tool calls, and the usage with the end."""
    if reply.reasoning:
        for piece in re.findall(r"\s*\S+\s*|\s+", reply.reasoning):
            yield chunk({"reasoning_content": piece})
    if reply.text:
        for piece in re.findall(r"\S+\s*|\s+", reply.text):
            yield chunk({"content": piece})
    if reply.tool_calls:
        yield chunk({"tool_calls": [_fragment(index, call) for index, call in enumerate(reply.tool_calls)]})
    prompt, answer = reply.prompt_tokens, reply.completion_tokens
    if prompt is None:
        prompt = sum(len(text_of_content(message.get("content")).split()) for message in request.body["messages"])
    if answer is None:
        answer = len(f"{reply.reasoning} {reply.text}".split()) + len(reply.tool_calls)
    reason = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
    end = {"index": 0, "delta": {}, "finish_reason": reason}
    yield json.dumps({"choices": [end], "usage": {"prompt_tokens": prompt, "completion_tokens": answer}})
    yield "[DONE]"


def _fragment(index: int, call: ScriptedCall) -> Dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"index": index, "id": f"call_{index}", "function": function}


class FunctionResponder(Responder):
    """Answers requests with the replies of a function."""

    is_python = True

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self._function = function

    def respond(self, body: str, sink: Sink) -> None:
        """Push the chunks of the function's reply."""
        request = Request(body)
        value = self._function(request)
        if inspect.isasyncgen(value) or inspect.isawaitable(value):
            import asyncio

            value = asyncio.run(_settle(value))
        if isinstance(value, abc.Iterator):
            for piece in value:
                if not sink.push(chunk({"content": str(piece)})):
                    return
            _push_all(chunks_of(Reply(), request), sink)
            return
        reply = reply_of(value)
        if reply.delay > 0 and sink.cancelled.wait(reply.delay):
            return
        _push_all(chunks_of(reply, request), sink)

    async def respond_async(self, body: str, sink: Sink) -> None:
        """Do the same as `respond`, under asyncio."""
        import asyncio

        request = Request(body)
        value = self._function(request)
        if inspect.isawaitable(value):
            value = await value
        if inspect.isasyncgen(value):
            async for piece in value:
                if not sink.push(chunk({"content": str(piece)})):
                    return
            _push_all(chunks_of(Reply(), request), sink)
            return
        if isinstance(value, abc.Iterator):
            for piece in value:
                if not sink.push(chunk({"content": str(piece)})):
                    return
                await asyncio.sleep(0)  # lets other tasks run, and one that cancels this one
            _push_all(chunks_of(Reply(), request), sink)
            return
        reply = reply_of(value)
        if reply.delay > 0:
            await asyncio.sleep(reply.delay)
        _push_all(chunks_of(reply, request), sink)


async def _settle(value: Any) -> Any:
    """Await `value`; collect the pieces of an asynchronous generator into an iterator."""
    if inspect.isasyncgen(value):
        return iter([piece async for piece in value])
    return await value


def _push_all(chunks: Iterator[str], sink: Sink) -> None:
    for each in chunks:
        if not sink.push(each):
            return
