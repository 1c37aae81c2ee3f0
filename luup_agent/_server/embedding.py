"""Requests to ``/v1/embeddings``."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Any, Dict, Sequence

from luup_agent._server.fields import Fields

MAX_TEXTS = 2048


async def embed(name: str, embedder: Any, fields: Fields) -> Dict[str, Any]:
    """Return the vectors that a request asks for, in OpenAI's form.

    Raises:
        RequestError: A field is wrong or not supported.
        LuupError: A text is too long.
    """
    texts = fields.texts("input", MAX_TEXTS)
    encoding = fields.text("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise fields.wrong("encoding_format", f'must be "float" or "base64", got {encoding[:100]!r}', "invalid_value")
    dimensions = fields.whole("dimensions", 1)
    size = embedder.get_info().dimensions
    if dimensions is not None and dimensions != size:
        raise fields.wrong("dimensions", f"must be {size}, the size of this model's vectors", "invalid_value")
    fields.finish(("user",))
    vectors = await embedder.embed_async(texts)
    tokens = sum(vectors.tokens)
    data = [
        {"object": "embedding", "index": index, "embedding": _encode(vector, encoding)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": name, "usage": usage}


def _encode(vector: Sequence[float], encoding: str) -> Any:
    if encoding == "float":
        return list(vector)
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
