"""Paths that no file can have, wherever one is taken: typed errors that name the value."""

import os
import stat
import sys

import pytest

from luup_agent import Agent, InvalidParamError, LuupError, Model, ModelLoadError, ModelNotFoundError, StorageError
from luup_agent.testing import CassetteError, RecordedModel, ScriptedModel

NO_PATHS = {
    "nul": "a\0b",
    "surrogate": "a\udc80b",
    "lone surrogate": "a\ud800b",
    "int": 3,
    "bytes": b"a",
    "float": 1.5,
    "list": ["a"],
}
IMPOSSIBLE = {
    "long name": "n" * 300,
    "long path": "x/" * 3000 + "y",
    "long folder": "f" * 300 + "/y",
    "below a file": "file/y",
    "no such user": "~nobody-of-that-name/" + "n" * 300,
}


class PathOf:
    def __init__(self, value):
        self.value = value

    def __fspath__(self):
        return self.value


@pytest.fixture
def uses(tmp_path, monkeypatch):
    """The functions that take a path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    agent = Agent(ScriptedModel(["ok"]))
    return {
        "from_local": Model.from_local,
        "estimate": Model.estimate,
        "save": agent.save,
        "load": lambda path: Agent.load(path, agent.model),
        "todo": agent.enable_builtin_todo,
        "notes": agent.enable_builtin_notes,
        "once": lambda path: RecordedModel(path, ScriptedModel(["ok"])),
        "all": lambda path: RecordedModel(path, ScriptedModel(["ok"]), mode="all"),
        "none": lambda path: RecordedModel(path, mode="none"),
    }


@pytest.mark.parametrize("name", NO_PATHS)
def test_what_is_not_a_path(name, uses):
    for use in uses.values():
        with pytest.raises(InvalidParamError, match="path"):
            use(NO_PATHS[name])
        if isinstance(NO_PATHS[name], str):
            with pytest.raises(InvalidParamError, match="path"):
                use(PathOf(NO_PATHS[name]))


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_where_no_file_can_be(name, uses):
    path = IMPOSSIBLE[name]
    for key, use in uses.items():
        with pytest.raises((StorageError, ModelNotFoundError, ModelLoadError, CassetteError)) as failure:
            use(path)
        assert path[:20] in str(failure.value), key
        assert isinstance(failure.value, LuupError) or key == "none"


def test_empty_paths(uses):
    for use in uses.values():
        with pytest.raises((InvalidParamError, StorageError, ModelNotFoundError)):
            use("")


def test_a_prefix_cache_must_be_named(tiny_path):
    for path in ("", *(NO_PATHS[name] for name in ("nul", "surrogate", "int"))):
        with pytest.raises(InvalidParamError, match="prefix_cache"):
            Model.from_local(tiny_path, prefix_cache=path)


def test_a_relative_prefix_cache_stays_where_it_was(tiny_path, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with Model.from_local(tiny_path, threads=1, prefix_cache="prefixes") as model:
        monkeypatch.chdir(tmp_path / "elsewhere")
        Agent(model, "You are a careful assistant. " * 40).run("Hi", max_tokens=1)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(list((tmp_path / "prefixes").iterdir())) > 0


def test_a_relative_cassette_stays_where_it_was(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with RecordedModel("tape.json", ScriptedModel(["ok"])) as recorded:
        monkeypatch.chdir(tmp_path / "elsewhere")
        Agent(recorded).generate("Hi")
    assert (tmp_path / "tape.json").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


# ---------------------------------------------------------------------------------------------------------------------
# Cassettes that can't be written
# ---------------------------------------------------------------------------------------------------------------------

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs, modes and devices")


@needs_posix
@pytest.mark.parametrize("place", ["/dev/full", "/dev/null", "fifo", "folder", "link"])
def test_only_regular_files_are_cassettes(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    os.mkdir("folder")
    os.symlink("/dev/full", "link")
    before = os.lstat(place)
    for mode in ("once", "all"):
        with pytest.raises(StorageError, match="can't be written"):
            RecordedModel(place, ScriptedModel(["ok"]), mode=mode)
    with pytest.raises(CassetteError, match="can't be read"):
        RecordedModel(place, mode="none")
    after = os.lstat(place)
    assert (before.st_mode, before.st_ino) == (after.st_mode, after.st_ino)


@needs_posix
@pytest.mark.parametrize("place", ["/dev/full", "file that may not grow", "no folder"])
def test_a_cassette_that_becomes_impossible_keeps_the_earlier_file(place, tmp_path, child):
    source = """
    import os, resource, signal, sys
    from luup_agent import Agent, StorageError
    from luup_agent.testing import RecordedModel, ScriptedModel
    path, place = sys.argv[1:]
    agent = Agent(RecordedModel(path, ScriptedModel(["one", "two", "x" * 5000, "four"])), enable_history=False)
    agent.generate("First")
    before = open(path).read()
    if place == "/dev/full":
        os.rename(path, path + ".old")
        os.symlink(place, path)
    elif place == "no folder":
        os.rename(os.path.dirname(path), os.path.dirname(path) + "-old")
        open(os.path.dirname(path), "w").close()
    else:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, len(before) + 100))
    try:
        agent.generate("Second")
        print("not raised")
    except StorageError as error:
        print("cassette" in str(error), path in str(error))
    if place == "/dev/full":
        assert open(path + ".old").read() == before and os.path.islink(path)
    elif place == "no folder":
        assert open(os.path.dirname(path) + "-old/tape.json").read() == before
    else:
        assert open(path).read() == before
        assert os.listdir(os.path.dirname(path)) == ["tape.json"]
    """
    folder = tmp_path / "folder"
    folder.mkdir()
    result = child(source, folder / "tape.json", place)
    assert (result.stdout, result.returncode) == ("True True\n", 0), result.stderr


@needs_posix
def test_a_cassette_is_for_its_owner_and_keeps_its_mode(tmp_path):
    path = tmp_path / "tape.json"
    agent = Agent(RecordedModel(path, ScriptedModel(["one", "two"])))
    agent.generate("First")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    left = tmp_path / ".luup-1-1.part"  # of a process that was killed
    left.write_bytes(b"")
    agent.generate("Second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_lone_surrogate_of_a_server_is_recorded(tmp_path):
    path = tmp_path / "tape.json"
    asked = Agent(RecordedModel(path, ScriptedModel(["a\ud83d b"])), enable_history=False).generate("Hi")
    assert Agent(RecordedModel(path, mode="none"), enable_history=False).generate("Hi") == asked
