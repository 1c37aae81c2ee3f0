"""The projector that belongs to a repository comes along with its model."""

import pytest
from support import pictures, projectors, random_model

from luup_agent import Agent, Image, Model, hub
from luup_agent._hub.listing import HubFile, best_projector

REPOSITORY = "owner/seeing-GGUF"


@pytest.fixture(scope="module")
def files(model_path, tmp_path_factory):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    folder = tmp_path_factory.mktemp("seeing")
    random_model.write(gguf, numpy, model_path, folder / "m.gguf")
    projectors.write(gguf, numpy, folder / "p.gguf", random_model.WIDTH, scale=4.0)
    projector = (folder / "p.gguf").read_bytes()
    return {
        "m-Q4_K_M.gguf": (folder / "m.gguf").read_bytes(),
        "mmproj-m-F32.gguf": b"another one",
        "mmproj-m-F16.gguf": projector,
    }


def test_a_model_brings_its_projector(hub_server, files, monkeypatch):
    hub_server.add(REPOSITORY, files)
    options = {"context_size": 512, "threads": 1}
    with Model.from_hub(REPOSITORY, "Q4_K_M", **options) as model:
        assert model.get_info().sees
        answer = Agent(model, temperature=0, max_tokens=8).generate([Image(pictures.png()), "What?"])
    with Model.from_local(f"hf:{REPOSITORY}:Q4_K_M", **options) as model:
        assert Agent(model, temperature=0, max_tokens=8).generate([Image(pictures.png()), "What?"]) == answer
    with Model.from_hub(REPOSITORY, "Q4_K_M", mmproj=False, **options) as model:
        assert not model.get_info().sees
    path, projector = hub.download_with_projector(REPOSITORY, "Q4_K_M")
    assert (path.name, projector.name) == ("m-Q4_K_M.gguf", "mmproj-m-F16.gguf")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with Model.from_hub(REPOSITORY, "Q4_K_M", **options) as model:
        assert model.get_info().sees


def test_a_repository_without_a_projector(hub_server, files):
    hub_server.add(REPOSITORY, {"m-Q4_K_M.gguf": files["m-Q4_K_M.gguf"]})
    assert hub.download_with_projector(REPOSITORY)[1] is None
    with Model.from_hub(REPOSITORY, context_size=512, threads=1) as model:
        assert not model.get_info().sees


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (["mmproj-F32.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf"], "mmproj-F16.gguf"),
        (["mmproj-m-Q8_0.gguf", "mmproj-m-BF16.gguf"], "mmproj-m-BF16.gguf"),
        (["mmproj.gguf"], "mmproj.gguf"),
        (["model.gguf", "README.md"], None),
    ],
)
def test_the_best_projector(names, best):
    found = best_projector(HubFile(name) for name in names)
    assert (found and found.name) == best
