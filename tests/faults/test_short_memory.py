"""Models in a process whose memory ends between too little and enough: a typed error or an answer, never a signal."""

import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS as on Linux")

USE = """
import resource, sys
from luup_agent import Agent, Model, OutOfMemoryError

path, way, megabytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
Model.estimate(path)  # loads the backends
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20),) * 2)
try:
    if way == "estimate":
        Model.estimate(path, context_size=2048)
    else:
        with Model.from_local(path, threads=3, context_size=2048, use_mmap=way == "mapped") as model:
            Agent(model, max_tokens=3).generate("hi " * 100)
    print("answer")
except (OutOfMemoryError, MemoryError):
    print("out of memory")
"""


@pytest.mark.gate
@pytest.mark.parametrize("way", ["estimate", "read", "mapped"])
def test_memory_ends_anywhere(child, tiny_path, way):
    outcomes = {}
    for megabytes in (0, 1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 400, 800):
        result = child(USE, tiny_path, way, megabytes)
        outcomes[megabytes] = result.stdout.strip() if result.returncode == 0 else result.stderr[-400:]
        assert result.returncode == 0, f"{megabytes} MB: {result.returncode}: {result.stderr[-1000:]}"
    assert set(outcomes.values()) == {"answer", "out of memory"}, outcomes
    assert outcomes[0] == "out of memory"
    assert outcomes[800] == "answer"
