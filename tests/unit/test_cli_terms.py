"""The command with each kind of stdin, stdout, stderr and environment: no traceback, and a true exit code."""

import json
import os
import re

import pytest
from support import terms

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full"),
]
# The exit codes of the commands where nothing is in their way.
FAILING = {
    "missing model": 1,
    "missing file": 1,
    "remove a missing model": 1,
    "download of a missing model": 1,
    "bench of a missing model": 1,
    "serve a missing model": 1,
    "mcp of a missing agent": 1,
    "wrong option": 2,
}
SILENT = ("clear weights",)  # there is nothing to delete
READS_STDIN = ("answer to stdin", "conversation")
JSON = [name for name in terms.COMMANDS if name.endswith("as JSON") or name == "typed answer"]
ACCIDENT = re.compile(rb"Traceback|Exception ignored|Fatal Python|lost sys\.|RuntimeWarning|ResourceWarning")
ESCAPE = b"\x1b["
COLOUR = re.compile(rb"\x1b\[[0-9;]*[1-9][0-9;]*m")
# These run in a plain pytest: one of each way out. The gate has all.
PLAIN = [
    ("answer, all", "empty", "pipe", "full", "plain"),
    ("answer, all", "empty", "pipe", "broken", "plain"),
    ("answer", "terminal", "terminal", "terminal", "NO_COLOR"),
    ("answer", "write only", "read only", "pipe", "plain"),
    ("answer as JSON", "closed", "broken", "pipe", "plain"),
    ("typed answer", "text", "file", "terminal", "UTF-16"),
    ("missing model", "empty", "closed", "full", "plain"),
    ("missing model", "empty", "terminal", "broken", "one column"),
    ("conversation", "not UTF-8", "pipe", "pipe", "plain"),
    ("conversation", "terminal", "pipe", "pipe", "odd width"),
    ("help", "empty", "full", "pipe", "C locale"),
    ("wrong option", "empty", "pipe", "full", "ASCII"),
    ("models", "empty", "full", "broken", "unwritable home"),
]


def combinations():
    """Yield each command with each kind of each stream and with each environment."""
    for name in terms.COMMANDS:
        for stdin in terms.STDINS:
            if name.startswith(("answer", "conversation")):
                yield name, stdin, "pipe", "pipe", "plain"
                yield name, stdin, "terminal", "terminal", "plain"
        for stdout in terms.STDOUTS:
            yield name, "empty", stdout, "pipe", "plain"
            yield name, "empty", stdout, "full", "plain"
        for stderr in terms.STDERRS:
            yield name, "empty", "pipe", stderr, "plain"
        for environment in terms.ENVIRONMENTS:
            yield name, "empty", "pipe", "pipe", environment
            yield name, "terminal", "terminal", "terminal", environment


GATED = [each for each in dict.fromkeys(combinations()) if each not in PLAIN]


def check(folder, name, stdin, stdout, stderr, environment):
    code, out, error = terms.run(terms.COMMANDS[name], str(folder), stdin, stdout, stderr, environment)
    shown = f"{code}, stdout {out!r}, stderr {error!r}"
    assert code in (0, 1, 2, 141), shown
    for text in (out, error):
        assert text is None or not ACCIDENT.search(text), shown
    expected = FAILING.get(name, 0)
    if name in READS_STDIN:
        expected = {"not UTF-8": 1, "write only": 1}.get(
            stdin, 1 if name == "answer to stdin" and stdin != "text" else 0
        )
    elif stdin == "not UTF-8" and name.startswith("answer"):
        expected = 1
    says_nothing = name in SILENT or expected or (name == "conversation" and stdin != "text")
    if stdout == "closed" or (not says_nothing and stdout in ("full", "read only")):
        expected = 1
    elif not says_nothing and stdout == "broken":
        expected = 141
    if name.startswith("doctor") and expected == 0:
        assert code in (0, 1), shown  # it reports problems of the environment
    else:
        assert code == expected, shown
    if code not in (0, 141) and error is not None and not name.startswith("doctor"):
        assert b"luup-agent" in error.replace(b"\0", b""), shown  # says why
    if code and out and stdout != "terminal" and not name.startswith("doctor"):
        raise AssertionError(f"output that looks like success: {shown}")
    if out is not None and stdout in ("pipe", "file") and code == 0 and name in JSON:
        json.loads(out.decode("utf-16" if environment == "UTF-16" else "utf-8"))
    if out is not None and stdout in ("pipe", "file") and not name.startswith(("answer", "conversation")):
        assert ESCAPE not in out, shown  # what a model writes goes to a pipe unchanged
    if environment in ("NO_COLOR", "dumb terminal"):
        assert out is None or name.startswith("conversation") or not COLOUR.search(out), shown


@pytest.mark.parametrize("each", PLAIN, ids=", ".join)
def test_a_way_out(tmp_path, each):
    check(tmp_path, *each)


@pytest.mark.gate
@pytest.mark.parametrize("name", terms.COMMANDS)
def test_every_way_out(tmp_path, name):
    for number, each in enumerate(each for each in GATED if each[0] == name):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            check(folder, *each)
        except (AssertionError, TimeoutError, ValueError) as error:
            raise AssertionError(f"{each}: {error}") from error
