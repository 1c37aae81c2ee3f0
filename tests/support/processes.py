"""Functions of a test module in processes of their own, all at once."""

import json
import os
import subprocess
import sys

_RUN = """
import json, runpy, sys
file, name, arguments = json.loads(sys.argv[1])
print(json.dumps(runpy.run_path(file)[name](*arguments)))
"""


def run_in_processes(function, calls):
    """Return what `function`, of the top level of a module, returns for each of `calls`, which are JSON values.

    multiprocessing would do the same, but its processes have waited for ever on Python 3.8.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _RUN, json.dumps([function.__code__.co_filename, function.__name__, call])],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment,
        )
        for call in calls
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs):
        assert process.returncode == 0, errors
    return [json.loads(output) for output, _ in outputs]
