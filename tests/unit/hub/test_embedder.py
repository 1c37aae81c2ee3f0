"""Embedders by the names of a hub."""

import pytest
from support import bert

from luup_agent import Embedder, InvalidParamError, ModelNotFoundError

REPOSITORY = "owner/tiny-embedder"


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("bert") / "bert.gguf"
    bert.write(gguf, numpy, bert.random_bert(numpy), path)
    return path.read_bytes()


def test_an_embedder_is_loaded_by_repository_and_quantization(hub_server, tiny_bert):
    hub_server.add(REPOSITORY, {"tiny-F16.gguf": tiny_bert, "tiny-Q8_0.gguf": tiny_bert})
    seen = []
    with Embedder.from_hub(REPOSITORY, "f16", threads=1, on_download=lambda *each: seen.append(each)) as embedder:
        assert embedder.get_info().path.endswith("tiny-F16.gguf")
        assert len(embedder.embed(["a cat"])[0]) == 32
    assert seen[-1] == (len(tiny_bert), len(tiny_bert))
    with Embedder.from_local(f"hf:{REPOSITORY}:Q8_0", threads=1) as embedder:
        assert embedder.get_info().path.endswith("tiny-Q8_0.gguf")


def test_the_best_quantization_that_fits_is_chosen(hub_server, tiny_bert):
    hub_server.add(REPOSITORY, {"tiny-F16.gguf": tiny_bert, "tiny-Q8_0.gguf": tiny_bert})
    for load in (Embedder.from_hub, lambda name: Embedder.from_local(f"hf:{name}")):
        with load(REPOSITORY) as embedder:
            assert len(embedder.embed(["a cat"])) == 1


def test_wrong_names_are_told(hub_server, tiny_bert):
    hub_server.add(REPOSITORY, {"tiny-F16.gguf": tiny_bert})
    with pytest.raises(ModelNotFoundError, match="Q4_K_M"):
        Embedder.from_hub(REPOSITORY, "Q4_K_M")
    with pytest.raises(ModelNotFoundError):
        Embedder.from_local("hf:owner/nothing:F16")
    with pytest.raises(InvalidParamError):
        Embedder.from_hub("not a repository")
