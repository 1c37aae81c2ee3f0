"""A model's file that becomes shorter while it is mapped: errors of loading and of runs, never a signal."""

import shutil
import signal
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the guard")

AFTER_LOAD = """
import os, sys
from luup_agent import Agent, InferenceError, Model

path, whole, size, use_mmap = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "mapped"
model = Model.from_local(path, threads=2, context_size=512, use_mmap=use_mmap)
agent = Agent(model, temperature=0, max_tokens=8)
before = agent.generate("What is the capital of France?")
os.truncate(path, size)
agent.clear_history()
for question in ("What is the capital of France?", "Name three colours, and an animal."):
    try:
        print("answer", agent.generate(question) == before)
    except InferenceError as error:
        assert path in str(error) and "load the model again" in str(error), error
        assert agent.get_history() == [] or agent.get_history()[-1]["role"] == "assistant"
        print("lost")
with open(path, "r+b") as file, open(whole, "rb") as source:
    file.write(source.read())  # the same inode
with Model.from_local(path, threads=2, context_size=512) as again:
    assert Agent(again, temperature=0, max_tokens=8).generate("What is the capital of France?") == before
model.close()
print("alive")
"""

WHILE_LOADING = """
import os, sys
from luup_agent import Model, ModelLoadError

path = sys.argv[1]
def shorten(done):
    if done > 0.3:
        os.truncate(path, 8192)
    return True

try:
    Model.from_local(path, threads=2, context_size=512, on_progress=shorten)
    print("loaded")
except ModelLoadError as error:
    assert path in str(error), error
    print("refused")
print("alive")
"""

NOT_OURS = """
import mmap, os, sys
from luup_agent import Model

model = Model.from_local(sys.argv[1], threads=1, context_size=512)
with open(sys.argv[2], "w+b") as file:
    file.truncate(1 << 16)
    mapped = mmap.mmap(file.fileno(), 1 << 16)
    file.truncate(0)
print(mapped[40000])
"""


@pytest.fixture
def copy(model_path, tmp_path):
    return shutil.copy(model_path, tmp_path / "model.gguf")


@pytest.mark.parametrize("variant", ["best", "x64"])
@pytest.mark.parametrize("size", [4096, *(pytest.param(size, marks=pytest.mark.gate) for size in (0, 20_000_000))])
def test_a_run_ends_with_an_error(size, variant, copy, model_path, child, monkeypatch):
    if variant != "best":
        monkeypatch.setenv("LUUP_CPU_VARIANT", variant)
    result = child(AFTER_LOAD, copy, model_path, size, "mapped")
    assert result.returncode == 0, result.stderr[-2000:]
    *runs, last = result.stdout.splitlines()
    assert last == "alive"
    if variant == "x64" and size < 10_000:
        assert runs == ["lost", "lost"]  # ggml's own kernels read the weights where they are mapped
    else:  # those of the other variants read most weights from a layout of their own
        assert runs[0] in ("lost", "answer True")
        assert runs[1] in ("lost", "answer False")


def test_a_model_that_is_not_mapped_goes_on(copy, model_path, child):
    result = child(AFTER_LOAD, copy, model_path, 0, "read")
    assert result.stdout.split() == ["answer", "True", "answer", "False", "alive"], result.stderr[-2000:]


def test_loading_ends_with_an_error(copy, child):
    result = child(WHILE_LOADING, copy)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split()[-1] == "alive"
    assert result.stdout.split()[0] == "refused"


def test_other_files_are_not_concerned(model_path, tmp_path, child):
    """A program's own mapping still raises the signal, as it would without this library."""
    result = child(NOT_OURS, model_path, tmp_path / "other")
    assert result.returncode == -signal.SIGBUS


OVERWRITTEN = """
import os, sys, time
from luup_agent import Agent, Embedder, InferenceError, Model

path, kind = sys.argv[1], sys.argv[2]
question = "What is the capital of France?"


def overwrite():
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(size // 2)
        file.write(os.urandom(size // 3))


def expect_error(do):
    try:
        print("answered", repr(do()))
    except InferenceError as error:
        assert path in str(error) and "was changed while it was in use" in str(error), error
        assert "load the model again" in str(error), error
        print("refused")


if kind == "embedder":
    embedder = Embedder.from_local(path, threads=1, pooling="last", weights_cache=False)
    embedder.embed(["a text"])
    overwrite()
    expect_error(lambda: embedder.embed(["a text"]))
else:
    model = Model.from_local(path, threads=1, context_size=512, use_mmap=kind != "read", weights_cache=False)
    agent = Agent(model, temperature=0, max_tokens=8)
    before = agent.generate(question)
    agent.clear_history()
    if kind == "between runs":
        overwrite()
        expect_error(lambda: agent.generate(question))
        expect_error(lambda: agent.generate(question))
        assert agent.get_history() == []
    elif kind == "during a run":

        def read():
            stream = agent.generate_stream("Write a long story about a dog and a cat.", max_tokens=300)
            next(stream)
            overwrite()
            return "".join(stream)

        expect_error(read)
    elif kind == "replaced":
        with open(path + ".new", "wb") as file:
            file.write(b"another file")
        os.replace(path + ".new", path)
        assert agent.generate(question) == before
        print("answered")
    elif kind == "read":
        overwrite()
        assert agent.generate(question) == before
        print("answered")
    elif kind == "unloaded":
        content = open(path, "rb").read()
        overwrite()
        expect_error(lambda: agent.generate(question))
        with open(path, "r+b") as file:
            file.write(content)
        model.unload()
        assert agent.generate(question) == before
"""


@pytest.mark.parametrize("kind", ["between runs", "during a run", "unloaded", "embedder"])
def test_a_file_that_is_overwritten_in_place_ends_runs(kind, copy, child):
    result = child(OVERWRITTEN, copy, kind)
    assert result.returncode == 0, result.stderr[-2000:]
    assert set(result.stdout.split("\n")) == {"refused", ""}, result.stdout


@pytest.mark.parametrize("kind", ["replaced", "read"])
def test_a_file_that_is_replaced_or_not_mapped_changes_nothing(kind, copy, child):
    result = child(OVERWRITTEN, copy, kind)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout == "answered\n"
