"""docs/: every Python block of every page runs, and prints what the page says that it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import bert, pages, pictures, projectors, random_model

TESTS = Path(__file__).resolve().parents[1]
OWN_FILES = ("ADAPTERS.md", "EMBEDDINGS.md", "PICTURES.md")  # their blocks load files that a test below makes


def has_own_test(page: Path) -> bool:
    """Return whether another module of the tests runs the blocks of this page, which it names."""
    own = (Path(__file__), TESTS / "unit" / "test_docs.py")
    return any(f'"{page.name}"' in file.read_text("utf-8") for file in TESTS.rglob("test_*.py") if file not in own)


PAGES = [page for page in pages.pages() if page.name not in OWN_FILES and not has_own_test(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(pages.DOCS)))
def test_the_blocks_of_a_page_run(page, model_path, tmp_path):
    (tmp_path / "model.gguf").symlink_to(model_path)
    pages.run(page, tmp_path, smollm2=model_path)


def test_the_blocks_about_adapters_run(tiny_path, tmp_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    (tmp_path / "model.gguf").symlink_to(tiny_path)
    for seed, name in enumerate(("sql", "brief")):
        random_model.write_adapter(gguf, numpy, tmp_path / f"{name}.gguf", seed)
    pages.run(pages.DOCS / "ADAPTERS.md", tmp_path)


def test_the_blocks_about_pictures_run(model_path, tmp_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    (tmp_path / "model.gguf").symlink_to(model_path)
    projectors.write(gguf, numpy, tmp_path / "mmproj-model.gguf", 576, scale=0.1)
    (tmp_path / "cat.png").write_bytes(pictures.png())
    pages.run(pages.DOCS / "PICTURES.md", tmp_path)


@pytest.mark.network
def test_the_blocks_about_vectors_run(tmp_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    try:
        path = bert.minilm_path(gguf, numpy)
    except RuntimeError as error:
        pytest.skip(str(error))
    (tmp_path / "all-MiniLM-L6-v2.F16.gguf").symlink_to(path)
    pages.run(pages.DOCS / "EMBEDDINGS.md", tmp_path)


def test_every_page_with_blocks_is_found():
    names = {str(page.relative_to(pages.DOCS)) for page in PAGES}
    assert {"index.md", "start.md", "guides/tools.md", "guides/results.md", "inside/prefix.md", "OUTPUTS.md"} <= names
    assert not {"MCP.md", "FRAMEWORKS.md", "SERVER.md", "SCALING.md"} & names


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```python\nprint(2)  # 3\n```\n", "'3' is not in"),
        ("```python\nprint(2)  # 2\nprint(1)  # 1\nprint(2)  # 1\n```\n", "'1' is not in"),
        ('```python\nprint(2)\n```\n\n```text title="Output"\n3\n```\n', "block 1"),
        ("```python\nx = 1\n```\n\n```python\nx.y\n```\n", re.escape("page.md, block 2")),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", "old"),
    ],
)
def test_the_runner_notices_what_is_wrong(tmp_path, text, wrong):
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match=wrong):
        pages.run(page, tmp_path)
