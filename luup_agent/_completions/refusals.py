"""The meaning of servers' errors: their status, whether to ask again, and whether the context is full.

Servers report errors with a status and a JSON body, or with status 200 inside the stream. Both are read here.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, NamedTuple, Optional

RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))

# Words of servers for a prompt that is too long. `context_length_exceeded` and the first line of the others are
# OpenAI's, which most servers have copied.
_OVERFLOW = re.compile(
    "|".join(
        (
            r"context_length_exceeded|exceed_context_size|context_window_exceeded|prompt_tokens_exceeded",
            r"(maximum|max|exceed\w*|beyond|overflow\w*|reached|limited?|larger|longer|greater|too \w+)\b.{0,80}"
            r"\bcontext[ _-]?(length|window|size|limit|len)",
            r"context[ _-]?(length|window|size|limit|len)\b.{0,60}"
            r"\b(exceed\w*|overflow\w*|reached|of only|is only|too small)",
            r"context the overflows|context shift is disabled",
            r"(prompt|input|messages?) (is|are) too (long|large)\b(?! to be)",
            r"(prompt|input|message)\b.{0,40}\b(longer|greater|larger|more) than.{0,60}"
            r"(model length|model_len|max_seq_len|max_model_len|context|tokens)",
            r"(prompt|input|context) length\b.{0,40}\b(exceed\w*|greater|longer|larger)",
            r"input token count\b.{0,40}\bexceeds",
            r"`?inputs`? tokens \+ `?max_new_tokens`? must be",
            r"inputs?`? must have less than \d+ tokens",
            r"too large for model with \d+ maximum",
            r"reduce the length of (the|your) (messages|prompt|input)",
            r"too many (input |total )?tokens\b(?!.{0,40}per (minute|day))",
            r"maximum prompt length",
            r"exceeded model token limit",
            r"exceeds? (the )?max(imum)? (prompt |input |sequence )?length",
            r"prompt token count\b.{0,40}\bexceeds",
            r"prompt exceeds max",
            r"range of input length should be",
            r"number of tokens to keep from the initial prompt",
            r"increase the physical batch size",
            r"max(imum number of)? (input )?tokens allowed",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)

# Words of servers whose model reads no pictures or no sound.
_MEDIA = re.compile(
    "|".join(
        (
            r"(image|audio|vision|multi-?modal|picture)\w*\b.{0,60}\b(not|n't|cannot|unsupported|without|missing|no)\b",
            r"\b(not|n't|cannot|unsupported|without|missing|no|invalid)\b.{0,60}"
            r"\b(image|audio|vision|multi-?modal|picture|mmproj)",
            r"unknown variant `?(image_url|input_audio)",
            r"content.{0,20} (must|should) be a string",
            r"only (supports? )?text",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)

# The status that the name of an error stands for, by a part of the name.
_STATUSES = (
    ("insufficient_quota", 429),
    ("rate_limit", 429),
    ("ratelimit", 429),
    ("too_many_requests", 429),
    ("toomanyrequests", 429),
    ("resource_exhausted", 429),
    ("throttl", 429),
    ("overloaded", 529),
    ("unavailable", 503),
    ("timeout", 504),
    ("deadline_exceeded", 504),
    ("authentication", 401),
    ("invalid_api_key", 401),
    ("unauthorized", 401),
    ("unauthenticated", 401),
    ("permission", 403),
    ("not_found", 404),
    ("notfound", 404),
    ("invalid_request", 400),
    ("badrequest", 400),
    ("bad_request", 400),
    ("invalid_argument", 400),
    ("server_error", 500),
    ("internal", 500),
    ("api_error", 500),
)
_FINAL = ("insufficient_quota", "billing")  # errors with status 429 that a retry does not fix
_ASKED_AGAIN = ("tool_use_failed", "json_validate_failed")  # Groq: the model wrote a call, or JSON, that can't be read


class Refusal(NamedTuple):
    """A server's error.

    Attributes:
        message: Its text.
        kind: The names that it gives the error, in lower case.
        status: The status inside the error; None if it has none.
        pause: The seconds to wait that it asks for; None if it does not.
    """

    message: str
    kind: str = ""
    status: Optional[int] = None
    pause: Optional[float] = None

    @property
    def overflows(self) -> bool:
        """Whether the prompt does not fit into the context."""
        return bool(_OVERFLOW.search(self.kind) or _OVERFLOW.search(self.message))

    @property
    def is_about_media(self) -> bool:
        """Whether the model reads no pictures or no sound; meant for the answer to a request that has some."""
        return bool(_MEDIA.search(self.message))

    def may_pass(self, status: Optional[int]) -> bool:
        """Return whether another attempt may succeed; `status` is that of the response, or of the error."""
        if any(name in self.kind for name in _FINAL):
            return False
        return status in RETRIED or any(name in self.kind for name in _ASKED_AGAIN)


def read_error(value: Any) -> Optional[Refusal]:
    """Return the error in a chunk or a body; None if it has none."""
    if isinstance(value, list) and len(value) == 1:  # Gemini
        value = value[0]
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if error is None and value.get("object") == "error":
        error = value
    if error is None:
        choices = value.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            error = choices[0].get("error")
    return None if error is None or error is False else read_refusal(error)


def read_refusal(error: Any) -> Refusal:
    """Read an error object, or the text that some servers send in its place."""
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    if not isinstance(error, dict):
        return Refusal(_text_of(error))
    kind = " ".join(str(error[name]) for name in ("code", "type", "status") if error.get(name) is not None).lower()
    message = error.get("message", error.get("detail", error.get("error")))
    details = error.get("metadata")
    text = _text_of(error if message in (None, "") else message)
    if isinstance(details, dict) and isinstance(details.get("raw"), str):  # OpenRouter: the words of the provider
        text = f"{text}: {details['raw']}"
    return Refusal(text, kind, _status_of(error, kind), _pause_of(error))


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return "an error that can't be shown"


def _status_of(error: Dict[str, Any], kind: str) -> Optional[int]:
    for name in ("code", "status", "status_code", "http_code"):
        value = error.get(name)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            return value
    return next((status for part, status in _STATUSES if part in kind), None)


def _pause_of(error: Dict[str, Any]) -> Optional[float]:
    """Return the seconds of "retry_after", or of Google's "retryDelay": "13s"."""
    found = [error.get("retry_after"), error.get("retry_after_seconds")]
    details = error.get("details")
    if isinstance(details, list):
        found += [each.get("retryDelay") for each in details if isinstance(each, dict)]
    for value in found:
        if isinstance(value, str):
            value = re.sub(r"s$", "", value.strip())
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                seconds = float(value)
            except ValueError:
                continue
            if seconds >= 0 and math.isfinite(seconds):
                return seconds
    return None
