"""The body of a request to ``/v1/responses``, converted to one of ``/v1/chat/completions``."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from luup_agent._server.failures import RequestError
from luup_agent._server.fields import Fields, kind_of

# Fields that do not change the answer of this server.
HARMLESS = (
    "user",
    "metadata",
    "store",
    "include",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "stream_options",
)
_NO_STATE = "is not supported: the server keeps no responses; send the whole conversation as input"
REFUSED = {"previous_response_id": _NO_STATE, "conversation": _NO_STATE}

_SAME = (
    "model", "stream", "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty",
    "frequency_penalty", "seed", "stop", "logit_bias", "chat_template_kwargs", "parallel_tool_calls",
)  # fmt: skip
_TEXTS = ("input_text", "output_text", "text")


def to_chat(fields: Fields) -> Dict[str, Any]:
    """Return the same request as the body of a chat completion.

    Raises:
        RequestError: A field is wrong or not supported.
    """
    body = {name: fields.value(name) for name in _SAME if fields.has(name)}
    body["messages"] = _messages(fields)
    limit = fields.whole("max_output_tokens", 1)
    if limit is not None:
        body["max_completion_tokens"] = limit
    reasoning = fields.fields("reasoning")
    if reasoning is not None:
        effort = reasoning.text("effort")
        if effort is not None:
            body["reasoning_effort"] = effort
        reasoning.finish(("summary", "generate_summary"))
    tools = fields.items("tools")
    if tools is not None:
        body["tools"] = [_tool(f"tools[{index}]", tool) for index, tool in enumerate(tools)]
    choice = fields.value("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        choice = {"type": "function", "function": {"name": choice.get("name")}}
    if choice is not None:
        body["tool_choice"] = choice
    text = fields.fields("text")
    if text is not None:
        form = text.fields("format")
        if form is not None:
            body["response_format"] = _format(form)
        text.finish()
    if fields.text("truncation") not in (None, "disabled"):
        raise fields.wrong("truncation", 'must be "disabled": the server drops no messages', "invalid_value")
    if fields.flag("background"):
        raise fields.wrong("background", "must be false: the server keeps no responses", "invalid_value")
    fields.finish(HARMLESS, REFUSED)
    return body


def _format(form: Fields) -> Dict[str, Any]:
    kind = form.text("type")
    if kind != "json_schema":
        form.finish()
        return {"type": kind}
    named = {name: form.value(name) for name in ("name", "description", "schema", "strict")}
    form.finish()
    return {"type": kind, "json_schema": named}


def _tool(place: str, value: object) -> Any:
    if not isinstance(value, dict) or value.get("type") != "function":
        return value  # refused with the reason by the reader of chat completions
    return {"type": "function", "function": {name: part for name, part in value.items() if name != "type"}}


def _messages(fields: Fields) -> List[Dict[str, Any]]:
    given = fields.value("input")
    if given is None:
        raise fields.missing("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list):
        raise fields.wrong("input", f"must be a text or a list of items, not {kind_of(given)}")
    found: List[Dict[str, Any]] = []
    instructions = fields.text("instructions")
    if instructions:
        found.append({"role": "system", "content": instructions})
    thoughts: Optional[str] = None  # of the message or the call that comes next
    for index, item in enumerate(items):
        place = f"input[{index}]"
        if not isinstance(item, dict):
            raise RequestError(400, f"{place} must be a JSON object, not {kind_of(item)}", "invalid_type", place)
        kind = item.get("type") or "message"
        if kind == "reasoning":
            thoughts = _text(place, item.get("content") or [], ("reasoning_text",))
        elif kind == "message":
            found.append({"role": item.get("role"), "content": _parts(item.get("content"))})
            if found[-1]["role"] == "assistant" and thoughts:
                found[-1]["reasoning_content"], thoughts = thoughts, None
        elif kind == "function_call":
            call = {"name": item.get("name"), "arguments": item.get("arguments")}
            if not found or found[-1]["role"] != "assistant":
                found.append({"role": "assistant", "content": "", "tool_calls": []})
            if thoughts:
                found[-1]["reasoning_content"], thoughts = thoughts, None
            calls = found[-1].setdefault("tool_calls", [])
            calls.append({"id": item.get("call_id"), "type": "function", "function": call})
        elif kind == "function_call_output":
            output = item.get("output")
            content = output if isinstance(output, str) else _text(f"{place}.output", output, _TEXTS)
            found.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
        else:
            problem = f"{place} is of the type {str(kind)[:50]!r}, which this server does not support"
            raise RequestError(400, problem, "unsupported_content", place)
    return found


def _parts(content: Any) -> Any:
    """Return the content of a message, with its parts as chat completions name them."""
    if not isinstance(content, list):
        return content
    return [_part(part) for part in content]


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("type") in _TEXTS:
        return {"type": "text", "text": part.get("text")}
    if part.get("type") == "input_image" and part.get("file_id") is None:
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    return part


def _text(place: str, parts: Any, kinds: Any) -> str:
    """Return the text of parts of these kinds."""
    if not isinstance(parts, list):
        raise RequestError(
            400, f"{place} must be a text or a list of parts, not {kind_of(parts)}", "invalid_type", place
        )
    texts: List[str] = []
    for part in parts:
        text = part.get("text") if isinstance(part, dict) and part.get("type") in kinds else None
        if not isinstance(text, str):
            raise RequestError(400, f"{place} must have parts of text only", "unsupported_content", place)
        texts.append(text)
    return "".join(texts)
