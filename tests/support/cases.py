"""The cases of the C++ programs luup-*-cases, each a test of pytest's.

A program runs once for all of its cases that were selected, because starting it is expensive (it loads a vocabulary, or
lays out weights); each test then looks at its own case. If the program ends in the middle of a case, that one fails,
and the program is started again for the rest.
"""

import re
import subprocess

import pytest

from support.builds import find_program, not_built


def listed(name, *arguments):
    """Return pytest parameters for the cases of the program `name`; one that is skipped where it is not built."""
    program = find_program(name)
    if program is None:
        return [pytest.param(None, id="not built", marks=pytest.mark.skip(reason=not_built(name)))]
    command = [str(program), "--list", *map(str, arguments)]
    output = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True, timeout=60).stdout
    return [pytest.param(case, id=case) for case in output.splitlines()]


def selected(request, parameter, **others):
    """Return the values of `parameter` in the tests of this session, where the `others` have the given values."""
    found = []
    for item in request.session.items:
        values = getattr(getattr(item, "callspec", None), "params", {})
        if parameter in values and all(values.get(name) == value for name, value in others.items()):
            found.append(values[parameter])
    return found


class Results:
    """The results of the given cases: `check(case)` fails the test if that case failed."""

    def __init__(self, program, *arguments, timeout=600):
        self.command = [str(program), *map(str, arguments)]
        self.timeout = timeout
        self.output = {}
        self.passed = {}
        self.unsupported = False

    def run(self, cases):
        """Run the cases, in as many processes as they take."""
        rest = list(cases)
        while rest:
            done = subprocess.run(
                [*self.command, *rest],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                timeout=self.timeout,
                check=False,
            )
            if "unsupported" in done.stdout.splitlines():  # ggml may have said why before it
                self.unsupported = True
                return
            started = self._read(done.stdout)
            if not started:
                raise RuntimeError(f"no case was run, status {done.returncode}:\n{done.stdout[-2000:]}")
            last = started[-1]
            if not re.search(rf"^(ok  |FAIL) {re.escape(last)} \(", self.output[last], re.MULTILINE):
                self.output[last] += f"\nthe program ended here, with status {done.returncode}"
            rest = [case for case in rest if case not in self.output]

    def _read(self, text):
        """Take the results out of the program's output; return the cases that it began."""
        parts = re.split(r"^run  (.+)\n", text, flags=re.MULTILINE)[1:]
        for case, output in zip(parts[::2], parts[1::2]):
            self.output[case] = output
            self.passed[case] = re.search(rf"^ok   {re.escape(case)} \(", output, re.MULTILINE) is not None
        return parts[::2]

    def check(self, case):
        if not self.passed[case]:
            pytest.fail(f"{' '.join(self.command)} {case}\n{self.output[case]}", pytrace=False)
        return self.output[case]
