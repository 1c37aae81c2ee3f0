"""Files beside a model, of a draft model, of a projector and of the weights cache, that are of another kind or
damaged."""

import os
import re
import shutil
import sys

import pytest
from support.tried import try_cases

from luup_agent import Agent, Model, cpu_variant

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="FIFOs, and the weights cache")

PRELUDE = """
import os, shutil, sys
from luup_agent import Agent, Image, Model
from support import pictures

model, projector, folder = sys.argv[3:]


def path(name):
    return os.path.join(folder, name)


def load(**options):
    with Model.from_local(model, threads=1, context_size=512, **options) as loaded:
        return bool(loaded.get_info().sees), len(Agent(loaded, temperature=0, max_tokens=6).generate("x")) >= 0


def cut_draft():
    shutil.copy(model, path("copy"))
    with Model.from_local(model, draft=path("copy"), threads=1, context_size=512) as loaded:
        os.truncate(path("copy"), 1000)
        return type(Agent(loaded, temperature=0, max_tokens=20).generate("x"))


def cut_projector():
    shutil.copy(projector, path("copy"))
    with Model.from_local(model, mmproj=path("copy"), threads=1, context_size=512) as loaded:
        os.truncate(path("copy"), 1000)
        return type(Agent(loaded, temperature=0, max_tokens=3).generate([Image(pictures.png()), "x"]))
"""
WRONG = {
    "path('fifo')": "ModelLoadError .*not a regular file",
    "path('.')": "ModelLoadError .*is a directory",
    "path('cut')": "ModelLoadError .*cut",
    "path('empty')": "ModelLoadError .*too short",
    "'/dev/zero'": "ModelLoadError .*not a regular file",
    "'/nowhere'": "ModelNotFoundError .*no .*file.*/nowhere",
    "'x' * 5000": "ModelNotFoundError|ModelLoadError",
    "''": "InvalidParamError {} must",
    "'a\\0b'": "InvalidParamError {} (must|has a NUL)",
    "3": "InvalidParamError {} must be a",
}
CASES = {
    **{f"load({kind}={value})": end.format(kind) for kind in ("draft", "mmproj") for value, end in WRONG.items()},
    "load(draft=model)": r"ok \(False, True\)",
    "load(draft=projector)": "ModelLoadError the draft model: ",
    "load(draft=model, keep_alive=0)": r"ok \(False, True\)",
    "load(draft=None, mmproj=False)": r"ok \(False, True\)",
    "load(mmproj=projector, draft=model)": r"ok \(True, True\)|UnsupportedError|InvalidParamError",
    "load(mmproj=model)": "ModelLoadError .*is not a projector",
    "load(mmproj=0)": "InvalidParamError mmproj must be a str or os.PathLike, not int",
    "cut_draft()": "ok <class 'str'>|InferenceError",
    "cut_projector()": "ok <class 'str'>|InferenceError",
}


@pytest.fixture(scope="module")
def ends(tiny_path, tmp_path_factory):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    from support import projectors, random_model

    folder = tmp_path_factory.mktemp("companions")
    projectors.write(gguf, numpy, folder / "mmproj.gguf", random_model.WIDTH, "mlp", scale=4.0)
    (folder / "cut").write_bytes(tiny_path.read_bytes()[:200_000])
    (folder / "empty").write_bytes(b"")
    os.mkfifo(folder / "fifo")
    found = try_cases(PRELUDE, list(CASES), tiny_path, folder / "mmproj.gguf", folder, seconds=100)
    return dict(zip(CASES, found))


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file_is_named(ends, case):
    assert re.match(CASES[case], ends[case], re.DOTALL), ends[case]


# -- the weights cache -------------------------------------------------------------------------------------------------


def fifo(path):
    path.unlink()
    os.mkfifo(path, 0o600)


def link(target):
    def make(path):
        path.unlink()
        path.symlink_to(target or path)

    return make


def rewritten(change):
    def make(path):
        path.write_bytes(change(path.read_bytes()))

    return make


def full_folder(path):
    path.unlink()
    (path / "inside").mkdir(parents=True)


DAMAGE = {
    "a FIFO": fifo,
    "a folder": full_folder,
    "a link to a device": link("/dev/zero"),
    "a link to itself": link(None),
    "readable by others": lambda path: path.chmod(0o644),
    "empty": rewritten(lambda content: b""),
    "a byte less": rewritten(lambda content: content[:-1]),
    "a byte more": rewritten(lambda content: content + b"x"),
    "without its middle": rewritten(lambda content: content[:100] + content[-56:]),
    "a FIFO in the place of its lock": lambda path: (path.unlink(), os.mkfifo(path.with_suffix(".lock"), 0o600)),
    "a folder in the place of its lock": lambda path: (path.unlink(), path.with_suffix(".lock").mkdir()),
    "a device in the place of its mark": lambda path: path.with_suffix(".checked").symlink_to("/dev/zero"),
    "a folder without rights": lambda path: path.parent.chmod(0o500),
}
KEPT = ("a folder", "a folder in the place of its lock")  # nothing is stored then


@pytest.fixture(scope="module")
def weights(model_path, tmp_path_factory):
    """A cache with the weights of the real model, and the model's answer."""
    if cpu_variant().name in ("x64", "sse42"):
        pytest.skip("this CPU variant reads weights as they are in the model's file")
    folder = tmp_path_factory.mktemp("weights") / "cache"
    return folder, answer_of(model_path, folder)[0]


def answer_of(path, folder):
    with Model.from_local(path, threads=1, context_size=512, weights_cache=folder) as model:
        info = model.get_info()
        text = Agent(model, temperature=0, max_tokens=8).generate("What is the capital of France?")
        return text, info.weights_found + info.weights_made > 0


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("a FIFO", "a byte less") else pytest.mark.gate) for name in DAMAGE]
)
def test_whatever_is_in_the_cache_the_answer_is_the_same(model_path, weights, tmp_path, name):
    folder = tmp_path / "cache"
    shutil.copytree(weights[0], folder)
    folder.chmod(0o700)
    (path,) = folder.glob("*.weights")
    for mark in folder.glob("*.checked"):
        mark.unlink()
    DAMAGE[name](path)
    try:
        text, stored = answer_of(model_path, folder)
    finally:
        folder.chmod(0o700)
    assert text == weights[1]
    assert stored or name in KEPT or os.geteuid() != 0
