"""A process that kills the servers of a program that was killed itself.

A server should end when its input does. One that does not is terminated when its connection closes, but a program that
gets SIGKILL closes nothing. A shell waits for the end of its own input then: that is the end of the program.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from typing import Callable, Dict, Iterator, Optional, Set

# Each line has "+" or "-" and the id of a process group. Groups that are left at the end have 2 seconds to end.
_SCRIPT = """
groups=' '
while read -r sign group; do
    case $sign in
        +) groups="$groups$group " ;;
        -) groups="${groups%% $group *} ${groups#* $group }" ;;
    esac
done
set -- $groups
[ $# -eq 0 ] && exit
sleep 2
for group; do kill -KILL "-$group"; done
"""


class Watcher:
    """Watches the servers that this process starts, on Linux. Any thread may use it."""

    def __init__(self) -> None:
        """Watch nothing yet; the process of the watcher runs as long as there are servers."""
        self._lock = threading.Lock()
        self._groups: Dict[int, int] = {}  # by the id: how many connections started it, as far as that can be seen
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._owner = 0

    @contextlib.contextmanager
    def servers(self) -> Iterator[Callable[[], None]]:
        """Return a block for the time of a server; call its value once the server runs."""
        before = leaders()
        groups: Set[int] = set()

        def started() -> None:
            for group in leaders() - before - self._own():
                with contextlib.suppress(OSError):  # no shell
                    self._follow(group)
                    groups.add(group)

        try:
            yield started
        finally:
            for group in groups:
                self._forget(group)

    def _follow(self, group: int) -> None:
        """Kill a process group if this process is killed."""
        with self._lock:
            if self._owner != os.getpid():  # a forked process does not use its parent's
                self._owner, self._process = os.getpid(), None
                self._groups.clear()
            self._groups[group] = self._groups.get(group, 0) + 1
            if self._groups[group] == 1:
                self._tell("+", group)

    def _forget(self, group: int) -> None:
        """Forget a process group that has ended."""
        with self._lock:
            if self._owner != os.getpid() or group not in self._groups:
                return
            self._groups[group] -= 1
            if self._groups[group]:
                return
            del self._groups[group]
            self._tell("-", group)
            if not self._groups and self._process is not None:
                process, self._process = self._process, None
                process.communicate()

    def _own(self) -> Set[int]:
        """Return the id of the watcher's process, which is no server."""
        process = self._process
        return set() if process is None else {process.pid}

    def _tell(self, sign: str, group: int) -> None:
        if self._process is None:
            if sign == "-":
                return
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the program
            )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it was killed
            self._process.stdin.write(f"{sign} {group}\n".encode("ascii"))
            self._process.stdin.flush()


def leaders() -> Set[int]:
    """Return the children of this process that lead process groups, as the SDK's servers do, if they are known."""
    if sys.platform != "linux":
        return set()
    found: Set[int] = set()
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
                if int(fields[1]) == os.getpid() and fields[2] == name:
                    found.add(int(name))
    return found


watcher = Watcher()
