"""UTF-8 characters whose bytes a server cut across two events, because its model wrote them in two tokens."""

from __future__ import annotations

import re

from luup_agent.errors import HTTPError

# The first bytes of a character at the end of a JSON string, and the other ones at the beginning of a string.
_BEGIN = re.compile(rb'(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})(?=")')
_FINISH = re.compile(r'"finish_reason"\s*:\s*"')
_REST = re.compile(rb'(?<=")[\x80-\xbf]{1,3}')


class CharacterJoiner:
    """Decodes JSON texts, one an event; a character that begins in one is moved to the event with its last byte."""

    def __init__(self) -> None:
        self._held = b""

    def decode(self, data: bytes) -> str:
        """Return the text of an event.

        Raises:
            HTTPError: It is not UTF-8, nor the beginning or the rest of a character that was cut.
        """
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            text = self._join(data, error.reason)
        if self._held and (text.strip() == "[DONE]" or _FINISH.search(text)):
            self.finish()
        return text

    def finish(self) -> None:
        """Check that no character was left incomplete.

        Raises:
            HTTPError: Its last bytes never came.
        """
        if self._held:
            raise _refusal("unexpected end of data")

    def _join(self, data: bytes, reason: str) -> str:
        rests = _REST.findall(data)
        if len(rests) > 1 or len(rests) != bool(self._held):
            raise _refusal(reason)
        held, self._held = self._held, b""
        data = _REST.sub(lambda match: held + match.group(), data)
        begins = _BEGIN.findall(data)
        if len(begins) == 1:
            self._held = begins[0]
            data = _BEGIN.sub(b"", data)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _refusal(error.reason) from None


def _refusal(reason: str) -> HTTPError:
    return HTTPError(f"the server's answer is not UTF-8: {reason}")
