"""Downloads from a real HTTP endpoint that speaks the hub's API, by a real huggingface_hub."""

import asyncio
import concurrent.futures
import hashlib
import logging
import os

import pytest
from support import http_server
from support import hub_server as answers
from support.hub_server import TOKEN

from luup_agent import HTTPError, InvalidParamError, Model, ModelNotFoundError, StorageError, hub
from luup_agent._hub import transfer
from luup_agent._hub.client import Client

pytestmark = pytest.mark.processes

REPOSITORY = "owner/tiny-GGUF"
README = b"# Tiny\n"


@pytest.fixture
def big():
    """A file that takes several blocks; only its hash and its bytes matter."""
    return b"GGUF" + os.urandom(3_000_000)


def has(path, content):
    """Return whether a file has this content, without pytest's comparison of millions of bytes if not."""
    return path.read_bytes() == content


def snapshots(home):
    """Return the files in the cache by their names, and the unfinished ones."""
    root = home / "hf" / "hub"
    files = [path for path in root.rglob("*") if path.is_file() and "snapshots" in path.parts]
    return sorted(path.name for path in files), sorted(path.name for path in root.rglob("*.incomplete"))


def blobs(home):
    return sorted(path for path in (home / "hf" / "hub").rglob("blobs/*") if path.is_file())


def test_a_model_is_loaded_by_repository_and_quantization(hub_server, tiny):
    hub_server.add(REPOSITORY, {"README.md": README, "tiny-Q4_K_M.gguf": tiny, "tiny-Q8_0.gguf": b"GGUF"})
    seen = []
    with Model.from_hub(
        REPOSITORY, "q4_k_m", context_size=512, threads=1, on_download=lambda *each: seen.append(each)
    ) as model:
        assert model.get_info().context_size == 512
        assert model.get_info().path.endswith("tiny-Q4_K_M.gguf")
    assert seen[-1] == (len(tiny), len(tiny))
    assert seen == sorted(seen)
    assert all(asked.token is None for asked in hub_server.bytes)


def test_the_name_is_accepted_wherever_a_model_is_named(hub_server, tiny):
    from luup_agent import catalog

    hub_server.add(REPOSITORY, {"tiny-Q4_K_M.gguf": tiny})
    name = f"hf:{REPOSITORY}:Q4_K_M"
    path = catalog.resolve(name)
    assert path.read_bytes() == tiny
    assert catalog.download(name) == hub.find(name) == hub.download(name) == path
    assert Model.estimate(name).memory_weights > 0
    Model.from_local(name, context_size=512, threads=1).close()
    assert len(hub_server.bytes) == 1  # the cache has it


def test_a_second_download_asks_for_the_list_only(hub_server, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub.download(REPOSITORY, "Q8_0")
    before = len(hub_server.api)
    hub.download(REPOSITORY, "Q8_0")
    assert len(hub_server.api) == before + 1
    assert len(hub_server.bytes) == 1


def test_huggingface_hub_finds_what_was_downloaded(hub_server, home, big):
    import huggingface_hub

    commit = hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    path = hub.download(REPOSITORY, "Q8_0")
    cache = str(home / "hf" / "hub")
    found = huggingface_hub.try_to_load_from_cache(REPOSITORY, "m-Q8_0.gguf", cache_dir=cache)
    assert os.path.samefile(found, path)
    assert commit in str(path)
    (repository,) = huggingface_hub.scan_cache_dir(cache).repos
    assert repository.size_on_disk == len(big)
    (revision,) = repository.revisions
    assert revision.refs == {"main"}


def test_a_file_of_huggingface_hub_is_used(hub_server, home, big):
    import huggingface_hub

    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    path = huggingface_hub.hf_hub_download(
        REPOSITORY, "m-Q8_0.gguf", cache_dir=str(home / "hf" / "hub"), endpoint=hub_server.url
    )
    before = len(hub_server.bytes)
    assert os.path.samefile(hub.download(REPOSITORY), path)
    assert len(hub_server.bytes) == before


# Interrupted downloads


@pytest.mark.parametrize("shares", [(0.3,), (0.3, 0.0, 0.5), (0.0,), (0.9, 0.9, 0.9)])
def test_a_connection_that_is_cut_is_continued(shares, hub_server, home, big, caplog):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.answers = [answers.cut(share) for share in shares]
    with caplog.at_level(logging.INFO, "luup_agent.hub"):
        assert has(hub.download(REPOSITORY, "Q8_0"), big)
    assert len(hub_server.bytes) == len(shares) + 1
    assert sum(record.name == "luup_agent.hub" for record in caplog.records) == len(shares)
    assert snapshots(home) == (["m-Q8_0.gguf"], [])
    if shares == (0.3,):
        begin = int(hub_server.bytes[1].range[len("bytes=") : -1])
        assert 0.2 * len(big) < begin < 0.31 * len(big)


def test_a_download_that_was_given_up_is_continued_by_the_next(hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})

    def stop(done, total):
        if done > total * 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.download(REPOSITORY, "Q8_0", on_progress=stop)
    assert snapshots(home)[1] == [hashlib.sha256(big).hexdigest() + ".incomplete"]
    first = []
    hub.download(REPOSITORY, "Q8_0", on_progress=lambda done, _: first.append(done))
    assert first[0] > 0.3 * len(big)
    assert hub_server.bytes[-1].range == f"bytes={first[0]}-"
    assert snapshots(home) == (["m-Q8_0.gguf"], [])


def test_a_server_that_stays_silent_is_given_up(hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.answers = [answers.cut(0.3)] + [answers.cut(0.0)] * 20
    with pytest.raises(HTTPError, match="broke off|connection ended"):
        hub.download(REPOSITORY, "Q8_0")
    assert snapshots(home)[0] == []
    hub_server.answers = []
    assert has(hub.download(REPOSITORY, "Q8_0"), big)


def test_a_server_without_ranges_sends_all_again(hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.answers = [answers.cut(0.3), answers.whole, answers.whole]
    assert has(hub.download(REPOSITORY, "Q8_0"), big)
    assert snapshots(home) == (["m-Q8_0.gguf"], [])


@pytest.mark.parametrize("code", [408, 429, 500, 503, 403])
def test_a_busy_host_is_asked_again(code, hub_server, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.answers = [answers.status(code), answers.status(code, Retry_After="0.01")]
    assert has(hub.download(REPOSITORY, "Q8_0"), big)


@pytest.mark.parametrize("code", [400, 404, 410])
def test_a_refusal_is_final(code, hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.answers = [answers.status(code)] * 9
    with pytest.raises(HTTPError, match=f"answered {code}") as failure:
        hub.download(REPOSITORY, "Q8_0")
    assert failure.value.status == code
    assert len(hub_server.bytes) == 1
    assert snapshots(home)[0] == []


def test_416_begins_from_zero(hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.answers = [answers.cut(0.3), answers.status(416)]
    assert has(hub.download(REPOSITORY, "Q8_0"), big)


def unfinished(home, big, content):
    """Put an unfinished file into the cache, as a killed process leaves it."""
    folder = home / "hf" / "hub" / "models--owner--tiny-GGUF" / "blobs"
    folder.mkdir(parents=True)
    (folder / (hashlib.sha256(big).hexdigest() + ".incomplete")).write_bytes(content)


@pytest.mark.parametrize("extra", [1, 5_000_000])
def test_an_unfinished_file_that_is_too_long_is_dropped(extra, hub_server, home, big):
    unfinished(home, big, big + b"x" * extra)
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    assert has(hub.download(REPOSITORY, "Q8_0"), big)


def test_an_unfinished_file_with_other_bytes_is_refused_and_dropped(hub_server, home, big):
    unfinished(home, big, b"y" * 1000)
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    with pytest.raises(HTTPError, match="its SHA-256 is .* try again"):
        hub.download(REPOSITORY, "Q8_0")
    assert snapshots(home) == ([], [])
    assert has(hub.download(REPOSITORY, "Q8_0"), big)


# Hashes, changes, disks


def test_a_wrong_hash_is_refused(hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.change_bytes(big, big[:-1] + bytes([big[-1] ^ 1]))
    with pytest.raises(HTTPError, match=f"m-Q8_0.gguf of hf:{REPOSITORY} was refused: its SHA-256 is [0-9a-f]+, not "):
        hub.download(REPOSITORY, "Q8_0")
    assert snapshots(home) == ([], [])
    assert blobs(home) == []


def test_a_list_with_another_hash_is_refused(hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.listed_hashes["m-Q8_0.gguf"] = "0" * 64
    with pytest.raises(HTTPError, match=f"not {'0' * 64}"):
        hub.download(REPOSITORY, "Q8_0")
    assert snapshots(home) == ([], [])


@pytest.mark.parametrize("size", [1000, 4_000_000])
def test_bytes_of_another_size_are_refused(size, hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.change_bytes(big, b"z" * size)
    with pytest.raises(HTTPError):
        hub.download(REPOSITORY, "Q8_0")
    assert snapshots(home)[0] == []


def test_a_new_version_replaces_the_old_one_and_keeps_it(hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    old = hub.download(REPOSITORY, "Q8_0")
    commit = old.parent.name
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big[::-1]})
    assert has(hub.download(REPOSITORY, "Q8_0"), big[::-1])
    assert hub.download(REPOSITORY, "Q8_0", revision=commit) == old
    assert has(old, big)


def test_a_change_during_the_download_does_not_mix_versions(hub_server, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})

    def change(handler, content):
        hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big[::-1]})
        answers.send(handler, content, 0.3)

    hub_server.answers = [change]
    assert has(hub.download(REPOSITORY, "Q8_0"), big)  # the version that was listed


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of this kind")
def test_a_full_disk(hub_server, home, big, child):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    code = """
    import resource, signal, sys
    from luup_agent import StorageError, hub
    import huggingface_hub
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    try:
        hub.download(sys.argv[1], "Q8_0")
    except StorageError as error:
        print(error)
    """
    result = child(code, REPOSITORY)
    assert "can't be stored in" in result.stdout, result.stderr
    assert "the unfinished file was deleted" in result.stdout
    assert "HF_HOME" in result.stdout
    assert snapshots(home) == ([], [])
    assert has(hub.download(REPOSITORY, "Q8_0"), big)


def test_a_disk_without_space_is_seen_before(hub_server, home, big, monkeypatch):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    usage = transfer.shutil.disk_usage(str(home))
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(StorageError, match="needs 3 MB, but .* has 1 MB free"):
        hub.download(REPOSITORY, "Q8_0")
    assert hub_server.bytes == []


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may write everywhere")
def test_a_cache_that_can_not_be_written(hub_server, home, big):
    (home / "hf").mkdir(mode=0o500)
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    with pytest.raises(StorageError, match="HF_HOME"):
        hub.download(REPOSITORY, "Q8_0")


def test_a_cache_that_is_a_file(hub_server, home, big):
    (home / "hf").write_bytes(b"")
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    with pytest.raises(StorageError, match="HF_HOME"):
        hub.download(REPOSITORY, "Q8_0")


# Split files


def test_all_parts_of_a_split_model_are_downloaded(hub_server, tiny_parts):
    assert len(tiny_parts) == 3
    hub_server.add(REPOSITORY, tiny_parts)
    total = sum(map(len, tiny_parts.values()))
    seen = []
    path = hub.download(REPOSITORY, "Q8_0", on_progress=lambda *each: seen.append(each))
    assert path.name == "tiny-Q8_0-00001-of-00003.gguf"
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == tiny_parts
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
    with Model.from_hub(REPOSITORY, "Q8_0", context_size=512, threads=1) as model:
        assert model.get_info().layers == 1
    assert hub.download(REPOSITORY, file="tiny-Q8_0-00002-of-00003.gguf") == path


def test_a_split_model_that_lacks_a_part_is_not_a_model(hub_server, tiny_parts):
    files = dict(tiny_parts)
    del files["tiny-Q8_0-00002-of-00003.gguf"]
    hub_server.add(REPOSITORY, files)
    with pytest.raises(ModelNotFoundError, match="has no GGUF file of a model"):
        hub.download(REPOSITORY, "Q8_0")


# Offline


def test_offline_mode_uses_the_cache(hub_server, big, monkeypatch):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big, "m-Q4_0.gguf": b"GGUF"})
    path = hub.download(REPOSITORY, "Q8_0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub_server.api)
    assert hub.download(REPOSITORY, "Q8_0") == hub.download(REPOSITORY) == path
    with pytest.raises(ModelNotFoundError, match=r"no file of quantization Q4_0; it has Q8_0"):
        hub.download(REPOSITORY, "Q4_0")
    with pytest.raises(ModelNotFoundError, match="is not in the cache .* HF_HUB_OFFLINE is set: unset it"):
        hub.download("owner/other")
    assert len(hub_server.api) == before


def test_a_hub_that_is_gone_is_a_warning_if_the_cache_has_the_model(hub_server, big, caplog, monkeypatch):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    path = hub.download(REPOSITORY, "Q8_0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hub.download(REPOSITORY, "Q8_0") == path
    assert "from the cache is used, because http://127.0.0.1:9 can't be reached" in caplog.text
    with pytest.raises(HTTPError, match="can't be reached: .*check the network and HF_ENDPOINT"):
        hub.download("owner/other", "Q8_0")


# Tokens and refusals


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_the_token_goes_to_the_hub_only(how, hub_server, big, monkeypatch):
    hub_server.gated.add(REPOSITORY)
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.answers = [answers.cut(0.3)]
    if how == "environment":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.download(REPOSITORY, "Q8_0", token=TOKEN if how == "argument" else None)
    assert {asked.token for asked in hub_server.api} == {f"Bearer {TOKEN}"}
    assert [asked.token for asked in hub_server.bytes] == [None, None]


@pytest.mark.parametrize("token", [None, "hf_another"])
def test_a_gated_repository_tells_what_to_do(token, hub_server, big):
    hub_server.gated.add(REPOSITORY)
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    with pytest.raises(HTTPError, match="is gated: accept its licence on .*owner/tiny-GGUF.*HF_TOKEN") as failure:
        hub.download(REPOSITORY, "Q8_0", token=token)
    assert failure.value.status == (403 if token else 401)
    assert "hf_another" not in str(failure.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [(401, "token is not valid"), (403, "accept the licence"), (429, "wait 0.5 s"), (500, "try again later")],
)
def test_a_refusal_of_the_hub(code, words, hub_server):
    hub_server.refusal = (code, {"Retry_After": "0.5"} if code == 429 else {})
    with pytest.raises(HTTPError, match=words) as failure:
        hub.download(REPOSITORY, "Q8_0")
    assert failure.value.status == code
    if code == 429:
        assert failure.value.retry_after == 0.5


def test_what_does_not_exist(hub_server, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    with pytest.raises(ModelNotFoundError, match="has no repository 'owner/other', or it is private"):
        hub.download("owner/other")
    with pytest.raises(ModelNotFoundError, match="has no revision 'v9'"):
        hub.download(REPOSITORY, revision="v9")
    with pytest.raises(ModelNotFoundError, match=r"has no file 'x.gguf'; it has Q8_0 \(m-Q8_0.gguf\)"):
        hub.download(REPOSITORY, file="x.gguf")


@pytest.mark.parametrize(
    "arguments",
    [
        {"repository": "no-owner"},
        {"repository": "../x"},
        {"repository": "a/b/c"},
        {"repository": 3},
        {"repository": "a/b", "quantization": ""},
        {"repository": "a/b", "quantization": 4},
        {"repository": "a/b", "quantization": "Q4", "file": "x.gguf"},
        {"repository": "a/b", "file": "x\n"},
        {"repository": "a/b", "revision": ""},
        {"repository": "a/b", "token": ""},
        {"repository": "a/b", "token": "x\ny"},
        {"repository": "a/b", "token": "\u20ac"},
        {"repository": "a/b", "on_progress": 1},
        {"repository": "hf:a/b:Q4_0", "quantization": "Q8_0"},
        {"repository": "hf:a"},
        {"repository": "hf:a/b:"},
        {"repository": "hf:a/b/c"},
    ],
)
def test_wrong_arguments(arguments, hub_server):
    with pytest.raises(InvalidParamError):
        hub.download(**arguments)
    assert hub_server.api == []


# Hostile and careless hubs


@pytest.mark.parametrize(
    "name", ["../../../x-Q8_0.gguf", "/tmp/x-Q8_0.gguf", "a/../x-Q8_0.gguf", "a\\x-Q8_0.gguf", "C:x-Q8_0.gguf"]
)
def test_names_that_lead_out_of_the_cache_are_ignored(name, hub_server, home):
    hub_server.add(REPOSITORY, {name: b"GGUF evil"})
    with pytest.raises(ModelNotFoundError, match="has no GGUF file"):
        hub.download(REPOSITORY, "Q8_0")
    assert not (home / "hf").exists()


@pytest.mark.parametrize("etag", ["../../x", "/x", "", ".x", "a/b", "x" * 500])
def test_a_hash_that_is_not_the_name_of_a_file_is_refused(etag, hub_server, home, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.etag = etag
    with pytest.raises(HTTPError, match="did not name the hash|can't be reached"):
        hub.download(REPOSITORY, "Q8_0")
    assert not (home / "hf").exists()


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b"null", b'{"id": 3, "sha": "../x", "siblings": []}', b'{"siblings": 3}']
)
def test_an_endpoint_that_is_not_a_hub(body, home, monkeypatch):
    server = http_server.Server(http_server.status("200 OK", body))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    try:
        with pytest.raises(HTTPError, match="HF_ENDPOINT"):
            hub.download(REPOSITORY, "Q8_0")
    finally:
        server.close()


@pytest.mark.parametrize("endpoint", ["localhost", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_not_an_address(endpoint, home, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(HTTPError, match="HF_ENDPOINT"):
        hub.download(REPOSITORY, "Q8_0")


def test_two_downloads_at_once_fetch_the_bytes_once(hub_server, big):
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: hub.download(REPOSITORY, "Q8_0"), range(4)))
    assert len(set(paths)) == 1
    assert has(paths[0], big)
    assert len(hub_server.bytes) == 1


def test_an_estimate_of_a_name_downloads_the_header_only(hub_server, home, tiny):
    hub_server.add(REPOSITORY, {"tiny-Q4_K_M.gguf": tiny + bytes(9_000_000)})
    assert Model.estimate(f"hf:{REPOSITORY}:Q4_K_M", context_size=512).context_size == 512
    assert not (home / "hf").exists()
    with pytest.raises(ModelNotFoundError):
        Model.estimate(f"hf:{REPOSITORY}:Q8_0")


def test_the_token_is_not_shown(hub_server, big):
    client = Client(TOKEN)
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    listed = client.list_files(REPOSITORY, None)
    texts = [repr(client), repr(vars(client)), repr(client.locate(listed, listed.files[0]))]
    assert TOKEN not in "".join(texts)
    assert "signature" not in texts[-1]


def test_a_model_is_downloaded_and_loaded_under_asyncio(hub_server, tiny):
    hub_server.add(REPOSITORY, {"tiny-Q8_0.gguf": tiny})
    seen, options = [], {"context_size": 512, "threads": 1}

    def note(*progress):
        seen.append(progress)

    async def main():
        task = asyncio.ensure_future(Model.from_hub_async(REPOSITORY, "Q8_0", on_download=note, **options))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with await Model.from_hub_async(REPOSITORY, "Q8_0", on_download=note, **options) as model:
            assert model.get_info().context_size == 512
        with pytest.raises(ModelNotFoundError):
            await Model.from_hub_async(REPOSITORY, "Q2_K", **options)

    asyncio.run(main())
    assert seen[-1] == (len(tiny), len(tiny))
