"""Names of models and lists of files: which file a name means, without the network."""

import re
import sys

import hypothesis
import hypothesis.strategies as st
import pytest

from luup_agent import InvalidParamError, Model, ModelNotFoundError, UnsupportedError, catalog, hub
from luup_agent._hub.listing import HubFile, choose, family, group, projectors, quantization_of
from luup_agent._hub.names import HubName, looks_like_repository, parse_hub_name, prefix_of

KINDS = [
    "Q2_K", "Q2_K_L", "Q2_K_S", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q3_K_XL", "Q4_0", "Q4_1",
    "Q4_K", "Q4_K_S", "Q4_K_M", "Q4_K_L", "Q4_K_XL", "Q5_0", "Q5_1", "Q5_K_S", "Q5_K_M",
    "Q6_K", "Q6_K_L", "Q8_0", "Q8_K_XL", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S",
    "IQ2_M", "IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M", "IQ4_XS", "IQ4_NL", "TQ1_0", "TQ2_0",
    "MXFP4", "MXFP4_MOE", "NVFP4", "BF16", "F16", "F32", "Q4_0_4_4", "Q4", "Q8",
    "UD-Q4_K_XL", "UD-IQ2_XXS",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "form",
    ["Model-4B-it-{}.gguf", "model.{}.gguf", "{}/Model-{}-00001-of-00002.gguf", "{}.gguf", "a_{}.GGUF", "{}/x.gguf"],
)
def test_the_quantization_of_a_name(kind, form):
    for written in (kind, kind.lower()):
        name = re.sub(r"-\d{5}-of-\d{5}", "", form.format(written, written))
        assert quantization_of(name) == kind


@pytest.mark.parametrize(
    "name", ["model.gguf", "Qwen3-4B.gguf", "iq-test.gguf", "q.gguf", "Model-FQ4_0x.gguf", "f16x.gguf"]
)
def test_names_without_a_quantization(name):
    assert quantization_of(name) == ""


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hf:a/b", HubName("a/b")),
        ("HF:a/b:q4_k_m", HubName("a/b", "q4_k_m")),
        ("hf:a-1/B.c_d:UD-Q4_K_XL", HubName("a-1/B.c_d", "UD-Q4_K_XL")),
        ("hf:a/b/c.gguf", HubName("a/b", None, "c.gguf")),
        ("hf:a/b/c/d e.gguf", HubName("a/b", None, "c/d e.gguf")),
    ],
)
def test_names_on_a_hub(name, parts):
    assert parse_hub_name(name) == parts
    assert parse_hub_name(str(parts)) == parts


@pytest.mark.parametrize(
    "name",
    ["hf:", "hf:a", "hf:/b", "hf:a/", "hf:a/b:", "hf:a/b:Q4:K", "hf:../b", "hf:a/..", "hf:a/b/c", "hf:a/b/c.gguf:Q4",
     "hf:a--b/c", "hf:a/b.git", "hf: a/b", "hf:a/b:Q4 K", "hf:a/b/", "hf:https://x/y", "hf:a\0/b"],
)  # fmt: skip
def test_what_is_not_a_name_on_a_hub(name):
    with pytest.raises(InvalidParamError, match="owner/repo"):
        parse_hub_name(name)


@hypothesis.given(st.text(max_size=40))
def test_any_text_after_the_prefix_is_parsed_or_refused(text):
    for prefix in ("hf:", "ollama:", "lmstudio:"):
        assert prefix_of(prefix + text) == prefix[:-1]
    try:
        parts = parse_hub_name("hf:" + text)
    except InvalidParamError:
        return
    assert looks_like_repository(parts.repository)
    assert ".." not in parts.repository


@pytest.mark.parametrize("path", ["model.gguf", "/a/b.gguf", "C:\\models\\x.gguf", "smollm2", "./hf", "x:y"])
def test_paths_have_no_prefix(path):
    assert prefix_of(path) is None


def files(*names):
    return [HubFile(name, 1000) for name in names]


def test_parts_are_one_model():
    (model,) = group(files("Q8_0/m-Q8_0-00002-of-00002.gguf", "Q8_0/m-Q8_0-00001-of-00002.gguf"))
    assert model.name == "Q8_0/m-Q8_0.gguf"
    assert model.quantization == "Q8_0"
    assert [file.name for file in model.files] == [f"Q8_0/m-Q8_0-0000{part}-of-00002.gguf" for part in (1, 2)]
    assert model.size == 2000


LISTED = files(
    "README.md", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-m-F16.gguf", "mmproj-F32.gguf", "m-imatrix.gguf",
    "m-UD-Q4_K_XL.gguf", "m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf",
)  # fmt: skip


@pytest.mark.parametrize(
    ("quantization", "name"),
    [("Q4_K_M", "m-Q4_K_M.gguf"), ("q8_0", "m-Q8_0.gguf"), ("bf16", "m-BF16.gguf"), ("UD-Q4_K_XL", "m-UD-Q4_K_XL.gguf"),
     ("Q4_K_XL", "m-UD-Q4_K_XL.gguf")],
)  # fmt: skip
def test_a_quantization_chooses_a_file(quantization, name):
    assert [each.name for each in choose("a/b", LISTED, quantization)] == [name]


def test_projectors_are_listed_and_never_the_model():
    assert [each.name for each in projectors(LISTED)] == ["mmproj-m-F16.gguf", "mmproj-F32.gguf"]
    with pytest.raises(ModelNotFoundError, match="no file of quantization F16; it has BF16"):
        choose("a/b", LISTED, "F16")


def test_the_messages_name_what_a_repository_has():
    with pytest.raises(
        ModelNotFoundError, match=r"Q5_K_M; it has BF16 \(m-BF16.gguf\), Q4_K_M \(m-Q4_K_M.gguf\), Q8_0"
    ):
        choose("a/b", LISTED, "Q5_K_M")
    with pytest.raises(
        ModelNotFoundError, match="no GGUF file of a model, only config.json, model.safetensors; look for"
    ):
        choose("a/b", files("config.json", "model.safetensors"))
    with pytest.raises(ModelNotFoundError, match="only no files"):
        choose("a/b", [])
    many = files(*(f"m{number}-Q4_0.gguf" for number in range(500)))
    with pytest.raises(InvalidParamError, match="has 500 files .* and 488 more") as failure:
        choose("a/b", many, "Q4_0")
    assert len(str(failure.value)) < 500


def test_the_quantizations_of_a_model_are_one_family():
    names = ["Qwen3.5-4B-Q8_0.gguf", "Qwen3.5-4B-UD-Q4_K_XL.gguf", "Q4_0/Qwen3.5-4B-Q4_0.gguf", "BF16/Qwen3.5-4B.gguf"]
    assert {family(model) for model in group(files(*names))} == {"qwen3.5-4b"}


@hypothesis.given(
    st.lists(
        st.sampled_from(
            [
                "m-Q4_0.gguf",
                "m-Q8_0.gguf",
                "x.gguf",
                "a-00001-of-00002.gguf",
                "é.gguf",
                "a-00002-of-00002.gguf",
                "mmproj.gguf",
                "README.md",
                "",
                "b-99999-of-99999.gguf",
            ]
        ),
        unique=True,
    )
)
def test_lists_of_any_files(names):
    for model in group(files(*names)):
        assert model.files
        assert not projectors(model.files)
        assert choose("a/b", files(*names), file=model.files[0].name) == [model]


# The catalog


def test_the_hub_models_of_the_catalog():
    models = catalog.hub_models()
    names = [model.name for model in models]
    assert names == [
        "qwen3.5-0.8b",
        "qwen3.5-2b",
        "qwen3.5-4b",
        "gemma-4-e2b",
        "lfm2.5-1.2b",
        "ministral-3-3b",
        "granite-4.1-3b",
    ]
    for model in models:
        assert parse_hub_name(model.hub_name).repository == model.repository
        assert not model.verified  # no hub can be reached where this project is tested


@pytest.mark.processes
def test_a_name_of_the_catalog_is_a_repository(hub_server):
    entry = catalog.hub_models()[0]
    hub_server.add(entry.repository, {"a-Q8_0.gguf": b"GGUF 1"})
    assert catalog.resolve(entry.name).read_bytes() == b"GGUF 1"
    assert catalog.download(entry.name) == catalog.resolve(entry.name)
    with pytest.raises(ModelNotFoundError, match="use catalog.resolve"):
        Model.from_local(entry.name)


def test_a_bare_repository_is_told_what_to_write():
    for function in (catalog.resolve, catalog.download, catalog.find):
        with pytest.raises(ModelNotFoundError, match="for a repository on a hub write hf:owner/repo"):
            function("owner/repo")
    with pytest.raises(ModelNotFoundError, match=r"Model.from_hub\('owner/repo'\)"):
        Model.from_local("owner/repo")
    with pytest.raises(ModelNotFoundError, match="did you mean 'qwen3.5-4b'.* or write hf:owner/repo"):
        catalog.resolve("qwen3.5-4B-")


def test_a_file_of_that_name_takes_precedence(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ollama:x").write_bytes(b"mine")
    assert catalog.resolve("ollama:x").read_bytes() == b"mine"


def test_without_the_package_the_error_names_the_extra(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UnsupportedError, match=r'run `pip install "luup-agent\[hub\]"`'):
        hub.download("a/b")


@pytest.mark.processes
def test_importing_the_package_does_not_import_the_hubs(child):
    code = """
    import sys, luup_agent, luup_agent.hub, luup_agent.cli
    print([name for name in ("huggingface_hub", "requests", "httpx") if name in sys.modules])
    """
    assert child(code).stdout.strip() == "[]"
