"""Pictures that a projector cuts into slices, with tokens of rows and columns between them."""

import pytest
from support import architectures, pictures, projectors, random_model
from support.pictures import reference

from luup_agent import Agent, Image, Model

gguf = pytest.importorskip("gguf")
numpy = pytest.importorskip("numpy")

QUESTION = "What is in this picture?"
MINICPMV = ("<image>", "</image>", "<slice>", "</slice>")
IDEFICS3 = (
    "<fake_token_around_image>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)),
)
SIZES = {"square": (150, 150), "wide": (220, 90), "tall": (60, 240), "small": (40, 30)}


@pytest.fixture(scope="module", params=["idefics3", "minicpmv"])
def files(request, tool, model_path, tmp_path_factory):
    """A small model and a projector of each kind."""
    folder = tmp_path_factory.mktemp("sliced")
    model, projector = folder / "model.gguf", folder / "mmproj.gguf"
    if request.param == "idefics3":
        random_model.write(gguf, numpy, model_path, model, IDEFICS3)
        projectors.write(gguf, numpy, projector, random_model.WIDTH, "idefics3", scale=4.0)
    else:
        tool("luup-tensor-shapes")
        sizes = {"embedding_length": 128, "rope.dimension_count": 32}
        architectures.write(gguf, numpy, model_path, model, "llama", tokens=MINICPMV, **sizes)
        projectors.write(gguf, numpy, projector, 128, "minicpmv", scale=4.0)
    yield model, projector
    model.unlink()


def test_slices_are_those_of_llama_cpp(files, tool, tmp_path):
    path, projector = files
    options = {"threads": 1, "context_size": 2048, "max_sequences": 2}
    answers, parts = {}, {}
    with Model.from_local(path, mmproj=projector, **options) as model:
        for name, size in SIZES.items():
            (tmp_path / f"{name}.png").write_bytes(pictures.png(*size, seed=len(name)))
            before = model.stats().media_encoded
            agent = Agent(model, temperature=0, max_tokens=24)
            answers[name] = agent.generate([Image(tmp_path / f"{name}.png"), QUESTION])
            parts[name] = model.stats().media_encoded - before
        both = Agent(model, temperature=0, max_tokens=24)
        two = both.generate([Image(tmp_path / "wide.png"), Image(tmp_path / "small.png"), QUESTION])
    expected = {
        name: reference(tool, path, projector, QUESTION, [("--image", tmp_path / f"{name}.png")], 24) for name in SIZES
    }
    assert {name: text.strip() for name, text in answers.items()} == {
        name: text.strip() for name, text in expected.items()
    }
    files = f"{tmp_path / 'wide.png'},{tmp_path / 'small.png'}"
    assert two.strip() == reference(tool, path, projector, QUESTION, [("--image", files)], 24).strip()
    assert parts["wide"] > 1  # the picture as a whole, and its slices
    assert len(set(answers.values())) > 1
