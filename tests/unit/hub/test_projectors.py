"""The projector that belongs to a repository comes along with its model."""

import pytest
from support import pictures, projectors, random_model

from luup_agent import Agent, Image, Model, cli, hub
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


@pytest.mark.processes
def test_chat_brings_the_projector_of_a_repository(hub_server, files, capsys, tmp_path):
    hub_server.add(REPOSITORY, files)
    (tmp_path / "cat.png").write_bytes(pictures.png())
    arguments = ["chat", f"hf:{REPOSITORY}:Q4_K_M", "What?", "--image", str(tmp_path / "cat.png"), "--temperature", "0"]
    arguments += ["--max-tokens", "8", "--context-size", "512", "--threads", "1"]
    assert cli.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.strip()
    assert f"luup-agent: hf:{REPOSITORY}: mmproj-m-F16.gguf is the projector" in captured.err.splitlines()
    assert cli.main([*arguments, "--mmproj", "none"]) != 0
    assert "projector" in capsys.readouterr().err


@pytest.mark.processes
def test_served_models_have_the_projector_of_their_repository(hub_server, files, monkeypatch):
    pytest.importorskip("starlette")
    hub_server.add(REPOSITORY, files)
    seen = []

    def serve(models, **options):
        seen.extend(model.get_info().sees for model in models.values())

    monkeypatch.setattr("luup_agent.server.serve", serve)
    options = ["--context-size", "512", "--threads", "1", "--no-sessions"]
    assert cli.main(["serve", f"hf:{REPOSITORY}:Q4_K_M", *options]) == 0
    assert seen == [True]


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


def test_the_estimate_of_a_repository_counts_its_projector(hub_server, files, tmp_path):
    hub_server.add(REPOSITORY, files)
    name, options = f"hf:{REPOSITORY}:Q4_K_M", {"context_size": 512}
    remote = Model.estimate(name, **options)
    for file in ("m-Q4_K_M.gguf", "mmproj-m-F16.gguf"):
        (tmp_path / file).write_bytes(files[file])
    local = Model.estimate(tmp_path / "m-Q4_K_M.gguf", mmproj=tmp_path / "mmproj-m-F16.gguf", **options)
    assert remote.memory_projector == local.memory_projector > 0
    assert remote.total == local.total
    assert Model.estimate(name, mmproj=False, **options).memory_projector == 0
    hub.download_with_projector(REPOSITORY, "Q4_K_M")
    requests = len(hub_server.bytes)
    assert Model.estimate(name, **options).total == local.total
    assert len(hub_server.bytes) == requests  # both headers are read from the cache
