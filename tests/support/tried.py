"""Small cases in a child process, so that a signal or an endless loop of one is seen and named."""

import ast
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

_RUN = """
import faulthandler, json, sys, time
faulthandler.enable()
from luup_agent import LuupError
{prelude}
for number, source in enumerate(json.loads(open(sys.argv[1], encoding="utf-8").read())):
    if number < int(sys.argv[2]):
        continue
    print("begin", number, flush=True)
    faulthandler.dump_traceback_later({seconds}, exit=True)
    try:
        value = eval(source)
        end = "ok " + repr(value)
    except LuupError as error:
        end = f"{{type(error).__name__}} {{error}}"
    except BaseException as error:
        end = f"raised {{type(error).__name__}} {{error}}"
    faulthandler.cancel_dump_traceback_later()
    print("end", number, ascii(end), flush=True)
"""


def try_cases(prelude, sources, *arguments, seconds=30):
    """Evaluate expressions after `prelude`, and return how each ended, in a list.

    An end is ``"ok …"`` with the value, ``"SomeError …"`` for an error of this package, ``"raised …"`` for another one,
    and ``"died …"`` with what the process wrote before a signal ended it, or before `seconds` had passed. The
    `arguments` are in `sys.argv[3:]`.
    """
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "cases.json"
        listed.write_text(json.dumps(sources), encoding="utf-8")
        program = _RUN.format(prelude=textwrap.dedent(prelude), seconds=seconds)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        while len(ends) < len(sources):
            done = subprocess.run(
                [sys.executable, "-c", program, str(listed), str(len(ends)), *map(str, arguments)],
                stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", env=environment,
                timeout=60 + seconds * len(sources),
            )  # fmt: skip
            before = len(ends)
            for line in done.stdout.splitlines():
                word, _, rest = line.partition(" ")
                if word == "end":
                    ends.append(ast.literal_eval(rest.partition(" ")[2]))
            if len(ends) < len(sources):
                assert done.stdout.count("begin ") > len(ends) - before, done.stderr[-3000:]  # the prelude failed
                ends.append(f"died {done.returncode} {done.stderr[-3000:]}")
    return ends
