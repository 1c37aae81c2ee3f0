"""Errors of requests in OpenAI's form, with the right HTTP status."""

from __future__ import annotations

import json
import logging
from typing import Any, Dict, Optional, Tuple, Type

from luup_agent._server.web import Response
from luup_agent.errors import (
    BusyError,
    ChatTemplateError,
    ClosedError,
    ContextFullError,
    HTTPError,
    InvalidOutputError,
    InvalidParamError,
    InvalidSchemaError,
    JSONParseError,
    LuupError,
    MaxTurnsError,
    OutOfMemoryError,
    RunCancelledError,
    RunTimeoutError,
    SessionConflictError,
    SessionNotFoundError,
    StorageError,
    ToolLoopError,
    ToolNotFoundError,
    ToolRetryError,
    UnsupportedError,
    UsageLimitError,
)

logger = logging.getLogger("luup_agent.server")

RETRY_SECONDS = 1  # after which a busy server is asked again

# The status, OpenAI's type and the code of each error; the first class that matches counts.
_KINDS: Tuple[Tuple[Type[LuupError], int, str, Optional[str]], ...] = (
    (BusyError, 429, "rate_limit_error", "busy"),
    (ContextFullError, 400, "invalid_request_error", "context_length_exceeded"),
    (InvalidSchemaError, 400, "invalid_request_error", "invalid_schema"),
    (SessionNotFoundError, 404, "invalid_request_error", "session_not_found"),
    (SessionConflictError, 409, "invalid_request_error", "session_conflict"),
    (JSONParseError, 400, "invalid_request_error", "invalid_json"),
    (InvalidParamError, 400, "invalid_request_error", "invalid_value"),
    (ToolNotFoundError, 400, "invalid_request_error", "tool_not_found"),
    (ChatTemplateError, 400, "invalid_request_error", "chat_template"),
    (UnsupportedError, 400, "invalid_request_error", "unsupported"),
    (ClosedError, 503, "server_error", "model_closed"),
    (RunCancelledError, 503, "server_error", "cancelled"),
    (OutOfMemoryError, 503, "server_error", "out_of_memory"),
    (RunTimeoutError, 504, "server_error", "timeout"),
    (StorageError, 500, "server_error", "storage"),
    (HTTPError, 502, "server_error", "upstream_error"),
    (InvalidOutputError, 500, "server_error", "invalid_output"),
    (MaxTurnsError, 500, "server_error", "max_turns"),
    (ToolRetryError, 500, "server_error", "tool_failed"),
    (ToolLoopError, 500, "server_error", "tool_loop"),
    (UsageLimitError, 500, "server_error", "usage_limit"),
)


class RequestError(Exception):
    """A request that can't be answered.

    Attributes:
        status: The HTTP status.
        kind: OpenAI's type of the error.
        code: A name for programs; None for none.
        param: The parameter of the request that is wrong; None if no single one is.
        headers: Headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: Optional[str] = None,
        param: Optional[str] = None,
        kind: str = "invalid_request_error",
        headers: Optional[Dict[str, str]] = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.headers = headers or {}

    def body(self) -> Dict[str, Any]:
        """Return the error as OpenAI's API writes it."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> Any:
        """Return the response."""
        return json_response(self.body(), self.status, self.headers)


def busy(limit: int) -> RequestError:
    """Return the error of a request beyond the number of runs at once."""
    message = f"the server answers {limit} requests already; try again in {RETRY_SECONDS} second"
    return RequestError(429, message, "busy", None, "rate_limit_error", {"Retry-After": str(RETRY_SECONDS)})


def failure_of(error: Exception) -> RequestError:
    """Return the error for a client, and log those that are the server's own, without the request."""
    if isinstance(error, RequestError):
        return error
    for cls, status, kind, code in _KINDS:
        if isinstance(error, cls):
            headers: Dict[str, str] = {}
            if isinstance(error, HTTPError) and error.status == 429:
                status, kind, code = 429, "rate_limit_error", "upstream_busy"
                headers["Retry-After"] = str(max(1, round(error.retry_after or RETRY_SECONDS)))
            elif status in (429, 503):
                headers["Retry-After"] = str(RETRY_SECONDS)
            return RequestError(status, str(error), code, None, kind, headers)
    logger.error("a request failed: %s", type(error).__name__, exc_info=error)
    return RequestError(
        500, "the server failed to answer; its log has the reason", "internal_error", None, "server_error"
    )


def json_response(value: object, status: int = 200, headers: Optional[Dict[str, str]] = None) -> Any:
    """Return a response with a JSON body."""
    return Response(json.dumps(value).encode(), status, headers, "application/json")
