"""One request to a remote model's server, attempt by attempt; both drivers, synchronous and not, move its bytes."""

from __future__ import annotations

import contextlib
import email.utils
import json
import math
import random
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from luup_agent.errors import ContextFullError, HTTPError, LuupError, RunTimeoutError, UnsupportedError
from luup_agent.exchange import Sink
from luup_agent.sse import Body, Decoder

if TYPE_CHECKING:
    from luup_agent.remote import HTTPResponder

_RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
_MOVED = frozenset((307, 308))
_LONGEST_PAUSE = 60.0  # seconds that a server may ask for
_MAX_MOVES = 3
_MAX_ERROR = 1 << 16  # bytes of an error's body that are read
_MAX_LIST = 16 << 20  # bytes of a list of models
_OVERFLOWS = ("context_length_exceeded", "exceed_context_size_error")


class Limits(NamedTuple):
    """What a request may take, in seconds, and how often it is made again."""

    timeout: Optional[float]
    connect_timeout: Optional[float]
    idle_timeout: Optional[float]
    max_retries: int


class Failed(Exception):
    """An attempt failed; `pause` is what the server wants to be left alone for, None for no wish."""

    def __init__(self, error: LuupError, again: bool = False, pause: Optional[float] = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again
        self.pause = pause


class Moved(Exception):
    """The request is to be made at another address of the same server."""


def read_retry_after(value: Optional[str], now: Optional[float] = None) -> Optional[float]:
    """The seconds that a Retry-After header asks for: a number or a date. None if it says nothing of use."""
    if value is None:
        return None
    text = value.strip()[:100]
    seconds: float = math.nan
    try:
        seconds = float(text)
    except ValueError:
        with contextlib.suppress(TypeError, ValueError, IndexError, OverflowError):
            date = email.utils.parsedate_to_datetime(text)
            seconds = date.timestamp() - (time.time() if now is None else now)
            seconds = max(0.0, seconds)
    return seconds if seconds >= 0 else None  # nan and negative numbers are not


class Request:
    """One request, attempt by attempt; both drivers move its bytes."""

    def __init__(self, owner: HTTPResponder, method: str, path: str, body: Optional[str], sink: Optional[Sink]) -> None:
        self._owner = owner
        self._method = method
        self._url = owner.base_url + path
        self._body = None if body is None else body.encode("utf-8")
        self._typed = body is not None and '"response_format":' in body
        self._sink = sink
        self._attempts = 0
        self._moves = 0
        self._deadline = math.inf if owner.limits.timeout is None else time.monotonic() + owner.limits.timeout
        self._run_deadline = math.inf
        if sink is not None and sink.deadline is not None:
            self._run_deadline = sink.deadline
        self._status = 0
        self._kind = ""  # "events", "json" or "error"
        self._headers: Any = {}
        self._whole = bytearray()
        self._decoder = Decoder()
        self._unpacker = Body("")
        self._heard = 0.0

    # -- an attempt ----------------------------------------------------------------------------------------------------

    def target(self) -> Tuple[str, str]:
        """The method and the address."""
        return self._method, self._url

    def options(self) -> Dict[str, Any]:
        """What httpx is told."""
        import httpx

        left = self.time_left()
        if left is not None and left <= 0:
            raise self.late()
        limits = self._owner.limits

        def bound(seconds: Optional[float]) -> Optional[float]:
            return seconds if left is None else left if seconds is None else min(left, seconds)

        self._heard = time.monotonic()
        idle, connect = bound(limits.idle_timeout), bound(limits.connect_timeout)
        return {
            "content": self._body,
            "headers": self._owner.request_headers(),
            "timeout": httpx.Timeout(connect=connect, read=idle, write=idle, pool=connect),
            "follow_redirects": False,
        }

    def time_left(self) -> Optional[float]:
        """Seconds until the request's time passes, or the run's; None for never."""
        left = min(self._deadline, self._run_deadline) - time.monotonic()
        return None if math.isinf(left) else left

    @contextlib.contextmanager
    def watch(self) -> Iterator[Callable[[], None]]:
        """Ends the answer when its time passes, until the function given is called: the response's head is there.

        httpx bounds the time for each piece of a head, not for all of it.
        """
        left, sink = self.time_left(), self._sink
        if left is None or sink is None:
            yield lambda: None
            return
        timer = threading.Timer(min(left, threading.TIMEOUT_MAX), sink.end, (self.late().error,))
        timer.daemon = True
        timer.start()
        try:
            yield timer.cancel
        finally:
            timer.cancel()

    def open(self, response: Any, on_cancel: Any) -> None:
        """Takes in a response's head."""
        self._status, self._headers = response.status_code, response.headers
        if self._sink is not None:
            self._sink.on_cancel = on_cancel
            if self._sink.cancelled.is_set() and on_cancel is not None:
                on_cancel()
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        self._whole.clear()
        self._decoder = Decoder()
        if self._status != 200:
            self._kind = "error"
        elif self._sink is None or kind in ("application/json", "text/json"):
            self._kind = "json"
        elif kind in ("text/event-stream", "application/x-ndjson", "text/plain", "application/octet-stream", ""):
            self._kind = "events"
        else:
            self._kind = "error"
        if self._status in _MOVED:
            self._move()
        self._unpacker = Body(self._headers.get("content-encoding", ""))

    def _move(self) -> None:
        """Follows a redirect, but never to another server: the key is not for it."""
        target = str(self._headers.get("location", ""))
        here = there = urlsplit(self._url)
        try:
            there = urlsplit(target)
            same = not there.netloc or (there.scheme, there.netloc) == (here.scheme, here.netloc)
        except ValueError:
            same = False
        if not same or not target.startswith(("/", "http")) or target.startswith("//"):
            where = self._owner.redact(target)[:200]
            raise Failed(self._error(f"the server redirects to another address, which is not followed: {where!r}"))
        self._moves += 1
        if self._moves > _MAX_MOVES:
            raise Failed(self._error(f"the server redirects more than {_MAX_MOVES} times"))
        self._url = f"{here.scheme}://{here.netloc}{target}" if not there.netloc else target
        raise Moved

    def feed(self, data: bytes) -> bool:
        """Takes in bytes of the body. False: no more are wanted."""
        self._check_time()
        for piece in self._unpacker.feed(data):
            if self._kind != "events":
                self._whole += piece
                limit = _MAX_ERROR if self._kind == "error" else _MAX_LIST
                if len(self._whole) > limit:
                    if self._kind == "error":
                        raise self._refusal()
                    raise HTTPError(f"the server's answer is longer than {limit} bytes")
                continue
            for event in self._decoder.feed(piece):
                self._heard = time.monotonic()
                if not self._push(event):
                    return False
        return True

    def finish(self) -> None:
        """The body is over."""
        if self._kind == "error":
            raise self._refusal()
        if self._sink is None:
            return
        if self._kind == "json":
            try:
                text = self._whole.decode("utf-8")
            except UnicodeDecodeError:
                raise HTTPError("the server's answer is not UTF-8") from None
            if self._push(text):
                self._sink.push("[DONE]")
            return
        rest = self._decoder.finish()
        if rest is not None and (rest.strip() == "[DONE]" or _is_json(rest)):
            self._push(rest)
        if not self._sink.started:
            raise Failed(self._error("the server closed the connection before it answered"), again=True)

    def value(self) -> Any:
        """The JSON value that came, without a sink."""
        try:
            return json.loads(self._whole.decode("utf-8"))
        except ValueError:
            raise HTTPError(f"the server's answer is not JSON: {self._excerpt()}") from None

    def _push(self, event: str) -> bool:
        assert self._sink is not None
        text = event.strip()
        if not text:
            return True
        if '"error"' in text:
            text = self._owner.redact(text)
        return self._sink.push(text.replace("\0", "\ufffd"))

    def _check_time(self) -> None:
        now = time.monotonic()
        idle = self._owner.limits.idle_timeout
        if now > min(self._deadline, self._run_deadline):
            raise self.late()
        if self._kind == "events" and idle is not None and now - self._heard > idle:
            raise Failed(RunTimeoutError(f"the server sent nothing but keep-alives for {idle:g} s"))

    def late(self) -> Failed:
        """What a request comes to whose time has passed."""
        if self._run_deadline < self._deadline:
            return Failed(RunTimeoutError("the run's timeout passed"))
        return Failed(RunTimeoutError(f"the server did not answer within {self._owner.limits.timeout or 0:g} s"))

    # -- failures ------------------------------------------------------------------------------------------------------

    def _error(self, message: str) -> HTTPError:
        error = HTTPError(self._owner.redact(message))
        error.status = self._status or None
        return error

    def _excerpt(self) -> str:
        text = bytes(self._whole[:2000]).decode("utf-8", "replace")
        return self._owner.redact(" ".join(text.split()))[:300]

    def _refusal(self) -> Failed:
        """What an answer that is no completion stands for."""
        status, headers = self._status, self._headers
        message, kind = self._excerpt(), ""
        with contextlib.suppress(ValueError):
            value = json.loads(self._whole.decode("utf-8"))
            detail = value.get("error", value) if isinstance(value, dict) else value
            if isinstance(detail, dict):
                kind = str(detail.get("code")) + " " + str(detail.get("type"))
                detail = detail.get("message", detail.get("detail", detail))
            message = self._owner.redact(str(detail))[:300]
        if status == 200:
            kind = headers.get("content-type", "")[:80]
            return Failed(self._error(f"the server answered with {kind!r}, not with a completion: {message}"))
        if any(name in kind for name in _OVERFLOWS):
            return Failed(ContextFullError(f"the server reports: {message}"))
        if status in (400, 404, 415, 422, 501) and self._typed and _names_format(message):
            return Failed(UnsupportedError(message))
        pause = read_retry_after(headers.get("retry-after"))
        error = self._error(f"the server answered with status {status}: {message}")
        error.retry_after = pause
        return Failed(error, status in _RETRIED, pause)

    def pause_after(self, error: Exception) -> float:
        """The seconds to wait until the next attempt.

        Raises:
            LuupError: There is none.
        """
        if isinstance(error, Moved):
            return 0.0
        if self._sink is not None and self._sink.cancelled.is_set():
            return 0.0  # nobody waits any more; the driver sees it
        failed = error if isinstance(error, Failed) else self._failed(error)
        limits, started = self._owner.limits, self._sink is not None and self._sink.started
        pause = failed.pause
        if pause is None:
            pause = min(8.0, 0.5 * 2.0**self._attempts) * random.uniform(0.75, 1.0)
        self._attempts += 1
        late = time.monotonic() + pause > min(self._deadline, self._run_deadline)
        if started or not failed.again or self._attempts > limits.max_retries or pause > _LONGEST_PAUSE or late:
            failed.error.__cause__ = None  # httpx's own has the request in it, and that has the key
            failed.error.__context__ = None
            failed.error.__suppress_context__ = True
            raise failed.error from None
        return pause

    def _failed(self, error: Exception) -> Failed:
        import httpx

        if isinstance(error, LuupError):
            return Failed(error)
        if isinstance(error, httpx.InvalidURL):  # of a redirect; our own was checked
            return Failed(self._error("the server redirects to another address, which is none"))
        limits = self._owner.limits
        where = urlsplit(self._url).netloc
        reason = self._owner.redact(str(error) or type(error).__name__)[:300]
        if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
            return Failed(RunTimeoutError(f"no connection to {where} within {limits.connect_timeout:g} s"), again=True)
        if isinstance(error, httpx.TimeoutException):
            if time.monotonic() >= min(self._deadline, self._run_deadline):
                return self.late()
            return Failed(RunTimeoutError(f"{where} sent nothing for {limits.idle_timeout:g} s"), again=True)
        if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate" in reason.lower():
            return Failed(self._error(f"the certificate of {where} can't be trusted: {reason}"))
        again = isinstance(error, (httpx.TransportError, ssl.SSLError)) and not isinstance(
            error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
        )
        kind = "can't be reached" if isinstance(error, httpx.ConnectError) else "broke off the connection"
        return Failed(self._error(f"{where} {kind}: {reason}"), again=again)

    def wait(self, pause: float) -> bool:
        """Waits until the next attempt. True: nobody wants it any more."""
        if self._sink is None:
            time.sleep(pause)
            return False
        return self._sink.cancelled.wait(pause)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _names_format(message: str) -> bool:
    """Whether an error tells that typed results can't be asked for."""
    words = message.lower()
    return any(word in words for word in ("response_format", "json_schema", "json_object", "structured output"))
