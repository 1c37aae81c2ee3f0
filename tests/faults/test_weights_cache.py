"""The file of weights in the kernels' layout: shared by processes, made again when it is damaged, never in the way."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from luup_agent import Agent, Embedder, InvalidParamError, Model, cpu_variant

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="weights are kept on Linux only")

QUESTION = "What is the capital of France?"


@pytest.fixture(autouse=True)
def kernels(model_path):
    if cpu_variant().name in ("x64", "sse42"):
        pytest.skip("this CPU variant reads weights as they are in the model's file")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "weights"


def load(path, folder, **options):
    return Model.from_local(path, threads=1, context_size=512, weights_cache=folder, **options)


def answer(model):
    return Agent(model, temperature=0, max_tokens=12).generate(QUESTION)


def weights(folder):
    return [path for path in folder.iterdir() if path.suffix == ".weights"]


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.suffix in (".part", ".lock")]


@pytest.fixture(scope="module")
def expected(model_path):
    """Its answer without a file of weights."""
    with load(model_path, False) as model:
        info = model.get_info()
        assert (info.weights_found, info.weights_made) == (0, 0)
        return answer(model)


def test_the_second_load_maps_what_the_first_one_made(model_path, folder, expected):
    with load(model_path, folder) as first, load(model_path, folder) as second:
        made, found = first.get_info(), second.get_info()
        assert made.weights_made == found.weights_found > 50_000_000
        assert made.weights_found == found.weights_made == 0
        assert answer(first) == answer(second) == expected
        second.unload()
        assert answer(second) == expected  # loaded again
    (path,) = weights(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert leftovers(folder) == []


@pytest.mark.gate
def test_a_copy_of_the_model_has_the_same_weights(model_path, folder, tmp_path):
    copy = shutil.copy(model_path, tmp_path / "copy.gguf")
    load(model_path, folder).close()
    time.sleep(2.5)  # a file that was written this moment is not trusted to stay the same
    with load(copy, folder) as model:
        assert model.get_info().weights_found > 0
    assert len(weights(folder)) == 1


def test_other_weights_have_a_file_of_their_own(model_path, folder, tmp_path, expected):
    copy = tmp_path / "copy.gguf"
    shutil.copy(model_path, copy)
    load(model_path, folder).close()
    with open(copy, "r+b") as file:  # somewhere in the middle, where its name would not tell
        file.seek(60_000_000)
        file.write(os.urandom(2_000_000))
    time.sleep(2.5)
    with load(copy, folder) as model:
        assert model.get_info().weights_made > 0
    assert len(weights(folder)) == 2
    with load(model_path, folder) as model:
        assert answer(model) == expected


@pytest.mark.gate
def test_it_is_off_where_it_would_be_wrong(model_path, folder):
    for options in ({"use_mmap": False}, {"use_mlock": True}):
        with load(model_path, folder, **options) as model:
            assert model.get_info().weights_made == 0
    assert weights(folder) == []


def test_the_environment_chooses_the_folder(model_path, tmp_path, monkeypatch):
    def made(value):
        monkeypatch.setenv("LUUP_WEIGHTS_CACHE", value)
        with Model.from_local(model_path, threads=1, context_size=512) as model:
            info = model.get_info()
            return info.weights_found + info.weights_made > 0

    monkeypatch.setenv("LUUP_CACHE_DIR", str(tmp_path / "cache"))
    assert not made("0")
    assert not made("OFF")
    assert not (tmp_path / "cache").exists()
    assert made(str(tmp_path / "mine"))
    assert len(weights(tmp_path / "mine")) == 1
    assert made("1")
    assert len(weights(tmp_path / "cache" / "weights")) == 1
    monkeypatch.setenv("LUUP_WEIGHTS_CACHE_GB", "0.01")
    shutil.rmtree(str(tmp_path / "cache"))
    assert not made("1")
    monkeypatch.setenv("LUUP_WEIGHTS_CACHE_GB", "much")
    with pytest.raises(InvalidParamError, match="LUUP_WEIGHTS_CACHE_GB must be a number of gigabytes"):
        made("1")


@pytest.mark.parametrize("value", [3, b"folder"])
def test_other_values_are_refused(model_path, value):
    with pytest.raises(InvalidParamError, match="weights_cache must be a bool or a path"):
        load(model_path, value)


def test_a_folder_that_can_not_be_made_is_no_error(model_path, tmp_path, expected):
    (tmp_path / "file").write_text("")
    with load(model_path, tmp_path / "file" / "weights") as model:
        assert model.get_info().weights_made == 0
        assert answer(model) == expected


MANY = """
import sys
from luup_agent import Agent, Model

with Model.from_local(sys.argv[1], threads=1, context_size=512, weights_cache=sys.argv[2]) as model:
    info = model.get_info()
    text = Agent(model, temperature=0, max_tokens=12).generate("What is the capital of France?")
    print("ready", info.weights_found, info.weights_made, text.replace("\\n", " "), flush=True)
    sys.stdin.readline()
"""


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def private(pid):
    """Bytes of memory that a process shares with no other."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        text = file.read()
    return sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.MULTILINE)) * 1024


def test_processes_that_begin_at_once_make_one_file_and_share_it(model_path, folder, expected):
    processes = [start(MANY, model_path, folder) for _ in range(3)]
    try:
        lines = [process.stdout.readline().split(" ", 3) for process in processes]
        assert [line[0] for line in lines] == ["ready"] * 3
        found, made = ([int(line[column]) for line in lines] for column in (1, 2))
        assert sorted(number > 0 for number in made) == [False, False, True]
        assert sorted(number > 0 for number in found) == [False, True, True]
        assert {line[3].strip() for line in lines} == {expected.replace("\n", " ").strip()}
        size = max(made)
        assert all(private(process.pid) < size for process in processes)  # of which the weights alone would be all
    finally:
        for process in processes:
            process.communicate("\n", timeout=60)
    assert len(weights(folder)) == 1
    assert leftovers(folder) == []


def test_a_killed_process_leaves_nothing_that_stays(model_path, folder, expected):
    process = start(MANY, model_path, folder)
    deadline = time.monotonic() + 120
    while not (folder.exists() and any(folder.glob(".luup-*.part"))) and process.poll() is None:
        if time.monotonic() > deadline or (folder.exists() and weights(folder)):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with load(model_path, folder) as model:
        assert answer(model) == expected
    assert len(weights(folder)) == 1
    assert list(folder.glob(".luup-*.part")) == []


TRUNCATED = """
import os, pathlib, sys
from luup_agent import Agent, InferenceError, Model

path, folder = sys.argv[1], pathlib.Path(sys.argv[2])
model = Model.from_local(path, threads=2, context_size=512, weights_cache=folder)
before = Agent(model, temperature=0, max_tokens=8).generate("What is the capital of France?")
(file,) = folder.glob("*.weights")
os.truncate(file, int(sys.argv[3]))
try:
    Agent(model, temperature=0, max_tokens=8).generate("Name three colours.")
except InferenceError as error:
    assert file.name in str(error) and "load the model again" in str(error), error
    print("lost")
with Model.from_local(path, threads=2, context_size=512, weights_cache=folder) as again:
    assert again.get_info().weights_made > 0
    assert Agent(again, temperature=0, max_tokens=8).generate("What is the capital of France?") == before
print("alive")
"""


@pytest.mark.parametrize("size", [pytest.param(0, marks=pytest.mark.gate), 30_000_000])
def test_a_file_that_is_cut_while_it_is_used_ends_runs_and_no_process(model_path, folder, size, child):
    result = child(TRUNCATED, model_path, folder, size)
    assert result.stdout.split() == ["lost", "alive"], result.stderr[-2000:]


def test_a_damaged_file_is_made_again(model_path, folder, expected):
    load(model_path, folder).close()
    (path,) = weights(folder)
    with open(path, "r+b") as file:
        file.seek(40_000_000)
        file.write(b"damage")
    with load(model_path, folder) as model:
        assert model.get_info().weights_made > 0
        assert answer(model) == expected


@pytest.mark.gate
def test_a_stopped_load_leaves_no_file(model_path, folder):
    class Stop(Exception):
        pass

    def stop(done):
        if done > 0.5:
            raise Stop

    with pytest.raises(Stop):
        load(model_path, folder, on_progress=stop)
    assert weights(folder) == []
    with load(model_path, folder) as model:
        assert model.get_info().weights_made > 0


def test_embedders_have_it_too(model_path, folder):
    def vector():
        with Embedder.from_local(model_path, threads=1, pooling="last", weights_cache=folder) as embedder:
            return list(embedder.embed(["a text"])[0])

    first = vector()
    assert len(weights(folder)) == 1
    assert vector() == first
