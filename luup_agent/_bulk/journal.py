"""The file of a map: a header that says what was asked, and one line for each item that has finished.

Each line is written in one step when its item finishes, so a process that is killed loses no finished item. A last line
without an end, which a killed process may leave, is removed when the file is opened again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import threading
from typing import Any, Dict, NamedTuple, Optional, Union

from luup_agent.errors import InvalidParamError, StorageError
from luup_agent.messages import Usage

if sys.platform != "win32":
    import fcntl

_VERSION = 1
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_SHOWN = 200  # characters of a changed value in an error


class Kept(NamedTuple):
    """A finished item of the file.

    Attributes:
        prompt: The hash of its prompt.
        text: The answer as text.
        seconds: The time that its run took.
        usage: The token counts of its run.
        finish_reason: The finish reason of its run.
    """

    prompt: str
    text: str
    seconds: float
    usage: Optional[Dict[str, int]]
    finish_reason: Optional[str]


class Journal:
    """The file of a map, open for more lines. Safe to use from any thread.

    Attributes:
        kept: The items that succeeded, by index.
    """

    def __init__(self, path: Union[str, os.PathLike[str]], asked: Dict[str, Any]) -> None:
        """Open or make the file.

        Args:
            path: The file.
            asked: The form of the question that all items share, JSON values: the file has to have the same.

        Raises:
            InvalidParamError: The file is of another map: `asked` differs.
            StorageError: It can't be read or written, is damaged, or another process or map writes it.
        """
        try:
            self.path = os.path.abspath(os.fspath(path))
        except TypeError:
            raise InvalidParamError(f"path must be a path, not {type(path).__name__}") from None
        self.kept: Dict[int, Kept] = {}
        self._asked = asked
        self._lock = threading.Lock()
        self._file = -1
        try:
            self._file = os.open(self.path, _OPEN, 0o600)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise StorageError(f"{self._name} is not a regular file")
            self._own()
            self._read()
        except (OSError, ValueError) as error:
            self.close()
            if isinstance(error, (StorageError, InvalidParamError)):
                raise
            reason = getattr(error, "strerror", None) or error
            raise StorageError(f"{self._name} can't be opened: {reason}") from error

    @property
    def _name(self) -> str:
        return f"the file {self.path}"

    def _own(self) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StorageError(f"{self._name} is being written by another map; give each its own") from None

    def _read(self) -> None:
        with os.fdopen(os.dup(self._file), "rb") as file:
            content = file.read()
        end = content.rfind(b"\n") + 1
        lines = content[:end].splitlines()
        if not lines:
            if end != len(content) and not b'{"luup_map":'.startswith(content[:12]):
                raise StorageError(f"{self._name} is not the file of a map; give the path of a new one")
            os.ftruncate(self._file, 0)
            self._append({"luup_map": _VERSION, **self._asked})
            return
        self._check_header(self._line(1, lines[0]))
        for number, line in enumerate(lines[1:], 2):
            self._take(number, self._line(number, line))
        if end != len(content):  # a process was killed while it wrote
            os.ftruncate(self._file, end)
        os.lseek(self._file, 0, os.SEEK_END)

    def _line(self, number: int, line: bytes) -> Dict[str, Any]:
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(line.decode("utf-8"))
            if isinstance(values, dict):
                return values
        if number == 1:
            raise StorageError(f"{self._name} is not the file of a map; give the path of a new one")
        raise StorageError(f"{self._name} is damaged in line {number}; delete the line to compute its item again")

    def _check_header(self, header: Dict[str, Any]) -> None:
        if header.get("luup_map") != _VERSION:
            raise StorageError(f"{self._name} is not the file of a map, or of another version; give a new path")
        for name, value in self._asked.items():
            if header.get(name) != value:
                raise InvalidParamError(
                    f"{self._name} has results of another {name}: {_shown(header.get(name))}, now {_shown(value)}; "
                    "results of both would be mixed. Give another path, or delete the file"
                )

    def _take(self, number: int, values: Dict[str, Any]) -> None:
        try:
            if "error" in values:  # it is asked again
                self.kept.pop(int(values["index"]), None)
                return
            usage = values["usage"]
            kept = Kept(
                str(values["prompt"]),
                values["text"],
                float(values["seconds"]),
                None if usage is None else {str(name): int(count) for name, count in usage.items()},
                values["finish_reason"],
            )
            if not isinstance(kept.text, str) or kept.finish_reason not in ("stop", "length", "tool_calls", None):
                raise ValueError
            self.kept[int(values["index"])] = kept
        except (KeyError, TypeError, ValueError, AttributeError):
            raise StorageError(
                f"{self._name} is damaged in line {number}; delete the line to compute its item again"
            ) from None

    def find(self, index: int, prompt: str) -> Optional[Kept]:
        """Return the finished item with this index; None if it has not finished.

        Raises:
            InvalidParamError: The file has the result of another item there.
        """
        kept = self.kept.get(index)
        if kept is not None and kept.prompt != fingerprint(prompt):
            raise InvalidParamError(
                f"{self._name} has the result of another text for items[{index}]: the items or their order have "
                "changed. Give another path, or delete the file"
            )
        return kept

    def check_count(self, count: int) -> None:
        """Check that the file has no items behind the last one.

        Raises:
            InvalidParamError: There are more items.
        """
        more = [index for index in self.kept if index >= count]
        if more:
            raise InvalidParamError(
                f"{self._name} has results of {max(more) + 1} items, but there are only {count} now. Give another "
                "path, or delete the file"
            )

    def add(self, index: int, prompt: str, text: str, seconds: float, usage: Optional[Usage], reason: Any) -> None:
        """Write an item that has finished.

        Raises:
            StorageError: The file can't be written.
        """
        counts = None if usage is None else usage.model_dump()
        line = {"index": index, "prompt": fingerprint(prompt), "text": text, "seconds": round(seconds, 6)}
        self._append({**line, "usage": counts, "finish_reason": reason})

    def add_error(self, index: int, error: Exception) -> None:
        """Write the error of an item, which is asked again when the map is resumed.

        Raises:
            StorageError: The file can't be written.
        """
        text = str(error).encode("utf-8", "replace").decode("utf-8")
        self._append({"index": index, "error": f"{type(error).__name__}: {text}"})

    def _append(self, values: Dict[str, Any]) -> None:
        line = json.dumps(values).encode() + b"\n"
        with self._lock:
            if self._file < 0:
                raise StorageError(f"{self._name} was closed")
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            except OSError as error:
                raise StorageError(f"{self._name} can't be written: {error.strerror}") from error

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        with self._lock:
            file, self._file = self._file, -1
            if file >= 0:
                os.close(file)


def fingerprint(prompt: str) -> str:
    """Return a hash of an item's prompt."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
