"""The files of built-in tools survive concurrent writers, killed processes and full disks."""

import json
import random
import subprocess
import sys
import time

import pytest

ADD = """
import sys, threading
from luup_agent import Agent, Model
model, path, threads, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with Model.from_local(model, threads=1, context_size=256) as loaded:
    def add(number):
        agent = Agent(loaded)
        agent.enable_builtin_todo(path)
        for i in range(count):
            line = f"{agent.todos.add(f'{number}-{i}').id}\\n"
            sys.stdout.write(line)  # print() writes twice: another thread's line may come between
            sys.stdout.flush()
    workers = [threading.Thread(target=add, args=(n,)) for n in range(threads)]
    print("ready", flush=True)
    for worker in workers: worker.start()
    for worker in workers: worker.join()
"""


def begin(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", ADD, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_eight_writers_lose_nothing(tiny_path, tmp_path):
    path = tmp_path / "todo.json"
    writers = [begin(tiny_path, path, 2, 100) for _ in range(4)]
    ids = []
    for writer in writers:
        output, errors = writer.communicate(timeout=300)
        assert (writer.returncode, errors) == (0, "")
        ids += [int(line) for line in output.split()[1:]]
    assert sorted(ids) == list(range(1, 801))
    todos = json.loads(path.read_text())["todos"]
    assert [todo["id"] for todo in todos] == list(range(1, 801))
    assert len({todo["text"] for todo in todos}) == 200  # 2 threads' numbers, 100 of each, from every process


@pytest.mark.slow
@pytest.mark.gate
def test_kills_leave_the_old_file_or_the_new_one(tiny_path, tmp_path):
    path = tmp_path / "todo.json"
    rng = random.Random(7)
    told = 0
    for _ in range(12):
        writer = begin(tiny_path, path, 1, 100_000)
        assert writer.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.25))
        writer.kill()
        output, _errors = writer.communicate(timeout=60)
        told = max([told, *(int(line) for line in output.split("\n")[:-1])])
        if path.exists():
            content = json.loads(path.read_text())  # whole
            ids = [todo["id"] for todo in content["todos"]]
            assert ids == list(range(1, content["next_id"]))
            assert told <= ids[-1]
    assert told > 10
    again = begin(tiny_path, path, 1, 1)  # neither the lock nor what is left over is in the way
    output, errors = again.communicate(timeout=60)
    assert (again.returncode, errors) == (0, "")
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == ["todo.json", "todo.json.lock"]


FILL = """
import json, os, pathlib, sys
from luup_agent import Agent, Model, StorageError
model, path = sys.argv[1], pathlib.Path(sys.argv[2])
{prepare}
with Model.from_local(model, threads=1, context_size=256) as loaded:
    agent = Agent(loaded)
    agent.enable_builtin_notes(path)
    {limit}
    written = 0
    try:
        while True:
            before = path.read_bytes() if written else b""
            agent.notes.create("x" * 1000)
            written += 1
    except StorageError as error:
        assert "notes.json" in str(error), error
        print(error)
    assert written > 2
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["notes.json", "notes.json.lock"]
    assert len(agent.notes.list()) == written
    assert agent.notes.delete(1).id == 1  # makes room
    assert agent.notes.create("short").id > written
"""


def test_a_file_that_may_not_grow_stays_the_old_one(child, tiny_path, tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))"
    result = child(FILL.format(prepare="", limit=limit), tiny_path, tmp_path / "notes.json")
    assert result.returncode == 0, result.stderr
    assert "File too large" in result.stdout


def test_a_full_disk_keeps_the_old_file(child, tiny_path, tmp_path):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small disk can't be mounted here")
    prepare = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "assert libc.unshare(0x00020000) == 0 and libc.mount(b'none', b'/', None, 0x4000 | 0x40000, None) == 0\n"
        "assert libc.mount(b'tmpfs', str(path.parent).encode(), b'tmpfs', 0, b'size=64k') == 0"
    )
    result = child(FILL.format(prepare=prepare, limit=""), tiny_path, tmp_path / "notes.json")
    assert result.returncode == 0, result.stderr
    assert "No space left" in result.stdout


@pytest.mark.gate
def test_a_lock_that_is_held_is_told_of_in_the_end(child, tiny_path, tmp_path):
    source = """
    import fcntl, sys, time
    from luup_agent import Agent, Model, StorageError
    with Model.from_local(sys.argv[1], threads=1, context_size=256) as loaded:
        agent = Agent(loaded)
        agent.enable_builtin_todo(sys.argv[2])
        with open(sys.argv[2] + ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert agent.todos.list() == []  # reading needs no lock
            begin = time.monotonic()
            try:
                agent.todos.add("x")
            except StorageError as error:
                print(error, 15 < time.monotonic() - begin < 60)
        print(agent.todos.add("x").id)
    """
    result = child(source, tiny_path, tmp_path / "todo.json")
    assert result.returncode == 0, result.stderr
    assert "another process or thread holds it True" in result.stdout
    assert result.stdout.endswith("1\n")
