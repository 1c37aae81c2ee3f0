"""The file of a durable run: a line for each step, which is on the disk before the run goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import sys
import zlib
from types import TracebackType
from typing import Any, Dict, List, Optional, Type

from luup_agent._files import shorten_path
from luup_agent.errors import BusyError, StorageError

if sys.platform != "win32":
    import fcntl

VERSION = 1
_SUM = "sum"
_WITH_SUM = re.compile(rb'(.*), "sum": ([0-9]{1,10})\}', re.DOTALL)
_OPEN = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)


class Records:
    """The place of the records of one run.

    Attributes:
        records: The records read at the beginning and those written since.
        keeps_all_ends: Whether a run whose calls wait for an approval leaves a record with its response, and a run that
            failed leaves none. By default a run that failed leaves its usage.
    """

    records: List[Dict[str, Any]]
    keeps_all_ends = False

    def write(self, kind: str, **values: Any) -> None:
        """Append a record, which survives the process from then on."""
        raise NotImplementedError

    async def write_async(self, kind: str, **values: Any) -> None:
        """Do the same under asyncio; by default in the thread of the event loop."""
        self.write(kind, **values)

    def damaged(self, problem: object) -> StorageError:
        """Return the error for records that do not belong together."""
        raise NotImplementedError


def whole_lines(content: bytes) -> bytes:
    """Return the content of a run's file without the line in which a process ended."""
    return content[: content.rfind(b"\n") + 1]


class Journal(Records):
    """The file of one run, locked while it is open. A record is a JSON object in a line of its own.

    The last value of each is a checksum of it and of all before it, so that no damage is taken for a step.
    """

    def __init__(self, path: str, run_id: str) -> None:
        """Open the file, or create it for its owner alone.

        Raises:
            StorageError: It can't be used, is damaged, or has a newer version.
            BusyError: Another process or thread has it open.
        """
        self._path = path
        self._descriptor = -1
        self._sum: Optional[int] = 0  # of all lines; None for a file that was written without
        try:
            self._descriptor = os.open(path, _OPEN | _BINARY, 0o600)
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise self._failure("it is not a regular file")
            self._lock(run_id)
            self.records = self._read()
        except OSError as error:
            self.close()
            if isinstance(error, StorageError):
                raise
            raise self._failure(error.strerror or str(error)) from error
        except BaseException:
            self.close()
            raise

    def _failure(self, reason: str) -> StorageError:
        return StorageError(f"the file of a run {shorten_path(self._path)} can't be used: {reason}")

    def _lock(self, run_id: str) -> None:
        if sys.platform != "win32":
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(f"another process or thread works on the run {run_id!r}") from None

    def _read(self) -> List[Dict[str, Any]]:
        with os.fdopen(self._descriptor, "rb", closefd=False) as file:  # the locked file, whatever has its name now
            content = file.read()
        whole = whole_lines(content)
        if len(whole) < len(content):  # the process ended while it wrote the last line
            os.ftruncate(self._descriptor, len(whole))
        records: List[Dict[str, Any]] = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise self._failure(f"line {number} is damaged: {error}") from None
            if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
                raise self._failure(f"line {number} is damaged: it is not a record of a run")
            self._check(number, line)
            record.pop(_SUM, None)
            records.append(record)
        if records:
            version = records[0].get("version")
            if records[0]["kind"] != "begin" or not isinstance(version, int):
                raise self._failure("it is not the file of a run")
            if version > VERSION:
                raise self._failure(f"it has version {version}, and this luup-agent knows {VERSION}: use a newer one")
        return records

    def _check(self, number: int, line: bytes) -> None:
        match = _WITH_SUM.fullmatch(line.rstrip())
        if match is None and number == 1:
            self._sum = None
        if (match is None) != (self._sum is None):
            raise self._failure(f"line {number} is damaged: its checksum is missing, or that of the lines before it")
        if match is not None and self._sum is not None:
            self._sum = zlib.crc32(match[1], self._sum)
            if self._sum != int(match[2]):
                raise self._failure(f"line {number} is damaged: its checksum is another")

    def write(self, kind: str, **values: Any) -> None:
        """Append a record, and wait until the disk has it.

        Raises:
            StorageError: It can't be written.
        """
        record = {"kind": kind, **values}
        text = json.dumps(record)[:-1].encode("ascii")
        checksum = None if self._sum is None else zlib.crc32(text, self._sum)
        line = text + (b"}\n" if checksum is None else b', "%s": %d}\n' % (_SUM.encode("ascii"), checksum))
        length = -1
        try:
            length = os.fstat(self._descriptor).st_size
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):  # a part of a line would spoil the next one
                if length >= 0:
                    os.ftruncate(self._descriptor, length)
            raise self._failure(error.strerror or str(error)) from error
        self._sum = checksum
        self.records.append(record)

    def damaged(self, problem: object) -> StorageError:
        """Return the error for records that do not belong together."""
        return self._failure(f"it is damaged: {problem}")

    def close(self) -> None:
        """Close and unlock the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Journal:
        """Return the journal itself."""
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close the file."""
        self.close()
