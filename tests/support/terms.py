"""A command of ``luup-agent`` with any kind of stdin, stdout and stderr, in any environment."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple, Optional

APP = '''
from luup_agent.testing import ScriptedModel, tool_call


def delete(path: str) -> str:
    """Deletes a file."""
    return f"deleted {path}"


model = ScriptedModel(["**Grüße** aus 東京 \\x1b[2J" for _ in range(4)])
movie = ScriptedModel(['{"title": "Alien", "year": 1979}'])
'''

# The commands, by what they are to do.
COMMANDS: Dict[str, List[str]] = {
    "answer": ["chat", "app.py:model", "Hi"],
    "answer, all": ["chat", "app.py:model", "Hi", "-vv"],
    "answer as JSON": ["chat", "app.py:model", "Hi", "--json"],
    "typed answer": ["chat", "app.py:movie", "Hi", "--schema", "title str, year int"],
    "answer to stdin": ["chat", "app.py:model", "-"],
    "conversation": ["chat", "app.py:model"],
    "missing model": ["chat", "missing.gguf", "Hi"],
    "missing file": ["chat", "app.py:model", "Hi", "--image", "missing.png"],
    "models": ["models"],
    "models as JSON": ["models", "--json"],
    "remove a missing model": ["models", "rm", "missing"],
    "clear weights": ["models", "clear-weights"],
    "download of a missing model": ["download", "missing"],
    "doctor": ["doctor"],
    "doctor as JSON": ["doctor", "--json"],
    "bench of a missing model": ["bench", "missing.gguf", "--json"],
    "completion": ["completion", "bash"],
    "help": ["chat", "--help"],
    "version": ["--version"],
    "wrong option": ["chat", "--wrong"],
    "serve a missing model": ["serve", "missing.gguf"],
    "mcp of a missing agent": ["mcp", "missing.py:agent"],
}
STDOUTS = ("pipe", "file", "full", "closed", "broken", "terminal", "read only")
STDERRS = ("pipe", "full", "closed", "broken", "terminal")
STDINS = ("empty", "text", "closed", "terminal", "not UTF-8", "write only")  # Python itself refuses a folder
ENVIRONMENTS: Dict[str, Dict[str, Optional[str]]] = {
    "plain": {},
    "NO_COLOR": {"NO_COLOR": "1"},
    "dumb terminal": {"TERM": "dumb"},
    "no terminal type": {"TERM": None},
    "one column": {"COLUMNS": "1", "LINES": "1"},
    "odd width": {"COLUMNS": "-5", "LINES": "many"},
    "C locale": {"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None},
    "ASCII": {"PYTHONIOENCODING": "ascii:strict"},
    "UTF-16": {"PYTHONIOENCODING": "utf-16"},
    "no home": {"HOME": None},
    "unwritable home": {"HOME": "/proc/1/none", "LUUP_CACHE_DIR": None},
}
TEXT = b"Hello\nto you\n"


class Outcome(NamedTuple):
    """The end of a command: its exit code, and what it wrote where that can be read; else None."""

    code: int
    out: Optional[bytes]
    error: Optional[bytes]


class _Stream:
    """One of the three standard streams of a child, of a kind named above."""

    def __init__(self, kind: str, number: int, folder: str) -> None:
        self.kind = kind
        self.closed = kind == "closed"
        self.ours: Optional[int] = None
        self.theirs = -1
        if kind in ("pipe", "broken"):
            self.ours, self.theirs = os.pipe()
            if kind == "broken":
                os.close(self.ours)
                self.ours = None
        elif kind == "terminal":
            self.ours, self.theirs = os.openpty()
        elif kind == "file":
            self.path = os.path.join(folder, f"stream{number}")
            self.theirs = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        elif kind in ("text", "not UTF-8"):
            self.theirs, write = os.pipe()
            os.write(write, TEXT if kind == "text" else b"\xff\xfe\xe4\n\x80")
            os.close(write)
        else:
            name, flags = {
                "full": ("/dev/full", os.O_WRONLY),
                "empty": (os.devnull, os.O_RDONLY),
                "read only": (os.devnull, os.O_RDONLY),
                "write only": (os.devnull, os.O_WRONLY),
                "closed": (os.devnull, os.O_RDWR),
            }[kind]
            self.theirs = os.open(name, flags)

    def text(self, read: bytes) -> Optional[bytes]:
        if self.kind == "file":
            with open(self.path, "rb") as file:
                return file.read()
        return read if self.kind in ("pipe", "terminal") else None


# A shell can close a stream of the program that it starts; Popen can't.
_CLOSE = "import os, sys; [os.close(int(n)) for n in sys.argv[1]]; os.execv(sys.argv[2], sys.argv[2:])"


def run(
    arguments: List[str],
    folder: str,
    stdin: str = "empty",
    stdout: str = "pipe",
    stderr: str = "pipe",
    environment: str = "plain",
    seconds: float = 120,
) -> Outcome:
    """Run a command of ``luup-agent`` in a folder until its end; Ctrl-D is pressed in a terminal."""
    with open(os.path.join(folder, "app.py"), "w", encoding="utf-8") as app:
        app.write(APP)
    streams = [_Stream(kind, number, folder) for number, kind in enumerate((stdin, stdout, stderr))]
    command = [sys.executable, "-m", "luup_agent", *arguments]
    closed = "".join(str(number) for number, stream in enumerate(streams) if stream.closed)
    if closed:
        command = [sys.executable, "-S", "-c", _CLOSE, closed, *command]
    variables = {
        **os.environ,
        "TERM": "xterm-256color",
        "HOME": folder,
        "LUUP_CACHE_DIR": os.path.join(folder, "cache"),
    }
    for name in (
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "LINES",
        "PYTHONUNBUFFERED",
    ):
        variables.pop(name, None)
    for name, value in ENVIRONMENTS[environment].items():
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdin=streams[0].theirs,
        stdout=streams[1].theirs,
        stderr=streams[2].theirs,
        start_new_session=True,
    )
    for stream in streams:
        os.close(stream.theirs)
    read = _read([stream.ours for stream in streams], child, seconds)
    return Outcome(child.wait(), streams[1].text(read[1]), streams[2].text(read[2]))


def _read(ends: List[Optional[int]], child: subprocess.Popen, seconds: float) -> List[bytes]:
    """Read our ends of the streams until the child has ended."""
    read = [b"" for _ in ends]
    open_ends = {end: number for number, end in enumerate(ends) if end is not None}
    typed = time.monotonic()
    last = typed + seconds
    while True:
        ended = child.poll() is not None
        ready = select.select(list(open_ends), [], [], 0 if ended else 0.02)[0] if open_ends else []
        for end in ready:
            data = b""
            with contextlib.suppress(OSError):  # EIO: the terminal has no other end
                data = os.read(end, 65536)
            read[open_ends[end]] += data
            if not data:
                os.close(end)
                del open_ends[end]
        if ended and not ready:
            break
        if not open_ends:
            time.sleep(0.005)
        if ends[0] is not None and time.monotonic() - typed > 0.5:  # to a line editor, or to a program that reads lines
            typed = time.monotonic()
            with contextlib.suppress(OSError):
                os.write(ends[0], b"\x04")
        if time.monotonic() > last:
            child.kill()
            child.wait()
            raise TimeoutError(errno.ETIMEDOUT, f"the command did not end; it wrote {read}")
    for end in open_ends:
        os.close(end)
    return read
