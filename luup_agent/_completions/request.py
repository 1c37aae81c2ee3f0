"""One request to a model server: its attempts, deadlines, retries and errors. The drivers in `http` move its bytes."""

from __future__ import annotations

import contextlib
import email.utils
import math
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from luup_agent._completions.exchange import Sink
from luup_agent._completions.refusals import Refusal, read_error, read_refusal
from luup_agent._completions.sse import AnswerReader, Body
from luup_agent._json import read_json
from luup_agent.errors import ContextFullError, HTTPError, LuupError, RunTimeoutError, UnsupportedError

if TYPE_CHECKING:
    from luup_agent._completions.http import HTTPResponder

_MOVED = frozenset((307, 308))
_LONGEST_PAUSE = 60.0  # seconds that a server may ask for
_MAX_MOVES = 3
_MAX_ERROR = 1 << 16  # bytes of an error's body
_MAX_LIST = 16 << 20  # bytes of a list of models
_MAX_HELD = 64  # chunks without a part of the answer that are held back
_SHOWN = 600  # characters of a server's own words in an error
_CLIENT_ERRORS = ("httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2", "ssl", "socksio")  # modules


class Limits(NamedTuple):
    """The limits of a request: times in seconds (None for no limit), and the number of retries."""

    timeout: Optional[float]
    connect_timeout: Optional[float]
    idle_timeout: Optional[float]
    max_retries: int


class Failed(Exception):
    """An attempt failed.

    Attributes:
        error: The error to report if there is no further attempt.
        again: Whether another attempt may succeed.
        pause: The seconds to wait that the server asked for; None if it did not.
    """

    def __init__(self, error: LuupError, again: bool = False, pause: Optional[float] = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again
        self.pause = pause


class Moved(Exception):
    """The server redirects the request to another address on the same server."""


def read_retry_after(value: Optional[str], now: Optional[float] = None) -> Optional[float]:
    """Return the seconds that a Retry-After header, a number or a date, asks for; None if it is invalid."""
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
    return seconds if seconds >= 0 else None  # NaN is not


class Request:
    """One request and the state of its current attempt; it is driven synchronously or under asyncio."""

    def __init__(self, owner: HTTPResponder, method: str, path: str, body: Optional[str], sink: Optional[Sink]) -> None:
        self._owner = owner
        self._method = method
        self._url = owner.base_url + path
        self._body = None if body is None else body.encode("utf-8")
        self._has_media = body is not None and ('"image_url"' in body or '"input_audio"' in body)
        self._sink = sink
        self._attempts = 0
        self._moves = 0
        self._deadline = math.inf if owner.limits.timeout is None else time.monotonic() + owner.limits.timeout
        self._run_deadline = math.inf
        if sink is not None and sink.deadline is not None:
            self._run_deadline = sink.deadline
        self._status = 0
        self._headers: Any = {}
        self._whole = bytearray()  # of an error, or of a list of models
        self._reader: Optional[AnswerReader] = None  # of an answer
        self._held: List[str] = []  # chunks before the first one with a part of the answer
        self._unpacker = Body("")
        self._heard = 0.0

    # -- an attempt ----------------------------------------------------------------------------------------------------

    def target(self) -> Tuple[str, str]:
        """Return the method and the address."""
        return self._method, self._url

    def options(self) -> Dict[str, Any]:
        """Return the other arguments for httpx's `stream`."""
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
            "timeout": (connect, idle, idle, connect),  # to connect, read, write, and get a connection
            "follow_redirects": False,
        }

    def time_left(self) -> Optional[float]:
        """Return the seconds until the deadline of the request or of the run; None without a deadline."""
        left = min(self._deadline, self._run_deadline) - time.monotonic()
        return None if math.isinf(left) else left

    @contextlib.contextmanager
    def watch(self) -> Iterator[Callable[[], None]]:
        """Yield a function to call when the head of the response is there; end the answer if that takes too long.

        httpx limits the time for each piece of a head, but not for the whole head.
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

    def open(self, response: Any, on_cancel: Any, is_decoded: bool = False) -> None:
        """Read the head of a response.

        Args:
            response: The response of httpx.
            on_cancel: Called from another thread if the run no longer needs the answer.
            is_decoded: Whether the body that will be fed is decompressed already.

        Raises:
            Moved: The server redirects to another address of its own.
            Failed: The server redirects to another server, or too often.
        """
        self._status, self._headers = response.status_code, response.headers
        if self._sink is not None:
            self._sink.on_cancel = on_cancel
            if self._sink.cancelled.is_set() and on_cancel is not None:
                on_cancel()
        self._whole.clear()
        self._held.clear()
        self._reader = None
        if self._status == 200 and self._sink is not None:
            self._reader = AnswerReader(self._headers.get("content-type", ""))
        if self._status in _MOVED:
            self._move()
        self._unpacker = Body("" if is_decoded else self._headers.get("content-encoding", ""))

    def _move(self) -> None:
        """Follow a redirect, but never to another server, which must not get the key."""
        target = str(self._headers.get("location", ""))
        here = there = urlsplit(self._url)
        try:
            there = urlsplit(target)
            same = not there.netloc or (there.scheme, there.netloc) == (here.scheme, here.netloc)
        except ValueError:
            same = False
        if not same or not target.startswith(("/", "http")) or target.startswith("//"):
            where = self._owner.redact(target)[:200]
            raise Failed(self._error(f"the server redirects to another server, which is not followed: {where!r}"))
        self._moves += 1
        if self._moves > _MAX_MOVES:
            raise Failed(self._error(f"the server redirects more than {_MAX_MOVES} times"))
        self._url = f"{here.scheme}://{here.netloc}{target}" if not there.netloc else target
        raise Moved

    def feed(self, data: bytes) -> bool:
        """Read bytes of the body. Return False once the run needs no more."""
        self._check_time()
        for piece in self._unpacker.feed(data):
            if self._reader is None:
                self._whole += piece
                limit = _MAX_ERROR if self._status != 200 else _MAX_LIST
                if len(self._whole) > limit:
                    if self._status != 200:
                        raise self._refusal()
                    raise HTTPError(f"the server's answer is longer than {limit} bytes")
                continue
            for event in self._reader.feed(piece):
                self._heard = time.monotonic()
                if not self._push(event):
                    return False
        return True

    def finish(self) -> None:
        """Handle the end of the body."""
        if self._status != 200:
            raise self._refusal()
        if self._reader is None or self._sink is None:
            return
        for event in self._reader.finish():
            if not self._push(event):
                return
        if not self._sink.started and self._reader.unreadable:
            kind = self._headers.get("content-type", "")[:80]
            raise Failed(
                self._error(
                    f"the server answered with the content type {kind!r}, not with a completion: {self._excerpt()}"
                )
            )
        if not self._sink.started and not self._held:
            raise Failed(self._error("the server closed the connection without an answer"), again=True)
        self._release()

    def value(self) -> Any:
        """Return the JSON value of the body, for a request without a sink."""
        try:
            return read_json("the server's answer", self._whole.decode("utf-8"))
        except ValueError:
            raise HTTPError(f"the server's answer is not JSON: {self._excerpt()}") from None

    def _push(self, event: str) -> bool:
        sink = self._sink
        assert sink is not None
        text = event.strip()
        if not text:
            return True
        if '"error"' in text or '"choices"' not in text or not text.endswith("}"):
            text = self._owner.redact(text)
            self._check_error(text)
        text = text.replace("\0", "\ufffd")
        if not sink.started:
            # An error may still follow, and then the request can be sent again.
            if len(self._held) < _MAX_HELD and not _has_answer(text):
                self._held.append(text)
                return True
            if not self._release():
                return False
        return sink.push(text)

    def _release(self) -> bool:
        """Push the chunks that were held back. Return False once the run needs no more."""
        held, self._held = self._held, []
        return all(self._sink.push(text) for text in held) if self._sink is not None else False

    def _check_error(self, text: str) -> None:
        """Raise the failure that a chunk reports, if it does."""
        if '"error"' not in text:
            return
        with contextlib.suppress(ValueError):
            refusal = read_error(read_json("the server's answer", text))
            if refusal is not None:
                raise self._failure(refusal, refusal.status, "the server reports: ")

    def _check_time(self) -> None:
        now = time.monotonic()
        idle = self._owner.limits.idle_timeout
        if now > min(self._deadline, self._run_deadline):
            raise self.late()
        if self._reader is not None and idle is not None and now - self._heard > idle:
            raise Failed(RunTimeoutError(f"the server sent only keep-alive comments for {idle:g} s (idle_timeout)"))

    def late(self) -> Failed:
        """Return the failure of a request whose deadline has passed."""
        if self._run_deadline < self._deadline:
            return Failed(RunTimeoutError("the run's timeout passed"))
        return Failed(RunTimeoutError(f"the server did not answer within {self._owner.limits.timeout or 0:g} s"))

    # -- failures ------------------------------------------------------------------------------------------------------

    def _error(self, message: str, status: Optional[int] = None) -> HTTPError:
        error = HTTPError(self._owner.redact(message))
        error.status = status or self._status or None
        return error

    def _excerpt(self) -> str:
        beginning = bytes(self._whole[:2000]) if self._reader is None else self._reader.beginning
        return self._owner.redact(" ".join(beginning.decode("utf-8", "replace").split()))[:300]

    def _refusal(self) -> Failed:
        """Return the failure that a response with a status of failure means."""
        refusal = Refusal(self._excerpt())
        with contextlib.suppress(ValueError):
            value = read_json("the server's answer", self._whole.decode("utf-8"))
            refusal = read_error(value) or read_refusal(value)
        return self._failure(refusal, self._status, f"the server answered with status {self._status}: ")

    def _failure(self, refusal: Refusal, status: Optional[int], prefix: str) -> Failed:
        """Return the failure that an error of the server means.

        Args:
            refusal: The error.
            status: That of the response, or the one inside the error.
            prefix: The beginning of the message.
        """
        message = self._owner.redact(" ".join(refusal.message.split()))[:_SHOWN]
        if refusal.overflows:
            return Failed(ContextFullError(f"the server reports: {message}"))
        if self._has_media and refusal.is_about_media and status not in (401, 403, 404, 429):
            return Failed(UnsupportedError(f"the server refuses the pictures or sounds of the conversation: {message}"))
        pause = read_retry_after(self._headers.get("retry-after"))
        milliseconds = read_retry_after(self._headers.get("retry-after-ms"))
        if milliseconds is not None:
            pause = milliseconds / 1000
        pause = refusal.pause if pause is None else pause
        error = self._error(f"{prefix}{message}", status)
        error.retry_after = pause
        wish = self._headers.get("x-should-retry", "").lower()  # of OpenAI
        return Failed(error, wish == "true" or (wish != "false" and refusal.may_pass(status)), pause)

    def pause_after(self, failed: Optional[Exception]) -> Optional[float]:
        """Return the seconds to wait before the next attempt; None if there is none.

        Args:
            failed: The failure of the last attempt; None if it succeeded.

        Raises:
            LuupError: There is no next attempt.
        """
        if failed is None or (self._sink is not None and self._sink.cancelled.is_set()):
            return None
        if not isinstance(failed, Failed):
            return 0.0  # the request has moved
        limits, started = self._owner.limits, self._sink is not None and self._sink.started
        pause = failed.pause
        if pause is None:
            pause = min(8.0, 0.5 * 2.0**self._attempts) * random.uniform(0.75, 1.0)
        self._attempts += 1
        late = time.monotonic() + pause > min(self._deadline, self._run_deadline)
        if started or not failed.again or self._attempts > limits.max_retries or pause > _LONGEST_PAUSE or late:
            failed.error.__cause__ = None  # httpx's exception holds the request, and that the key
            failed.error.__context__ = None
            raise failed.error.with_traceback(None) from None
        return pause

    def failure_of(self, error: Exception) -> Exception:
        """Return the `Failed` or `Moved` that an attempt's exception means.

        Raises:
            Exception: `error` itself, if neither this package nor the HTTP client has raised it.
        """
        if isinstance(error, (Failed, Moved)):
            return error
        if not isinstance(error, LuupError) and not _is_of_client(error):
            raise error
        return self._failed(error)

    def _failed(self, error: Exception) -> Failed:
        """Return the failure that an exception of the HTTP client means; it may be httpx, or a successor of it."""
        if isinstance(error, LuupError):
            return Failed(error)
        kinds = [cls.__name__ for cls in type(error).__mro__]
        if "InvalidURL" in kinds:  # of a redirect: base_url was checked
            return Failed(self._error("the server redirects to an invalid address"))
        limits = self._owner.limits
        where = urlsplit(self._url).netloc
        reason = self._owner.redact(str(error) or type(error).__name__)[:300]
        if "ConnectTimeout" in kinds or "PoolTimeout" in kinds:
            seconds = "" if limits.connect_timeout is None else f" within {limits.connect_timeout:g} s"
            return Failed(RunTimeoutError(f"no connection to {where}{seconds}"), again=True)
        if "TimeoutException" in kinds:
            if time.monotonic() >= min(self._deadline, self._run_deadline):
                return self.late()
            seconds = "" if limits.idle_timeout is None else f" for {limits.idle_timeout:g} s"
            return Failed(RunTimeoutError(f"{where} sent nothing{seconds}"), again=True)
        if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate" in reason.lower():
            return Failed(self._error(f"the certificate of {where} can't be trusted: {reason}"))
        if "LocalProtocolError" in kinds:  # its message shows the header's value, which may be a key
            return Failed(self._error(f"a header of the request to {where} is not valid; check api_key and headers"))
        if isinstance(error, RuntimeError) and "closed" in reason:
            return Failed(self._error(f"the http_client is closed: {reason}"))
        again = ("TransportError" in kinds or isinstance(error, OSError)) and "UnsupportedProtocol" not in kinds
        kind = "can't be reached" if "ConnectError" in kinds else "broke off the connection"
        if "ProxyError" in kinds:
            kind = "can't be reached through the proxy"
        return Failed(self._error(f"{where} {kind}: {reason}"), again=again)

    def wait(self, pause: float) -> bool:
        """Wait `pause` seconds before the next attempt. Return True if the run was cancelled meanwhile."""
        if pause == 0:
            return False
        if self._sink is None:
            time.sleep(pause)
            return False
        return self._sink.cancelled.wait(pause)


def _is_of_client(error: Exception) -> bool:
    """Return whether an HTTP client raised `error`, not the user's own code in it."""
    modules = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    return bool(modules.intersection(_CLIENT_ERRORS)) or isinstance(error, (OSError, RuntimeError))


def _has_answer(text: str) -> bool:
    """Return whether a chunk has a part of the answer, or ends it."""
    try:
        value = read_json("the server's answer", text)
    except ValueError:
        return True
    if not isinstance(value, dict) or "message" in value:
        return True
    choices = value.get("choices")
    if not isinstance(choices, list):
        return isinstance(choices, dict)
    for choice in choices:
        if not isinstance(choice, dict) or choice.get("finish_reason") or choice.get("text"):
            return True
        message = choice.get("delta") or choice.get("message") or {}
        if not isinstance(message, dict) or any(part for name, part in message.items() if name != "role"):
            return True
    return False
