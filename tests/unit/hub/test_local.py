"""Models that are on the machine already: in the caches of the hub, llama.cpp, Ollama, LM Studio, and our own."""

import hashlib
import json
import os
import re
import struct

import hypothesis
import hypothesis.strategies as st
import pytest

from luup_agent import InvalidParamError, Model, ModelNotFoundError, catalog, hub
from luup_agent._hub.gguf import HeaderError, read_header
from luup_agent._hub.ollama import scan

MODEL_LAYER = "application/vnd.ollama.image.model"


def gguf(template="", kind=15, context=4096, architecture="llama", **texts):
    """Return the header of a GGUF file without tensors."""

    def text(value):
        data = value.encode()
        return struct.pack("<Q", len(data)) + data

    entries = [("general.architecture", architecture), ("tokenizer.chat_template", template), *texts.items()]
    values = [text(name) + struct.pack("<I", 8) + text(value) for name, value in entries if value]
    numbers = {"general.file_type": kind, f"{architecture}.context_length": context}
    values += [text(name) + struct.pack("<II", 4, value) for name, value in numbers.items()]
    values.append(text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"))
    values.append(text("tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, 2) + bytes(8))
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(values)) + b"".join(values)


CALLS_TOOLS = gguf("{% if tools %}{{ tools }}{% endif %}")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_into_ollama(store, name, content, **changes):
    """Put a model into a store as Ollama does; return its blob."""
    digest = hashlib.sha256(content).hexdigest()
    blob = write(store / "blobs" / f"sha256-{digest}", content)
    layer = {"mediaType": MODEL_LAYER, "digest": f"sha256:{digest}", "size": len(content), **changes}
    manifest = {"schemaVersion": 2, "layers": [{"mediaType": "application/vnd.ollama.image.license"}, layer]}
    write(store / "manifests" / name, json.dumps(manifest).encode())
    return blob


def put_into_hub(cache, repository, name, content, commit="c" * 40):
    folder = cache / ("models--" + repository.replace("/", "--"))
    blob = write(folder / "blobs" / hashlib.sha256(content).hexdigest(), content)
    link = folder / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(blob)
    write(folder / "refs" / "main", commit.encode())
    return link


@pytest.fixture
def ollama(home):
    return home / ".ollama" / "models"


def listed(**options):
    found = hub.local_models(**{"estimate": False, **options})
    return {model.name: model for model in found.models}, [each.reason for each in found.skipped]


def test_nothing_is_found_on_an_empty_machine(home):
    assert listed() == ({}, [])


def test_each_program_s_models_are_found(home, ollama):
    put_into_hub(home / "hf" / "hub", "owner/repo", "m-Q4_K_M.gguf", CALLS_TOOLS)
    put_into_hub(home / "hf" / "hub", "owner/repo", "mmproj-F16.gguf", gguf(architecture="clip"))
    put_into_ollama(ollama, "registry.ollama.ai/library/qwen3/4b", gguf("no t00ls", kind=7))
    put_into_ollama(ollama, "registry.ollama.ai/me/mine/latest", gguf(kind=2))
    put_into_ollama(ollama, "hf.co/owner/repo-GGUF/Q4_0", gguf(kind=2, context=100))
    llama = write(home / ".cache" / "llama.cpp" / "ggml-org_m-Q8_0.gguf", gguf(kind=7, context=3))
    write(home / ".lmstudio" / "models" / "pub" / "one-GGUF" / "one-Q6_K.gguf", gguf(kind=18))
    write(home / ".cache" / "lm-studio" / "models" / "pub" / "old" / "old.gguf", gguf(kind=1))
    own = write(catalog.cache_folder() / "x.gguf", gguf(kind=0))
    models, skipped = listed()
    assert skipped == []
    expected = {
        "hf:owner/repo:Q4_K_M": ("hub", "Q4_K_M", 4096, True),
        "ollama:qwen3:4b": ("ollama", "Q8_0", 4096, False),
        "ollama:me/mine:latest": ("ollama", "Q4_0", 4096, False),
        "ollama:hf.co/owner/repo-GGUF:Q4_0": ("ollama", "Q4_0", 100, False),
        str(llama): ("llama.cpp", "Q8_0", 3, False),
        "lmstudio:pub/one-GGUF": ("lmstudio", "Q6_K", 4096, False),
        "lmstudio:pub/old": ("lmstudio", "F16", 4096, False),
        str(own): ("luup-agent", "F32", 4096, False),
    }
    assert {n: (m.source, m.quantization, m.context_size, m.tools) for n, m in models.items()} == expected
    for name, model in models.items():
        assert os.path.samefile(hub.find(name) if ":" in name else name, model.path)
        assert model.size == os.path.getsize(model.path)


def test_the_variables_of_the_programs_are_used(home, tmp_path, monkeypatch):
    put_into_ollama(tmp_path / "o", "registry.ollama.ai/library/a/latest", gguf())
    write(tmp_path / "l" / "b.gguf", gguf(context=1))
    put_into_hub(tmp_path / "h", "o/c", "c.gguf", gguf(context=2))
    write(tmp_path / "s" / "models" / "p" / "d" / "d.gguf", gguf(context=3))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "o"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "l"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "h"))
    (home / ".lmstudio-home-pointer").write_text(str(tmp_path / "s"), encoding="utf-8")
    models, _ = listed()
    assert set(models) == {"ollama:a:latest", str(tmp_path / "l" / "b.gguf"), "hf:o/c/c.gguf", "lmstudio:p/d"}


@pytest.mark.processes
def test_a_model_of_ollama_is_opened(home, ollama, tiny):
    blob = put_into_ollama(ollama, "registry.ollama.ai/library/tiny/4b", tiny)
    (model,) = hub.local_models().models
    assert (model.name, model.fits) == ("ollama:tiny:4b", True)
    with Model.from_local("ollama:tiny:4b", context_size=512, threads=1) as loaded:
        assert loaded.get_info().path == str(blob)
    assert Model.estimate("ollama:tiny:4b").memory_weights > 0
    assert catalog.resolve("ollama:tiny:4b") == blob


@pytest.mark.processes
def test_a_model_of_lm_studio_is_opened(home, tiny):
    path = write(home / ".lmstudio" / "models" / "pub" / "tiny-GGUF" / "tiny-Q4_0.gguf", tiny)
    with Model.from_local("lmstudio:pub/tiny-GGUF", context_size=512, threads=1) as loaded:
        assert loaded.get_info().path == str(path)


def test_several_models_in_a_folder_of_lm_studio(home):
    folder = home / ".lmstudio" / "models" / "pub" / "two"
    paths = {kind: write(folder / f"two-{kind}.gguf", gguf(kind=number)) for kind, number in (("Q4_0", 2), ("Q8_0", 7))}
    assert set(listed()[0]) == {"lmstudio:pub/two:Q4_0", "lmstudio:pub/two:Q8_0"}
    assert hub.find("lmstudio:pub/two:q8_0") == paths["Q8_0"]
    assert hub.find("lmstudio:pub/two/two-Q4_0.gguf") == paths["Q4_0"]
    with pytest.raises(InvalidParamError, match="has several models: Q4_0, Q8_0; add one, as in lmstudio:pub/two:Q4_0"):
        hub.find("lmstudio:pub/two")
    with pytest.raises(ModelNotFoundError, match="lmstudio:pub/two has no file of quantization Q5_0; it has Q4_0"):
        hub.find("lmstudio:pub/two:Q5_0")


@pytest.mark.parametrize(
    "name",
    ["ollama:", "ollama:../x", "ollama:a/b/c/d", "ollama:a:b:c", "ollama:/x", "ollama:a\0", "lmstudio:", "lmstudio:a",
     "lmstudio:../b", "lmstudio:a//b", "lmstudio:a/b\0"],
)  # fmt: skip
def test_what_is_not_a_name(name, home):
    with pytest.raises(InvalidParamError, match="is not the name of a model of"):
        hub.find(name)


def test_what_a_program_does_not_have(home, ollama):
    with pytest.raises(ModelNotFoundError, match="Ollama has no models in .*run `ollama pull qwen3:4b`"):
        hub.find("ollama:qwen3:4b")
    put_into_ollama(ollama, "registry.ollama.ai/library/llama3/latest", gguf())
    with pytest.raises(ModelNotFoundError, match="no such model in .* only ollama:llama3:latest; run"):
        Model.from_local("ollama:qwen3:4b")
    assert hub.find("ollama:llama3") == hub.find("ollama:library/llama3:latest")
    with pytest.raises(ModelNotFoundError, match="LM Studio has no such model in .* which has no models"):
        hub.find("lmstudio:a/b")


# Damage


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ends within the header"),
        (b"GG", "ends within the header"),
        (b"<html>not a model</html>", "begins with b'<htm'"),
        (CALLS_TOOLS[:-3], "ends within the header"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 0), "tensors, more than"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "entries of metadata, more than"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 50), "bytes in a text, more than"),
    ],
)
def test_a_damaged_file_is_skipped_with_the_reason(content, reason, home):
    path = write(home / ".cache" / "llama.cpp" / "bad.gguf", content)
    (skipped,) = hub.local_models().skipped
    assert (skipped.path, skipped.source) == (str(path), "llama.cpp")
    assert reason in skipped.reason


def test_links_and_files_that_can_not_be_read(home, tmp_path):
    link = put_into_hub(home / "hf" / "hub", "o/r", "m-Q4_0.gguf", gguf())
    os.unlink(os.path.realpath(link))
    (home / ".cache" / "llama.cpp" / "folder.gguf").mkdir(parents=True)
    _, reasons = listed()
    assert reasons == ["the file that it links to is missing"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the manifest is damaged"),
        (b"{", "the manifest is damaged"),
        (b"\xff\xfe", "the manifest is damaged"),
        (b"[" * 100_000, "the manifest is damaged"),
        (b"[]", "it lists no layers"),
        (b"null", "it lists no layers"),
        (b'{"layers": 3}', "it lists no layers"),
        (b'{"layers": []}', "no layer with a GGUF file"),
        (b'{"layers": [3, null, {"mediaType": "application/vnd.ollama.image.tensor"}]}', "no layer with a GGUF file"),
        (b" " * 2_000_000, "can't be read"),
        (json.dumps({"layers": [{"mediaType": MODEL_LAYER}]}).encode(), "None is not a digest"),
        (json.dumps({"layers": [{"mediaType": MODEL_LAYER, "digest": "sha256:../x"}]}).encode(), "is not a digest"),
        (
            json.dumps({"layers": [{"mediaType": MODEL_LAYER, "digest": "sha256:" + "a" * 64}]}).encode(),
            "blob .* missing",
        ),
    ],
)
def test_a_damaged_manifest_is_skipped_with_the_reason(content, reason, home, ollama):
    write(ollama / "manifests" / "registry.ollama.ai" / "library" / "bad" / "latest", content)
    put_into_ollama(ollama, "registry.ollama.ai/library/good/latest", gguf())
    models, (found,) = listed()
    assert set(models) == {"ollama:good:latest"}
    with pytest.raises(ModelNotFoundError, match=f"ollama:bad can't be used: .*{reason}"):
        hub.find("ollama:bad")
    assert re.search(reason, found)


def test_a_blob_of_another_size_is_skipped(home, ollama):
    put_into_ollama(ollama, "registry.ollama.ai/library/cut/latest", gguf(), size=5_000_000)
    _, (reason,) = listed()
    assert "but the manifest says 5000000" in reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(MODEL_LAYER),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["layers", "mediaType", "digest", "size", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@hypothesis.settings(max_examples=60)
@hypothesis.given(value=json_values)
def test_any_manifest_is_used_or_skipped(value, tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    write(store / "manifests" / "h" / "o" / "m" / "t", json.dumps(value).encode())
    for each in scan(store):
        assert each.reason


@hypothesis.given(data=st.data())
def test_any_change_of_a_header_is_read_or_refused(data):
    content = bytearray(CALLS_TOOLS)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    rest = memoryview(bytes(content[: data.draw(st.integers(0, len(content)))]))

    def read(count):
        nonlocal rest
        part, rest = rest[:count], rest[count:]
        return bytes(part)

    try:
        header = read_header(read)
    except HeaderError:
        return
    assert isinstance(header.quantization, str)
    assert header.tools in (True, False)
    assert header.context_size is None or isinstance(header.context_size, int)


# Removal


def test_only_own_downloads_are_removed(home, ollama):
    put_into_hub(home / "hf" / "hub", "o/r", "m-Q4_0.gguf", gguf())
    put_into_ollama(ollama, "registry.ollama.ai/library/a/b", gguf(context=1))
    llama = write(home / ".cache" / "llama.cpp" / "c.gguf", gguf(context=2))
    write(home / ".lmstudio" / "models" / "p" / "d" / "d.gguf", gguf(context=3))
    own = write(catalog.cache_folder() / "x.gguf", gguf(context=4))
    parts = [write(catalog.cache_folder() / f"y-0000{part}-of-00002.gguf", gguf(context=part)) for part in (1, 2)]
    before = set(listed()[0])
    for name, words in (
        ("hf:o/r:Q4_0", "the hub's cache, .*hf cache"),
        ("hf:not/there", "the hub's cache"),
        ("ollama:a:b", "Ollama; run `ollama rm`"),
        (str(llama), "llama.cpp's cache"),
        ("lmstudio:p/d", "LM Studio"),
    ):
        with pytest.raises(InvalidParamError, match=f"was not deleted: it belongs to {words}"):
            hub.remove(name)
    assert set(listed()[0]) == before
    with pytest.raises(ModelNotFoundError, match="nothing is not in .*luup-agent.models, which has .*x.gguf"):
        hub.remove("nothing")
    for name in ("", "a\0b", None, 3):
        with pytest.raises(InvalidParamError, match="name must be"):
            hub.remove(name)
    assert hub.remove("x.gguf") == [own]
    assert hub.remove(str(parts[0])) == parts
    assert not own.exists()
    with pytest.raises(ModelNotFoundError, match="which has no models"):
        hub.remove("x.gguf")
