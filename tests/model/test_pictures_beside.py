"""Pictures beside other features: a draft model, which sees none, and recurrent layers, whose state can't be cut."""

import pytest
from support import architectures, pictures, projectors

from luup_agent import Agent, Image, Model

gguf = pytest.importorskip("gguf")
numpy = pytest.importorskip("numpy")

QUESTION = "What is in this picture?"


def conversation(model, first, second):
    """Return the answers of turns with and without pictures, of a fork that goes on from the middle, and of another."""
    agent = Agent(model, "You look at pictures.", temperature=0, max_tokens=12)
    texts = [agent.generate("Hello."), agent.generate([QUESTION, Image(first)]), agent.generate("And then?")]
    fork = agent.fork()
    texts.append(agent.generate([QUESTION, Image(second), "Are they alike?"]))
    texts.append(fork.generate([QUESTION, Image(first)]))
    texts.append(Agent(model, "You look at pictures.", temperature=0, max_tokens=12).generate("Hello, you."))
    return texts


@pytest.fixture
def two_pictures():
    return pictures.png(seed=1), pictures.png(seed=2)


def test_a_draft_model_guesses_only_for_texts(model_path, tmp_path, two_pictures):
    mmproj = tmp_path / "mmproj.gguf"
    projectors.write(gguf, numpy, mmproj, 576, scale=0.1)
    options = {"mmproj": mmproj, "threads": 1, "context_size": 2048}
    with Model.from_local(model_path, **options) as alone:
        expected = conversation(alone, *two_pictures)
    with Model.from_local(model_path, draft=model_path, **options) as drafted:
        assert conversation(drafted, *two_pictures) == expected
        assert drafted.stats().media_encoded == 2


@pytest.mark.parametrize("kind", ["qwen35", pytest.param("lfm2", marks=pytest.mark.gate)])
def test_recurrent_models_go_back_to_whole_pictures(kind, model_path, tmp_path, two_pictures, tool):
    tool("luup-tensor-shapes")
    path, mmproj = tmp_path / f"{kind}.gguf", tmp_path / "mmproj.gguf"
    architectures.write(gguf, numpy, model_path, path, kind)
    projectors.write(gguf, numpy, mmproj, architectures.WIDTH, scale=4.0)
    options = {"mmproj": mmproj, "threads": 1, "context_size": 2048}
    with Model.from_local(path, cache_ram=0, **options) as plain:
        expected = conversation(plain, *two_pictures)
    with Model.from_local(path, **options) as model:
        assert conversation(model, *two_pictures) == expected
        assert conversation(model, *two_pictures) == expected
        assert model.stats().media_encoded == 2
