"""docs/: every Python block of every page runs, and prints what the page says that it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import pages

TESTS = Path(__file__).resolve().parents[1]

# What the blocks of a page may use without making it: pages of reference have parts of programs.
MODEL = """
import sys
from luup_agent import *
model = Model.from_local("model.gguf", threads=1)
agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=16)
"""
PREFACES = {
    "OUTPUTS.md": MODEL,
    "MODELS.md": "from luup_agent import Agent, Model",
    "SAMPLING.md": MODEL,
}


def has_own_test(page: Path) -> bool:
    """Return whether another module of the tests runs the blocks of this page, which it names."""
    own = (Path(__file__), TESTS / "unit" / "test_docs.py")
    return any(f'"{page.name}"' in file.read_text("utf-8") for file in TESTS.rglob("test_*.py") if file not in own)


PAGES = [page for page in pages.pages() if not has_own_test(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(pages.DOCS)))
def test_the_blocks_of_a_page_run(page, model_path, tmp_path):
    (tmp_path / "model.gguf").symlink_to(model_path)
    pages.run(page, tmp_path, PREFACES.get(page.name, ""), smollm2=model_path)


def test_every_page_with_blocks_is_found():
    names = {str(page.relative_to(pages.DOCS)) for page in PAGES}
    assert {"start.md", "guides/tools.md", "guides/results.md", "guides/streaming.md", "guides/agents.md"} <= names
    assert not {"MCP.md", "FRAMEWORKS.md", "SERVER.md", "SCALING.md"} & names


def test_the_runner_notices_other_output(tmp_path):
    for text, wrong in (
        ("```python\nprint(2)  # 3\n```\n", "'3' is not in"),
        ("```python\nprint(2)  # 2\nprint(1)  # 1\nprint(2)  # 1\n```\n", "'1' is not in"),
        ('```python\nprint(2)\n```\n\n```text title="Output"\n3\n```\n', "block 1"),
        ("```python\nx = 1\n```\n\n```python\nx.y\n```\n", re.escape("page.md, block 2")),
    ):
        page = tmp_path / "page.md"
        page.write_text(text, encoding="utf-8")
        with pytest.raises(AssertionError, match=wrong):
            pages.run(page, tmp_path)
