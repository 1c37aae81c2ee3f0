"""The messages that the user typed in earlier conversations: a file of JSON strings, one a line."""

from __future__ import annotations

import contextlib
import json
import os
from typing import List

from luup_agent._files import read_regular, replace_file, user_folder

_MAX_ENTRIES = 2000
_MAX_BYTES = 16 << 20


def history_file() -> str:
    """Return the path of the file, which may not exist yet: where the system keeps a user's state.

    It is not in the cache of models, which several users may share.
    """
    return os.path.join(user_folder("state"), "chat_history")


class History:
    """The file, which only its owner can read. A message that begins with a space is not kept.

    Attributes:
        entries: The messages, the oldest first.
        problem: Why the file can't be used; "" if it can.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.entries: List[str] = []
        self.problem = ""
        try:
            text = read_regular(path, _MAX_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._fail(error)
            return
        for line in text.splitlines():
            with contextlib.suppress(ValueError):  # a line that was cut by a full disk
                entry = json.loads(line)
                if isinstance(entry, str) and _can_be_typed(entry):
                    self.entries.append(entry)
        if len(self.entries) > 2 * _MAX_ENTRIES:
            del self.entries[:-_MAX_ENTRIES]
            with contextlib.suppress(OSError):
                replace_file(path, "".join(_line(entry) for entry in self.entries).encode())

    def add(self, message: str) -> None:
        """Append a message, unless it begins with a space or repeats the last one."""
        if not message.strip() or message[0] == " " or self.entries[-1:] == [message] or not _can_be_typed(message):
            return
        self.entries.append(message)
        if self.problem:
            return
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_line(message).encode("utf-8", "replace"))  # one write: several conversations may append
        except OSError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        self.problem = f"messages are not kept for later conversations: {self._path}: {reason}"


def _line(message: str) -> str:
    return json.dumps(message) + "\n"


def _can_be_typed(message: str) -> bool:
    """Return whether line editors take a message: readline refuses zero bytes, no terminal shows surrogates."""
    return "\0" not in message and not any(0xD800 <= ord(character) < 0xE000 for character in message)
