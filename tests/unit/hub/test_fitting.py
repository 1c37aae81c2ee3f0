"""The best quantization that fits is chosen from the headers of the files, before anything is downloaded."""

import logging

import pytest
from support import hub_server as answers
from support import random_model
from support.hub_server import TOKEN

from luup_agent import HTTPError, InvalidParamError, Model, ModelLoadError, OutOfMemoryError, hub
from luup_agent._hub import fitting
from luup_agent._hub.client import Client
from luup_agent._hub.listing import group

pytestmark = pytest.mark.processes

REPOSITORY = "owner/tiny-GGUF"


@pytest.fixture(scope="module")
def sizes(model_path, tmp_path_factory):
    """Files of one model as a repository has them, of real headers and different sizes."""
    folder = tmp_path_factory.mktemp("sizes")
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    random_model.write(gguf, numpy, model_path, folder / "tiny.gguf")
    content = (folder / "tiny.gguf").read_bytes()
    return {
        "README.md": b"# Tiny\n",
        "tiny-BF16.gguf": content + b"\0" * 4_000_000,
        "tiny-Q8_0.gguf": content + b"\0" * 2_000_000,
        "tiny-Q4_K_M.gguf": content + b"\0" * 1_000_000,
        "tiny-Q2_K.gguf": content,
        "mmproj-tiny-F16.gguf": b"GGUF of pictures",
        "imatrix.gguf": b"GGUF of importance",
    }


@pytest.fixture
def memory(monkeypatch):
    """Sets the memory that the estimates of this test see; what a model needs is estimated by the real library."""
    original = fitting._native.estimate

    def available(**changes):
        def estimate(path, layout):
            values = original(path, layout)
            return {**values, **{name: change(values) for name, change in changes.items()}}

        monkeypatch.setattr(fitting._native, "estimate", estimate)

    return available


def received(hub_server):
    """Return the most bytes that the requests so far asked for."""
    total = 0
    for asked in hub_server.bytes:
        first, last = asked.range[len("bytes=") :].split("-")
        total += int(last) - int(first) + 1
    return total


def test_the_largest_quantization_that_fits_is_chosen(hub_server, sizes, caplog):
    hub_server.add(REPOSITORY, sizes)
    with caplog.at_level(logging.INFO, "luup_agent.hub"):
        path = hub.download(REPOSITORY)
    assert path.name == "tiny-Q8_0.gguf"  # not BF16, which is larger and hardly better
    assert "hf:owner/tiny-GGUF: Q8_0 is the best of 3 quantizations: it needs " in caplog.text
    assert "with a context of 8192 tokens, and " in caplog.text
    assert " are available" in caplog.text


def test_only_the_header_is_read_before(hub_server, sizes):
    hub_server.add(REPOSITORY, sizes)
    client, listed = made(REPOSITORY)
    models = {each.quantization: each for each in group(listed.files)}
    found = fitting.estimate_remote(client, listed, models["Q8_0"], hub.DEFAULT_LAYOUT)
    assert found.memory_weights > 0
    assert received(hub_server) < len(sizes["tiny-Q8_0.gguf"])
    assert not (client.cache).exists()


def made(repository):
    client = Client()
    return client, client.list_files(repository, None)


def test_the_estimate_is_that_of_the_whole_file(hub_server, sizes, tmp_path):
    hub_server.add(REPOSITORY, sizes)
    client, listed = made(REPOSITORY)
    (tmp_path / "whole.gguf").write_bytes(sizes["tiny-Q4_K_M.gguf"])
    for model in group(listed.files):
        if model.quantization == "Q4_K_M":
            remote = fitting.estimate_remote(client, listed, model, hub.DEFAULT_LAYOUT)
            local = Model.estimate(tmp_path / "whole.gguf")
            for name in ("memory_weights", "memory_context", "memory_compute", "layers", "context_size"):
                assert getattr(remote, name) == getattr(local, name)


def test_a_smaller_one_is_chosen_if_the_best_does_not_fit(hub_server, sizes, memory, caplog):
    hub_server.add(REPOSITORY, sizes)
    needs = []

    def first_does_not_fit(values):
        needs.append(values["memory_host"])
        return values["memory_host"] + (-1 if len(needs) == 1 else 1)

    memory(host_available=first_does_not_fit)
    with caplog.at_level(logging.INFO, "luup_agent.hub"):
        path = hub.download(REPOSITORY)
    assert path.name in ("tiny-Q4_K_M.gguf", "tiny-Q2_K.gguf")
    assert "is the best that fits of 3 quantizations" in caplog.text


def test_nothing_is_downloaded_if_nothing_fits(hub_server, sizes, memory, home):
    hub_server.add(REPOSITORY, sizes)
    memory(host_available=lambda _: 1_000_000)
    with pytest.raises(
        OutOfMemoryError, match=r"no quantization of .* fits: the smallest, tiny-Q2_K.gguf, needs .*hf:"
    ) as failure:
        hub.download(REPOSITORY)
    assert "1.0 MB are available" in str(failure.value)
    assert not (home / "hf" / "hub").exists()


def test_a_medium_one_is_chosen_if_the_memory_is_unknown(hub_server, sizes, memory, caplog):
    hub_server.add(REPOSITORY, sizes)
    memory(host_available=lambda _: 0)
    with caplog.at_level(logging.INFO, "luup_agent.hub"):
        assert hub.download(REPOSITORY).name == "tiny-Q4_K_M.gguf"
    assert "the memory of this machine is unknown" in caplog.text


def test_a_larger_context_counts(hub_server, sizes):
    hub_server.add(REPOSITORY, sizes)
    with Model.from_hub(REPOSITORY, context_size=1024, threads=1, mmproj=False) as model:
        assert model.get_info().context_size == 1024
        assert model.get_info().path.endswith("tiny-Q8_0.gguf")


@pytest.mark.parametrize("answer", [answers.whole, answers.cut(0.2)])
def test_hosts_that_know_no_ranges_or_break_off(answer, hub_server, sizes):
    hub_server.add(REPOSITORY, sizes)
    hub_server.answers = [answer]
    if answer is answers.whole:
        assert hub.download(REPOSITORY).name == "tiny-Q8_0.gguf"
    else:
        with pytest.raises(HTTPError, match="broke off"):
            hub.download(REPOSITORY)


def test_split_models_are_estimated_as_a_whole(hub_server, tiny_parts):
    hub_server.add(REPOSITORY, {**tiny_parts, "tiny-Q2_K.gguf": b"GGUF"})
    assert hub.download(REPOSITORY).name == "tiny-Q8_0-00001-of-00003.gguf"


def test_the_token_is_not_sent_to_the_host_of_the_bytes(hub_server, sizes):
    hub_server.gated.add(REPOSITORY)
    hub_server.add(REPOSITORY, sizes)
    hub.download(REPOSITORY, token=TOKEN)
    assert {asked.token for asked in hub_server.bytes} == {None}
    assert {asked.token for asked in hub_server.api} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model" * 100, b"GGUF" + b"\xff" * 5000])
def test_a_file_that_is_not_a_model(content, hub_server, home):
    hub_server.add(REPOSITORY, {"a-Q8_0.gguf": content + b"8", "a-Q4_0.gguf": content})
    with pytest.raises(ModelLoadError, match="a-Q8_0.gguf on the hub is not a model: "):
        hub.download(REPOSITORY)
    assert not (home / "hf" / "hub").exists()


def test_several_models_are_ambiguous(hub_server, sizes):
    files = {"tiny-Q8_0.gguf": sizes["tiny-Q8_0.gguf"], "other-Q8_0.gguf": sizes["tiny-Q8_0.gguf"]}
    hub_server.add(REPOSITORY, files)
    with pytest.raises(
        InvalidParamError, match="has 2 files of several models: other-Q8_0.gguf, tiny-Q8_0.gguf; name one"
    ):
        hub.download(REPOSITORY)
    with pytest.raises(InvalidParamError, match="has 2 files of quantization q8_0"):
        hub.download(REPOSITORY, "q8_0")
    assert hub.download(f"hf:{REPOSITORY}/other-Q8_0.gguf").name == "other-Q8_0.gguf"


def test_the_only_model_is_taken_without_an_estimate(hub_server):
    hub_server.add(REPOSITORY, {"tiny.gguf": b"GGUF and more"})
    assert hub.download(REPOSITORY).read_bytes() == b"GGUF and more"


def test_contents_has_the_models_and_the_projectors(hub_server, sizes):
    commit = hub_server.add(REPOSITORY, sizes)
    found = hub.contents(REPOSITORY)
    assert found.commit == commit
    assert [model.quantization for model in found.models] == ["BF16", "Q2_K", "Q4_K_M", "Q8_0"]
    assert [file.name for file in found.projectors] == ["mmproj-tiny-F16.gguf"]
    assert hub.download(REPOSITORY, file="mmproj-tiny-F16.gguf").read_bytes() == b"GGUF of pictures"
