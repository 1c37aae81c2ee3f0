"""Messages and tools as the JSON of OpenTelemetry's semantic conventions, for spans with contents."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from luup_agent.media import Audio, Image
from luup_agent.messages import Message, ToolCall
from luup_agent.tools import AnyTool
from luup_agent.turns import Turn


def messages_json(messages: Iterable[Message]) -> str:
    """Return ``gen_ai.input.messages``."""
    return _dump([{"role": message.role, "parts": _parts(message)} for message in messages])


def answer_json(turn: Turn) -> str:
    """Return ``gen_ai.output.messages`` of a turn."""
    parts = _answer(turn.reasoning, turn.text, turn.calls)
    return _dump([{"role": "assistant", "parts": parts, "finish_reason": finish_reason(turn)}])


def finish_reason(turn: Turn) -> str:
    """Return the finish reason of a turn by the conventions' names."""
    return "tool_call" if turn.finish_reason == "tool_calls" else turn.finish_reason or "error"


def instructions_json(system_prompt: str) -> str:
    """Return ``gen_ai.system_instructions``."""
    return _dump([_text(system_prompt)])


def tools_json(tools: Mapping[str, AnyTool]) -> str:
    """Return ``gen_ai.tool.definitions``."""
    return _dump(
        [
            {"type": "function", "name": name, "description": tool.description, "parameters": tool.parameters}
            for name, tool in tools.items()
        ]
    )


def _parts(message: Message) -> List[Dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}]
    if message.parts:
        return [_text(part) if isinstance(part, str) else _file(part) for part in message.parts]
    return _answer(message.reasoning, message.content, message.tool_calls)


def _file(part: Union[Image, Audio]) -> Dict[str, Any]:
    """Return a picture or sound without its bytes, which are too large for an attribute."""
    if isinstance(part, Image) and part.url:
        return {"type": "uri", "modality": "image", "uri": part.url}
    modality = "image" if isinstance(part, Image) else "audio"
    return {"type": "blob", "modality": modality, "mime_type": f"{modality}/{part.format}", "bytes": len(part.data)}


def _answer(reasoning: Optional[str], text: str, calls: Sequence[ToolCall]) -> List[Dict[str, Any]]:
    parts: List[Dict[str, Any]] = [{"type": "reasoning", "content": reasoning}] if reasoning else []
    parts += [_text(text)] if text else []
    return parts + [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments} for call in calls
    ]


def _text(content: str) -> Dict[str, Any]:
    return {"type": "text", "content": content}


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
