"""The memory of a projector and of a draft model, estimated from their headers, and as a load takes it."""

import pytest
from support import projectors, random_model

from luup_agent import Agent, InvalidParamError, Model, ModelLoadError, ModelNotFoundError

gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")

OPTIONS = {"context_size": 512, "max_sequences": 4}


@pytest.fixture(scope="module")
def projector(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "mmproj-tiny.gguf"
    projectors.write(gguf, numpy, path, random_model.WIDTH)
    return path


def parts(estimate):
    named = (estimate.memory_weights, estimate.memory_context, estimate.memory_compute)
    return sum(named) + estimate.memory_projector + estimate.memory_draft


@pytest.mark.parametrize("kind", ["mlp", "gemma3", "ultravox"])
def test_a_projector_is_counted(tiny_path, tmp_path, kind):
    path = tmp_path / "mmproj.gguf"
    projectors.write(gguf, numpy, path, random_model.WIDTH, kind)
    alone = Model.estimate(tiny_path, **OPTIONS)
    estimate = Model.estimate(tiny_path, mmproj=path, **OPTIONS)
    assert (alone.memory_projector, alone.memory_draft) == (0, 0)
    assert estimate.memory_projector > 0.8 * path.stat().st_size
    assert estimate.total == alone.total + estimate.memory_projector == parts(estimate)
    with Model.from_local(tiny_path, mmproj=path, threads=1, **OPTIONS) as model:
        info = model.get_info()
    assert info.memory_projector == estimate.memory_projector
    assert info.memory_draft == 0


def test_a_larger_projector_takes_more(tiny_path, projector, tmp_path):
    deep = tmp_path / "deep.gguf"
    projectors.write(gguf, numpy, deep, random_model.WIDTH, layers=60)
    small, large = (Model.estimate(tiny_path, mmproj=path, **OPTIONS).memory_projector for path in (projector, deep))
    more = deep.stat().st_size - projector.stat().st_size
    assert large - small == pytest.approx(more, rel=0.2)


@pytest.mark.parametrize("cache_type", ["f16", "f32"])
def test_a_draft_model_is_counted(model_path, tiny_path, cache_type):
    options = {**OPTIONS, "cache_type": cache_type}
    alone = Model.estimate(tiny_path, **options)
    estimate = Model.estimate(tiny_path, draft=model_path, **options)
    assert estimate.total == alone.total + estimate.memory_draft == parts(estimate)
    by_itself = Model.estimate(model_path, **OPTIONS)  # its KV cache is always of f16
    assert estimate.memory_draft == pytest.approx(by_itself.total, rel=0.05)
    with Model.from_local(tiny_path, draft=model_path, threads=1, **options) as model:
        info = model.get_info()
    assert info.memory_draft == pytest.approx(estimate.memory_draft, rel=0.02)
    assert info.memory_weights == pytest.approx(estimate.memory_weights, rel=0.02)


def test_nothing_of_them_is_loaded_for_it(model_path, projector, child):
    result = child(
        """
        import resource, sys
        from luup_agent import Model
        for round in range(6):
            Model.estimate(sys.argv[1], draft=sys.argv[1], mmproj=sys.argv[2], context_size=8192)
            if round == 2:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """,
        model_path,
        projector,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 20_000  # kB; the weights of both models are 194,000


def test_what_is_wrong_with_them_is_told(tiny_path, model_path, projector, tmp_path):
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        Model.estimate(tiny_path, mmproj=tmp_path / "nowhere.gguf")
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        Model.estimate(tiny_path, draft=tmp_path / "nowhere.gguf")
    with pytest.raises(ModelLoadError, match="is not a projector"):
        Model.estimate(tiny_path, mmproj=model_path)
    with pytest.raises(ModelLoadError, match=r"the draft model: .*mmproj-tiny\.gguf"):
        Model.estimate(tiny_path, draft=projector)
    with pytest.raises(InvalidParamError, match="mmproj must be a str or os.PathLike, not int"):
        Model.estimate(tiny_path, mmproj=5)
    with pytest.raises(InvalidParamError, match="draft must be a path or the name of a model, got 5"):
        Model.estimate(tiny_path, draft=5)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(projector.read_bytes()[:-100])
    with pytest.raises(ModelLoadError, match="is incomplete"):
        Model.estimate(tiny_path, mmproj=cut)
    assert Model.estimate(tiny_path, mmproj=projector).memory_projector > 0


def test_a_damaged_header_of_a_projector_is_an_error(tiny_path, tmp_path):
    """llama.cpp asserts on some of them."""
    for key in ("clip.vision.patch_size", "clip.vision.attention.head_count", "clip.vision.block_count"):
        path = tmp_path / f"{key}.gguf"
        projectors.write(gguf, numpy, path, random_model.WIDTH, layers=2)
        data = bytearray(path.read_bytes())
        at = data.index(key.encode()) + len(key) + 4
        data[at : at + 4] = (0x7FFFFFFF).to_bytes(4, "little")
        path.write_bytes(data)
        with pytest.raises(ModelLoadError, match="projector"):
            Model.estimate(tiny_path, mmproj=path)
    with Model.from_local(tiny_path, threads=1, context_size=512) as model:
        assert Agent(model, max_tokens=2).run("Hi").usage.completion_tokens > 0
