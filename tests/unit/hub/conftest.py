"""A hub on loopback, an empty home folder, and models of random weights for it."""

import pytest
from support import random_model
from support.hub_server import Hub

from luup_agent._hub import transfer

VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "XDG_CACHE_HOME",
    "LLAMA_CACHE",
    "OLLAMA_MODELS",
    "LUUP_CACHE_DIR",
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder, in which all programs look for their models."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    return folder


@pytest.fixture
def hub_server(home, monkeypatch):
    """A hub, whose address is HF_ENDPOINT; failed requests are repeated at once."""
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(transfer, "_PAUSE", 0.01)
    monkeypatch.setattr(transfer, "_MAX_PAUSE", 0.05)
    yield server
    server.close()


@pytest.fixture(scope="session")
def tiny(tiny_path):
    """The bytes of a small model."""
    return tiny_path.read_bytes()


@pytest.fixture(scope="session")
def tiny_parts(model_path, tmp_path_factory):
    """The bytes of a model split in three, by the names of its files."""
    folder = tmp_path_factory.mktemp("parts")
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    random_model.write(gguf, numpy, model_path, folder / "tiny-Q8_0.gguf", per_file=5)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
