"""The results of calls as text for the model.

Models read text. Another part, such as an image, goes to the user's `on_content`, and the model gets a line that names
it; so nothing is lost in silence.
"""

from __future__ import annotations

import json
from typing import Any, Callable, List, Optional

from luup_agent._mcp.background import call_back
from luup_agent.messages import ToolResult

OnContent = Callable[[str, Any], Any]


async def to_result(tool: str, result: Any, on_content: Optional[OnContent]) -> ToolResult:
    """Return the result of a call for the model.

    Args:
        tool: The tool's name.
        result: The SDK's `CallToolResult`.
        on_content: Gets the name of the tool and each part that is not text; returns text for the model, or None.
    """
    parts: List[str] = [await _part(tool, block, on_content) for block in result.content]
    structured = result.structured_content
    if structured is not None and not _say(parts, structured):
        parts.append(json.dumps(structured, ensure_ascii=False))
    return ToolResult("\n".join(parts), bool(result.is_error))


async def _part(tool: str, block: Any, on_content: Optional[OnContent]) -> str:
    if block.type == "text":
        return str(block.text)
    written = None if on_content is None else await call_back(on_content, tool, block)
    if isinstance(written, str):
        return written
    suffix = "not shown" if on_content is None else "given to the user"
    if block.type in ("image", "audio"):
        return f"[{block.type}, {block.mime_type}, {_bytes(block.data)}: {suffix}]"
    if block.type == "resource_link":
        return f"[resource {block.name}: {block.uri}{_described(block.mime_type, block.description)}]"
    if block.type == "resource":
        return resource_text(block.resource, suffix)
    return f"[{block.type}: {suffix}]"


def resource_text(contents: Any, suffix: str = "not shown") -> str:
    """Return a resource as text: its own, or a line that names it."""
    text = getattr(contents, "text", None)
    if text is not None:
        return f"[resource {contents.uri}]\n{text}"
    return f"[resource {contents.uri}{_described(contents.mime_type)}, {_bytes(contents.blob)}: {suffix}]"


def _described(*facts: Optional[str]) -> str:
    return "".join(f", {fact}" for fact in facts if fact)


def _bytes(base64: str) -> str:
    return f"{len(base64.rstrip('=')) * 3 // 4:,} bytes"


def _wrapped(structured: Any) -> Any:
    """Return the value of an object of one field, which servers make because a result must be an object."""
    return next(iter(structured.values())) if isinstance(structured, dict) and len(structured) == 1 else structured


def _says(text: str, structured: Any) -> bool:
    """Tell whether a text is the JSON of a structured result, or of the value that it wraps."""
    value = _wrapped(structured)
    if isinstance(value, str) and text == value:
        return True
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return bool(parsed == structured or (value is not structured and parsed == value))


def _say(parts: List[str], structured: Any) -> bool:
    """Tell whether the text has a structured result already: as a whole, in a part, or as a list of an item each."""
    if any(_says(part, structured) for part in (*parts, "\n".join(parts))):
        return True
    value = _wrapped(structured)
    return isinstance(value, list) and len(value) == len(parts) and all(map(_says, parts, value))
